/**
 * Requests for a stream of server-sent events, such as `/events?name=chat.*`.
 *
 * @module
 */

import { EventStreamCodec } from "../net/event_stream.ts";
import { encodeHello, encodeRequest } from "../protocol/control.ts";
import { EVENT_STREAM } from "../protocol/event_stream.ts";
import { formatPosition, type HistoryPosition, parsePosition } from "../protocol/history.ts";
import { type HttpFault, httpFault, type HttpRequest } from "../protocol/http.ts";
import type { HttpHeaders } from "../protocol/http_response.ts";
import { faultOfPattern, REST } from "../protocol/pattern.ts";
import { quote } from "../protocol/printable.ts";
import { concat } from "@std/bytes/concat";
import type { EventStream } from "./answer.ts";

/** The parameter with a pattern of event names. It may occur several times. */
const NAME = "name";

/** The parameter that says from where on the events of the history are wanted. */
const SINCE = "since";

/** Stands for an id that is not a position, such as one of another server. No relay has this epoch. */
const UNKNOWN: HistoryPosition = { epoch: "?", offset: 0 };

const HEADERS: HttpHeaders = {
  "Content-Type": EVENT_STREAM,
  "Cache-Control": "no-store",
  // nginx would wait for more bytes before it passes any on.
  "X-Accel-Buffering": "no",
};

/**
 * A subscription to nothing. If the relay then refuses the patterns, for example because there are
 * too many, the client receives that refusal alone, and not every event. It comes first, since a busy
 * relay may pass events on before it takes the next line.
 */
const NOTHING = encodeRequest({ control: "subscribe", events: [] });

/** Asks for the offsets of events, which become ids. */
const HELLO = encodeHello({ ack: false, offsets: true });

/** A request for a stream. */
export type StreamRequest = Pick<HttpRequest, "query" | "headers">;

/** What a relay keeps, as far as it matters for a stream. */
export interface KeptHistory {
  /** The end of the history, or `null` if the relay keeps no events. */
  readonly position: HistoryPosition | null;
  /** Whether it keeps the last events of some names. */
  readonly keepsLast: boolean;
}

/** From where on a client wants the events of the history. */
type Place = HistoryPosition | "first" | "last";

/** The streams of one relay. */
export class EventStreams {
  #codec = new EventStreamCodec();
  /** The epoch in the ids of this codec. */
  #epoch: string | null = null;

  /**
   * Returns the stream that a request asks for, or its fault. Without a name it has every event.
   *
   * @param request The request.
   * @param history What the relay keeps.
   */
  answer(request: StreamRequest, history: KeptHistory): EventStream | HttpFault {
    const parameters = new URLSearchParams(request.query);
    const fault = faultOf(parameters, history);
    if (fault) return httpFault(400, fault);
    const patterns = parameters.getAll(NAME);
    const events = patterns.length === 0 ? [REST] : patterns;
    const { position } = history;
    const wantsLast = parameters.get(SINCE) === "last";
    const lines = position
      ? [NOTHING, HELLO, requestSince(events, placeIn(request, parameters) ?? position, wantsLast)]
      : [NOTHING, encodeRequest({ control: "subscribe", events })];
    return {
      kind: "events",
      headers: HEADERS,
      codec: this.#codecFor(position?.epoch ?? null),
      lines: concat(lines),
    };
  }

  #codecFor(epoch: string | null): EventStreamCodec {
    if (epoch !== this.#epoch) {
      this.#codec = new EventStreamCodec(epoch);
      this.#epoch = epoch;
    }
    return this.#codec;
  }
}

/** Returns what is wrong with the parameters of a request, or `null`. */
function faultOf(
  parameters: URLSearchParams,
  { position, keepsLast }: KeptHistory,
): string | null {
  const unknown = [...parameters.keys()].find((key) => key !== NAME && key !== SINCE);
  if (unknown !== undefined) {
    return `Unknown parameter ${quote(unknown)}: expected patterns of event names, such as ` +
      "/events?name=chat.*&name=news, or since";
  }
  for (const pattern of parameters.getAll(NAME)) {
    const fault = faultOfPattern(pattern);
    if (fault) return `Invalid pattern ${quote(pattern)}: ${fault}`;
  }
  const since = parameters.get(SINCE);
  if (since === null) return null;
  if (!position) return `Invalid since ${quote(since)}: the relay keeps no events`;
  if (since === "last" && !keepsLast) {
    return 'Invalid since "last": the relay keeps no last events of names (--keep-last)';
  }
  if (parsePlace(since)) return null;
  return `Invalid since ${quote(since)}: expected first, last, or a position such as k3J9x2aQ:1041`;
}

/** Returns from where on a client wants events, or `null` if from now on. */
function placeIn({ headers }: StreamRequest, parameters: URLSearchParams): Place | null {
  // The URL of an EventSource stays as it is when it connects again, so the header counts.
  const id = headers.get("last-event-id");
  if (id) return parsePosition(id) ?? UNKNOWN;
  const since = parameters.get(SINCE);
  return since === null ? null : parsePlace(since);
}

function parsePlace(text: string): Place | null {
  return text === "first" || text === "last" ? text : parsePosition(text);
}

/**
 * Returns the request for the events since a place, and for what is left if some are missing, or the
 * last event of each name.
 */
function requestSince(events: readonly string[], since: Place, wantsLast: boolean): Uint8Array {
  // The ID of the request is in its answer, so that a gap can say what is missing.
  const id = typeof since === "string" ? since : formatPosition(since);
  const partial = wantsLast ? "last" : true;
  const replay = { since, partial } as const;
  return encodeRequest({ control: "subscribe", events, id, replay });
}
