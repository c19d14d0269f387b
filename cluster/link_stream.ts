/**
 * A reliable stream of bytes between two relays, over messages that may get lost. It keeps the
 * messages that the other relay has not confirmed, and sends them again when one is missing.
 *
 * Each message has a head and a part of the stream:
 *
 *     link RELAY SESSION PEER NUMBER TAKEN [AGAIN]
 *
 * `NUMBER` counts the messages with a part of the stream, from 1, and `TAKEN` those of the other
 * relay that were read from this end. A message without such a part has the number of the last one
 * that had. A relay that gets a number too high has missed a message. It says so with `AGAIN`, the
 * number that it lacks, and gets everything from there once more. Heads are sent at intervals, too,
 * so that a missing last message is noticed.
 *
 * `SESSION` is the sender's end of the stream and `PEER` the receiver's, as far as the sender knows
 * it. An end that is addressed by another session than its own answers with its own. An end that
 * hears of a new session of the other relay breaks, because the old one has been given up there.
 *
 * @module
 */

import type { ChunkDuplex } from "../net/connection.ts";
import { encodeMessage, type LinkHead, MAX_LINK_HEAD_BYTES } from "../protocol/cluster.ts";
import { randomId } from "../protocol/random_id.ts";
import { NOTHING } from "../protocol/utf8.ts";

/** Most bytes that the other relay has not confirmed, after which writes wait. */
const MAX_UNCONFIRMED_BYTES = 4_194_304;

/** Number of bytes read after which they are confirmed at once. */
const CONFIRM_BYTES = 524_288;

/** Memory that a message takes besides its bytes, in bytes. */
const MESSAGE_BYTES = 128;

/** Longest part in a message, in bytes, even if the backplane permits more. */
const MAX_PART_BYTES = 262_144;

/** Least time between two requests to send everything again, in milliseconds. */
const AGAIN_MS = 200;

/** A part of the stream that was sent and not confirmed, and the head of its message. */
interface Part {
  readonly number: number;
  readonly head: Uint8Array;
  readonly bytes: Uint8Array;
}

/** The surroundings of a stream. */
export interface LinkStreamPort {
  /** The ID of this relay. */
  readonly id: string;
  /** Most bytes of one read. */
  readonly maxReadBytes: number;
  /** The longest message, in bytes. */
  readonly maxMessageBytes: number;
  /** Sends a message to the other relay: its head, and a part of the stream, which may be empty. */
  send(head: Uint8Array, part: Uint8Array): void;
  /** Returns a promise that resolves when messages do not pile up, or `null` if they do not now. */
  whenReady(): Promise<void> | null;
}

/** One end of a stream. */
export class LinkStream implements ChunkDuplex {
  /** Whether the other relay knows this end, and this one the other. */
  isEstablished = false;
  /** When the last message of the other relay came, on the clock of `performance.now()`. */
  heardAt: number = performance.now();

  readonly #port: LinkStreamPort;
  readonly #session = randomId(4);
  #peer = "";
  #isClosed = false;

  /** The parts that were sent and not confirmed, oldest first. */
  #sent: Part[] = [];
  #sentBytes = 0;
  /** Number of the last part that was sent. */
  #number = 0;
  #wakeWriter: (() => void) | null = null;
  /** Those who wait until the other relay has read up to a part. */
  #waiting: { readonly number: number; readonly resolve: (isTaken: boolean) => void }[] = [];

  /** Parts to read, oldest first, and how far the first one has been read. */
  #received: Uint8Array[] = [];
  #receivedBytes = 0;
  #offset = 0;
  /** Number of the last part that was received in order. */
  #last = 0;
  /** Bytes read and not confirmed. */
  #unreported = 0;
  #wakeReader: (() => void) | null = null;
  #lacksSince = -Infinity;
  #sentAgainAt = -Infinity;

  /** Opens this end, and introduces it to the other relay. */
  constructor(port: LinkStreamPort) {
    this.#port = port;
    this.report();
  }

  /** Number of the last part that this end has read completely. */
  get #taken(): number {
    return this.#last - this.#received.length;
  }

  /** Whether the backplane takes all messages that may have to be sent again. */
  get fits(): boolean {
    const { maxMessageBytes } = this.#port;
    return this.#sent.every(({ head, bytes }) => head.length + bytes.length <= maxMessageBytes);
  }

  /** Whether the other relay has read everything. */
  get isDone(): boolean {
    return this.#sent.length === 0;
  }

  /** Waits until the other relay has read everything of now. Resolves to whether it has. */
  whenTaken(): Promise<boolean> {
    if (this.isDone) return Promise.resolve(!this.#isClosed);
    return new Promise((resolve) => this.#waiting.push({ number: this.#number, resolve }));
  }

  /** Writes a part of `bytes`, and keeps it until it is confirmed. It must never change. */
  async write(bytes: Uint8Array): Promise<number> {
    for (let wait; !this.#isClosed && (wait = this.#whenReady());) await wait;
    if (this.#isClosed) throw new Error("the link has ended");
    const max = Math.min(MAX_PART_BYTES, this.#port.maxMessageBytes - MAX_LINK_HEAD_BYTES);
    const size = Math.min(bytes.length, max);
    const number = ++this.#number;
    const head = this.#head();
    const view = bytes.subarray(0, size);
    // A short part must not keep a long buffer in memory.
    const part = 2 * size < bytes.buffer.byteLength ? new Uint8Array(view) : view;
    this.#sent.push({ number, head, bytes: part });
    this.#sentBytes += head.length + size + MESSAGE_BYTES;
    this.#port.send(head, part);
    return size;
  }

  #whenReady(): Promise<void> | null {
    if (this.#mayWrite) return this.#port.whenReady();
    return new Promise((resolve) => this.#wakeWriter = resolve);
  }

  get #mayWrite(): boolean {
    return this.isEstablished && this.#sentBytes < MAX_UNCONFIRMED_BYTES;
  }

  async readChunk(): Promise<Uint8Array | null> {
    while (!this.hasChunk && !this.#isClosed) {
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
    if (this.#isClosed) return null;
    const part = this.#received[0]!;
    const chunk = part.subarray(this.#offset, this.#offset + this.#port.maxReadBytes);
    this.#offset += chunk.length;
    this.#unreported += chunk.length;
    if (this.#offset === part.length) {
      this.#received.shift();
      this.#receivedBytes -= part.length;
      this.#offset = 0;
      if (this.#unreported >= CONFIRM_BYTES) this.report();
    }
    return chunk;
  }

  get hasChunk(): boolean {
    return this.#received.length > 0;
  }

  /**
   * Takes a message of the other relay.
   *
   * @returns Whether this end is still of use. Otherwise the other relay has given up its old end,
   * and has a new one.
   */
  take(head: LinkHead, part: Uint8Array): boolean {
    this.heardAt = performance.now();
    const isOld = head.peer !== "" && head.peer !== this.#session;
    // A message to an earlier end was sent before the other relay knew of this one. It says nothing
    // about the other end, which may have been given up since.
    // An end that has not been used can go with any other, so that not both begin anew for ever.
    if (!isOld && this.isEstablished && head.session !== this.#peer) return false;
    if (!isOld) this.#peer = head.session;
    else if (!this.isEstablished) this.#peer = ""; // What this end knows may be old as well.
    if (head.peer !== this.#session) {
      this.report(); // It does not know this end.
      return true;
    }
    if (!this.isEstablished) {
      this.isEstablished = true;
      this.#wake();
    }
    this.#confirm(head.taken);
    if (head.again !== undefined) this.#sendAgain(head.again);
    const isNext = head.number === this.#last + 1 && part.length > 0;
    // A relay sends no more than it may, so this is a stranger, or a fault.
    const fits = this.#receivedBytes + part.length <= 2 * MAX_UNCONFIRMED_BYTES;
    // V8 zeroes the memory of slice() first.
    if (isNext && fits) this.#receive(new Uint8Array(part));
    else if (head.number > this.#last) this.#ask();
    return true;
  }

  #receive(part: Uint8Array): void {
    this.#last++;
    this.#receivedBytes += part.length;
    this.#received.push(part);
    this.#wakeReader?.();
    this.#wakeReader = null;
  }

  #confirm(taken: number): void {
    let count = 0;
    for (const { number, head, bytes } of this.#sent) {
      if (number > taken) break;
      this.#sentBytes -= head.length + bytes.length + MESSAGE_BYTES;
      count++;
    }
    if (count === 0) return;
    this.#sent.splice(0, count);
    this.#waiting = this.#waiting.filter(({ number, resolve }) => number > taken || resolve(true));
    this.#wake();
  }

  #wake(): void {
    if (!this.#mayWrite) return;
    this.#wakeWriter?.();
    this.#wakeWriter = null;
  }

  /** Asks for everything after the last part that was received in order. */
  #ask(): void {
    const now = performance.now();
    if (now - this.#lacksSince < AGAIN_MS) return;
    this.#lacksSince = now;
    this.#sendHead(this.#last + 1);
  }

  #sendAgain(from: number): void {
    const now = performance.now();
    if (now - this.#sentAgainAt < AGAIN_MS / 2) return;
    this.#sentAgainAt = now;
    for (const { number, head, bytes } of this.#sent) {
      if (number >= from) this.#port.send(head, bytes);
    }
  }

  /** Sends all unconfirmed messages again, after some may have been lost. */
  resume(): void {
    this.report();
    this.#sentAgainAt = -Infinity;
    this.#sendAgain(0);
  }

  /** Confirms all that was read, and sends the number of the last part. */
  report(): void {
    this.#sendHead();
  }

  /** Confirms all that was read, unless it has been confirmed. */
  confirm(): void {
    if (this.#unreported > 0) this.report();
  }

  #sendHead(again?: number): void {
    this.#port.send(this.#head(again), NOTHING);
  }

  /** Returns the head of a message with the last part, or without one. */
  #head(again?: number): Uint8Array {
    this.#unreported = 0; // It confirms all that was read.
    return encodeMessage({
      control: "link",
      relay: this.#port.id,
      session: this.#session,
      peer: this.#peer,
      number: this.#number,
      taken: this.#taken,
      again,
    });
  }

  /** Does nothing: the end of a link is noticed by other means. */
  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#isClosed = true;
    this.#sent = [];
    this.#received = [];
    this.#wakeWriter?.();
    this.#wakeReader?.();
    for (const { resolve } of this.#waiting.splice(0)) resolve(false);
  }
}
