/**
 * The last event of each name in a cluster. The stream drops old events, also the last ones of their
 * names, so one of the relays repeats those that it is about to drop. A relay that starts finds all
 * of them in the stream.
 *
 * @module
 */

import { TextMap } from "../protocol/text_map.ts";
import { type LastValue, LastValues } from "./last_values.ts";
import type { NameFilter } from "./name_filter.ts";
import type { StreamInfo } from "./stream_port.ts";

/** Most bytes of events in one message, unless a single one is longer. */
const MESSAGE_BYTES = 131_072;

/** Share of the stream, from its beginning, whose last events of names are repeated. */
const OLD = 1 / 4;

/** Share of a limit of the stream from which on that is done. */
const FULL = 1 / 2;

/** Most bytes of last events, as a share of the stream. More cannot be repeated. */
const MAX_SHARE = 1 / 4;

/** The last events of names, and where the stream has them. */
export class StreamValues {
  /** The events. */
  readonly lastValues: LastValues = new LastValues();
  readonly #filter: NameFilter;
  /** The message that has each of them, in the order of these messages. */
  readonly #stored = new TextMap<number>();
  /** Repeated events that this relay has not read, and that are not among the others yet. */
  readonly #repeated = new TextMap<LastValue>();
  /** Whether everything was read that the stream had at the start. */
  #hasBegun = false;
  /** The message up to which no event has to be repeated. */
  #repeatedTo = 0;

  /** Creates an instance for the names that a filter permits. */
  constructor(filter: NameFilter) {
    this.#filter = filter;
  }

  /** Keeps an event, which has a greater offset than all before it. */
  set(value: LastValue, seq: number): void {
    const { name } = value;
    this.lastValues.set(value);
    this.#repeated.delete(name);
    if (this.lastValues.get(name) === value) this.#store(name, seq);
    else this.#stored.delete(name); // There was no room.
  }

  #store(name: string, seq: number): void {
    this.#stored.delete(name); // The order is that in which names are added.
    this.#stored.set(name, seq);
  }

  /** Notes that a message repeats events. */
  repeat(values: readonly LastValue[], seq: number): void {
    for (const value of values) {
      const { name, offset } = value;
      if (!this.#filter.matches(name)) continue;
      const known = this.#repeated.get(name) ?? this.lastValues.get(name);
      if (known && known.offset > offset) continue;
      this.#store(name, seq);
      if (known?.offset !== offset) this.#repeated.set(name, value);
    }
    if (this.#hasBegun) this.#insert();
  }

  /** Adds the repeated events, after everything was read. */
  begin(): void {
    this.#hasBegun = true;
    this.#insert();
  }

  /** Adds the repeated events in the places of their offsets. All at once, since it takes some time. */
  #insert(): void {
    if (this.#repeated.size === 0) return;
    const values = [...this.lastValues, ...this.#repeated.values()];
    this.#repeated.clear();
    const all = new LastValues();
    for (const value of values.sort((a, b) => a.offset - b.offset)) all.set(value);
    this.lastValues.restore(all);
    if (all.refused === 0) return;
    this.lastValues.refused += all.refused;
    for (const [name] of this.#stored) if (!all.get(name)) this.#stored.delete(name);
  }

  /** Forgets events after an offset, which the stream has lost. */
  lose(offset: number, seq: number): void {
    this.lastValues.restore(this.lastValues.upTo(offset));
    for (const { name, offset: at } of this.#repeated.values()) {
      if (at > offset) this.#repeated.delete(name);
    }
    const stored = [...this.#stored].filter(([name]) =>
      this.lastValues.get(name) ?? this.#repeated.get(name)
    );
    this.#stored.clear();
    // Those that no message has any more come first.
    for (const [name, at] of stored) if (at > seq) this.#stored.set(name, 0);
    for (const [name, at] of stored) if (at <= seq) this.#stored.set(name, at);
    this.#repeatedTo = 0;
  }

  /** Repeats events once more, because it has failed. */
  retry(): void {
    this.#repeatedTo = 0;
  }

  /** Returns whether the stream has dropped one before it was repeated. */
  hasDropped({ first }: StreamInfo): boolean {
    const [least = first] = this.#stored.values();
    return least < first;
  }

  /** Whether there are too many bytes to repeat them in the stream. */
  isTooMuch({ maxBytes }: StreamInfo): boolean {
    return this.lastValues.bytes > MAX_SHARE * maxBytes;
  }

  /**
   * Returns the events to repeat, in parts for one message each.
   *
   * @param old The message before which all are old, because of their age.
   * @param maxBytes The longest message. Each event takes a little more there.
   */
  due(info: StreamInfo, old: number, maxBytes: number): LastValue[][] {
    const most = Math.min(MESSAGE_BYTES, maxBytes / 2);
    const { first, last, bytes, messages, maxMessages } = info;
    const isFull = bytes > FULL * info.maxBytes || messages > FULL * maxMessages;
    const length = last - first + 1;
    const to = Math.max(isFull ? first + Math.floor(OLD * length) : first, old);
    // Each look takes some time, so it has to be worth while.
    if (to <= this.#repeatedTo + length / 16 || this.isTooMuch(info)) return [];
    this.#repeatedTo = to;
    const parts: LastValue[][] = [];
    let size = Infinity;
    for (const value of this.lastValues) {
      if (this.#stored.get(value.name)! >= to) continue;
      if (size + value.line.length > most) {
        parts.push([]);
        size = 0;
      }
      parts.at(-1)!.push(value);
      size += value.line.length;
    }
    return parts;
  }
}
