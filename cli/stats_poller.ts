/**
 * Asks a relay for its state, again and again.
 *
 * @module
 */

import type { EbsocketClient } from "../client.ts";
import {
  type CloseInfo,
  ConnectionClosedError,
  EbsocketError,
  RequestTimeoutError,
} from "../errors.ts";
import { printable } from "../protocol/printable.ts";
import type { RelayReport } from "../protocol/report.ts";
import { sleep } from "../net/waits.ts";
import { whereIs } from "./connect.ts";
import { describeEnd, StartError } from "./errors.ts";

/**
 * The maximum time between two requests, in milliseconds. After 5 s without one, a relay stops
 * counting names.
 */
const MAX_SILENCE = 2000;

/** Asks one relay. */
export class Watcher {
  readonly #client: EbsocketClient;
  readonly #signal: AbortSignal;
  #end: CloseInfo | null = null;

  /** Creates a watcher that uses a connected client until the signal is aborted. */
  constructor(client: EbsocketClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    client.closed.then((info) => this.#end = info);
  }

  /** The address of the relay, for a person. */
  get where(): string {
    return whereIs(this.#client);
  }

  /**
   * Resolves to the current state, or to `null` if the relay does not answer at the moment.
   *
   * @throws {StartError} If it does not report its state, or is no longer reachable.
   */
  async ask(): Promise<RelayReport | null> {
    try {
      return await this.#client.inspect({ signal: this.#signal });
    } catch (error) {
      if (this.#end) {
        const why = describeEnd(this.#end);
        throw new StartError(`The connection to the relay at ${this.where} ended with ${why}`);
      }
      if (error instanceof ConnectionClosedError || error instanceof RequestTimeoutError) {
        return null;
      }
      throw error instanceof EbsocketError ? new StartError(this.#advise(error)) : error;
    }
  }

  /** Waits, and keeps the relay counting meanwhile. Rejects with the reason of the signal. */
  async wait(ms: number): Promise<void> {
    const end = performance.now() + ms;
    for (let left = ms; left > 0; left = end - performance.now()) {
      await sleep(Math.min(left, MAX_SILENCE), this.#signal);
      if (left > MAX_SILENCE) await this.ask();
    }
  }

  #advise({ code, message }: EbsocketError): string {
    const relay = `The relay at ${this.where}`;
    if (code === "not-supported") return `${relay} does not report its state; upgrade it`;
    if (code !== "not-allowed") return printable(message);
    return `${relay} does not report its state: it was started with --no-inspect`;
  }
}
