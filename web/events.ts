/**
 * Requests for a stream of server-sent events, such as `/events?name=chat.*`.
 *
 * @module
 */

import { encodeRequest } from "../protocol/control.ts";
import { EVENT_STREAM } from "../protocol/event_stream.ts";
import { type HttpFault, httpFault } from "../protocol/http.ts";
import { faultOfPattern, REST } from "../protocol/pattern.ts";
import { quote } from "../protocol/printable.ts";
import { concat } from "@std/bytes/concat";
import type { EventStream } from "./answer.ts";

/** The parameter with a pattern of event names. It may occur several times. */
const NAME = "name";

/**
 * A subscription to nothing. If the relay then refuses the patterns, for example because there are
 * too many, the client receives that refusal alone, and not every event.
 */
const NOTHING = encodeRequest({ control: "subscribe", events: [] });

/**
 * Returns the stream that a request asks for, or its fault. Without a name it has every event.
 *
 * @param query The query of the request, without the question mark.
 */
export function eventStreamOf(query: string): EventStream | HttpFault {
  const parameters = new URLSearchParams(query);
  const unknown = [...parameters.keys()].find((key) => key !== NAME);
  if (unknown !== undefined) {
    return httpFault(
      400,
      `Unknown parameter ${quote(unknown)}: expected patterns of event names, such as ` +
        "/events?name=chat.*&name=news",
    );
  }
  const patterns = parameters.getAll(NAME);
  for (const pattern of patterns) {
    const fault = faultOfPattern(pattern);
    if (fault) return httpFault(400, `Invalid pattern ${quote(pattern)}: ${fault}`);
  }
  const events = patterns.length === 0 ? [REST] : patterns;
  return {
    kind: "events",
    headers: {
      "Content-Type": EVENT_STREAM,
      "Cache-Control": "no-store",
      // nginx would wait for more bytes before it passes any on.
      "X-Accel-Buffering": "no",
    },
    lines: concat([NOTHING, encodeRequest({ control: "subscribe", events })]),
  };
}
