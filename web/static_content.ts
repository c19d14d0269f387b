/**
 * Content that stays the same as long as the relay runs, such as a script. A browser keeps it, and
 * asks each time whether it is still the same (RFC 9110, section 13.1.2).
 *
 * @module
 */

import { type HttpRequest, listOf } from "../protocol/http.ts";
import type { HttpHeaders, HttpResponse } from "../protocol/http_response.ts";
import { encoder } from "../protocol/utf8.ts";

/** Content, and a tag by which it differs from any other content. */
export class StaticContent {
  readonly #body: Uint8Array;
  readonly #tag: string;

  private constructor(body: Uint8Array, tag: string) {
    this.#body = body;
    this.#tag = tag;
  }

  /** Resolves to content with this text. */
  static async of(text: string): Promise<StaticContent> {
    const body = encoder.encode(text);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
    return new StaticContent(body, `"${hash.toHex()}"`);
  }

  /**
   * Returns the response to a request: the content, or 304 if the client has it already.
   *
   * @param request The request.
   * @param own Headers such as `Content-Type`.
   */
  answer({ headers }: Pick<HttpRequest, "headers">, own: HttpHeaders): HttpResponse {
    const isKnown = this.#isAmong(headers.get("if-none-match"));
    return {
      kind: "response",
      status: isKnown ? 304 : 200,
      headers: { "Cache-Control": "no-cache", "ETag": this.#tag, ...own },
      body: isKnown ? "" : this.#body,
    };
  }

  /** A proxy that compresses content makes its tag a weak one, with `W/` before it. */
  #isAmong(tags: string | undefined): boolean {
    return listOf(tags).some((tag) => tag === "*" || tag.replace("w/", "") === this.#tag);
  }
}
