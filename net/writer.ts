/**
 * The write loop of one connection. At most one write is pending at a time.
 *
 * @module
 */

import { afterHandlers, handlersEnd } from "./handlers.ts";
import { type Round, writeSoon } from "./turn.ts";
import type { Encoding } from "./encoding.ts";
import { MAX_BATCH_BYTES, type Piece, type SendBudget } from "./piece.ts";
import { SendQueue } from "./send_queue.ts";

/** Destination of a writer. */
export interface WriteTarget {
  /** Writes a part of `bytes`. Resolves to the number of bytes written. */
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * Writes the bytes queued for one peer. All writers share one callback that receives its `owner`,
 * because a closure per writer would be a large part of the memory of an idle connection.
 */
export class Writer<Owner> {
  /** Bytes written. */
  bytesWritten = 0;
  readonly #target: WriteTarget;
  readonly #owner: Owner;
  readonly #onIdle: (owner: Owner, error: unknown) => void;
  readonly #queue: SendQueue;

  #scheduled = false;
  #writing = false;
  #stopped = false;
  /**
   * Latest time to wait for more bytes before a write, by the clock of `Date.now()`; 0 to not wait.
   */
  #corkedUntil = 0;
  /** Bytes queued so far, without those dropped again. */
  #bytesQueued = 0;
  /** Size of the pending or failed write, in bytes. */
  #underWay = 0;
  #droppedLines = 0;
  #droppedBytes = 0;
  #wasCut = false;
  /** Length of what was queued by `append()`, and of the part of it that is not a line. */
  #lastWord = 0;
  #trailer = 0;
  /** Up to how many bytes are queued without being written. */
  #maxHeldBytes = 0;
  /** Length of the preamble, or 0. */
  #preamble = 0;
  #room: PromiseWithResolvers<void> | null = null;
  #flushes: { target: number; resolve: () => void }[] | null = null;

  /**
   * Creates a writer.
   *
   * @param onIdle Called when everything is written, and with the error when a write has failed.
   */
  constructor(
    target: WriteTarget,
    maxPendingBytes: number,
    owner: Owner,
    onIdle: (owner: Owner, error: unknown) => void,
    budget: SendBudget | null = null,
  ) {
    this.#target = target;
    this.#queue = new SendQueue(maxPendingBytes, budget);
    this.#owner = owner;
    this.#onIdle = onIdle;
  }

  /** Whether a write is pending or starts at the end of this turn. */
  get busy(): boolean {
    return this.#writing || this.#scheduled;
  }

  /** Most bytes that may be queued. */
  set maxPendingBytes(bytes: number) {
    this.#queue.maxBytes = bytes;
  }

  /** Bytes queued. */
  get pendingBytes(): number {
    return this.#queue.bytes;
  }

  /**
   * Bytes that the peer may have received: all written bytes, and those of a pending or failed
   * write, which may have been written in part.
   */
  get bytesHandedOff(): number {
    return this.bytesWritten + this.#underWay;
  }

  /**
   * Returns the lines and bytes that have not been written. Once the writer has stopped, they never
   * will be. The last line of `append()` does not count.
   */
  unsent(): { lines: number; bytes: number } {
    const lastWord = Math.min(this.#lastWord, this.#queue.bytes);
    return {
      lines: this.#droppedLines + this.#queue.lines - (lastWord > this.#trailer ? 1 : 0),
      bytes: this.#droppedBytes + this.#queue.bytes - lastWord,
    };
  }

  /**
   * Queues complete lines, which are written at the end of this turn. Returns `false` if the queue
   * is full.
   */
  offer(lines: Uint8Array): boolean {
    const before = this.#queue.bytes;
    return this.#queue.offer(lines) && this.#added(before);
  }

  /** Queues pieces that are complete lines together. Returns `false` if the queue is full. */
  offerPieces(pieces: readonly Piece[]): boolean {
    const before = this.#queue.bytes;
    return this.#queue.offerPieces(pieces) && this.#added(before);
  }

  /** Notes that more is queued. There were `before` bytes. */
  #added(before: number): true {
    this.#bytesQueued += this.#queue.bytes - before;
    this.#schedule();
    return true;
  }

  /** Queues `preamble`, and encodes the lines that are queued from now on. */
  wrap(encoding: Encoding, preamble: Uint8Array): void {
    const before = this.#queue.bytes;
    this.#queue.wrap(encoding, preamble);
    this.#preamble = preamble.length;
    this.#added(before);
  }

  /** Whether nothing but a preamble was written, and nothing is queued. */
  get isDone(): boolean {
    return this.#preamble > 0 && this.bytesWritten === this.#preamble && this.#queue.bytes === 0;
  }

  /** Queues up to `maxBytes` without writing them, until {@link release}. */
  hold(maxBytes: number): void {
    this.#maxHeldBytes = maxBytes;
  }

  /** Writes what was held. */
  release(): void {
    this.#maxHeldBytes = 0;
    if (this.#waits) this.#schedule();
  }

  /** Limits the bytes of events that the peer has not read. See {@link SendQueue.limit}. */
  limit(window: number): void {
    this.#queue.limit(window);
    if (this.#waits) this.#schedule();
  }

  /** Notes that the peer has read bytes. See {@link SendQueue.grant}. */
  grant(bytes: number): number {
    const granted = this.#queue.grant(bytes);
    if (this.#waits) this.#schedule();
    return granted;
  }

  /** Whether there are events to write that the peer cannot take yet. */
  get isOutOfCredit(): boolean {
    return this.#queue.bytes > 0 && !this.#queue.isReady;
  }

  /**
   * Delays the next write for a moment. Several events have arrived, and their replies are about to
   * follow.
   */
  cork(): void {
    this.#corkedUntil = handlersEnd();
  }

  /**
   * Queues a last line regardless of the limits, and bytes that follow it and are not a line. Either
   * may be `null`.
   */
  append(line: Uint8Array | null, trailer: Uint8Array | null = null): void {
    const before = this.#queue.bytes;
    if (line) this.#queue.append(line);
    if (trailer) this.#queue.appendEncoded(trailer);
    this.#lastWord = this.#queue.bytes - before;
    this.#trailer = trailer?.length ?? 0;
    this.#added(before);
  }

  /** Queues bytes that are not a line, regardless of the limits. */
  appendEncoded(bytes: Uint8Array): void {
    const before = this.#queue.bytes;
    this.#queue.appendEncoded(bytes);
    this.#added(before);
  }

  /** Replaces queued pieces with others that hold the same bytes. */
  replaceEach(replace: (piece: Piece) => Piece): void {
    this.#queue.replaceEach(replace);
  }

  /** Drops the queue, from the next start of a line on. */
  cut(): void {
    const { lines, bytes } = this.#queue.cut();
    this.#bytesQueued -= bytes;
    this.#wasCut = true;
    this.#droppedLines += lines;
    this.#droppedBytes += bytes;
    this.#resolveWaits();
  }

  /** Counts a line that was refused and never queued. */
  drop(line: Uint8Array): void {
    this.#droppedLines++;
    this.#droppedBytes += line.length;
  }

  /** Stops writing and releases all waiting callers. */
  stop(): void {
    this.#stopped = true;
    this.#queue.abandon();
    this.#resolveWaits();
  }

  /** Frees the unwritten bytes after {@link stop}. `unsent()` must be called before. */
  clear(): void {
    this.#queue.clear();
  }

  /**
   * Returns a promise that resolves when at most a quarter of the limit is queued or the writer has
   * stopped. Returns `null` while at most half of the limit is queued.
   */
  room(): Promise<void> | null {
    if (this.#stopped || this.#queue.bytes <= this.#queue.maxBytes / 2) return null;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Waits until all bytes queued so far are written. Resolves to `false` if they never will be. */
  async flush(): Promise<boolean> {
    const target = this.#bytesQueued;
    if (this.#bytesTaken < target && !this.#stopped) {
      await new Promise<void>((resolve) => (this.#flushes ??= []).push({ target, resolve }));
    }
    return this.#bytesTaken >= target && !this.#wasCut;
  }

  /** Number of queued bytes that have been written. Dropped bytes do not count. */
  get #bytesTaken(): number {
    return this.#bytesQueued - this.#queue.bytes;
  }

  #schedule(): void {
    if (this.busy || !this.#waits) return;
    this.#scheduled = true;
    writeSoon(this, this.#queue.bytes);
  }

  /** Writes once. If more is queued then, other writers take their turn first. */
  async run(round: Round): Promise<void> {
    this.#scheduled = false;
    this.#writing = true;
    let failure: unknown;
    try {
      if (this.#corkedUntil > 0) await this.#untilQuiet();
      if (this.#waits) await this.#write();
    } catch (error) {
      failure = error;
      this.stop();
    }
    round.end();
    this.#writing = false;
    if (this.#waits) this.#schedule();
    else this.#onIdle(this.#owner, failure);
  }

  /** Whether there is something that may be written. */
  get #waits(): boolean {
    return this.#queue.isReady && !this.#stopped && !this.#isHeld;
  }

  get #isHeld(): boolean {
    return this.#queue.bytes <= this.#maxHeldBytes;
  }

  async #write(): Promise<void> {
    const batch = this.#queue.batch();
    this.#underWay = batch.length;
    const written = await this.#target.write(batch);
    this.#underWay = 0;
    if (this.#stopped) return;
    this.#queue.consume(written);
    this.bytesWritten += written;
    if (this.#room || this.#flushes) this.#resolveWaits();
  }

  /**
   * Waits while more is being queued, unless that takes too long or the queued bytes suffice for a
   * full write.
   */
  async #untilQuiet(): Promise<void> {
    const isEnough = () => this.#queue.bytes >= MAX_BATCH_BYTES;
    await afterHandlers(this.#corkedUntil, () => this.#bytesQueued, isEnough);
    if (!isEnough()) this.#corkedUntil = 0;
  }

  #resolveWaits(): void {
    if (this.#room && (this.#stopped || this.#queue.bytes <= this.#queue.maxBytes / 4)) {
      this.#room.resolve();
      this.#room = null;
    }
    if (!this.#flushes) return;
    const isDue = (target: number) => this.#stopped || target <= this.#bytesTaken;
    while (this.#flushes.length > 0 && isDue(this.#flushes[0]!.target)) {
      this.#flushes.shift()!.resolve();
    }
    if (this.#flushes.length === 0) this.#flushes = null;
  }
}
