/**
 * The headers of the page, which say what it may do.
 *
 * @module
 */

import { parseAuthority } from "../protocol/authority.ts";
import type { HttpHeaders } from "../protocol/http_response.ts";

/** The hashes of the script and of the styles within the page, such as `sha256-…`. */
export interface PageHashes {
  readonly scripts: readonly string[];
  readonly styles: readonly string[];
}

/**
 * Returns the headers of the page.
 *
 * The page loads nothing from elsewhere, connects to nothing but the relay, cannot be shown within
 * another page, and cannot make HTML of text.
 *
 * @param hashes The hashes of its script and its styles.
 * @param host The `Host` of the request. Some browsers do not take `'self'` for WebSockets too, so
 * these are named.
 */
export function pageHeaders({ scripts, styles }: PageHashes, host: string): HttpHeaders {
  const policy = [
    "default-src 'none'",
    `script-src ${["'self'", ...scripts.map((hash) => `'${hash}'`)].join(" ")}`,
    `style-src ${styles.length > 0 ? styles.map((hash) => `'${hash}'`).join(" ") : "'none'"}`,
    "img-src 'self' data:",
    `connect-src ${["'self'", ...socketSources(host)].join(" ")}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ];
  return {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-cache",
    "Content-Security-Policy": policy.join("; "),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
  };
}

/** Returns the WebSockets of a host. A policy cannot name IPv6 addresses. */
function socketSources(text: string): string[] {
  const authority = parseAuthority(text);
  if (authority === null || authority.host.startsWith("[")) return [];
  const { host, port } = authority;
  const place = port === null ? host : `${host}:${port}`;
  return [`ws://${place}`, `wss://${place}`];
}
