/**
 * Formats the responses to HTTP requests.
 *
 * The connection ends after each of them. So the bytes that a client has sent after its request can
 * never be taken for a second one.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { HttpFault } from "./http.ts";
import { encoder } from "./utf8.ts";

/** The words for the statuses of this port (RFC 9110, section 15). */
const PHRASES: Readonly<Record<number, string>> = {
  101: "Switching Protocols",
  200: "OK",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  426: "Upgrade Required",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};

/** The headers of a response by name. The values have neither CR nor LF. */
export type HttpHeaders = Readonly<Record<string, string>>;

/** A response. */
export interface HttpResponse {
  readonly kind: "response";
  /** The status, such as 200. */
  readonly status: number;
  /** Headers such as `Content-Type`. Some more are added, such as `Content-Length`. */
  readonly headers: HttpHeaders;
  /** The body, a text as UTF-8. */
  readonly body: string | Uint8Array;
}

/**
 * Returns the head of a response whose body lasts until the connection ends, such as a stream of
 * events.
 *
 * @param status The status, one of those that this port uses.
 * @param headers Headers besides `Connection: close` and `X-Content-Type-Options: nosniff`. They
 * replace these where they have the same names.
 */
export function formatHead(status: number, headers: HttpHeaders): Uint8Array<ArrayBuffer> {
  return encoder.encode(headText(status, headers));
}

/**
 * Returns a whole response.
 *
 * @param status The status, one of those that this port uses.
 * @param headers As for {@link formatHead}. `Content-Length` is added, except with status 304, for
 * which it would be that of the content (RFC 9110, section 8.6).
 * @param body The body, a text as UTF-8.
 * @param isHead Whether the request was a HEAD, whose response has no body.
 */
export function formatResponse(
  status: number,
  headers: HttpHeaders,
  body: string | Uint8Array,
  isHead = false,
): Uint8Array<ArrayBuffer> {
  const content = typeof body === "string" ? encoder.encode(body) : body;
  const length: HttpHeaders = status === 304 ? {} : { "Content-Length": `${content.length}` };
  const head = formatHead(status, { ...headers, ...length });
  if (isHead) return head;
  return concat([head, content]);
}

/** Returns the response to a request that is refused: one line of text. */
export function formatFault(fault: HttpFault, isHead = false): Uint8Array<ArrayBuffer> {
  const headers = {
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    ...fault.headers,
  };
  return formatResponse(fault.status, headers, `${fault.message}\n`, isHead);
}

/**
 * Returns the response that turns a connection into a WebSocket.
 *
 * @param accept The value of `Sec-WebSocket-Accept`.
 */
export function formatUpgrade(accept: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(
    `HTTP/1.1 101 ${PHRASES[101]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
}

function headText(status: number, headers: HttpHeaders): string {
  const all = { "Connection": "close", "X-Content-Type-Options": "nosniff", ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${PHRASES[status] ?? ""}\r\n${lines.join("")}\r\n`;
}
