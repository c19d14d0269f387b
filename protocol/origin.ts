/**
 * The origin of a page, as browsers send it in `Origin`.
 *
 * @module
 */

import { parseAuthority } from "./authority.ts";

/** The text of an origin whose scheme is not that of a web server, such as that of an extension. */
const OTHER_ORIGIN = /^(?!wss?:)[a-z][a-z\d+.-]*:\/\/[\w.-]*(?::\d+)?$/i;

/** The origin of a page of a web server. */
export interface WebOrigin {
  readonly isTls: boolean;
  readonly host: string;
  readonly port: number;
}

/** Returns the origin of a page of a web server, or `null` if it is not one. */
export function parseOrigin(text: string): WebOrigin | null {
  const [, scheme, rest] = /^(https?):\/\/(.*)$/i.exec(text) ?? [];
  const authority = parseAuthority(rest ?? "");
  if (scheme === undefined || authority === null) return null;
  const isTls = scheme.toLowerCase() === "https";
  return { isTls, host: authority.host, port: authority.port ?? defaultPort(isTls) };
}

/** Returns an origin as browsers write it, or `null` if it is not an origin. */
export function normalOrigin(text: string): string | null {
  const page = parseOrigin(text);
  if (page) {
    const port = page.port === defaultPort(page.isTls) ? "" : `:${page.port}`;
    return `${page.isTls ? "https" : "http"}://${page.host}${port}`;
  }
  const isOther = text === "null" || !/^https?:/i.test(text) && OTHER_ORIGIN.test(text);
  return isOther ? text.toLowerCase() : null;
}

/** Returns the port of a web server if none was written. */
export function defaultPort(isTls: boolean): number {
  return isTls ? 443 : 80;
}
