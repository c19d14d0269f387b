/**
 * Owns the lines that wait until they can be sent: how many may, and what gives way when there are
 * too many. Must not know connections.
 *
 * @module
 */

/**
 * What happens to an event that finds no room among those that wait:
 *
 * | policy | meaning |
 * | --- | --- |
 * | `refuse` | it is not queued, and the promise of `sendEvent()` rejects |
 * | `drop-oldest` | those that have waited longest give way |
 * | `drop-newest` | it is dropped |
 *
 * What is dropped is counted in {@link ClientStatus}.
 */
export type OverflowPolicy = "refuse" | "drop-oldest" | "drop-newest";

/** The policies. */
export const OVERFLOW_POLICIES: readonly OverflowPolicy[] = [
  "refuse",
  "drop-oldest",
  "drop-newest",
];

/** How much may wait. */
export interface WaitingBounds {
  /** How many events may wait. */
  readonly maxQueuedEvents: number;
  /** How many bytes their lines may have. */
  readonly maxQueuedBytes: number;
  /** What gives way when more would. */
  readonly overflow: OverflowPolicy;
}

/** Why a line that had been accepted will not be sent. */
export type DropReason = "queue-full" | "line-too-long";

/** Who hears of a line that is dropped. */
export type DropListener = (line: Uint8Array, reason: DropReason) => void;

/** A queue of lines with bounds. */
export class OfflineQueue {
  readonly #bounds: WaitingBounds;
  readonly #onDrop: DropListener;
  #lines: Uint8Array[] = [];
  /** How many of them have been taken. */
  #first = 0;
  #bytes = 0;
  #lost = 0;
  #lostBytes = 0;
  #dropped = 0;

  /** Makes an empty queue that tells `onDrop` of what gives way. */
  constructor(bounds: WaitingBounds, onDrop: DropListener = () => {}) {
    this.#bounds = bounds;
    this.#onDrop = onDrop;
  }

  /** How many lines wait. */
  get length(): number {
    return this.#lines.length - this.#first;
  }

  /** How many bytes they have. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many lines have been dropped. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many lines have been dropped or refused, and their bytes. */
  get lost(): { lines: number; bytes: number } {
    return { lines: this.#lost, bytes: this.#lostBytes };
  }

  /** Adds a line at the end, if the bounds and the policy allow it. */
  offer(line: Uint8Array): "queued" | "refused" | "dropped" {
    const { maxQueuedEvents, maxQueuedBytes, overflow } = this.#bounds;
    const canFit = maxQueuedEvents > 0 && line.length <= maxQueuedBytes;
    if (overflow === "drop-oldest" && canFit) {
      while (!this.#fits(line)) this.drop(this.take());
    } else if (!this.#fits(line)) {
      if (overflow === "refuse") {
        this.#lose(line);
        return "refused";
      }
      this.drop(line);
      return "dropped";
    }
    this.#lines.push(line);
    this.#bytes += line.length;
    return "queued";
  }

  /** Puts lines before all others, whatever the bounds: they have been accepted long ago. */
  putBack(lines: readonly Uint8Array[]): void {
    if (lines.length === 0) return;
    this.#lines = [...lines, ...this.lines()];
    this.#first = 0;
    for (const line of lines) this.#bytes += line.length;
  }

  /** The line that has waited longest; there must be one. */
  peek(): Uint8Array {
    return this.#lines[this.#first]!;
  }

  /** Removes the line that has waited longest; there must be one. */
  take(): Uint8Array {
    const line = this.#lines[this.#first++]!;
    this.#bytes -= line.length;
    if (2 * this.#first > this.#lines.length) {
      this.#lines = this.#lines.slice(this.#first);
      this.#first = 0;
    }
    return line;
  }

  /** Takes a line out of the queue, as if it had never been there; gives its place, or -1. */
  withdraw(line: Uint8Array): number {
    const at = this.#lines.indexOf(line, this.#first);
    if (at < 0) return -1;
    this.#lines.splice(at, 1);
    this.#bytes -= line.length;
    return at - this.#first;
  }

  /** All lines. */
  lines(): Uint8Array[] {
    return this.#lines.slice(this.#first);
  }

  /** Removes all lines. */
  takeAll(): Uint8Array[] {
    const lines = this.lines();
    this.#lines = [];
    this.#first = 0;
    this.#bytes = 0;
    return lines;
  }

  /** Counts a line as dropped that is not, or no longer, in the queue. */
  drop(line: Uint8Array, reason: DropReason = "queue-full"): void {
    this.#dropped++;
    this.#lose(line);
    this.#onDrop(line, reason);
  }

  #lose(line: Uint8Array): void {
    this.#lost++;
    this.#lostBytes += line.length;
  }

  #fits(line: Uint8Array): boolean {
    const { maxQueuedEvents, maxQueuedBytes } = this.#bounds;
    return this.length < maxQueuedEvents && this.#bytes + line.length <= maxQueuedBytes;
  }
}
