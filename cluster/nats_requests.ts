/**
 * Requests over a NATS connection, and their answers. nats.js has requests as well, but their answers
 * are only valid until the next read of the transport, which may come first.
 *
 * @module
 */

import type { MsgHdrs } from "@nats-io/nats-core";
import type { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { StreamError } from "../history/stream_port.ts";

/** The status of an answer that says that nobody has received the request. */
const NO_RESPONDERS = 503;

/** A request without an answer. */
interface Pending {
  readonly subject: string;
  readonly timer: ReturnType<typeof setTimeout>;
  readonly answer: PromiseWithResolvers<Uint8Array>;
}

/** The requests over one connection. */
export class NatsRequests {
  readonly #client: NatsConnectionImpl;
  readonly #inbox: string;
  readonly #timeout: number;
  readonly #pending = new Map<string, Pending>();
  #count = 0;

  /**
   * Starts to listen for answers.
   *
   * @param inbox What their subjects begin with.
   * @param timeout How long each is waited for, in milliseconds.
   */
  constructor(client: NatsConnectionImpl, inbox: string, timeout: number) {
    this.#client = client;
    this.#inbox = inbox;
    this.#timeout = timeout;
    client.subscribe(`${inbox}.*`, {
      callback: (error, { subject, data, headers }) => {
        const pending = this.#take(subject.slice(inbox.length + 1));
        if (error || !pending) return;
        const isUnheard = data.length === 0 && headers?.code === NO_RESPONDERS;
        if (!isUnheard) return pending.answer.resolve(data.slice());
        const text =
          "JetStream does not answer: start nats-server with -js, or wait for its servers";
        pending.answer.reject(new StreamError("absent", text));
      },
    });
    client.closed().then(() => this.#failAll());
  }

  #take(key: string): Pending | undefined {
    const pending = this.#pending.get(key);
    this.#pending.delete(key);
    clearTimeout(pending?.timer);
    return pending;
  }

  /**
   * Sends a request. Resolves to the answer.
   *
   * @throws {StreamError} Without one.
   */
  ask(subject: string, data: Uint8Array, headers?: MsgHdrs): Promise<Uint8Array> {
    if (this.#client.isClosed()) return Promise.reject(lost());
    const key = `${++this.#count}`;
    const reply = `${this.#inbox}.${key}`;
    try {
      this.#client.publish(subject, data, { reply, ...headers && { headers } });
    } catch {
      return Promise.reject(lost()); // The connection is about to end.
    }
    const timer = setTimeout(() => this.#take(key)?.answer.reject(lost()), this.#timeout);
    const answer = Promise.withResolvers<Uint8Array>();
    this.#pending.set(key, { subject, timer, answer });
    return answer.promise;
  }

  /** Notes that the server does not permit requests to a subject. */
  refuse(subject: string): void {
    const text = `the server does not permit this relay to publish to ${subject}; ` +
      "its user has to publish to $JS.API.> and eb.>, and to subscribe to eb.>";
    for (const [key, pending] of this.#pending) {
      if (pending.subject !== subject) continue;
      this.#take(key)!.answer.reject(new StreamError("refused", text));
    }
  }

  #failAll(): void {
    for (const key of [...this.#pending.keys()]) this.#take(key)!.answer.reject(lost());
  }
}

function lost(): StreamError {
  return new StreamError("lost", "NATS does not answer");
}
