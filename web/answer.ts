/**
 * What a server has to say to HTTP requests.
 *
 * @module
 */

import type { HttpFields } from "../protocol/http_answer.ts";

/** A whole answer. */
export interface WebAnswer {
  readonly kind: "answer";
  /** The status, such as 200. */
  readonly status: number;
  /** Fields such as `Content-Type`. The length and the end of the connection are added. */
  readonly fields: HttpFields;
  /** The body, a text as UTF-8. */
  readonly body: string | Uint8Array;
}

/** A stream of server-sent events, whose peer becomes a client that only listens. */
export interface EventStream {
  readonly kind: "events";
  /** Fields such as `Content-Type`. */
  readonly fields: HttpFields;
  /** The lines that the client would have sent over another connection, such as its subscription. */
  readonly lines: Uint8Array;
}
