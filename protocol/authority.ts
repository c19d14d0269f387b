/**
 * The name and the port of a server, as in `Host` and in the origin of a page.
 *
 * @module
 */

/** A host, and the port if one was written. */
export interface Authority {
  /**
   * A name in lower case, an IPv4 address, or an IPv6 address in brackets. It is in the form that
   * browsers send, so two texts for one address are equal.
   */
  readonly host: string;
  /** The port, `null` if none was written. */
  readonly port: number | null;
}

/**
 * A host and a port, without user information and without percent-encoding. Browsers send names of
 * other scripts in this alphabet as well (RFC 3492).
 */
const SHAPE = /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/i;

/** The last label of an IPv4 address. No name ends in a number (WHATWG URL, "host parsing"). */
const NUMBER_LABEL = /(?:^|\.)\d+$/;

/**
 * Returns the host and the port of `text`, or `null` if it is not `host` or `host:port`.
 *
 * @example An address and a name
 * ```ts ignore
 * parseAuthority("[0:0::1]:7982"); // { host: "[::1]", port: 7982 }
 * parseAuthority("Relay.Example"); // { host: "relay.example", port: null }
 * ```
 */
export function parseAuthority(text: string): Authority | null {
  const match = SHAPE.exec(text);
  const url = match && URL.parse(`http://${text}`);
  if (!url) return null;
  return { host: url.hostname, port: match[1] === undefined ? null : Number(match[1]) };
}

/** Returns whether the host of an {@link Authority} is an IP address and not a name. */
export function isAddress(host: string): boolean {
  return host.startsWith("[") || NUMBER_LABEL.test(host);
}

/** Returns a host without the dot that marks a name as complete (RFC 1034, section 3.1). */
export function withoutDot(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}
