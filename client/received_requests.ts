/**
 * The requests that a client has received: the connection of each, and those without a reply.
 *
 * @module
 */

import type { EbsocketEvent } from "../protocol/event.ts";
import type { Inbox } from "../net/inbox.ts";
import type { ControlChannel } from "./subscriptions.ts";

/** The maximum number of unanswered requests to remember. */
const MAX_UNANSWERED = 10_000;

/** The part of a request that identifies it. */
export type RequestKey = Pick<EbsocketEvent, "id" | "from">;

/** The requests that one client has received. */
export class ReceivedRequests {
  readonly #inbox: Inbox<EbsocketEvent>;
  /** The connection that each request arrived on. */
  readonly #channels = new WeakMap<object, ControlChannel>();
  /** The requests that the program has read and not answered. */
  readonly #unanswered = new Set<string>();
  /** Those among them that it has read from its inbox. It has finished them when it reads on. */
  #lastRead: string[] = [];
  /** Whether the program has ever replied to a request. */
  #isAnswering = false;
  #allAnswered: PromiseWithResolvers<void> | null = null;

  /**
   * Creates an empty record.
   *
   * @param inbox The inbox that the program reads itself.
   */
  constructor(inbox: Inbox<EbsocketEvent>) {
    this.#inbox = inbox;
  }

  /**
   * Records which connection events arrived on, because requester IDs are only valid on that
   * connection.
   */
  onArrival(events: readonly EbsocketEvent[], channel: ControlChannel): void {
    for (const event of events) {
      if (event.id !== null && event.from !== null) this.#channels.set(event, channel);
    }
  }

  /** Records an event that the program has read, if it is a request. */
  onRead({ id, from }: RequestKey): void {
    if (id === null) return;
    if (this.#unanswered.size >= MAX_UNANSWERED) {
      const [oldest] = this.#unanswered;
      this.#unanswered.delete(oldest!);
    }
    this.#unanswered.add(keyOf(id, from));
  }

  /**
   * Records that the program reads from its inbox: it has finished the events read before, and
   * receives these.
   */
  onReadMain(events: readonly RequestKey[] = []): void {
    for (const key of this.#lastRead) this.#unanswered.delete(key);
    this.#lastRead = [];
    for (const event of events) {
      if (event.id === null) continue;
      this.onRead(event);
      this.#lastRead.push(keyOf(event.id, event.from));
    }
    this.#checkAllAnswered();
  }

  /**
   * Records that the program replies to a request.
   *
   * @returns The connection that the request arrived on, if it is known.
   */
  onReply(request: RequestKey): ControlChannel | undefined {
    const { id, from } = request;
    this.#isAnswering = true;
    if (this.#unanswered.delete(keyOf(id, from))) this.#checkAllAnswered();
    return this.#channels.get(request);
  }

  /** Clears the record at the end of a connection. Its requests can no longer be answered. */
  clear(): void {
    this.#unanswered.clear();
    this.#checkAllAnswered();
  }

  /**
   * Waits until the program has answered the requests that it has read. If it has ever replied to
   * one, also waits until it has read its inbox.
   */
  async whenAllAnswered(): Promise<void> {
    this.#allAnswered ??= Promise.withResolvers<void>();
    this.#checkAllAnswered();
    await this.#allAnswered?.promise;
  }

  #checkAllAnswered(): void {
    const isUnread = this.#isAnswering && this.#inbox.length > 0;
    if (!this.#allAnswered || isUnread || this.#unanswered.size > 0) return;
    this.#allAnswered.resolve();
    this.#allAnswered = null;
  }
}

function keyOf(id: string | null, from: string | null): string {
  return `${from} ${id}`;
}
