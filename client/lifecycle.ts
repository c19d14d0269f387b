/**
 * The connection managers of a client, one for each successful `connectTo()`, from connecting to
 * draining and closing.
 *
 * | manager | meaning |
 * | --- | --- |
 * | `#spare` | for the next `connectTo()`; with `reconnect`, it queues the events sent before that |
 * | `#next` | of a `connectTo()` in progress |
 * | `#last` | of the current connection, or of the last one |
 *
 *     spare -> next   connectTo()
 *     next  -> last   it has connected, or was closed while connecting
 *     next  -> spare  it could not connect; its queued events are for the next connectTo()
 *     spare -> last   it was closed before any connectTo()
 *
 * @module
 */

import { after } from "../net/timers.ts";
import { formatAddress } from "../protocol/address.ts";
import { isPermissionError } from "./connect_errors.ts";
import { ConnectionManager } from "./connection_manager.ts";
import { ConnectionClosedError } from "../errors.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import type { ClientSettings } from "./options.ts";
import { checkTimeout } from "../protocol/option_checks.ts";
import type { Destination } from "./port.ts";
import type { Receiver } from "./receiver.ts";
import { nextTurn } from "../net/turn.ts";

/**
 * The number of consecutive event loop turns without new bytes after which `pump()` returns. Every
 * turn polls all sockets. With TLS, bytes found in one turn may be decrypted in the next.
 */
const QUIET_TURNS = 2;

/**
 * The maximum number of turns of one `pump()` call, even if more bytes keep arriving: about 50
 * milliseconds.
 */
const MAX_TURNS = 25;

/** Connects, drains and closes one client. */
export class Lifecycle {
  readonly #settings: ClientSettings;
  readonly #receiver: Receiver;
  #spare: ConnectionManager | null;
  #next: ConnectionManager | null = null;
  #last: ConnectionManager | null = null;
  /** Resolves when the `drain()` in progress is done. */
  #draining: Promise<void> | null = null;

  /** Starts without a connection. */
  constructor(settings: ClientSettings, receiver: Receiver) {
    this.#settings = settings;
    this.#receiver = receiver;
    this.#spare = new ConnectionManager(settings, receiver);
  }

  /** The manager of the current connection, or of the last one. `null` before the first. */
  get current(): ConnectionManager | null {
    return this.#next?.hasBegun ? this.#next : this.#last;
  }

  /** The number of bytes that have not been handed to the operating system yet. */
  get pendingBytes(): number {
    const manager = this.#next ?? this.#last ?? this.#spare;
    const waiting = manager?.outbox?.lines.waitingBytes ?? 0;
    return waiting + (manager?.session?.connection.pendingBytes ?? 0);
  }

  /**
   * Returns the manager that sends: the one in progress if it has a queue, otherwise the current
   * one.
   *
   * @param verb The operation, for the message.
   * @throws {ConnectionClosedError} If there is none.
   */
  sending(verb: string): ConnectionManager {
    const manager = this.#next?.outbox ? this.#next : this.current;
    return manager ?? (this.#spare?.outbox ? this.#spare : failUnconnected(verb));
  }

  /**
   * Returns the manager that receives: the one in progress, otherwise the current one.
   *
   * @param verb The operation, for the message.
   * @throws {ConnectionClosedError} If there is none.
   */
  receiving(verb: string): ConnectionManager {
    return this.#next ?? this.#last ?? failUnconnected(verb);
  }

  /**
   * Takes the events that have arrived, after reading the bytes that the operating system holds.
   *
   * @returns Resolves to the events, and to whether more may arrive.
   */
  async pump(): Promise<[events: EbsocketEvent[], isOpen: boolean]> {
    const manager = this.receiving("pump");
    const { main } = this.#receiver.inboxes;
    const claim = main.claim("pump()");
    const received = () => manager.session?.connection.bytesIn ?? 0;
    let seen = received();
    for (let turn = 0, quiet = 0; turn < MAX_TURNS && quiet < QUIET_TURNS && !main.full; turn++) {
      await nextTurn();
      quiet = received() === seen ? quiet + 1 : 0;
      seen = received();
    }
    const events = main.takeAll();
    claim[Symbol.dispose]();
    return [events, manager.open && !main.ended];
  }

  /** Connects, as {@link EbsocketClient.connectTo} describes. */
  async connectTo(
    where: Destination,
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { port, tls } = this.#settings;
    const destination = port.check(where, tls);
    checkTimeout(timeout);
    if (this.#next || this.#last?.open) {
      const address = formatAddress(port.addressOf(destination));
      throw new TypeError(`Cannot connect to ${address}: the client is connected or connecting`);
    }
    signal?.throwIfAborted();
    const manager = this.#spare ?? new ConnectionManager(this.#settings, this.#receiver);
    this.#spare = null;
    this.#next = manager;
    const onTimeout = () => manager.cancel(new Error(`no answer within ${timeout} ms`));
    const timer = after(timeout, onTimeout);
    if (timeout <= 0) onTimeout();
    const onAbort = () => manager.cancel(new Error("it was aborted"));
    signal?.addEventListener("abort", onAbort);
    try {
      await manager.start(destination, this.#last);
      this.#last = manager;
    } catch (error) {
      this.#spare = manager;
      if (!isPermissionError(error)) signal?.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#next = null;
    }
  }

  /** Sends the queued events, then ends. */
  async close(): Promise<void> {
    await this.#stop()?.close();
  }

  /** Ends at once. */
  async abort(): Promise<void> {
    await this.#stop()?.abort();
  }

  /** Ends after the work in progress, as {@link EbsocketClient.drain} describes. */
  async drain(timeout: number): Promise<void> {
    checkTimeout(timeout);
    await (this.#draining ??= this.#drain(timeout).finally(() => this.#draining = null));
  }

  /** Waits for a drain in progress, then closes. */
  async dispose(): Promise<void> {
    await this.#draining;
    await this.close();
  }

  async #drain(timeout: number): Promise<void> {
    const manager = this.#last;
    if (manager?.open && !this.#next) {
      const { promise: timedOut, resolve } = Promise.withResolvers<void>();
      const timer = after(timeout, resolve);
      if (timeout > 0) await Promise.race([this.#finishWork(manager), manager.closed, timedOut]);
      clearTimeout(timer);
    }
    await this.close();
    this.#receiver.subscriptions.resumeEvents();
  }

  /** Stops further events, and waits until those that have arrived have been handled. */
  async #finishWork(manager: ConnectionManager): Promise<void> {
    const { inboxes: { main }, requests, services, subscriptions } = this.#receiver;
    manager.readAll();
    await subscriptions.stopEvents();
    if (!manager.open) return;
    main.end();
    await Promise.all([services.finish(), main.whenFree()]);
    await requests.whenAllAnswered();
  }

  /** Fails all pending requests. Returns the manager to end, if any. */
  #stop(): ConnectionManager | null {
    this.#receiver.pending.failAll("the client was closed; it may or may not have been done");
    this.#receiver.subscriptions.isOnline = false;
    if (!this.#next && !this.#last && this.#spare?.outbox) {
      this.#last = this.#spare;
      this.#spare = null;
    }
    return this.#next ?? this.#last;
  }
}

function failUnconnected(verb: string): never {
  throw new ConnectionClosedError(
    `Cannot ${verb} a client that has never been connected; await connectTo() first`,
  );
}
