/**
 * A client that publishes under load, and knows which of its events are kept.
 *
 * @module
 */

import { EbsocketClient } from "../../client.ts";
import type { Address } from "../../protocol/address.ts";
import { pause } from "../support/waiting.ts";

/** How a {@link ConfirmedPublisher} publishes. */
interface Pace {
  /** The number of the event before its first one. */
  readonly first: number;
  /** Number of events that it sends at a time, and the pause after them, in milliseconds. */
  readonly burst: number;
  readonly everyMs: number;
  /** How long it waits for a receipt, in milliseconds. */
  readonly timeout: number;
}

/** Publishes numbered events at one relay, however often that is killed. */
export class ConfirmedPublisher {
  /** The numbers of the events that are kept. */
  readonly confirmed = new Set<number>();
  readonly #client = new EbsocketClient({ reconnect: { minDelay: 20, maxDelay: 200 } });
  readonly #pace: Pace;
  #last: number;
  #isDone = false;
  readonly #receipts: Promise<void>[] = [];

  constructor(pace: Pace) {
    this.#pace = pace;
    this.#last = pace.first;
  }

  /** Publishes until {@link finish}. Resolves when the fate of each event is known. */
  async run(address: Address): Promise<void> {
    await this.#client.connectTo(address);
    await this.#client.subscribe([]);
    while (!this.#isDone) {
      for (let i = 0; i < this.#pace.burst; i++) this.#publish(++this.#last);
      await pause(this.#pace.everyMs);
    }
    await Promise.all(this.#receipts);
    await this.#client.close();
  }

  #publish(n: number): void {
    const options = { confirm: true, timeout: this.#pace.timeout } as const;
    const receipt = this.#client.send("numbered", { n }, options);
    this.#receipts.push(receipt.then(() => void this.confirmed.add(n), () => {}));
  }

  finish(): void {
    this.#isDone = true;
  }
}
