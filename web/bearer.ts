/**
 * The token of an HTTP request.
 *
 * @module
 */

import { type HttpFault, httpFault, type HttpRequest } from "../protocol/http.ts";

/** Refuses a request without the right token. A browser shows no dialogue for this scheme. */
export const TOKEN_REQUIRED: HttpFault = httpFault(
  401,
  "The token is missing or wrong: expected the relay's token, as in Authorization: Bearer TOKEN",
  { "WWW-Authenticate": "Bearer" },
);

/**
 * Returns the token in the `Authorization` of a request, or `undefined` if it has none (RFC 6750,
 * section 2.1). It may have any characters but controls, and no blanks at its ends.
 */
export function bearerToken({ headers }: Pick<HttpRequest, "headers">): string | undefined {
  const value = headers.get("authorization") ?? "";
  const [scheme] = /^bearer +/i.exec(value) ?? [];
  return scheme && value.slice(scheme.length);
}
