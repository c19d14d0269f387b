import { EbsocketClient } from "../../client.ts";
import type { Address } from "../../protocol/address.ts";
import { pause } from "../support/waiting.ts";

const RECONNECT = { minDelay: 1, maxDelay: 20, maxQueuedEvents: 1_000_000 };

/** Publishes numbered events, some of which the relay does not keep. */
export class NumberedPublisher {
  readonly name: string;
  /** Number of events so far. */
  sent = 0;
  /** The events of which it was told that they may not have arrived, by their numbers. */
  readonly unconfirmed: number[] = [];
  reconnects = 0;
  /** How often it was told so of events that are to be kept. */
  doubts = 0;
  readonly #client = new EbsocketClient({ reconnect: RECONNECT });
  readonly #every: number;
  #isDone = false;

  /** Of `every` events, the relay does not keep one. */
  constructor(name: string, every = 3) {
    this.name = name;
    this.#every = every;
  }

  /** Whether a relay keeps an event, by its number. */
  keeps(n: number): boolean {
    return n % this.#every !== 0;
  }

  async run(address: Address): Promise<void> {
    const watching = this.#watch();
    await this.#client.subscribe([]);
    await this.#client.connectTo(address);
    while (!this.#isDone) {
      const burst = Math.random() < 0.05 ? 300 : 3;
      for (let i = 0; i < burst; i++) {
        const n = ++this.sent;
        this.#client.send(`${this.keeps(n) ? "kept" : "other"}.${this.name}`, { n });
      }
      await pause(1);
    }
    await this.#settled();
    await this.#client.close();
    await watching;
  }

  async #settled(): Promise<void> {
    for (;;) {
      try {
        return await this.#client.flush();
      } catch {
        await pause(5); // The connection has ended meanwhile.
      }
    }
  }

  async #watch(): Promise<void> {
    for await (const status of this.#client.status()) {
      if (status.type === "reconnected") this.reconnects++;
      if (!("unconfirmed" in status)) continue;
      const numbers = status.unconfirmed.map((event) => event.getAttribute("n") as number);
      this.unconfirmed.push(...numbers);
      if (numbers.some((n) => this.keeps(n))) this.doubts++;
    }
  }

  finish(): void {
    this.#isDone = true;
  }
}

/** The numbers of the events that a client has received, by their names. */
export function numbersOf(received: Map<string, number[]>, name: string): number[] {
  const numbers = received.get(name) ?? [];
  received.set(name, numbers);
  return numbers;
}
