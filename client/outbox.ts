/**
 * The outgoing lines of a client with `reconnect`, across its connections: queued, in flight, and
 * the promises that depend on them.
 *
 * @module
 */

import type { EbsocketConnection } from "../net/connection.ts";
import { ConnectionClosedError } from "../errors.ts";
import { InFlightLines } from "./in_flight.ts";
import { type DropListener, OfflineQueue, type WaitingBounds } from "./offline_queue.ts";

/** A `flush()` call, which ends when the first `target` lines are settled. */
interface Flush {
  target: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Sends lines through the current connection, in the order in which they were offered. */
export class Outbox {
  readonly #waiting: OfflineQueue;
  readonly #maxInFlight: number;
  #ledger = new InFlightLines();
  #connection: EbsocketConnection | null = null;
  #hasAcks = false;
  #maxLineBytes = Infinity;
  /** The lines for this connection only. They contain client IDs, which change on reconnect. */
  readonly #bound = new WeakSet<Uint8Array>();
  /** The lines in flight that are no longer needed, and not sent again. */
  readonly #givenUp = new WeakSet<Uint8Array>();
  /** The number of lines accepted and not withdrawn. */
  #accepted = 0;
  #flushes: Flush[] = [];
  #room: PromiseWithResolvers<void> | null = null;
  #watched: EbsocketConnection | null = null;

  /**
   * Creates an outbox without a connection.
   *
   * @param bounds The limits of the queue.
   * @param maxInFlight The maximum number of bytes queued for the peer or unacknowledged by it.
   * @param onDrop Called with each dropped line.
   */
  constructor(bounds: WaitingBounds, maxInFlight: number, onDrop?: DropListener) {
    this.#waiting = new OfflineQueue(bounds, onDrop);
    this.#maxInFlight = maxInFlight;
  }

  /** The number of queued lines. */
  get waitingLines(): number {
    return this.#waiting.length;
  }

  /** The number of queued bytes. */
  get waitingBytes(): number {
    return this.#waiting.bytes;
  }

  /** Returns the queued lines, in their order. */
  waiting(): Uint8Array[] {
    return this.#waiting.lines();
  }

  /** The number of dropped lines. */
  get dropped(): number {
    return this.#waiting.dropped;
  }

  /** The number of dropped or refused lines, and of their bytes. */
  get lost(): { lines: number; bytes: number } {
    return this.#waiting.lost;
  }

  /** The number of accepted lines that are neither queued nor in flight. */
  get settled(): number {
    return this.#accepted - this.#waiting.length - this.#ledger.length;
  }

  /**
   * Whether the server acknowledges every line sent on this connection. This is not so for lines
   * that the operating system took before a late welcome, because they were not kept.
   */
  get isAcknowledged(): boolean {
    return this.#hasAcks && this.#ledger.isComplete;
  }

  // Lines

  /**
   * Sends or queues a line, which must not change any more. A line that `isBound` is only for the
   * current connection.
   *
   * @returns `false` if the queue refuses the line.
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
    if (this.settled > settled) this.#failFlushes("dropped"); // older lines have been dropped
    this.#fill();
    return outcome !== "refused";
  }

  /** Removes a queued line that is no longer needed. */
  withdraw(line: Uint8Array): void {
    const first = this.settled + this.#ledger.length;
    const place = this.#waiting.withdraw(line);
    if (place < 0) return void this.#givenUp.add(line);
    this.#accepted--;
    for (const flush of this.#flushes) if (flush.target > first + place) flush.target--;
    this.#resolveFlushes();
    this.#progress();
  }

  /** Returns a promise that resolves when there is room for more. `null` if there is room now. */
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
   * Waits until the server has acknowledged everything offered before. Without acknowledgements,
   * waits until the operating system has taken it.
   *
   * @throws {ConnectionClosedError} If the connection ends first.
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

  /** Sends through `connection` from now on, starting with the queued lines. */
  begin(connection: EbsocketConnection): void {
    this.#connection = connection;
    this.#ledger = new InFlightLines();
    this.#hasAcks = false;
    this.#maxLineBytes = Infinity;
  }

  /** Applies the server's welcome, and sends the queued lines. */
  agree(hasAcks: boolean, maxLineBytes: number): void {
    this.#hasAcks = hasAcks;
    this.#maxLineBytes = maxLineBytes;
    this.#fill();
  }

  /** Releases the first `count` lines of this connection, which the server has acknowledged. */
  onAck(count: number): void {
    this.#ledger.acknowledge(count);
    this.#progress();
  }

  /**
   * Ends a connection. Lines that were not handed to the operating system return to the front of
   * the queue.
   *
   * @returns The lines with an uncertain fate, and the unsent lines that were for this connection
   * only.
   */
  end(): Uint8Array[] {
    const { unconfirmed, unsent } = this.#ledger.close(this.#connection?.bytesHandedOff ?? 0);
    this.#connection = null;
    this.#failFlushes("in flight when the connection ended");
    this.#waiting.putBack(unsent.filter((line) => !this.#givenUp.has(line)));
    this.#releaseRoom();
    return [...unconfirmed, ...this.#takeBound()];
  }

  /** Drops the lines that were only for a connection that was never established. */
  abandon(): void {
    for (const line of this.#takeBound()) this.#waiting.drop(line);
  }

  #takeBound(): Uint8Array[] {
    const lines = this.#waiting.takeAll();
    this.#waiting.putBack(lines.filter((line) => !this.#bound.has(line)));
    return lines.filter((line) => this.#bound.has(line));
  }

  /** Ends the outbox for good. Returns the queued lines. */
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
        // It was checked against the limit of an earlier server.
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

  /** Continues when the connection has written its queue, unless an acknowledgement is due. */
  async #watch(): Promise<void> {
    const connection = this.#connection;
    if (!connection || this.#watched === connection) return;
    if (this.#hasAcks && this.#ledger.length > 0) return;
    this.#watched = connection;
    try {
      await connection.flush();
    } catch {
      return; // The connection has ended. end() does the rest.
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
