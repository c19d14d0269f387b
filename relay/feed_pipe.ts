/**
 * The messages of a stream as the bytes of a connection: a line about each, and its events.
 *
 * @module
 */

import type { StreamBlockHead, StreamItem } from "../history/stream_format.ts";
import type { StreamMessage } from "../history/stream_port.ts";
import type { Duplex } from "../net/connection.ts";
import { encoder, NOTHING } from "../protocol/utf8.ts";

/** The line that precedes each message. What it is about is known here. */
const NEXT = encoder.encode('{"control":"next"}\n');

/** Bytes of messages that are handed on at a time. */
const READ_BYTES = 262_144;

/** A message that has come, and what was missing before it. */
export interface Arrival {
  readonly message: StreamMessage;
  readonly item: StreamItem | null;
  readonly missing: number | null;
  /** The head of a block whose events are not passed on. */
  readonly skipped?: StreamBlockHead;
}

/** The messages as a stream of lines. */
export class FeedPipe implements Duplex {
  readonly #maxReadBytes: number;
  readonly #onNext: (arrival: Arrival) => Promise<void> | null;
  readonly #arrivals: Arrival[] = [];
  /** The bytes that come next. */
  #rest: Uint8Array = NOTHING;
  #wake: (() => void) | null = null;
  #isClosed = false;

  /**
   * Creates a pipe without messages.
   *
   * @param onNext Called before the lines of a message are read. They wait for what it returns.
   */
  constructor(maxReadBytes: number, onNext: (arrival: Arrival) => Promise<void> | null) {
    this.#maxReadBytes = Math.min(READ_BYTES, maxReadBytes);
    this.#onNext = onNext;
  }

  /** Adds a message. */
  add(arrival: Arrival): void {
    this.#arrivals.push(arrival);
    this.#wake?.();
    this.#wake = null;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      if (this.#isClosed) return null;
      const arrival = this.#arrivals.shift();
      if (!arrival) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        continue;
      }
      const wait = this.#onNext(arrival);
      if (wait) await wait;
      const lines = arrival.item?.kind === "block" ? arrival.item.lines : NOTHING;
      this.#rest = new Uint8Array(NEXT.length + lines.length);
      this.#rest.set(NEXT);
      this.#rest.set(lines, NEXT.length);
    }
    if (this.#isClosed) return null;
    const part = this.#rest.subarray(0, Math.min(buffer.length, this.#maxReadBytes));
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    return Promise.resolve(bytes.length);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }
}
