/**
 * Owns the write loop of one connection: one write under way at a time, and who waits for it. Must
 * not know reading, deadlines or why a connection ends.
 *
 * @module
 */

import { afterHandlers, handlersEnd, type Round, writeSoon } from "./turn.ts";
import { type ByteBudget, MAX_BATCH_BYTES, type Piece, SendQueue } from "./send_queue.ts";

/** Where a writer writes to. */
export interface WriteTarget {
  /** Writes some of `bytes`; resolves to how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * Writes what is queued for one peer. What it needs of its `owner` comes as one function for all
 * writers, since a closure of its own for each is a good part of what an idle connection costs.
 */
export class Writer<Owner> {
  readonly #target: WriteTarget;
  readonly #owner: Owner;
  readonly #onIdle: (owner: Owner, error: unknown) => void;
  readonly #queue: SendQueue;

  #scheduled = false;
  #writing = false;
  #stopped = false;
  /** Until when a write may wait for more, by the clock of `Date.now()`; 0 if it may not. */
  #gatherUntil = 0;
  /** What was queued, less what was dropped again. */
  #bytesQueued = 0;
  #bytesWritten = 0;
  /** How many bytes the write under way has, or had that failed. */
  #underWay = 0;
  #droppedLines = 0;
  #droppedBytes = 0;
  #wasCut = false;
  /** The length of the line that `append()` has queued. */
  #lastWord = 0;
  #room: PromiseWithResolvers<void> | null = null;
  #flushes: { target: number; resolve: () => void }[] | null = null;

  /**
   * Makes a writer that calls `onIdle` whenever all is written, and with the error when a write has
   * failed.
   */
  constructor(
    target: WriteTarget,
    maxPendingBytes: number,
    owner: Owner,
    onIdle: (owner: Owner, error: unknown) => void,
    total: ByteBudget | null = null,
  ) {
    this.#target = target;
    this.#queue = new SendQueue(maxPendingBytes, total);
    this.#owner = owner;
    this.#onIdle = onIdle;
  }

  /** Whether a write is under way or will begin at the end of this turn. */
  get busy(): boolean {
    return this.#writing || this.#scheduled;
  }

  /** How many bytes wait. */
  get pendingBytes(): number {
    return this.#queue.bytes;
  }

  /** How many bytes have been written. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /**
   * How many bytes the peer may have got: those that have been written, and those of a write that is
   * under way or has failed, as it may have been done in part.
   */
  get bytesHandedOff(): number {
    return this.#bytesWritten + this.#underWay;
  }

  /**
   * What was to be written and has not been, and never will be once the writer has stopped. The
   * last word does not count.
   */
  unsent(): { lines: number; bytes: number } {
    const lastWord = Math.min(this.#lastWord, this.#queue.bytes);
    return {
      lines: this.#droppedLines + this.#queue.lines - (lastWord > 0 ? 1 : 0),
      bytes: this.#droppedBytes + this.#queue.bytes - lastWord,
    };
  }

  /** Queues whole lines, to be written at the end of this turn; `false` if that is too much. */
  offer(lines: Uint8Array): boolean {
    if (!this.#queue.offer(lines)) return false;
    this.#bytesQueued += lines.length;
    this.#schedule();
    return true;
  }

  /** Queues pieces that are whole lines together, as {@link offer} does. */
  offerPieces(pieces: readonly Piece[]): boolean {
    const before = this.#queue.bytes;
    if (!this.#queue.offerPieces(pieces)) return false;
    this.#bytesQueued += this.#queue.bytes - before;
    this.#schedule();
    return true;
  }

  /**
   * Lets what is queued in the next moment wait for what is queued just behind it: several events have
   * come, and their answers are about to follow.
   */
  gather(): void {
    this.#gatherUntil = handlersEnd();
  }

  /** Queues a last word, whatever waits already. */
  append(line: Uint8Array): void {
    this.#lastWord = line.length;
    this.#queue.append(line);
    this.#bytesQueued += line.length;
    this.#schedule();
  }

  /** Puts other pieces with the same bytes in the place of those that wait. */
  replaceEach(replace: (piece: Piece) => Piece): void {
    this.#queue.replaceEach(replace);
  }

  /** Drops what waits, from the next beginning of a line on. */
  cut(): void {
    const { lines, bytes } = this.#queue.cut();
    this.#bytesQueued -= bytes;
    this.#wasCut = true;
    this.#droppedLines += lines;
    this.#droppedBytes += bytes;
    this.#releaseWaiters();
  }

  /** Counts a line that was not even queued. */
  drop(line: Uint8Array): void {
    this.#droppedLines++;
    this.#droppedBytes += line.length;
  }

  /** Writes nothing more, and lets nobody wait any longer. */
  stop(): void {
    this.#stopped = true;
    this.#queue.abandon();
    this.#releaseWaiters();
  }

  /** Lets go of what was not written, after {@link stop}: `unsent()` must have been asked before. */
  letGo(): void {
    this.#queue.letGo();
  }

  /**
   * A promise that resolves when a quarter of the bound or less waits, or the writer has stopped;
   * `null` while less than half of it waits.
   */
  room(): Promise<void> | null {
    if (this.#stopped || this.#queue.bytes <= this.#queue.maxBytes / 2) return null;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Waits until all that was queued before has been written; `false` if it never will be. */
  async flush(): Promise<boolean> {
    const target = this.#bytesQueued;
    if (this.#bytesTaken < target && !this.#stopped) {
      await new Promise<void>((resolve) => (this.#flushes ??= []).push({ target, resolve }));
    }
    return this.#bytesTaken >= target && !this.#wasCut;
  }

  /** How much of what was queued, and not dropped again, has been written. */
  get #bytesTaken(): number {
    return this.#bytesQueued - this.#queue.bytes;
  }

  #schedule(): void {
    if (this.busy) return;
    this.#scheduled = true;
    writeSoon(this, this.#queue.bytes);
  }

  /** Writes once. If then more waits, the others have their turn before it goes on. */
  async run(round: Round): Promise<void> {
    this.#scheduled = false;
    this.#writing = true;
    let failure: unknown;
    try {
      if (this.#gatherUntil > 0) await this.#untilQuiet();
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

  /** Whether there is something to write. */
  get #waits(): boolean {
    return this.#queue.bytes > 0 && !this.#stopped;
  }

  async #write(): Promise<void> {
    const batch = this.#queue.batch();
    this.#underWay = batch.length;
    const written = await this.#target.write(batch);
    this.#underWay = 0;
    if (this.#stopped) return;
    this.#queue.consume(written);
    this.#bytesWritten += written;
    if (this.#room || this.#flushes) this.#releaseWaiters();
  }

  /** Waits while more is being queued, unless that takes long or has become enough for a write. */
  async #untilQuiet(): Promise<void> {
    const isEnough = () => this.#queue.bytes >= MAX_BATCH_BYTES;
    await afterHandlers(this.#gatherUntil, () => this.#bytesQueued, isEnough);
    if (!isEnough()) this.#gatherUntil = 0;
  }

  #releaseWaiters(): void {
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
