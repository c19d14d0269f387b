/**
 * Adds the events of one relay to the stream, in their order and each once.
 *
 * Events that come while a block is being stored go together into the next one. A block is stored only
 * if the last one of this relay is the one before it, so a block that is sent again is not stored
 * twice. It counts as kept once it has come back from the stream.
 *
 * | state of a block | next state |
 * | --- | --- |
 * | waiting: the stream does not have it | unknown; or dropped, if the stream takes nothing for too long |
 * | unknown: no answer has come | stored; waiting, if it was refused or {@link StreamWriter.start} says so |
 * | unknown, and another message was the last one | waiting; unknown, if an earlier attempt may have stored it |
 * | stored: the stream has it | returned; waiting, if the stream has lost it |
 *
 * @module
 */

import {
  type Claim,
  type Decline,
  hasNotes,
  NO_NOTES,
  PendingNotes,
  type Release,
} from "./block_notes.ts";
import { fitting, OutgoingBlock, type Unkept } from "./outgoing_block.ts";
import { StreamError, type StreamPort } from "./stream_port.ts";

/** Bytes that wait, from which senders wait. */
const FULL_BYTES = 8_388_608;

/** How long a stream may refuse events before they are not kept, in milliseconds. */
const MAX_REFUSED_MS = 5000;

/** The same while no server with the stream answers. To choose another one may take a while. */
const MAX_ABSENT_MS = 30_000;

/** Interval between attempts that are refused, in milliseconds. */
const RETRY_MS = 250;

/** What {@link StreamWriter.start} has to give up. */
export interface Lost<E> {
  /** Events of which it is not known whether the stream has had them. */
  readonly entries: E[];
  /** Whether the same is so for what was noted about producers. */
  readonly hasNotes: boolean;
  /** Events of producers that this relay has lost. The stream has not had them. */
  readonly dropped: E[];
}

/** Who is told what becomes of the events. */
export interface WriterSink<E> {
  /** Returns the mark for a block that is about to be made. */
  mark(entries: readonly E[]): number | undefined;
  /** Called when the stream has to be looked at, before {@link StreamWriter.start} may be called. */
  onDoubt(): void;
  /** Called when the stream has refused events for too long. They are not kept, if taken back. */
  onRefused(fault: string): void;
  /** Called when the stream takes events again after that. */
  onAccepted(): void;
}

/** The way of a relay's events into the stream. */
export class StreamWriter<E extends Unkept> {
  /** Whether events are not kept at the moment, because the stream refuses them. */
  isBroken = false;

  readonly #port: Pick<StreamPort, "publish" | "maxMessageBytes">;
  readonly #id: string;
  readonly #sink: WriterSink<E>;
  /** Events that are in no block yet, and notes. */
  #entries: E[] = [];
  readonly #notes = new PendingNotes();
  /** Blocks that have not come back, in their order. */
  #blocks: OutgoingBlock<E>[] = [];
  /** Bytes of both. */
  #bytes = 0;
  #number = 0;
  /** The sequence number of the last block in the stream, or 0. */
  #last = 0;
  /** Number of calls of {@link start}. What was asked before the last one tells nothing any more. */
  #round = 0;
  #isReady = false;
  #isRunning = false;
  #isClosed = false;
  /** Since when the stream takes nothing, and since when it has refused something meanwhile. */
  #idleSince: number | null = null;
  #refusedSince: number | null = null;
  #room: PromiseWithResolvers<void> | null = null;
  #done: PromiseWithResolvers<void> | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;

  /**
   * Creates a writer, which waits for {@link start}.
   *
   * @param id The ID of the relay.
   */
  constructor(
    port: Pick<StreamPort, "publish" | "maxMessageBytes">,
    id: string,
    sink: WriterSink<E>,
  ) {
    this.#port = port;
    this.#id = id;
    this.#sink = sink;
  }

  /** Whether nothing waits. */
  get isDone(): boolean {
    return this.#entries.length === 0 && this.#blocks.length === 0 && this.#notes.isEmpty;
  }

  /** Whether senders should wait for {@link whenRoom}. */
  get isFull(): boolean {
    return this.#bytes >= FULL_BYTES && !this.isBroken;
  }

  /** Resolves when senders need not wait any more. */
  whenRoom(): Promise<void> {
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  /** Resolves when nothing waits. */
  whenDone(): Promise<void> {
    if (this.isDone) return Promise.resolve();
    this.#done ??= Promise.withResolvers();
    return this.#done.promise;
  }

  /** Adds events. */
  add(entry: E): void {
    this.#entries.push(entry);
    this.#bytes += entry.lines.length;
    this.#goOn();
  }

  /** Notes that this relay wants to own a producer. */
  claim(...claim: Claim): void {
    this.#notes.claims.push(claim);
    this.#goOn();
  }

  /** Notes that this relay does not own a producer any more. */
  release(...release: Release): void {
    this.#notes.releases.push(release);
    this.#goOn();
  }

  /** Notes the same of one of which it has taken nothing. */
  decline(...decline: Decline): void {
    this.#notes.declines.push(decline);
    this.#goOn();
  }

  /**
   * Notes that this relay owns no producer any more. Takes back their events, unless the stream may have
   * them.
   *
   * @param isLoss Whether the stream has lost messages, and perhaps those with which it came to own them.
   */
  disown(isLoss = false): E[] {
    const isUnsent = ({ state, isDoubtful }: OutgoingBlock<E>) =>
      state === "waiting" && (isLoss || !isDoubtful);
    for (const block of this.#blocks.filter(isUnsent)) block.notes = NO_NOTES;
    this.#notes.clear();
    this.#notes.disowns = true;
    const dropped = this.#dropCounted(isUnsent);
    this.#goOn();
    return dropped;
  }

  #goOn(): void {
    if (this.#isReady && !this.#isRunning) this.#run();
  }

  /** Takes back the events of producers, also those in blocks that the stream will not have. */
  #dropCounted(isOurs: (block: OutgoingBlock<E>) => boolean): E[] {
    const dropped: E[] = [];
    const isOther = (entry: E) => !entry.producer || (dropped.push(entry), false);
    for (const block of this.#blocks.filter(isOurs)) {
      block.entries = block.entries.filter(isOther);
      block.encode();
    }
    this.#entries = this.#entries.filter(isOther);
    for (const { lines } of dropped) this.#bytes -= lines.length;
    if (!this.isFull) this.#relieve();
    return dropped;
  }

  /**
   * Goes on after the last block of this relay that the stream has.
   *
   * @param last Its sequence number, or 0.
   * @param number Its number, or 0.
   * @param isKnown Whether blocks after it are certainly not in the stream.
   * @param isDisowned Whether this relay has lost the producers of all events that are not there.
   */
  start(last: number, number: number, isKnown: boolean, isDisowned = false): Lost<E> {
    const lost: Lost<E> & { hasNotes: boolean } = { entries: [], hasNotes: false, dropped: [] };
    this.#round++;
    this.#last = last;
    this.#blocks = this.#blocks.filter((block) => {
      const isOpen = block.state !== "waiting" && block.number > number;
      if (block.number <= number) block.state = "stored";
      else if (isKnown || !isOpen) {
        block.isDoubtful ||= block.state === "unknown";
        block.state = "waiting";
      } else {
        lost.entries.push(...block.entries);
        lost.hasNotes ||= hasNotes(block.notes) || block.entries.some(({ producer }) => producer);
        this.#bytes -= block.bytes;
        return false;
      }
      return true;
    });
    // No earlier attempt to store them can succeed any more.
    if (isDisowned) lost.dropped.push(...this.#dropCounted(({ state }) => state === "waiting"));
    if (!this.isFull) this.#relieve();
    this.#isReady = true;
    this.#run();
    return lost;
  }

  /** Waits for {@link start}. */
  pause(): void {
    this.#isReady = false;
    clearTimeout(this.#retry);
  }

  /** Notes that the stream cannot be used, as it says, or because no server answers. */
  noteRefusal(fault: string, isAbsent: boolean): void {
    const now = performance.now();
    this.#idleSince ??= now;
    if (!isAbsent) this.#refusedSince ??= now;
    const isUnknown = this.#blocks.some(({ state }) => state !== "waiting");
    const isOver = now - this.#idleSince >= MAX_ABSENT_MS ||
      now - (this.#refusedSince ?? now) >= MAX_REFUSED_MS;
    if (!isOver || isUnknown || this.isBroken) return;
    this.isBroken = true;
    this.#relieve();
    this.#sink.onRefused(fault);
  }

  /** Notes that the stream cannot be reached. Events wait for it. */
  noteAway(): void {
    this.#idleSince = this.#refusedSince = null;
  }

  /** Takes back all events that the stream does not have, and drops claims. */
  takeBack(): E[] {
    const entries = [...this.#blocks.flatMap((block) => block.entries), ...this.#entries];
    this.#notes.takeBack(this.#blocks.map(({ notes }) => notes));
    this.#number = (this.#blocks[0]?.number ?? this.#number + 1) - 1;
    this.#blocks = [];
    this.#entries = [];
    this.#bytes = 0;
    return entries;
  }

  /** Takes back the events of blocks before one that has come back: the stream has dropped them unread. */
  dropBefore(number: number): E[] {
    const next = this.#blocks.findIndex((block) => block.number >= number);
    if (next <= 0) return [];
    const dropped = this.#blocks.splice(0, next);
    for (const { bytes } of dropped) this.#bytes -= bytes;
    return dropped.flatMap(({ entries }) => entries);
  }

  /** Notes that a block of this relay has come back. Returns its events, or `null` for another one. */
  returned(number: number): E[] | null {
    const [block] = this.#blocks;
    if (block?.number !== number) return null;
    this.#blocks.shift();
    this.#bytes -= block.bytes;
    if (!this.isFull) this.#relieve();
    if (this.isDone) {
      this.#done?.resolve();
      this.#done = null;
    }
    return block.entries;
  }

  #relieve(): void {
    this.#room?.resolve();
    this.#room = null;
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    await Promise.resolve(); // Events of the same turn go together.
    while (this.#isReady && !this.#isClosed) {
      const block = this.#blocks.find(({ state }) => state === "waiting") ?? this.#nextBlock();
      if (!block || !await this.#publish(block)) break;
    }
    this.#isRunning = false;
  }

  /** Returns a block of the events that wait, or `null` if none do. */
  #nextBlock(): OutgoingBlock<E> | null {
    if (this.#entries.length === 0 && this.#notes.isEmpty && !this.isBroken) return null;
    const notes = this.#notes.next();
    const entries = this.#entries.splice(0, fitting(this.#entries, notes, this.#port));
    const number = ++this.#number;
    const block = new OutgoingBlock(number, this.#sink.mark(entries), entries, notes);
    this.#blocks.push(block);
    return block;
  }

  /** Returns whether to go on at once. */
  async #publish(block: OutgoingBlock<E>): Promise<boolean> {
    const round = this.#round;
    block.state = "unknown";
    try {
      const expected = { lastOfWriter: this.#last };
      const seq = await this.#port.publish(this.#id, block.message, expected);
      if (round !== this.#round) return this.#isReady;
      this.#last = seq;
      block.state = "stored";
    } catch (error) {
      return round === this.#round ? this.#onFailure(block, error as Error) : this.#isReady;
    }
    this.#idleSince = this.#refusedSince = null;
    if (this.isBroken) {
      this.isBroken = false;
      this.#sink.onAccepted();
    }
    return true;
  }

  #onFailure(block: OutgoingBlock<E>, error: Error): boolean {
    const failure = error instanceof StreamError ? error.failure : "lost";
    if (!this.#blocks.includes(block)) return this.#isReady; // It has come back meanwhile.
    if (failure === "conflict" && !block.isDoubtful) block.state = "waiting";
    if (failure !== "refused" && failure !== "absent") {
      this.#isReady = false;
      this.#sink.onDoubt();
      return false;
    }
    block.state = "waiting";
    this.noteRefusal(error.message, failure === "absent");
    clearTimeout(this.#retry); // Events that came meanwhile were an attempt, too.
    this.#retry = setTimeout(() => this.#run(), RETRY_MS);
    return false;
  }

  /** Stops. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#relieve();
  }
}
