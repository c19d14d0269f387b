/**
 * Server-sent events as the codec of a connection whose peer only listens.
 *
 * @module
 */

import type { Codec } from "./codec.ts";
import type { Encoding } from "./encoding.ts";
import { encodeWithIds } from "../protocol/event_ids.ts";
import { countMessages, encodeEventStream, endOfMessage } from "../protocol/event_stream.ts";

/**
 * The server's side of streams of server-sent events. All of them should have one codec, so that they
 * share encoded events.
 */
export class EventStreamCodec implements Codec {
  readonly transport = "event-stream";
  readonly encoding: Encoding;
  readonly fault = null;
  readonly ended = null;
  /** An empty line does, which is sent as a comment. */
  readonly probe = null;
  readonly expectsFarewell = false;
  readonly headroom = 0;

  /** Creates a codec. With the epoch of a history, its events have their positions as ids. */
  constructor(epoch: string | null = null) {
    this.encoding = {
      encode: epoch === null
        ? encodeEventStream
        : (lines, areEvents) => encodeWithIds(lines, areEvents, epoch),
      countLines: countMessages,
      endOfLine: endOfMessage,
      isSelfDelimiting: true,
      events: null,
    };
  }

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
