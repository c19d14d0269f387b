/**
 * The answers of a server to HTTP requests.
 *
 * @module
 */

import type { Codec } from "../net/codec.ts";
import type { HttpFault } from "../protocol/http.ts";
import type { HttpHeaders, HttpResponse } from "../protocol/http_response.ts";

/** A stream of server-sent events, whose peer becomes a client that only listens. */
export interface EventStream {
  readonly kind: "events";
  /** Headers such as `Content-Type`. */
  readonly headers: HttpHeaders;
  /** Makes the messages of lines. */
  readonly codec: Codec;
  /** The lines that the client would have sent over another connection, such as its subscription. */
  readonly lines: Uint8Array;
}

/** An answer. */
export type WebAnswer = HttpResponse | EventStream | HttpFault;
