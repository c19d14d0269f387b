/**
 * The sending half of a connection by WebSocket: the lines that wait, and those in the buffer of the
 * WebSocket.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { afterHandlers, handlersEnd } from "../net/handlers.ts";
import { LF } from "../protocol/ascii.ts";
import { decoder } from "../protocol/utf8.ts";

/** Above this number of bytes in the buffer of the WebSocket, no more are added: 1 MiB. */
const MAX_BUFFERED_BYTES = 1_048_576;

/** The size of a message at which no further line is added to it, in bytes. */
const MESSAGE_BYTES = 65_536;

/** How often to look whether the buffer has emptied, in milliseconds. There is no event for it. */
const POLL_MS = 20;

/** A message in the buffer of the WebSocket. */
interface SentMessage {
  /** The number of its lines, and their bytes with their ends. */
  readonly lines: number;
  readonly bytes: number;
  /** The size of the message, in bytes. */
  readonly payload: number;
}

/** Sends lines over one WebSocket. */
export class WebSender {
  readonly #socket: WebSocket;
  /** The lines that have not been handed to the WebSocket. */
  #queue: Uint8Array[] = [];
  #isScheduled = false;
  #isStopped = false;
  /** The messages that are in its buffer, as far as known. */
  readonly #buffered: SentMessage[] = [];
  #bufferedPayload = 0;
  #bytesQueued = 0;
  /** The number of bytes handed to the WebSocket. */
  bytesHandedOff = 0;
  #bytesOut = 0;
  #poll: ReturnType<typeof setTimeout> | undefined;
  #waits: { readonly target: number; readonly resolve: () => void }[] = [];

  /** Sends over a WebSocket that is open or about to open. */
  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** The number of bytes that the operating system has taken, as far as known. */
  get bytesOut(): number {
    const { bufferedAmount } = this.#socket;
    for (let first; (first = this.#buffered[0]); this.#buffered.shift()) {
      if (this.#bufferedPayload - first.payload < bufferedAmount) break;
      this.#bufferedPayload -= first.payload;
      this.#bytesOut += first.bytes;
    }
    return this.#bytesOut;
  }

  /** The number of bytes that the operating system has not taken. */
  get pendingBytes(): number {
    return this.#bytesQueued - this.bytesOut;
  }

  /** The number of lines that the operating system has not taken. */
  get pendingLines(): number {
    return this.#buffered.reduce((sum, { lines }) => sum + lines, countLines(concat(this.#queue)));
  }

  /** Adds lines. They are sent soon, together with others. */
  add(lines: Uint8Array): void {
    this.#queue.push(lines);
    this.#bytesQueued += lines.length;
    if (!this.#isScheduled) this.#sendSoon();
  }

  async #sendSoon(): Promise<void> {
    this.#isScheduled = true;
    await afterHandlers(handlersEnd(), () => this.#bytesQueued);
    this.#isScheduled = false;
    if (!this.#isStopped) this.#send(MAX_BUFFERED_BYTES);
  }

  /** Hands everything to the WebSocket, and stops. */
  sendAll(): void {
    this.#isStopped = true;
    this.#send(Infinity);
  }

  /** Sends nothing more, and ends all waits. */
  stop(): void {
    this.#isStopped = true;
    this.#progress();
  }

  /** Hands the queue to the WebSocket while its buffer holds at most `max` bytes. */
  #send(max: number): void {
    while (this.#queue.length > 0 && this.#socket.bufferedAmount <= max) {
      let bytes = 0;
      let count = 0;
      while (count < this.#queue.length && bytes < MESSAGE_BYTES) {
        bytes += this.#queue[count++]!.length;
      }
      const lines = concat(this.#queue.splice(0, count));
      this.#socket.send(decoder.decode(lines.subarray(0, -1)));
      this.#buffered.push({ lines: countLines(lines), bytes, payload: bytes - 1 });
      this.#bufferedPayload += bytes - 1;
      this.bytesHandedOff += bytes;
    }
    this.#progress();
  }

  /** Resolves the waits that are over, and looks again later if there is anything left to do. */
  #progress(): void {
    const { bytesOut } = this;
    this.#waits = this.#waits.filter(({ target, resolve }) => {
      if (!this.#isStopped && bytesOut < target) return true;
      resolve();
      return false;
    });
    clearTimeout(this.#poll);
    if (this.#isStopped || this.#queue.length + this.#waits.length === 0) return;
    this.#poll = setTimeout(() => this.#send(MAX_BUFFERED_BYTES), POLL_MS);
  }

  #until(target: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waits.push({ target, resolve });
    this.#progress();
    return promise;
  }

  /**
   * Returns a promise that resolves when at most a quarter of `max` bytes is pending. Returns `null`
   * while that is at most half of it.
   */
  room(max: number): Promise<void> | null {
    if (this.#isStopped || this.pendingBytes <= max / 2) return null;
    return this.#until(this.#bytesQueued - max / 4);
  }

  /** Waits until all bytes added so far are taken. Resolves to `false` if they never will be. */
  async flush(): Promise<boolean> {
    const target = this.#bytesQueued;
    if (this.bytesOut < target) await this.#until(target);
    return this.#bytesOut >= target;
  }
}

function countLines(lines: Uint8Array): number {
  return lines.filter((byte) => byte === LF).length;
}
