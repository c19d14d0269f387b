/**
 * Blocks of events on their way to the stream.
 *
 * @module
 */

import { byteLength, NOTHING } from "../protocol/utf8.ts";
import { type BlockNotes, noteBytes, rowBytes } from "./block_notes.ts";
import { encodeStreamBlock, MAX_EVENTS, type QueueShare } from "./stream_format.ts";
import type { StreamPort } from "./stream_port.ts";

/** Most bytes of events in a block, unless a single one is longer. */
const BLOCK_BYTES = 131_072;

/** Most bytes of the first line of a block. A message has room for it besides the longest line. */
export const MAX_HEAD_BYTES = 8192;

/** A producer whose events are counted in the blocks. */
export interface CountedProducer {
  readonly id: string;
  /** The number of its last event that was not kept as it should be, or 0. */
  readonly faulted: number;
}

/** Events of one client in a row, which wait until the stream has them. */
export interface Unkept {
  /** The events as whole lines. */
  readonly lines: Uint8Array;
  readonly events: number;
  /** Of a single event, where a member of each of its queues receives it. */
  readonly queues?: readonly (readonly [queue: string, relay: string])[] | undefined;
  /** Of a single event, the number under which its receivers are counted. */
  readonly ask?: number | undefined;
  /** The producer that has sent them, and the number of the last one, if they are counted. */
  readonly producer?: CountedProducer | null;
  readonly taken?: number;
}

/** A block that is being stored, or waits for it, or has not come back. */
export class OutgoingBlock<E extends Unkept> {
  /** Its number among the blocks of its relay, from 1. */
  readonly number: number;
  entries: E[];
  notes: BlockNotes;
  message: Uint8Array = NOTHING;
  /** Bytes of its events. */
  bytes = 0;
  state: "waiting" | "unknown" | "stored" = "waiting";
  /** Whether an earlier attempt may have stored it after all. */
  isDoubtful = false;

  readonly #mark: number | undefined;

  /**
   * Creates a block that waits.
   *
   * @param mark The mark on the links after which other relays pass on the events.
   */
  constructor(number: number, mark: number | undefined, entries: E[], notes: BlockNotes) {
    this.number = number;
    this.#mark = mark;
    this.entries = entries;
    this.notes = notes;
    this.encode();
  }

  /** Makes the message anew, after a change. */
  encode(): void {
    const { disowns, claims, releases, declines } = this.notes;
    const queues: QueueShare[] = [];
    const asks: [number, number][] = [];
    const counts = new Map<CountedProducer, number>();
    let events = 0;
    for (const entry of this.entries) {
      for (const [queue, relay] of entry.queues ?? []) queues.push([events, queue, relay]);
      if (entry.ask !== undefined) asks.push([events, entry.ask]);
      if (entry.producer) counts.set(entry.producer, entry.taken!);
      events += entry.events;
    }
    const rows = Array.from(counts, ([{ id, faulted }, taken]) => [id, taken, faulted] as const);
    const head = {
      number: this.number,
      events,
      mark: this.#mark,
      queues: orNone(queues),
      asks: orNone(asks),
      disowns: disowns || undefined,
      claims: orNone(claims),
      counts: orNone(rows),
      releases: orNone(releases),
      declines: orNone(declines),
    };
    const lines = this.entries.map((entry) => entry.lines);
    this.message = encodeStreamBlock(head, lines);
    this.bytes = lines.reduce((sum, { length }) => sum + length, 0);
  }
}

/** Returns how many of the entries go into one block. A single one does in any case. */
export function fitting(
  entries: readonly Unkept[],
  notes: BlockNotes,
  { maxMessageBytes }: Pick<StreamPort, "maxMessageBytes">,
): number {
  const maxBytes = Math.min(BLOCK_BYTES, maxMessageBytes - MAX_HEAD_BYTES);
  const producers = new Set<CountedProducer>();
  let events = 0;
  let bytes = 0;
  let headBytes = noteBytes(notes);
  let count = 0;
  for (const entry of entries) {
    const { producer } = entry;
    const isNew = producer && !producers.has(producer);
    const extra = headBytesOf(entry) + (isNew ? rowBytes(producer.id) : 0);
    const isTooMuch = events + entry.events > MAX_EVENTS ||
      bytes + entry.lines.length > maxBytes || headBytes + extra > MAX_HEAD_BYTES - 512;
    if (count > 0 && isTooMuch) break;
    if (isNew) producers.add(producer);
    events += entry.events;
    bytes += entry.lines.length;
    headBytes += extra;
    count++;
  }
  return count;
}

function orNone<T>(rows: readonly T[]): readonly T[] | undefined {
  return rows.length > 0 ? rows : undefined;
}

/** Returns about how many bytes an event adds to the first line of its block. */
export function headBytesOf({ queues = [], ask }: Pick<Unkept, "queues" | "ask">): number {
  const bytes = queues.reduce((sum, each) => sum + byteLength(JSON.stringify(each)) + 8, 0);
  return bytes + (ask === undefined ? 0 : 24);
}
