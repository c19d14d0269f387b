/**
 * The head of an HTTP request, from its lines.
 *
 * It is strict where two programs could read one request differently (RFC 9112, section 11.2):
 * there is no body, nothing is folded, and no header that decides about access occurs twice. A line
 * may end in LF alone, as section 2.2 permits, so that a person can type a request into `nc`. That
 * is safe here, since a connection has one request, which no body follows.
 *
 * @module
 */

import { LF } from "./ascii.ts";
import { type Authority, parseAuthority } from "./authority.ts";
import { quote } from "./printable.ts";
import { decoder, NOTHING } from "./utf8.ts";

/** The longest head, in bytes with its line ends: 8 KiB, as nginx and Apache accept for a line. */
export const MAX_HEAD_BYTES = 8192;

/** Most headers of a head. Apache has the same limit; browsers send about 20. */
const MAX_HEADERS = 100;

/** The methods that this port answers. */
const METHODS = "GET, HEAD";

/** A word of HTTP (RFC 9110, section 5.6.2). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** The start of a header name that a look-up can ask for. */
const LETTER = /^[a-z]/;

/** A path and a query in visible ASCII. Browsers leave some characters as they are, such as "|". */
const ORIGIN_FORM = /^\/[!-"$-~]*$/;

/** Control characters except the tab (RFC 9110, section 5.5). */
// deno-lint-ignore no-control-regex
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;

/** Headers that may occur once: those that decide who may come in, and where a request ends. */
const SINGLE: ReadonlySet<string> = new Set([
  "host",
  "origin",
  "authorization",
  "sec-fetch-site",
  "sec-fetch-mode",
  "sec-fetch-dest",
  "sec-websocket-key",
  "sec-websocket-version",
  "content-length",
  "transfer-encoding",
]);

/** A request without a body. */
export interface HttpRequest {
  readonly kind: "request";
  readonly method: "GET" | "HEAD";
  /** The path without the query. It is still percent-encoded, such as `/metrics`. */
  readonly path: string;
  /** The query without the question mark. */
  readonly query: string;
  /** Whether the client speaks HTTP/1.0, as some health checks and proxies do. */
  readonly isHttp10: boolean;
  /** The server that is asked for. `null` if HTTP/1.0 does not say. */
  readonly host: Authority | null;
  /** The values of the headers, by lower-case name. A list in several of them is joined by commas. */
  readonly headers: ReadonlyMap<string, string>;
  /** The bytes after the head, of the block in which the head ended. A view of that block. */
  readonly rest: Uint8Array;
}

/** The reason why a request is refused. */
export interface HttpFault {
  readonly kind: "fault";
  /** The status of the response, such as 400. */
  readonly status: number;
  /** A sentence for people that names the value and the expected one. */
  readonly message: string;
  /** Headers that the response must have besides the usual ones, such as `Allow`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Returns a fault. */
export function httpFault(
  status: number,
  message: string,
  headers?: Readonly<Record<string, string>>,
): HttpFault {
  return { kind: "fault", status, message, ...(headers && { headers }) };
}

/**
 * Refuses a head that is longer than {@link MAX_HEAD_BYTES}. Also for a line that has not ended and
 * is longer by itself.
 */
export const HEAD_TOO_LONG: HttpFault = httpFault(
  431,
  `The request is too long: expected at most ${MAX_HEAD_BYTES} bytes up to the empty line. ` +
    "Cookies of other programs at this host name may be the cause; an IP address has none of them",
);

/** The request line, in parts. */
type RequestLine = Pick<HttpRequest, "method" | "path" | "query" | "isHttp10">;

/**
 * Collects the lines of one head.
 *
 * | state | next |
 * | --- | --- |
 * | no line yet | the request line |
 * | request line | headers, until the empty line |
 * | ended in a request or a fault | nothing; `add()` returns the same again |
 */
export class RequestHead {
  #requestLine: RequestLine | null = null;
  #headerCount = 0;
  #result: HttpRequest | HttpFault | null = null;
  #byteCount = 0;
  readonly #headers = new Map<string, string>();

  /** The bytes of all lines so far, at most {@link MAX_HEAD_BYTES} as long as no fault was found. */
  get byteCount(): number {
    return this.#byteCount;
  }

  /**
   * Adds lines.
   *
   * @param lines Whole lines, each with its line end. Nothing of it is kept, except that the `rest`
   * of a request is a view of it.
   * @returns The request once its head is complete, a fault as soon as there is one, or `null` as
   * long as lines are missing.
   */
  add(lines: Uint8Array): HttpRequest | HttpFault | null {
    let start = 0;
    while (this.#result === null && start < lines.length) {
      const end = lines.indexOf(LF, start) + 1 || lines.length;
      this.#byteCount += end - start;
      this.#result = this.#byteCount > MAX_HEAD_BYTES
        ? HEAD_TOO_LONG
        : this.#addLine(lineOf(lines, start, end), lines, end);
      start = end;
    }
    return this.#result;
  }

  /** Adds the line that ends at `end` in `lines`. */
  #addLine(line: string, lines: Uint8Array, end: number): HttpRequest | HttpFault | null {
    if (this.#requestLine === null) {
      const parsed = parseRequestLine(line);
      if ("status" in parsed) return parsed;
      this.#requestLine = parsed;
      return null;
    }
    if (line !== "") return this.#addHeader(line);
    const host = parseAuthority(this.#headers.get("host") ?? "");
    return faultOfHead(this.#headers, host, this.#requestLine.isHttp10) ?? {
      kind: "request",
      ...this.#requestLine,
      host,
      headers: this.#headers,
      rest: end < lines.length ? lines.subarray(end) : NOTHING,
    };
  }

  #addHeader(line: string): HttpFault | null {
    if (++this.#headerCount > MAX_HEADERS) {
      return httpFault(431, `The request has too many headers: expected at most ${MAX_HEADERS}`);
    }
    const colon = line.indexOf(":");
    const written = line.slice(0, Math.max(colon, 0));
    if (!TOKEN.test(written)) {
      return httpFault(
        400,
        // What follows the first word may be a token.
        `Invalid header ${quote(/^(?:\s|[^\s:]*\s?)/.exec(line)![0])}: expected a name, a colon ` +
          "and a value on one line, and no blank before the colon",
      );
    }
    const name = written.toLowerCase();
    const value = trimBlanks(line.slice(colon + 1));
    const [control] = CONTROL.exec(value) ?? [];
    if (control !== undefined) {
      return httpFault(
        400,
        `Invalid header ${quote(name)}: expected no control characters, got ${quote(control)}`,
      );
    }
    // No header of HTTP has such a name. As a key it could be an integer, whose hash has no seed.
    if (!LETTER.test(name)) return null;
    const before = this.#headers.get(name);
    if (before !== undefined && SINGLE.has(name)) {
      return httpFault(400, `Header ${quote(name)} occurs twice: expected it once`);
    }
    this.#headers.set(name, before === undefined ? value : `${before}, ${value}`);
    return null;
  }
}

/** Returns a line without its end. */
function lineOf(bytes: Uint8Array, start: number, end: number): string {
  const line = decoder.decode(bytes.subarray(start, end));
  return line.endsWith("\r\n") ? line.slice(0, -2) : line.endsWith("\n") ? line.slice(0, -1) : line;
}

function parseRequestLine(line: string): RequestLine | HttpFault {
  const parts = line.split(" ");
  const [method = "", target = "", version = ""] = parts;
  if (parts.length !== 3 || !TOKEN.test(method) || !/^HTTP\/\d\.\d$/.test(version)) {
    return httpFault(
      400,
      `Invalid request line ${quote(line)}: expected a method, a path and a version, ` +
        'such as "GET / HTTP/1.1"',
    );
  }
  if (method !== "GET" && method !== "HEAD") {
    const message = `Method ${quote(method)} is not supported: expected GET or HEAD`;
    return httpFault(405, message, { Allow: METHODS });
  }
  if (version !== "HTTP/1.1" && version !== "HTTP/1.0") {
    return httpFault(505, `Version ${quote(version)} is not supported: expected HTTP/1.1`);
  }
  if (!ORIGIN_FORM.test(target)) {
    return httpFault(
      400,
      `Invalid path ${quote(target)}: expected visible ASCII that begins with "/"` +
        (/^[a-z][a-z\d+.-]*:/i.test(target) ? "; this port is no proxy" : ""),
    );
  }
  const [path, query] = splitOnce(target, "?");
  return { method, path, query, isHttp10: version === "HTTP/1.0" };
}

/** Returns the fault of all headers together. */
function faultOfHead(
  headers: ReadonlyMap<string, string>,
  authority: Authority | null,
  isHttp10: boolean,
): HttpFault | null {
  const length = headers.get("content-length") ?? "0";
  const encoding = headers.get("transfer-encoding");
  if (length !== "0" || encoding !== undefined) {
    const got = encoding === undefined
      ? `Content-Length ${quote(length)}`
      : `Transfer-Encoding ${quote(encoding)}`;
    return httpFault(400, `A GET or HEAD has no body here: expected Content-Length 0, got ${got}`);
  }
  const host = headers.get("host");
  if (host === undefined) {
    return isHttp10 ? null : httpFault(400, "Header Host is missing: HTTP/1.1 requires it");
  }
  return authority ? null : httpFault(
    400,
    `Invalid Host ${quote(host)}: expected a name or an IP address, with or without a port`,
  );
}

/** Returns the text before and after the first separator. */
function splitOnce(text: string, separator: string): [before: string, after: string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}

/** Removes spaces and tabs from both ends. `String.trim()` would remove more. */
function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text[start]!)) start++;
  while (end > start && isBlank(text[end - 1]!)) end--;
  return text.slice(start, end);
}

function isBlank(char: string): boolean {
  return char === " " || char === "\t";
}

/** Returns the members of a list such as `keep-alive, Upgrade`, in lower case. */
export function listOf(value: string | undefined): string[] {
  return (value ?? "").split(",").map((each) => asciiLowerCase(trimBlanks(each)))
    .filter((each) => each !== "");
}

/** `toLowerCase()` would make an ASCII letter of some others, such as the sign of Kelvin. */
function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
