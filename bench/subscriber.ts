/**
 * The events that one subscriber has received, and the check that it has every event of each
 * publisher, once, in order and unchanged.
 *
 * @module
 */

import { equals } from "@std/bytes/equals";
import type { FrameRing } from "./frame_ring.ts";

const READ_BYTES = 65_536;

const NOTHING = new Uint8Array(0);

/** The events of one publisher. */
export interface Stream {
  /** What it sends. */
  readonly published: FrameRing;
  /** What each subscriber gets. */
  readonly delivered: FrameRing;
}

/** One subscriber. The frames of several publishers may come in any order, each in one piece. */
export class Subscriber {
  /** How many events of each publisher have come. */
  readonly received: number[];

  readonly #number: number;
  readonly #streams: readonly Stream[];
  readonly #farewell: Uint8Array;
  readonly #frameBytes: number;
  /** The byte of a frame that tells who published it, and who that is. */
  readonly #markAt: number;
  readonly #senders = new Uint8Array(256);
  readonly #buffer: Uint8Array<ArrayBuffer>;
  /** How many bytes of an unfinished frame are at the front of the buffer. */
  #held = 0;

  /** Before its end, it may get a `farewell` that is shorter than a frame. */
  constructor(number: number, streams: readonly Stream[], farewell: Uint8Array = NOTHING) {
    this.#number = number;
    this.#streams = streams;
    this.#farewell = farewell;
    this.received = streams.map(() => 0);
    this.#frameBytes = streams[0]!.delivered.frameBytes;
    this.#buffer = new Uint8Array(READ_BYTES + this.#frameBytes);
    const [first, second] = streams.map(({ delivered }) => delivered.slice(0, this.#frameBytes));
    this.#markAt = second ? first!.findIndex((byte, i) => byte !== second[i]) : 0;
    streams.forEach(({ delivered }, i) => this.#senders[delivered.bytes[this.#markAt]!] = i);
  }

  /** Reads once, and checks the frames that are complete now; `false` at the end of the stream. */
  async read(connection: Pick<Deno.Conn, "read">): Promise<boolean> {
    const length = await connection.read(this.#buffer.subarray(this.#held));
    if (length === null) {
      const rest = this.#buffer.subarray(0, this.#held);
      if (this.#held === 0 || equals(rest, this.#farewell)) return false;
      throw new Error(`${this} received ${excerpt(rest)} before its end`);
    }
    const end = this.#held + length;
    const whole = end - end % this.#frameBytes;
    for (let start = 0; start < whole;) start = this.#checkRun(start, whole);
    if (whole > 0) this.#buffer.copyWithin(0, whole, end);
    this.#held = end - whole;
    return true;
  }

  toString(): string {
    return `Subscriber ${this.#number} (events received: ${this.received.join(", ")})`;
  }

  /** Checks frames of one publisher that follow one another; returns where they end. */
  #checkRun(start: number, whole: number): number {
    const sender = this.#senders[this.#buffer[start + this.#markAt]!]!;
    const end = this.#runEnd(start, whole);
    const ring = this.#streams[sender]!.delivered;
    const bytes = this.#buffer.subarray(start, end);
    const position = this.received[sender]! * this.#frameBytes;
    const at = ring.mismatch(position, bytes);
    if (at >= 0) {
      const frame = at - at % this.#frameBytes;
      const expected = ring.slice(position + frame, position + frame + this.#frameBytes);
      const actual = bytes.subarray(frame, frame + this.#frameBytes);
      throw new Error(
        `${this} received ${excerpt(actual)}, not ${excerpt(expected)}, after ` +
          `${frame / this.#frameBytes} more events`,
      );
    }
    this.received[sender]! += bytes.length / this.#frameBytes;
    return end;
  }

  /** Where the frames of the publisher at `start` end. */
  #runEnd(start: number, whole: number): number {
    if (this.#streams.length === 1) return whole;
    const mark = this.#buffer[start + this.#markAt];
    let end = start + this.#frameBytes;
    while (end < whole && this.#buffer[end + this.#markAt] === mark) end += this.#frameBytes;
    return end;
  }
}

function excerpt(bytes: Uint8Array): string {
  return JSON.stringify(new TextDecoder().decode(bytes.subarray(0, 200)));
}
