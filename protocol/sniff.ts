/**
 * Recognizes clients of HTTP and TLS, and answers those of HTTP.
 *
 * @module
 */

import { startsWith } from "@std/bytes/starts-with";
import { decoder, encoder } from "./utf8.ts";

/** The start line of a request (RFC 9112, section 3). */
const REQUEST = /^[A-Z]{3,16} \S+ HTTP\/\d/;

/** How much of a line is examined, in bytes. */
const LOOKED_AT = 2048;

const BODY =
  "This port speaks the protocol of @ebsockets/relay: events as lines of JSON over TCP. Of HTTP it " +
  "answers GET and HEAD, and only if the relay takes browsers (--web).\n";

/** Refuses an HTTP request, and explains the purpose of this port. */
export const HTTP_ANSWER: Uint8Array = encoder.encode(
  [
    "HTTP/1.1 400 Bad Request",
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${BODY.length}`,
    "Connection: close",
    "",
    BODY,
  ].join("\r\n"),
);

/** A protocol that is recognized. */
export type ForeignProtocol = "HTTP" | "TLS";

/**
 * Returns the protocol of a peer's first line, or `null` if it is not a known one.
 *
 * @param line The line, which others may follow.
 */
export function foreignProtocol(line: Uint8Array): ForeignProtocol | null {
  if (line[0] === 0x16 && line[1] === 0x03) return "TLS"; // RFC 8446, section 5.1
  return REQUEST.test(decoder.decode(line.subarray(0, LOOKED_AT))) ? "HTTP" : null;
}

/** The methods of requests that a server with `web` answers. */
const METHODS = ["GET ", "HEAD "].map((method) => encoder.encode(method));

/** Returns whether a peer's first lines begin a request that a server with `web` answers. */
export function isRequest(lines: Uint8Array): boolean {
  return METHODS.some((method) => startsWith(lines, method));
}
