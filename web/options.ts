/**
 * The option `web` of a server, and its check. The rest of this room is loaded only for a server
 * that has the option.
 *
 * @module
 */

import { parseAuthority, withoutDot } from "../protocol/authority.ts";
import { normalOrigin } from "../protocol/origin.ts";
import { inspect } from "../protocol/printable.ts";
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

/** The checked options of one listener. */
export interface WebRules {
  /** The origins of other pages that may join, as browsers send them. */
  readonly origins: TextSet;
  /** The names of hosts, without the dot at the end. */
  readonly hosts: TextSet;
  /** Whether the listener speaks TLS, so that its own page has the scheme `https`. */
  readonly isTls: boolean;
}

/**
 * Checks the options of a listener.
 *
 * @param options Pages and hosts besides the server's own.
 * @param isTls Whether the listener speaks TLS.
 * @throws {TypeError} If an origin or a host is invalid.
 */
export function checkWebOptions({ origins, hosts }: WebOptions, isTls: boolean): WebRules {
  return {
    origins: new TextSet(listed(origins, "web.origins").map(checkOrigin)),
    hosts: new TextSet(listed(hosts, "web.hosts").map(checkHost)),
    isTls,
  };
}

function listed(values: readonly string[] | undefined, name: string): readonly string[] {
  if (values === undefined) return [];
  if (Array.isArray(values)) return values;
  throw new TypeError(`Invalid ${name}: expected a list of strings, got ${inspect(values)}`);
}

function checkOrigin(text: string): string {
  // The address bar of a browser shows a slash at the end.
  const origin = typeof text === "string" ? normalOrigin(text.replace(/(?<=[^/])\/$/, "")) : null;
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
