/**
 * The messages of a stream: blocks of events, and what the relays note about the history itself.
 * Each begins with a line about it.
 *
 *     {"control":"block","number":17,"events":2}
 *     {"event":"a","__dict__":{}}
 *     {"event":"b","__dict__":{}}
 *
 * `{"control":"epoch",…}` begins an epoch. `{"control":"values",…}` precedes the last events of names
 * that the stream is about to drop elsewhere, and `{"control":"producers",…}` does the same for what
 * blocks say about producers.
 *
 * The decoder trusts no message, since a stranger may have written it. All relays come to the same
 * result, so that they give the same offsets to the same events.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { CR, LF } from "../protocol/ascii.ts";
import { readNumber } from "../protocol/envelope.ts";
import type { HistoryPosition } from "../protocol/history.ts";
import { isName } from "../protocol/names.ts";
import { isProducerId } from "../protocol/producer.ts";
import { decoder, encoder } from "../protocol/utf8.ts";
import {
  type EnvelopeKey,
  ID,
  LineValidator,
  MAX_MAX_DEPTH,
  OFFSET,
  RELAY_KEYS,
  REPLY_TO,
  TO,
} from "../protocol/validator.ts";
import { addedLength, STAMPED } from "./extract.ts";
import type { LastValue } from "./last_values.ts";
import type { ProducerNotes, TableEntry, TableSnapshot } from "./producer_table.ts";
import { stamp, unstamp } from "./stamped_lines.ts";
import type { StreamMessage } from "./stream_port.ts";

/** Number of offsets of a message, and so the most events in one. */
export const MAX_EVENTS = 4096;

/** The writer of the messages about the epoch. No ID of a relay is so. */
export const EPOCH_WRITER = "epoch";

/** The writer of the messages that repeat the last events of names. */
export const VALUES_WRITER = "values";

/** The writers of the messages that repeat what is known of producers: the last one, and those before. */
export const PRODUCERS_WRITER = "producers";
export const PARTS_WRITER = "parts";

/** Number of earlier epochs that a message knows. */
const MAX_EPOCHS = 64;

/** The keys of events that are never kept, or that a relay has removed. */
const UNKEPT_KEYS = [ID, TO, REPLY_TO, ...RELAY_KEYS] as const;

/** The same, of events with an offset. */
const UNSTAMPED_KEYS = UNKEPT_KEYS.filter((key) => key !== OFFSET);

const validator = new LineValidator(MAX_MAX_DEPTH);

/** A client of one queue that is to receive an event: the number of the event, and who has it. */
export type QueueShare = readonly [event: number, queue: string, relay: string];

/** The head of a block of events. */
export interface StreamBlockHead extends ProducerNotes {
  /** The number of the block among those of its relay, from 1. */
  readonly number: number;
  /** Another relay that has written it in the name of its relay, to disown that. */
  readonly by?: string | undefined;
  /** The number of events. */
  readonly events: number;
  /** The mark on the links of the relay up to which other events come first. */
  readonly mark?: number | undefined;
  /** At which relay a member of a queue receives an event. */
  readonly queues?: readonly QueueShare[] | undefined;
  /** The events whose relay wants to know how many clients receive them, and its number for each. */
  readonly asks?: readonly (readonly [event: number, number: number])[] | undefined;
}

/** A message. */
export type StreamItem =
  | {
    readonly kind: "block";
    readonly head: StreamBlockHead;
    /** The events as whole lines. */
    readonly lines: Uint8Array<ArrayBuffer>;
  }
  | {
    readonly kind: "epoch";
    readonly epoch: string;
    /** The epochs before, each with the last offset that it and this one have in common. */
    readonly before: readonly HistoryPosition[];
    /** The server with the stream, when this was written. */
    readonly server: string;
  }
  | {
    /** The last events of names, which the stream is about to drop elsewhere. */
    readonly kind: "values";
    readonly values: readonly LastValue[];
  }
  | {
    /** A part of what is known of producers. */
    readonly kind: "producers";
    readonly table: TableSnapshot;
    /** The message up to which it is complete. */
    readonly seq: number;
    /** The sequence numbers of the parts before, in the last one. */
    readonly parts: readonly number[];
  };

/** Returns the offset of an event of a message, by its number. The last one has the same in any. */
export function offsetOf(seq: number, events: number, event: number): number {
  return (seq + 1) * MAX_EVENTS - events + event;
}

/** Returns the offset of the last event of a message. */
export function endOf(seq: number): number {
  return (seq + 1) * MAX_EVENTS - 1;
}

/** Returns the message that an offset is of. */
export function seqOf(offset: number): number {
  return Math.floor(offset / MAX_EVENTS);
}

/** Returns a block of events, which `parts` contain as whole lines. */
export function encodeStreamBlock(head: StreamBlockHead, parts: readonly Uint8Array[]): Uint8Array {
  return concat([encodeLine({ control: "block", ...head }), ...parts]);
}

/** Returns the message that begins an epoch, or repeats it. `server` is the server with the stream. */
export function encodeEpoch(
  epoch: string,
  before: readonly HistoryPosition[],
  server: string,
): Uint8Array {
  return encodeLine({ control: "epoch", epoch, before, server });
}

/** Returns a message with the last events of names. */
export function encodeValues(values: readonly LastValue[]): Uint8Array {
  const head = encodeLine({ control: "values", events: values.length });
  return concat([head, ...values.map(stamp)]);
}

/**
 * Returns a message with a part of what is known of producers.
 *
 * @param table The part.
 * @param seq The message up to which it is complete.
 * @param parts The sequence numbers of the parts before, for the last one.
 */
export function encodeProducers(
  { epoch, hasForgotten, entries }: TableSnapshot,
  seq: number,
  parts: readonly number[],
): Uint8Array {
  const rows = entries.map((entry) => [
    entry.id,
    entry.attempt,
    entry.owner,
    entry.ownerAttempt,
    entry.next,
    entry.releasedAttempt,
    entry.taken,
    entry.faulted,
    entry.isExact,
    entry.isKnown,
  ]);
  return encodeLine({ control: "producers", epoch, seq, forgotten: hasForgotten, parts, rows });
}

function encodeLine(members: object): Uint8Array {
  return encoder.encode(`${JSON.stringify(members)}\n`);
}

/** Returns the epochs before another one, of which the last has this position in common with it. */
export function withCommon(
  before: readonly HistoryPosition[],
  last: HistoryPosition,
): readonly HistoryPosition[] {
  const others = before.filter(({ epoch }) => epoch !== last.epoch)
    .map(({ epoch, offset }) => ({ epoch, offset: Math.min(offset, last.offset) }));
  return [...others, last].slice(-MAX_EPOCHS);
}

/** Returns what a message says, or `null` if it is not from a relay. */
export function decodeStreamMessage({ writer, data }: StreamMessage): StreamItem | null {
  const end = data.indexOf(LF);
  if (end < 0) return null;
  const members = parse(data.subarray(0, end));
  if (writer === EPOCH_WRITER) return decodeEpoch(members);
  const lines = data.subarray(end + 1);
  if (writer === VALUES_WRITER) return decodeValues(members, lines);
  if (writer === PRODUCERS_WRITER || writer === PARTS_WRITER) return decodeProducers(members);
  const head = decodeHead(members);
  if (!head) return null;
  return countEvents(lines, UNKEPT_KEYS) === head.events ? { kind: "block", head, lines } : null;
}

function decodeValues({ control, events }: Record<string, unknown>, lines: Uint8Array) {
  if (control !== "values" || !isCount(events)) return null;
  if (countEvents(lines, UNSTAMPED_KEYS, true) !== events) return null;
  return { kind: "values" as const, values: [...unstamp(lines, 0, lines.length)] };
}

function decodeProducers(members: Record<string, unknown>): StreamItem | null {
  const { control, epoch, seq, forgotten, parts, rows } = members;
  if (control !== "producers" || typeof epoch !== "string" || !isCount(seq)) return null;
  if (!Array.isArray(parts) || !parts.every(isCount)) return null;
  if (!Array.isArray(rows)) return null;
  const entries = rows.map(toEntry).filter((entry) => entry !== null);
  if (entries.length < rows.length) return null;
  const table = { epoch, hasForgotten: forgotten === true, entries };
  return { kind: "producers", table, seq, parts };
}

function toEntry(row: unknown): TableEntry | null {
  if (!Array.isArray(row)) return null;
  const [id, attempt, owner, ownerAttempt, next, releasedAttempt, taken, faulted] = row;
  const numbers = [attempt, ownerAttempt, releasedAttempt, taken, faulted];
  const isRelay = (value: unknown) => value === null || typeof value === "string";
  if (!isProducerId(id) || !numbers.every(isCount) || !isRelay(owner) || !isRelay(next)) {
    return null;
  }
  const [isExact, isKnown] = row.slice(8).map((value) => value === true);
  return {
    id,
    attempt,
    owner,
    ownerAttempt,
    next,
    taken,
    faulted,
    isExact: isExact!,
    releasedAttempt,
    isKnown: isKnown!,
  };
}

function parse(line: Uint8Array): Record<string, unknown> {
  try {
    return Object(JSON.parse(decoder.decode(line)));
  } catch {
    return {};
  }
}

function decodeEpoch(members: Record<string, unknown>): StreamItem | null {
  const { control, epoch, before, server } = members;
  if (control !== "epoch" || !isEpoch(epoch)) return null;
  if (!Array.isArray(before) || !before.every(isCommon)) return null;
  return { kind: "epoch", epoch, before, server: typeof server === "string" ? server : "" };
}

function isEpoch(value: unknown): value is string {
  return typeof value === "string" && /^[\w-]{1,64}$/.test(value);
}

function isCommon(value: unknown): value is HistoryPosition {
  const { epoch, offset } = Object(value) as Record<string, unknown>;
  return isEpoch(epoch) && isCount(offset);
}

function decodeHead(members: Record<string, unknown>): StreamBlockHead | null {
  const { control, number, by, events, mark, queues, asks } = members;
  if (control !== "block" || !isCount(number) || !isCount(events) || events > MAX_EVENTS) {
    return null;
  }
  if (mark !== undefined && !isCount(mark)) return null;
  const isOfEvent = (value: unknown): value is unknown[] =>
    Array.isArray(value) && isCount(value[0]) && value[0] < events;
  const isShare = (value: unknown): value is QueueShare =>
    isOfEvent(value) && value.length === 3 && value.slice(1).every(isName);
  const isAsk = (value: unknown): value is readonly [number, number] =>
    isOfEvent(value) && value.length === 2 && isCount(value[1]);
  if (queues !== undefined && !(Array.isArray(queues) && queues.every(isShare))) return null;
  if (asks !== undefined && !(Array.isArray(asks) && asks.every(isAsk))) return null;
  if (by !== undefined && typeof by !== "string") return null;
  const notes = decodeNotes(members);
  return notes && { number, by, events, mark, queues, asks, ...notes };
}

function decodeNotes({ disowns, ...lists }: Record<string, unknown>): ProducerNotes | null {
  const { claims, counts, releases, declines } = lists;
  const isList = (value: unknown, length: number) =>
    value === undefined || Array.isArray(value) &&
      value.every((each) =>
        Array.isArray(each) && each.length === length && isProducerId(each[0]) &&
        each.slice(1).every(isCount)
      );
  if (!isList(claims, 2) || !isList(counts, 3) || !isList(releases, 5)) return null;
  if (!isList(declines, 2)) return null;
  const isDisowned = disowns === true || undefined;
  return { disowns: isDisowned, claims, counts, releases, declines } as ProducerNotes;
}

/** Returns the number of events, or -1 if anything else is among the lines. */
function countEvents(
  lines: Uint8Array,
  unwanted: readonly EnvelopeKey[],
  isStamped = false,
): number {
  if (lines.length > 0 && lines.at(-1) !== LF) return -1;
  validator.open(lines);
  let events = 0;
  for (let at = 0; at < lines.length; at = validator.end + 1) {
    if (validator.validate(at) !== "event") return -1;
    if (validator.hasEnvelope && unwanted.some((key) => validator.has(key))) return -1;
    if (isStamped && !hasStamp(lines)) return -1;
    if (lines[validator.end - 1] === CR) return -1;
    events++;
  }
  return events;
}

/** Returns whether the last line has an offset where {@link encodeValues} writes it. */
function hasStamp(lines: Uint8Array): boolean {
  if (!validator.hasEnvelope || !validator.has(OFFSET)) return false;
  const offset = readNumber(lines, validator.valueAt(OFFSET));
  const at = validator.keyAt(OFFSET);
  return isCount(offset) &&
    decoder.decode(lines.subarray(at, at + addedLength(offset, STAMPED))) === `"offset":${offset},`;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}
