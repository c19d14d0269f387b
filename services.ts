/**
 * Owns the services of a client: loops over the events that match a pattern, each with an inbox of
 * its own. Must not know what they answer.
 *
 * @module
 */

import { ConnectionClosedError } from "./errors.ts";
import type { EbsocketEvent, EventOf } from "./event.ts";
import type { Hearing } from "./hearing.ts";
import { type Incoming, Service } from "./incoming.ts";
import { InboxIterator } from "./inbox_iterator.ts";
import type { MatchingName } from "./pattern.ts";
import { checkWord } from "./sender.ts";
import { checkPattern } from "./wish.ts";

/** Options of {@link EbsocketClient.serve}. */
export interface ServiceOptions {
  /**
   * A name of 1 to 255 bytes. Of all clients that serve or subscribe with one name, and a pattern
   * that matches, one gets each event. Without it, every client does.
   */
  readonly queue?: string;
  /** Ends the service when aborted: it still gives what has come, and then no more. */
  readonly signal?: AbortSignal;
}

/**
 * Any one of the events of an event map that a pattern matches.
 *
 * @typeParam M The event map.
 * @typeParam P The pattern.
 */
export type MatchingEvent<M extends object, P extends string> = string extends keyof M ? EventOf<M>
  : { [N in MatchingName<M, P> & keyof M]: EbsocketEvent<N & string, M[N] & object> }[
    & MatchingName<M, P>
    & keyof M
  ];

const NOTHING: Disposable = { [Symbol.dispose]: () => {} };

/** Starts and ends the services of one client. */
export class Services<M extends object> {
  readonly #incoming: Incoming<M>;
  readonly #hearing: Hearing;
  readonly #hasEnded: () => boolean;
  /** What ends each of those that are running. */
  readonly #running = new Set<() => void>();

  /** Makes one without services. `hasEnded` says whether nothing will come, and nothing is tried. */
  constructor(incoming: Incoming<M>, hearing: Hearing, hasEnded: () => boolean) {
    this.#incoming = incoming;
    this.#hearing = hearing;
    this.#hasEnded = hasEnded;
  }

  /** The events that match `pattern`, from the first `next()` on. */
  serve(
    pattern: string,
    { queue, signal }: ServiceOptions = {},
  ): AsyncGenerator<EventOf<M>, void, void> {
    checkPattern(pattern);
    if (queue !== undefined) checkWord("queue", queue);
    const service = new Service<M>(pattern, this.#incoming.makeInbox());
    return new InboxIterator(service.inbox, () => this.#start(service, queue, signal));
  }

  /** Ends all of them: nothing more will come. */
  end(): void {
    for (const end of this.#running) end();
  }

  async #start(
    service: Service<M>,
    queue: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Disposable> {
    const { pattern } = service;
    if (signal?.aborted || this.#hasEnded()) {
      service.inbox.end();
      return NOTHING;
    }
    let isHeld = false;
    const end = () => {
      if (!this.#running.delete(end)) return;
      signal?.removeEventListener("abort", end);
      this.#incoming.detach(service);
      if (isHeld) this.#hearing.release([pattern], queue, service);
    };
    this.#running.add(end);
    signal?.addEventListener("abort", end);
    this.#incoming.attach(service); // The first events may come before the acknowledgement.
    try {
      const options = {
        timeout: Infinity,
        ...(queue !== undefined && { queue }),
        ...(signal && { signal }),
      };
      await this.#hearing.subscribe([pattern], options, service);
      isHeld = this.#running.has(end);
      if (!isHeld) this.#hearing.release([pattern], queue, service);
    } catch (error) {
      const isOver = !this.#running.has(end) || error instanceof ConnectionClosedError;
      end();
      if (!isOver) throw error;
    }
    return { [Symbol.dispose]: end };
  }
}
