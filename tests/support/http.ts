/**
 * Heads of HTTP requests as values.
 *
 * @module
 */

import { type HttpFault, type HttpRequest, RequestHead } from "../../protocol/http.ts";
import { utf8 } from "./bytes.ts";

/** What a head of these lines results in. The line ends and the empty line are added. */
export function readHead(...lines: string[]): HttpRequest | HttpFault | null {
  return new RequestHead().add(utf8([...lines, "", ""].join("\r\n")));
}

/**
 * The request for a path.
 *
 * @param target The path, and the query if there is one.
 * @param fields The fields besides `Host`, one text for each. A `Host` among them replaces that of
 * `127.0.0.1:7982`.
 */
export function requestFor(target: string, ...fields: string[]): HttpRequest {
  const hasHost = fields.some((each) => /^host:/i.test(each));
  const all = hasHost ? fields : ["Host: 127.0.0.1:7982", ...fields];
  const result = readHead(`GET ${target} HTTP/1.1`, ...all);
  if (result?.kind !== "request") throw new Error(result?.message ?? "The head has no end");
  return result;
}
