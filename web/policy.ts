/**
 * Who may come in by a browser.
 *
 * A page of any site can send requests to this machine, and a site can let its own name point at it
 * (DNS rebinding). So a request must be for a host that no stranger's DNS decides about, and a page
 * must be this relay's own or be listed.
 *
 * @module
 */

import { type Authority, isAddress, parseAuthority } from "../protocol/authority.ts";
import { type HttpFault, httpFault, type HttpRequest, listOf } from "../protocol/http.ts";
import type { HttpHeaders } from "../protocol/http_response.ts";
import { inspect, quote } from "../protocol/printable.ts";
import { TextSet } from "../protocol/text_map.ts";

/** Pages and hosts that may be used besides the relay's own. */
export interface WebOptions {
  /**
   * The origins of other pages that may join, exactly as browsers send them: `https://chat.example`,
   * with a port if it is not the scheme's own. `null`, `file://` and the origins of extensions are
   * valid too. `null` lets in every page that hides its origin, which any site can do.
   *
   * @default []
   */
  readonly origins?: readonly string[];
  /**
   * The names in the address bar of a browser, besides IP addresses, `localhost` and names that end
   * in `.localhost`: those of this machine and of proxies in front of it, without a port. There is
   * no wildcard, because a name that a stranger owns must not be among them.
   *
   * @default []
   */
  readonly hosts?: readonly string[];
}

/** The kinds of content. */
export type WebRoute = "page" | "client" | "socket" | "events" | "metrics" | "health";

/** A request that is let in. */
export interface Admission {
  readonly kind: "admitted";
  /** Headers that the response must have, which say what other pages may do with it. */
  readonly headers: HttpHeaders;
}

/** A request that is refused. */
export interface Refusal {
  readonly kind: "refused";
  /**
   * `origin` if the page is the reason, and `host` if the host or a proxy is. A page cannot read
   * the answer to a WebSocket that is refused, and so must be told the reason in another way.
   */
  readonly cause: "origin" | "host";
  /** The answer. Its message names the flag of the relay that would let the request in. */
  readonly fault: HttpFault;
}

/** Headers with which proxies say for whom they ask. Those of `X-Forwarded-` are not listed here. */
const PROXY_HEADERS = ["forwarded", "via", "x-real-ip", "x-original-host", "cf-connecting-ip"];
const PROXY_PREFIX = "x-forwarded-";

/** What a person can be led to by a link on any page. The answer is shown and cannot be read. */
const LINKED: readonly WebRoute[] = ["page", "metrics", "health"];

/** The values of `Sec-Fetch-Dest` of a page within another. */
const FRAMES = ["iframe", "frame", "embed", "object", "fencedframe"];

/** The text of an origin whose scheme is not that of a web server, such as that of an extension. */
const OTHER_ORIGIN = /^(?!wss?:)[a-z][a-z\d+.-]*:\/\/[\w.-]*(?::\d+)?$/i;

/** The rules of one listener. */
export class WebPolicy {
  readonly #origins: TextSet;
  readonly #hosts: TextSet;
  readonly #isTls: boolean;

  /**
   * Checks the options.
   *
   * @param options Pages and hosts besides the relay's own.
   * @param isTls Whether the listener speaks TLS, so that its own page has the scheme `https`.
   * @throws {TypeError} If an origin or a host is invalid.
   */
  constructor(options: WebOptions, isTls: boolean) {
    this.#origins = new TextSet(listed(options.origins, "web.origins").map(checkOrigin));
    this.#hosts = new TextSet(listed(options.hosts, "web.hosts").map(checkHost));
    this.#isTls = isTls;
  }

  /** Decides about a request for content of this kind. */
  check(request: HttpRequest, route: WebRoute): Admission | Refusal {
    const { host } = request;
    return this.#faultOfHost(request, route, host) ?? this.#checkPage(request, route, host);
  }

  #faultOfHost({ headers }: HttpRequest, route: WebRoute, host: Authority | null): Refusal | null {
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

  #checkPage(request: HttpRequest, route: WebRoute, host: Authority | null): Admission | Refusal {
    if (route === "client") {
      const open = {
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
      };
      return { kind: "admitted", headers: open };
    }
    const { headers } = request;
    const closed = { "Cross-Origin-Resource-Policy": "same-origin", "Vary": "Origin" };
    if (route === "page" && FRAMES.includes(headers.get("sec-fetch-dest") ?? "")) {
      return refuse("origin", "This page cannot be shown within another: open it by itself");
    }
    const origin = headers.get("origin");
    if (origin !== undefined) {
      if (this.#origins.has(normalOrigin(origin) ?? "")) {
        const sharing = { "Access-Control-Allow-Origin": origin };
        return { kind: "admitted", headers: { ...closed, ...sharing } };
      }
      if (host === null || !this.#isOwn(origin, host)) {
        return refuse("origin", faultOfPage("Origin", origin));
      }
    }
    const site = headers.get("sec-fetch-site") ?? "none";
    if (site !== "none" && site !== "same-origin" && !isLink(request, route)) {
      return refuse("origin", faultOfPage("Sec-Fetch-Site", site));
    }
    return { kind: "admitted", headers: closed };
  }

  /** Returns whether no stranger can let this host point here. */
  #isAllowed(host: Authority): boolean {
    const name = withoutDot(host.host);
    return isAddress(name) || name === "localhost" || name.endsWith(".localhost") ||
      this.#isListed(host);
  }

  #isListed({ host }: Authority): boolean {
    return this.#hosts.has(withoutDot(host));
  }

  /**
   * Returns whether an origin is that of the relay's own page at this host. A listed host may be
   * that of a proxy with TLS, of which a relay without TLS does not know.
   */
  #isOwn(origin: string, host: Authority): boolean {
    const page = parseOrigin(origin);
    if (page === null) return false;
    const isOwnScheme = page.isTls === this.#isTls || page.isTls && this.#isListed(host);
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

/** Returns a host without the dot that marks a name as complete (RFC 1034, section 3.1). */
function withoutDot(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

function defaultPort(isTls: boolean): number {
  return isTls ? 443 : 80;
}

/** The origin of a page of a web server. */
interface WebOrigin {
  readonly isTls: boolean;
  readonly host: string;
  readonly port: number;
}

function parseOrigin(text: string): WebOrigin | null {
  const [, scheme, rest] = /^(https?):\/\/(.*)$/i.exec(text) ?? [];
  const authority = parseAuthority(rest ?? "");
  if (scheme === undefined || authority === null) return null;
  const isTls = scheme.toLowerCase() === "https";
  return { isTls, host: authority.host, port: authority.port ?? defaultPort(isTls) };
}

/** Returns an origin as browsers write it, or `null` if it is not an origin. */
function normalOrigin(text: string): string | null {
  const page = parseOrigin(text);
  if (page) {
    const port = page.port === defaultPort(page.isTls) ? "" : `:${page.port}`;
    return `${page.isTls ? "https" : "http"}://${page.host}${port}`;
  }
  const isOther = text === "null" || !/^https?:/i.test(text) && OTHER_ORIGIN.test(text);
  return isOther ? text.toLowerCase() : null;
}

function listed(values: readonly string[] | undefined, name: string): readonly string[] {
  if (values === undefined) return [];
  if (Array.isArray(values)) return values;
  throw new TypeError(`Invalid ${name}: expected a list of strings, got ${inspect(values)}`);
}

function checkOrigin(text: string): string {
  const origin = typeof text === "string" ? normalOrigin(text) : null;
  if (origin !== null) return origin;
  throw new TypeError(
    'Invalid web.origins: expected the origin of a page, such as "https://chat.example", ' +
      `"http://localhost:5173", "null" or "file://", without a path, got ${inspect(text)}`,
  );
}

function checkHost(text: string): string {
  const authority = typeof text === "string" ? parseAuthority(text) : null;
  const host = withoutDot(authority?.host ?? "");
  if (authority?.port === null && /^[^.]/.test(host)) return host;
  throw new TypeError(
    'Invalid web.hosts: expected a host name, such as "relay.example", without a port and ' +
      `without a wildcard, got ${inspect(text)}`,
  );
}

function faultOfName(header: string, value: string): string {
  return `${header} ${quote(value)} is not known here: expected an IP address, localhost, or a ` +
    "name that the relay was given with --web-host NAME (in code: web.hosts)";
}

function faultOfPage(header: string, value: string): string {
  return `${header} ${quote(value)} may not come in: expected the relay's own page, or one whose ` +
    "origin the relay was given with --web-origin ORIGIN (in code: web.origins)";
}

function refuse(cause: "origin" | "host", message: string): Refusal {
  return { kind: "refused", cause, fault: httpFault(403, message) };
}
