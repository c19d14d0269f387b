/**
 * Owns what a client that reconnects has to send, from one connection to the next: what waits, what
 * is on its way, and who waits for either. Must not know how connections are made.
 *
 * @module
 */

import type { EbsocketConnection } from "../net/connection.ts";
import { ConnectionClosedError } from "../errors.ts";
import { InFlightLines } from "./in_flight.ts";
import { type DropListener, OfflineQueue, type WaitingBounds } from "./offline_queue.ts";

/** A caller who waits until the first `target` events have arrived. */
interface Flush {
  target: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Sends lines through whatever connection there is, in the order in which they were offered. */
export class Outbox {
  readonly #waiting: OfflineQueue;
  readonly #maxInFlight: number;
  #ledger = new InFlightLines();
  #connection: EbsocketConnection | null = null;
  #hasAcks = false;
  #maxLineBytes = Infinity;
  /** The lines that only this connection may carry: on the next, their words mean something else. */
  readonly #bound = new WeakSet<Uint8Array>();
  /** The lines on their way that nobody wants to be sent any more, if they have not been. */
  readonly #givenUp = new WeakSet<Uint8Array>();
  /** How many lines have been accepted, and not been withdrawn. */
  #accepted = 0;
  #flushes: Flush[] = [];
  #room: PromiseWithResolvers<void> | null = null;
  #watched: EbsocketConnection | null = null;

  /**
   * Makes an outbox that has no connection. With one, at most `maxInFlight` bytes are on their way:
   * queued for the peer, or not acknowledged by it. It tells `onDrop` of what gives way.
   */
  constructor(bounds: WaitingBounds, maxInFlight: number, onDrop?: DropListener) {
    this.#waiting = new OfflineQueue(bounds, onDrop);
    this.#maxInFlight = maxInFlight;
  }

  /** How many lines wait. */
  get waitingLines(): number {
    return this.#waiting.length;
  }

  /** How many bytes wait. */
  get waitingBytes(): number {
    return this.#waiting.bytes;
  }

  /** The lines that wait, in their order. */
  waiting(): Uint8Array[] {
    return this.#waiting.lines();
  }

  /** How many lines have been dropped. */
  get dropped(): number {
    return this.#waiting.dropped;
  }

  /** How many lines have been dropped or refused, and their bytes. */
  get lost(): { lines: number; bytes: number } {
    return this.#waiting.lost;
  }

  /** How many of the accepted lines are neither waiting nor on their way. */
  get settled(): number {
    return this.#accepted - this.#waiting.length - this.#ledger.length;
  }

  /**
   * Whether the server has acknowledged, or is to, every line that went out on this connection: before
   * its welcome, which may come late, what the operating system had taken was not kept.
   */
  get isAcknowledged(): boolean {
    return this.#hasAcks && this.#ledger.isComplete;
  }

  // Lines

  /**
   * Sends a line, or lets it wait; `false` if the queue refuses it. It must not change any more. One
   * that `isBound` waits for the connection that there is, and for no other.
   */
  offer(line: Uint8Array, isBound = false): boolean {
    if (isBound) this.#bound.add(line);
    const connection = this.#connection;
    if (connection?.open && this.#waiting.length === 0 && this.#fits(connection, line)) {
      this.#accepted++;
      this.#hand(connection, line);
      return true;
    }
    const { settled } = this;
    const outcome = this.#waiting.offer(line);
    if (outcome === "queued") this.#accepted++;
    if (this.settled > settled) this.#failFlushes("dropped"); // older lines have given way
    this.#fill();
    return outcome !== "refused";
  }

  /** Takes back a line that waits: nobody wants it to be sent any more. */
  withdraw(line: Uint8Array): void {
    const first = this.settled + this.#ledger.length;
    const place = this.#waiting.withdraw(line);
    if (place < 0) return void this.#givenUp.add(line);
    this.#accepted--;
    for (const flush of this.#flushes) if (flush.target > first + place) flush.target--;
    this.#resolveFlushes();
    this.#progress();
  }

  /** A promise that resolves when there is room for more; `null` while there is. */
  room(): Promise<void> | null {
    const connection = this.#connection;
    if (!connection) return null;
    if (this.#waiting.length === 0 && this.#inFlight(connection) <= this.#maxInFlight / 2) {
      return null;
    }
    this.#room ??= Promise.withResolvers<void>();
    this.#watch();
    return this.#room.promise;
  }

  /**
   * Waits until the server has taken everything offered before; if it does not acknowledge events,
   * until the operating system has.
   *
   * @throws {ConnectionClosedError} If the connection ends before.
   */
  async flush(): Promise<void> {
    const target = this.#accepted;
    if (this.settled >= target) return;
    await new Promise<void>((resolve, reject) => {
      this.#flushes.push({ target, resolve, reject });
      this.#watch();
    });
  }

  // Connections

  /** Sends through `connection` from now on, what waits first. */
  begin(connection: EbsocketConnection): void {
    this.#connection = connection;
    this.#ledger = new InFlightLines();
    this.#hasAcks = false;
    this.#maxLineBytes = Infinity;
  }

  /** Keeps to what the server has said of itself, and sends what waits. */
  agree(hasAcks: boolean, maxLineBytes: number): void {
    this.#hasAcks = hasAcks;
    this.#maxLineBytes = maxLineBytes;
    this.#fill();
  }

  /** The server has taken the first `count` events of this connection. */
  onAck(count: number): void {
    this.#ledger.acknowledge(count);
    this.#progress();
  }

  /**
   * The connection has ended. What was not handed over waits again, before everything else; gives
   * the lines that were, and of which nobody knows whether they arrived, and those that wait no longer
   * because only this connection could have carried them.
   */
  end(): Uint8Array[] {
    const { unconfirmed, unsent } = this.#ledger.close(this.#connection?.bytesHandedOff ?? 0);
    this.#connection = null;
    this.#failFlushes("in flight when the connection ended");
    this.#waiting.putBack(unsent.filter((line) => !this.#givenUp.has(line)));
    this.#releaseRoom();
    return [...unconfirmed, ...this.#takeBound()];
  }

  /** A connection that was being made has ended: what only that could have carried is dropped. */
  abandon(): void {
    for (const line of this.#takeBound()) this.#waiting.drop(line);
  }

  #takeBound(): Uint8Array[] {
    const lines = this.#waiting.takeAll();
    this.#waiting.putBack(lines.filter((line) => !this.#bound.has(line)));
    return lines.filter((line) => this.#bound.has(line));
  }

  /** There will be no connection any more; gives the lines that waited for one. */
  stop(): Uint8Array[] {
    this.#failFlushes("unsent");
    return this.#waiting.takeAll();
  }

  #fill(): void {
    const connection = this.#connection;
    const waiting = this.#waiting;
    if (!connection) return;
    while (connection.open && waiting.length > 0) {
      const line = waiting.peek();
      if (line.length - 1 > this.#maxLineBytes) {
        // It was measured against the limit of the server that was there before.
        waiting.drop(waiting.take(), "line-too-long");
        this.#failFlushes("dropped");
        continue;
      }
      if (!this.#fits(connection, line)) break;
      this.#hand(connection, waiting.take());
    }
    if (waiting.length > 0 || this.#flushes.length > 0) this.#watch();
  }

  #fits(connection: EbsocketConnection, line: Uint8Array): boolean {
    const inFlight = this.#inFlight(connection);
    return inFlight === 0 || inFlight + line.length <= this.#maxInFlight;
  }

  #inFlight(connection: EbsocketConnection): number {
    return Math.max(this.#ledger.bytes, connection.pendingBytes);
  }

  #hand(connection: EbsocketConnection, line: Uint8Array): void {
    connection.send(line);
    this.#ledger.add(line, connection.bytesOut + connection.pendingBytes);
    if (!this.#hasAcks) this.#ledger.forget(connection.bytesOut);
  }

  /** Looks again once all that is queued has been handed over, unless an acknowledgement is due. */
  async #watch(): Promise<void> {
    const connection = this.#connection;
    if (!connection || this.#watched === connection) return;
    if (this.#hasAcks && this.#ledger.length > 0) return;
    this.#watched = connection;
    try {
      await connection.flush();
    } catch {
      return; // The connection has ended, and end() does the rest.
    }
    this.#watched = null;
    if (this.#connection === connection) this.#progress();
  }

  #progress(): void {
    const connection = this.#connection;
    if (!connection) return;
    if (!this.#hasAcks) this.#ledger.forget(connection.bytesOut);
    this.#fill();
    this.#resolveFlushes();
    if (this.#flushes.length > 0) this.#watch();
    const isRoom = this.#waiting.length === 0 &&
      this.#inFlight(connection) <= this.#maxInFlight / 4;
    if (isRoom) this.#releaseRoom();
    else if (this.#room) this.#watch();
  }

  #resolveFlushes(): void {
    const { settled } = this;
    while (this.#flushes.length > 0 && this.#flushes[0]!.target <= settled) {
      this.#flushes.shift()!.resolve();
    }
  }

  #releaseRoom(): void {
    this.#room?.resolve();
    this.#room = null;
  }

  #failFlushes(fate: string): void {
    const flushes = this.#flushes;
    this.#flushes = [];
    for (const { reject } of flushes) {
      reject(new ConnectionClosedError(`Cannot flush the client: events were ${fate}`));
    }
  }
}
