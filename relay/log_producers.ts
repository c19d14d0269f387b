/**
 * Counts the events of clients in the log of one relay. Loaded only by relays with a history of their
 * own.
 *
 * @module
 */

import type { EventLog } from "../history/log.ts";
import type { Producer, Producers } from "../history/producers.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { ProducerAnswer, ProducerClaim } from "../protocol/producer.ts";
import type { HistoryRouter } from "./history_router.ts";
import {
  type CountedAnswer,
  type CounterSink,
  type ProducerCounter,
  REPLACED,
} from "./producer_counter.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** The parts that {@link LogProducers} uses. */
export interface LogProducersParts {
  readonly log: EventLog;
  readonly producers: Producers;
  readonly routing: HistoryRouter;
}

/** The producers of one relay. */
export class LogProducers implements ProducerCounter {
  readonly #parts: LogProducersParts;
  readonly #sink: CounterSink;
  /** The client of each producer. It may have left, and still have events to be taken. */
  readonly #clients = new Map<Producer, Client>();
  /** Clients that wait for what they have sent over an earlier connection to be kept. */
  #waiting: { readonly offset: number; readonly resolve: () => void }[] = [];

  constructor(parts: LogProducersParts, sink: CounterSink) {
    this.#parts = parts;
    this.#sink = sink;
  }

  get size(): number {
    return this.#parts.producers.size;
  }

  greet(client: Client, claim: ProducerClaim): CountedAnswer | Promise<CountedAnswer> {
    const producer = this.#connect(client, claim);
    if (!producer) return "ended";
    const { offset } = producer;
    if (offset <= this.#parts.log.synced) return this.#answer(producer, claim);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ offset, resolve });
    return promise.then(() => client.recipient.open ? this.#answer(producer, claim) : "ended");
  }

  /**
   * Returns the producer that a client says to be. Nothing more is taken from its earlier connection.
   * Returns `null` if this one is the earlier one, whose `hello` has taken long.
   */
  #connect(client: Client, claim: ProducerClaim): Producer | null {
    const { producers, routing } = this.#parts;
    const producer = producers.connect(claim);
    if (!producer) {
      this.#sink.onEnded(client.recipient, "replaced", REPLACED);
      return null;
    }
    const before = this.#clients.get(producer);
    if (before) {
      routing.setProducer(before, null);
      this.#sink.onEnded(before.recipient, "replaced", REPLACED);
    }
    this.#clients.set(producer, client);
    routing.setProducer(client, producer);
    return producer;
  }

  #answer(producer: Producer, claim: ProducerClaim): ProducerAnswer {
    const { log, producers } = this.#parts;
    return producer.answer(claim, log, producers.hasForgotten);
  }

  kept(offset: number): void {
    if (this.#waiting.length === 0) return;
    const due = this.#waiting.filter((each) => each.offset <= offset);
    this.#waiting = this.#waiting.filter((each) => each.offset > offset);
    for (const { resolve } of due) resolve();
  }

  fail(): void {
    const { producers, log } = this.#parts;
    producers.fail(log.synced);
    this.kept(Infinity);
  }

  forget(client: Client): void {
    const { producers, routing } = this.#parts;
    const producer = routing.producerOf(client);
    if (!producer) return;
    routing.setProducer(client, null);
    this.#clients.delete(producer);
    producers.disconnect(producer);
  }
}
