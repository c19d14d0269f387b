/**
 * Keeps what is known of producers in the stream itself. The stream drops old blocks, and a relay that
 * starts reads the latest ones alone, so one of the relays repeats the whole table now and then.
 *
 * @module
 */

import type { ProducerTable, TableEntry } from "./producer_table.ts";
import { MAX_PRODUCERS } from "./producers.ts";
import {
  decodeStreamMessage,
  encodeProducers,
  PARTS_WRITER,
  PRODUCERS_WRITER,
} from "./stream_format.ts";
import type { StreamInfo, StreamPort } from "./stream_port.ts";

/** Bytes of the stream for each producer that is known. */
const BYTES_PER_PRODUCER = 4096;

/** Number of producers in one message. Each takes about 100 bytes. */
const PART_ENTRIES = 512;

/** Number of messages after which the table is repeated, and more for each producer. */
const MESSAGES = 1024;
const MESSAGES_PER_ENTRY = 4;

/** The table in the stream. */
export class TableStore {
  readonly #port: StreamPort;
  readonly #table: ProducerTable;
  /** The first message of the last whole table, or 0. */
  #saved = 0;
  #isSaving = false;

  constructor(port: StreamPort, table: ProducerTable) {
    this.#port = port;
    this.#table = table;
  }

  /**
   * Takes over the table of the stream. Returns the message after which it goes on.
   *
   * @param info The state of the stream.
   */
  async restore({ first, last, maxBytes }: StreamInfo): Promise<number> {
    const table = this.#table;
    table.max = Math.min(MAX_PRODUCERS, Math.ceil(maxBytes / BYTES_PER_PRODUCER));
    const message = await this.#port.lastOf(PRODUCERS_WRITER);
    const item = message && decodeStreamMessage(message);
    if (message && item?.kind === "producers" && item.seq + 1 >= first) {
      const { parts, seq, table: { entries, ...rest } } = item;
      const before = await this.#read(parts);
      if (before) {
        table.restore({ ...rest, entries: [...before, ...entries] }, seq);
        this.note(parts, message.seq);
        return seq;
      }
    }
    if (first === 1 && last <= MESSAGES) return 0;
    table.clear();
    return last;
  }

  async #read(parts: readonly number[]): Promise<TableEntry[] | null> {
    const entries: TableEntry[] = [];
    for (const seq of parts) {
      const message = await this.#port.get(seq);
      const item = message && decodeStreamMessage(message);
      if (item?.kind !== "producers") return null;
      entries.push(...item.table.entries);
    }
    return entries;
  }

  /** Notes that a message has the last part of the table. `parts` are those before. */
  note(parts: readonly number[], seq: number): void {
    this.#saved = parts[0] ?? seq;
  }

  /**
   * Repeats the table, if it is time: after many messages, and before the stream drops it.
   *
   * @param seq The message of which all events have been passed on. The table may know the next one.
   */
  async save(info: StreamInfo, seq: number): Promise<void> {
    if (this.#isSaving || !this.#isDue(info)) return;
    this.#isSaving = true;
    try {
      await this.#save(Math.max(seq, this.#table.seq));
    } catch {
      // The next call tries again.
    }
    this.#isSaving = false;
  }

  #isDue({ first, last }: StreamInfo): boolean {
    const { size, hasForgotten } = this.#table;
    const messages = MESSAGES + MESSAGES_PER_ENTRY * size;
    const saved = this.#saved > last ? 0 : this.#saved; // The stream may have lost it.
    const isOld = saved < first + (last - first) / 2;
    return last - saved >= messages || isOld && (size > 0 || hasForgotten);
  }

  async #save(seq: number): Promise<void> {
    const { entries, ...rest } = this.#table.snapshot;
    const parts: number[] = [];
    let at = 0;
    for (; entries.length - at > PART_ENTRIES; at += PART_ENTRIES) {
      const part = { ...rest, entries: entries.slice(at, at + PART_ENTRIES) };
      parts.push(await this.#port.publish(PARTS_WRITER, encodeProducers(part, seq, []), {}));
    }
    const end = { ...rest, entries: entries.slice(at) };
    await this.#port.publish(PRODUCERS_WRITER, encodeProducers(end, seq, parts), {});
  }
}
