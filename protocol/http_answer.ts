/**
 * The answers to HTTP requests, as bytes.
 *
 * Each ends with its connection: no answer needs a second request, and what a client has sent
 * behind its first can therefore never be taken for one.
 *
 * @module
 */

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

/** Fields of an answer by name. The values have neither CR nor LF. */
export type HttpFields = Readonly<Record<string, string>>;

/**
 * Returns the head of an answer whose body lasts until the connection ends, such as a stream of
 * events.
 *
 * @param status The status, one of those that this port uses.
 * @param fields Fields besides `Connection: close` and `X-Content-Type-Options: nosniff`. They
 * replace these where they have the same names.
 */
export function formatHead(status: number, fields: HttpFields): Uint8Array<ArrayBuffer> {
  return encoder.encode(headText(status, fields));
}

/**
 * Returns a whole answer.
 *
 * @param status The status, one of those that this port uses.
 * @param fields As for {@link formatHead}. `Content-Length` is added, except with status 304, for
 * which it would be that of the content (RFC 9110, section 8.6).
 * @param body The body, a text as UTF-8.
 * @param isHead Whether the request was a HEAD, whose answer has no body.
 */
export function formatResponse(
  status: number,
  fields: HttpFields,
  body: string | Uint8Array,
  isHead = false,
): Uint8Array<ArrayBuffer> {
  const content = typeof body === "string" ? encoder.encode(body) : body;
  const length: HttpFields = status === 304 ? {} : { "Content-Length": `${content.length}` };
  const head = formatHead(status, { ...fields, ...length });
  if (isHead) return head;
  const answer = new Uint8Array(head.length + content.length);
  answer.set(head);
  answer.set(content, head.length);
  return answer;
}

/** Returns the answer to a request that is refused: one line of text. */
export function formatFault(fault: HttpFault, isHead = false): Uint8Array<ArrayBuffer> {
  const fields = {
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    ...fault.headers,
  };
  return formatResponse(fault.status, fields, `${fault.message}\n`, isHead);
}

/**
 * Returns the answer that turns a connection into a WebSocket.
 *
 * @param accept The value of `Sec-WebSocket-Accept`.
 */
export function formatUpgrade(accept: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(
    `HTTP/1.1 101 ${PHRASES[101]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
}

function headText(status: number, fields: HttpFields): string {
  const all = { "Connection": "close", "X-Content-Type-Options": "nosniff", ...fields };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${PHRASES[status] ?? ""}\r\n${lines.join("")}\r\n`;
}
