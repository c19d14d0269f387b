/**
 * The queue of lines that cannot be sent yet: its limits, and its overflow policy.
 *
 * @module
 */

/**
 * The fate of an event that does not fit into the queue:
 *
 * | policy | meaning |
 * | --- | --- |
 * | `refuse` | it is not queued, and the promise of `sendEvent()` rejects |
 * | `drop-oldest` | the events that have been queued longest are dropped |
 * | `drop-newest` | it is dropped |
 *
 * {@link ClientStatus} has the number of dropped events.
 */
export type OverflowPolicy = "refuse" | "drop-oldest" | "drop-newest";

/** All overflow policies. */
export const OVERFLOW_POLICIES: readonly OverflowPolicy[] = [
  "refuse",
  "drop-oldest",
  "drop-newest",
];

/** The limits of the queue. */
export interface WaitingBounds {
  /** The maximum number of events. */
  readonly maxQueuedEvents: number;
  /** The maximum number of bytes of their lines. */
  readonly maxQueuedBytes: number;
  /** The policy when a limit would be exceeded. */
  readonly overflow: OverflowPolicy;
}

/** Why a queued line will not be sent. */
export type DropReason = "queue-full" | "line-too-long";

/** Called with each dropped line. */
export type DropListener = (line: Uint8Array, reason: DropReason) => void;

/** A bounded queue of lines. */
export class OfflineQueue {
  readonly #bounds: WaitingBounds;
  readonly #onDrop: DropListener;
  #lines: Uint8Array[] = [];
  /** The number of lines already taken from the array. */
  #first = 0;
  #bytes = 0;
  #lost = 0;
  #lostBytes = 0;
  #dropped = 0;

  /** Creates an empty queue that calls `onDrop` with each dropped line. */
  constructor(bounds: WaitingBounds, onDrop: DropListener = () => {}) {
    this.#bounds = bounds;
    this.#onDrop = onDrop;
  }

  /** The number of queued lines. */
  get length(): number {
    return this.#lines.length - this.#first;
  }

  /** The number of queued bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The number of dropped lines. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The number of dropped or refused lines, and of their bytes. */
  get lost(): { lines: number; bytes: number } {
    return { lines: this.#lost, bytes: this.#lostBytes };
  }

  /**
   * Appends a line, if the limits and the policy allow it.
   *
   * @returns Whether the line was queued, refused or dropped.
   */
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

  /** Prepends lines, regardless of the limits, because they were accepted before. */
  putBack(lines: readonly Uint8Array[]): void {
    if (lines.length === 0) return;
    this.#lines = [...lines, ...this.lines()];
    this.#first = 0;
    for (const line of lines) this.#bytes += line.length;
  }

  /** Returns the line that has been queued longest. The queue must not be empty. */
  peek(): Uint8Array {
    return this.#lines[this.#first]!;
  }

  /** Removes and returns the line that has been queued longest. The queue must not be empty. */
  take(): Uint8Array {
    const line = this.#lines[this.#first++]!;
    this.#bytes -= line.length;
    if (2 * this.#first > this.#lines.length) {
      this.#lines = this.#lines.slice(this.#first);
      this.#first = 0;
    }
    return line;
  }

  /**
   * Removes a line as if it had never been queued. Returns its position, or -1 if it is not in the
   * queue.
   */
  withdraw(line: Uint8Array): number {
    const at = this.#lines.indexOf(line, this.#first);
    if (at < 0) return -1;
    this.#lines.splice(at, 1);
    this.#bytes -= line.length;
    return at - this.#first;
  }

  /** Returns all lines. */
  lines(): Uint8Array[] {
    return this.#lines.slice(this.#first);
  }

  /** Removes and returns all lines. */
  takeAll(): Uint8Array[] {
    const lines = this.lines();
    this.#lines = [];
    this.#first = 0;
    this.#bytes = 0;
    return lines;
  }

  /** Counts a line that is not in the queue, or no longer, as dropped. */
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
