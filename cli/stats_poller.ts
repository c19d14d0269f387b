/**
 * Owns asking a relay how it is, again and again. Must not know what is done with the answers.
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

/** For how long a relay may be left alone, in milliseconds: after 5 s it counts names no longer. */
const MAX_SILENCE = 2000;

/** Asks one relay. */
export class Watcher {
  readonly #client: EbsocketClient;
  readonly #signal: AbortSignal;
  #end: CloseInfo | null = null;

  /** Asks through a client that is connected, until the signal is aborted. */
  constructor(client: EbsocketClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    client.closed.then((info) => this.#end = info);
  }

  /** Which relay it is, for people. */
  get where(): string {
    return whereIs(this.#client);
  }

  /**
   * How it is now; `null` if it does not answer just now, and may later.
   *
   * @throws {StartError} If it does not tell, or cannot be reached any more.
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
    if (code === "not-supported") return `${relay} is too old to tell how it is: update it`;
    if (code !== "not-allowed") return printable(message);
    return `${relay} does not tell how it is: it was started with --no-inspect`;
  }
}
