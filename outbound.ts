/**
 * Owns the bytes that wait for one peer: a queue with a bound, from which the writer takes batches.
 * Must not know sockets, or who else gets the same bytes.
 *
 * Blocks are shared between the queues of all recipients and never changed. What has piled up in
 * small pieces is joined, so that one write carries many of them; queues in which the same pieces
 * have piled up share that, too.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";

/**
 * How much one write hands over, in bytes: enough for a system call to pay off, little enough that
 * no peer holds the others up for long. Twice what Redis hands over (`NET_MAX_WRITES_PER_EVENT`),
 * because a call costs more here; with 50 subscribers that saves a sixth.
 */
export const MAX_BATCH_BYTES = 131_072;

const LF = 0x0a;

/** A queue of blocks of whole lines. */
export class OutboundQueue {
  /** The most that may wait, in bytes. */
  readonly maxBytes: number;

  #blocks: Uint8Array[] = [];
  /** How much of the first block has been written. */
  #offset = 0;
  /** How much of the first block has been given out by `batch()` and may be being written. */
  #given = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** How many bytes wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many lines wait that have not been written to their end. */
  get lines(): number {
    let lines = 0;
    let from = this.#offset;
    for (const block of this.#blocks) {
      for (let i = block.indexOf(LF, from); i >= 0; i = block.indexOf(LF, i + 1)) lines++;
      from = 0;
    }
    return lines;
  }

  /** Adds whole lines; `false` if that would exceed the bound, and nothing is added. */
  offer(block: Uint8Array): boolean {
    if (this.#bytes + block.length > this.maxBytes && this.#bytes > 0) return false;
    this.append(block);
    return true;
  }

  /** Adds whole lines, whatever the bound: for a last word. */
  append(block: Uint8Array): void {
    this.#blocks.push(block);
    this.#bytes += block.length;
  }

  /** The next bytes to write, at most {@link MAX_BATCH_BYTES}; they stay until `consume()`. */
  batch(): Uint8Array {
    this.#join();
    const first = this.#blocks[0]!;
    this.#given = Math.min(first.length, this.#offset + MAX_BATCH_BYTES);
    const isWhole = this.#offset === 0 && this.#given === first.length;
    return isWhole ? first : first.subarray(this.#offset, this.#given);
  }

  /** Makes one block of those at the front, as many as fit into a batch, unless the first will do. */
  #join(): void {
    let size = this.#blocks[0]!.length - this.#offset;
    if (size > MAX_BATCH_BYTES / 2) return;
    let count = 1;
    for (; count < this.#blocks.length; count++) {
      size += this.#blocks[count]!.length;
      if (size > MAX_BATCH_BYTES) break;
    }
    if (count === 1) return;
    const parts = this.#blocks.slice(0, count);
    if (this.#offset > 0) parts[0] = parts[0]!.subarray(this.#offset);
    this.#blocks.splice(0, count, joinShared(parts));
    this.#offset = 0;
  }

  /** Removes the first `n` bytes: they have been written. */
  consume(n: number): void {
    this.#bytes -= n;
    this.#offset += n;
    if (this.#offset < this.#blocks[0]!.length) return;
    this.#blocks.shift();
    this.#offset = 0;
    this.#given = 0;
  }

  /**
   * Drops all but the rest of the line that has been begun, or that is being written, so that what
   * is added next begins a line. Returns how much was dropped.
   */
  cut(): { lines: number; bytes: number } {
    const { lines, bytes } = this;
    const first = this.#blocks[0];
    const written = Math.max(this.#offset, this.#given);
    const end = first && written > 0 ? first.indexOf(LF, written - 1) + 1 : 0;
    if (first && end > this.#offset) {
      this.#blocks = [first.subarray(0, end)];
      this.#bytes = end - this.#offset;
    } else {
      this.#blocks = [];
      this.#bytes = 0;
      this.#offset = 0;
      this.#given = 0;
    }
    return { lines: lines - this.lines, bytes: bytes - this.#bytes };
  }
}

/** What was joined last, for whichever queue, and into what: a batch at most, and kept. */
let joinedParts: readonly Uint8Array[] = [];
let joined = new Uint8Array(0);

/** The parts in one piece: that of the last queue, if it had the very same parts. */
function joinShared(parts: readonly Uint8Array[]): Uint8Array {
  const isSame = parts.length === joinedParts.length &&
    parts.every((part, i) => part === joinedParts[i]);
  if (!isSame) {
    joined = concat(parts);
    joinedParts = parts;
  }
  return joined;
}
