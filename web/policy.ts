/**
 * Who may come in by a browser.
 *
 * A page of any site can send requests to this machine, and a site can let its own name point at it
 * (DNS rebinding). So a request must be for a host that no stranger's DNS decides about, and a page
 * must be this relay's own or be listed.
 *
 * @module
 */

import { type Authority, isAddress, parseAuthority, withoutDot } from "../protocol/authority.ts";
import { type HttpFault, httpFault, type HttpRequest, listOf } from "../protocol/http.ts";
import type { HttpHeaders } from "../protocol/http_response.ts";
import { defaultPort, normalOrigin, parseOrigin } from "../protocol/origin.ts";
import { quote } from "../protocol/printable.ts";
import type { WebRules } from "./options.ts";

/** The kinds of content, each with rules of its own. */
export type WebRoute = "page" | "client" | "socket" | "events" | "metrics" | "health";

/** The verdict on a request that is permitted. */
export interface Permission {
  readonly kind: "permitted";
  /** Headers that the response must have, which say what other pages may do with it. */
  readonly headers: HttpHeaders;
}

/** The verdict on a request that is refused. */
export interface Rejection {
  readonly kind: "refused";
  /**
   * `origin` if the page is the reason, and `host` if the host or a proxy is. A page cannot read
   * the response to a WebSocket that is refused, so it must receive the reason in another way.
   */
  readonly cause: "origin" | "host";
  /** The response. Its message names the flag of the relay that would let the request in. */
  readonly fault: HttpFault;
}

/** The decision about a request. */
export type WebVerdict = Permission | Rejection;

/** Headers with which proxies say for whom they ask. Those of `X-Forwarded-` are not listed here. */
const PROXY_HEADERS = ["forwarded", "via", "x-real-ip", "x-original-host", "cf-connecting-ip"];
const PROXY_PREFIX = "x-forwarded-";

/** The routes that a link on any page may lead to. The page cannot read what is shown then. */
const LINKED: readonly WebRoute[] = ["page", "metrics", "health"];

/** The values of `Sec-Fetch-Dest` of a page within another. */
const FRAMES = ["iframe", "frame", "embed", "object", "fencedframe"];

/** Decides which requests of one listener are permitted. */
export class WebPolicy {
  readonly #rules: WebRules;

  /** Creates the policy of a listener with these rules. */
  constructor(rules: WebRules) {
    this.#rules = rules;
  }

  /** Decides about a request for content of this kind. */
  check(request: HttpRequest, route: WebRoute): WebVerdict {
    const { host } = request;
    return this.#faultOfHost(request, route, host) ?? this.#checkPage(request, route, host);
  }

  #faultOfHost(
    { headers }: HttpRequest,
    route: WebRoute,
    host: Authority | null,
  ): Rejection | null {
    // No browser and no proxy leaves the host out. Health checks with HTTP/1.0 do.
    if (host === null && route !== "health") {
      return refuse(
        "host",
        "Header Host is missing: expected the name or the address of this relay",
      );
    }
    if (host !== null && !this.#isAllowed(host)) {
      return refuse("host", faultOfName("Host", headers.get("host")!));
    }
    const proxyHeader = [...headers.keys()].find(isProxyHeader);
    if (proxyHeader === undefined || host === null) return null;
    if (!this.#isListed(host)) {
      return refuse(
        "host",
        `A proxy has sent header ${quote(proxyHeader)} with Host ${quote(headers.get("host")!)}: ` +
          "expected the name that the browser shows. Let the proxy pass Host on, and give the " +
          "name with --web-host NAME (in code: web.hosts)",
      );
    }
    const hidden = hiddenHosts(headers).find((name) => {
      const authority = parseAuthority(name);
      return authority === null || !this.#isAllowed(authority);
    });
    return hidden === undefined ? null : refuse("host", faultOfName("Forwarded host", hidden));
  }

  #checkPage(request: HttpRequest, route: WebRoute, host: Authority | null): WebVerdict {
    if (route === "client") {
      const open = {
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
      };
      return { kind: "permitted", headers: open };
    }
    const { headers } = request;
    const closed = { "Cross-Origin-Resource-Policy": "same-origin", "Vary": "Origin" };
    if (route === "page" && FRAMES.includes(headers.get("sec-fetch-dest") ?? "")) {
      return refuse("origin", "This page cannot be shown within another: open it by itself");
    }
    const origin = headers.get("origin");
    if (origin !== undefined) {
      if (this.#rules.origins.has(normalOrigin(origin) ?? "")) {
        const sharing = { "Access-Control-Allow-Origin": origin };
        return { kind: "permitted", headers: { ...closed, ...sharing } };
      }
      if (host === null || !this.#isOwn(origin, host)) {
        return refuse("origin", faultOfPage("Origin", origin));
      }
    }
    const site = headers.get("sec-fetch-site") ?? "none";
    if (site !== "none" && site !== "same-origin" && !isLink(request, route)) {
      return refuse("origin", faultOfPage("Sec-Fetch-Site", site));
    }
    return { kind: "permitted", headers: closed };
  }

  /** Returns whether no stranger can let this host point here. */
  #isAllowed(host: Authority): boolean {
    const name = withoutDot(host.host);
    return isAddress(name) || name === "localhost" || name.endsWith(".localhost") ||
      this.#isListed(host);
  }

  #isListed({ host }: Authority): boolean {
    return this.#rules.hosts.has(withoutDot(host));
  }

  /**
   * Returns whether an origin is that of the relay's own page at this host. A listed host may be
   * that of a proxy with TLS, of which a relay without TLS does not know.
   */
  #isOwn(origin: string, host: Authority): boolean {
    const page = parseOrigin(origin);
    if (page === null) return false;
    const isOwnScheme = page.isTls === this.#rules.isTls || page.isTls && this.#isListed(host);
    return isOwnScheme && page.host === host.host &&
      page.port === (host.port ?? defaultPort(page.isTls));
  }
}

/** Returns whether a person follows a link to content that other pages cannot read. */
function isLink({ headers, method }: HttpRequest, route: WebRoute): boolean {
  return LINKED.includes(route) && method === "GET" &&
    headers.get("sec-fetch-mode") === "navigate" && headers.get("sec-fetch-dest") === "document";
}

/** Returns whether a proxy has passed a request on. */
export function isForwarded(headers: ReadonlyMap<string, string>): boolean {
  return [...headers.keys()].some(isProxyHeader);
}

function isProxyHeader(name: string): boolean {
  return name.startsWith(PROXY_PREFIX) || PROXY_HEADERS.includes(name);
}

/** Returns the hosts that proxies report to have been asked for. */
function hiddenHosts(headers: ReadonlyMap<string, string>): string[] {
  const forwarded = headers.get("forwarded") ?? "";
  const pairs = forwarded.matchAll(/(?:^|[;,])[ \t]*host[ \t]*=[ \t]*(?:"([^"]*)"|([^;, \t]*))/gi);
  return [
    ...listOf(headers.get("x-forwarded-host")),
    ...listOf(headers.get("x-original-host")),
    ...Array.from(pairs, ([, quoted, plain]) => quoted ?? plain!),
  ];
}

function faultOfName(header: string, value: string): string {
  return `${header} ${quote(value)} is not known here: expected an IP address, localhost, or a ` +
    "name that the relay was given with --web-host NAME (in code: web.hosts)";
}

function faultOfPage(header: string, value: string): string {
  if (header === "Origin") {
    return `Origin ${quote(value)} is not let in: start the relay with --web-origin ORIGIN ` +
      "(in code: web.origins)";
  }
  return `${header} ${quote(value)} may not come in: expected the relay's own page, or one whose ` +
    "origin the relay was given with --web-origin ORIGIN (in code: web.origins)";
}

function refuse(cause: "origin" | "host", message: string): Rejection {
  return { kind: "refused", cause, fault: httpFault(403, message) };
}
