/**
 * Server-sent events as the codec of a connection whose peer only listens.
 *
 * @module
 */

import type { Codec } from "./codec.ts";
import type { Encoding } from "./encoding.ts";
import { countMessages, encodeEventStream, endOfMessage } from "../protocol/event_stream.ts";

const MESSAGES: Encoding = {
  encode: encodeEventStream,
  countLines: countMessages,
  endOfLine: endOfMessage,
  isSelfDelimiting: true,
  events: null,
};

/** The server's side of a stream of server-sent events. */
export class EventStreamCodec implements Codec {
  readonly transport = "event-stream";
  readonly encoding: Encoding = MESSAGES;
  readonly fault = null;
  readonly ended = null;
  /** An empty line does, which is sent as a comment. */
  readonly probe = null;
  readonly expectsFarewell = false;
  readonly headroom = 0;

  /** Whatever the peer sends after its request has no meaning. */
  decode(): number {
    return 0;
  }

  takeAnswer(): null {
    return null;
  }

  takeChatter(): number {
    return 0;
  }

  farewell(): null {
    return null;
  }
}
