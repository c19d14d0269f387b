/**
 * A publisher and a subscriber that use a client library, each a process of its own, and what is
 * in flight between them.
 *
 * @module
 */

import { ClientProcess, STALL_MS, type ToClientCommand } from "./client_process.ts";
import { messageAttributes } from "./fixtures.ts";
import type { ProcessOptions } from "./measured_process.ts";
import { within } from "./within.ts";

/** How many events are asked for, and reported, at a time. */
export const BATCH_EVENTS = 1024;

/** How many batches may be asked for and not yet be received. */
const BATCHES_IN_FLIGHT = 4;

/** What a program of the pair is for. */
export type ClientRole = "publisher" | "subscriber";

/** A publisher, and a subscriber that checks every event. */
export class ClientPair implements AsyncDisposable {
  readonly publisher: ClientProcess;
  readonly subscriber: ClientProcess;
  /** Rejects when the publisher ends; it has nothing to say before. */
  readonly #publisherEnd: Promise<Uint8Array>;

  private constructor(publisher: ClientProcess, subscriber: ClientProcess) {
    this.publisher = publisher;
    this.subscriber = subscriber;
    this.#publisherEnd = publisher.hear();
    this.#publisherEnd.catch(() => {});
  }

  /**
   * Starts both, with `clients/event_program.mjs`, as clients of the server on `port`. The publisher
   * comes last, so nothing is lost.
   */
  static async start(
    port: number,
    toCommand: ToClientCommand,
    options: ProcessOptions,
  ): Promise<ClientPair> {
    const first = { event: "message", attributes: messageAttributes(0) };
    const start = (role: ClientRole) => {
      const args = [role, `${port}`, `${BATCH_EVENTS}`, JSON.stringify(first)];
      return ClientProcess.start(role, toCommand(args), options);
    };
    const subscriber = await start("subscriber");
    try {
      return new ClientPair(await start("publisher"), subscriber);
    } catch (error) {
      await subscriber[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Has batches published, and waits until the subscriber has received them. */
  async publish(batches: number): Promise<void> {
    for (let asked = 0, received = 0; received < batches;) {
      const next = Math.min(batches, received + BATCHES_IN_FLIGHT) - asked;
      if (next > 0) await this.publisher.ask(new Uint8Array(next));
      asked += next;
      const more = Promise.race([this.subscriber.hear(), this.#publisherEnd]);
      received += (await within(STALL_MS, "Waiting for the subscriber", more)).length;
    }
  }

  /** Ends both programs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.publisher[Symbol.asyncDispose]();
    await this.subscriber[Symbol.asyncDispose]();
  }
}
