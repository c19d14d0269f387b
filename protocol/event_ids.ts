/**
 * The encoding of lines as server-sent events for clients that can resume: events of the history
 * have their positions as ids, and news about the history become ids and gaps.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { COMMA, LF, OPEN_BRACE } from "./ascii.ts";
import {
  DATA,
  findEnds,
  isControl,
  KEEP_ALIVE,
  messageOf,
  replaceReturns,
} from "./event_stream.ts";
import {
  decodeHistoryNews,
  decodeReplayAnswer,
  formatPosition,
  type LossReason,
  parsePosition,
  type ReplayAnswer,
} from "./history.ts";
import { decoder, encoder } from "./utf8.ts";

/** The beginning of the member that a relay writes into an event of the history. */
const OFFSET = encoder.encode('"offset":');

/** Events that are missing in a stream. */
interface Gap {
  readonly reason: LossReason;
  /** The offsets of the first and the last one, if they are known. */
  readonly from?: number;
  readonly to?: number;
}

/**
 * Returns one message for each line, as `encodeEventStream()` does, except for these:
 *
 * | line | message |
 * | --- | --- |
 * | event with an offset | `data: LINE`, without the offset, `id: EPOCH:OFFSET` |
 * | control line `live` or `at` | `:`, `id: EPOCH:OFFSET` |
 * | control line `gap`, or `ack` of a position that is not recovered | `data: GAP`, `event: gap` |
 * | control line `welcome`, or any other `ack` of a request for kept events | `:` |
 *
 * @param lines Whole lines: valid events, and control lines of our own. The ID of a request for the
 * events since a position is this position as text.
 * @param areEvents Whether all of them are events. Otherwise, each line is looked at.
 * @param epoch The epoch of the history.
 */
export function encodeWithIds(lines: Uint8Array, areEvents: boolean, epoch: string): Uint8Array {
  const { ends, hasReturns } = findEnds(lines);
  const id = encoder.encode(`id: ${epoch}:`);
  const messages = areEvents
    ? encodeEvents(lines, ends, id)
    : concat(ends.map((end, i) => encodeAny(lines.subarray(ends[i - 1] ?? 0, end), id, epoch)));
  if (hasReturns) replaceReturns(messages);
  return messages;
}

function encodeEvents(lines: Uint8Array, ends: readonly number[], id: Uint8Array): Uint8Array {
  const messages = new Uint8Array(lines.length + (DATA.length + id.length) * ends.length);
  let at = 0;
  /** Copies by a loop, because a call takes longer for so few bytes. */
  const addShort = (bytes: Uint8Array, start: number, end: number): void => {
    for (let i = start; i < end; i++) messages[at++] = bytes[i]!;
  };
  const addLong = (start: number, end: number): void => {
    messages.set(lines.subarray(start, end), at);
    at += end - start;
  };
  let start = 0;
  for (const end of ends) {
    addShort(DATA, 0, DATA.length);
    const number = offsetAt(lines, start);
    if (number === 0) {
      addLong(start, end);
    } else {
      const comma = lines.indexOf(COMMA, number);
      addShort(lines, start, number - OFFSET.length);
      addLong(comma + 1, end);
      addShort(id, 0, id.length);
      addShort(lines, number, comma);
      messages[at++] = LF;
    }
    messages[at++] = LF;
    start = end;
  }
  return messages.subarray(0, at);
}

/** Returns the position of an event's offset, or 0 if it has none. */
function offsetAt(lines: Uint8Array, start: number): number {
  const key = lines.indexOf(OPEN_BRACE, start) + 1;
  for (let i = 0; i < OFFSET.length; i++) if (lines[key + i] !== OFFSET[i]) return 0;
  return key + OFFSET.length;
}

function encodeAny(line: Uint8Array, id: Uint8Array, epoch: string): Uint8Array {
  if (isControl(line)) return encodeControl(line, epoch);
  return line.length === 1 ? KEEP_ALIVE : encodeEvents(line, [line.length], id);
}

function encodeControl(line: Uint8Array, epoch: string): Uint8Array {
  const control = JSON.parse(decoder.decode(line));
  const answer = decodeReplayAnswer(control);
  if (answer) return answer.recovered === false ? encodeGap(lossOf(answer)) : KEEP_ALIVE;
  const news = decodeHistoryNews(control);
  if (news?.control === "gap") {
    return encodeGap({ reason: "evicted", from: news.from, to: news.to });
  }
  if (news) {
    const { offset } = news;
    return encoder.encode(`:\nid: ${formatPosition({ epoch, offset })}\n\n`);
  }
  return control.control === "welcome" ? KEEP_ALIVE : messageOf(line);
}

/** Returns what is missing after a position that is not recovered. */
function lossOf({ id, reason, from }: ReplayAnswer): Gap {
  if (reason !== "evicted") return { reason: reason! };
  return { reason, from: parsePosition(id)!.offset + 1, to: from };
}

function encodeGap(gap: Gap): Uint8Array {
  return encoder.encode(`data: ${JSON.stringify(gap)}\nevent: gap\n\n`);
}
