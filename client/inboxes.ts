/**
 * The inboxes of a client. While one of them is full, the client does not read.
 *
 * @module
 */

import type { EbsocketConnection } from "../net/connection.ts";
import { EbsocketError } from "../errors.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import { Inbox, type InboxOptions } from "../net/inbox.ts";

const MAIN_FULL = "the inbox is full, and nothing is heard until it has been read; " +
  "subscribe([]) asks for no events";

/** A connection, as far as the inboxes use it. */
type Reader = Pick<EbsocketConnection, "pause" | "resume">;

/** The inboxes of one client. */
export class Inboxes {
  /** The inbox for `pump()`, `recvEvent()` and `for await`. */
  readonly main: Inbox<EbsocketEvent>;
  readonly #options: InboxOptions;
  /** The other inboxes, with their names for messages. */
  readonly #others = new Map<Inbox<EbsocketEvent>, string>();
  /** The connection that does not read until there is room. */
  #paused: Reader | null = null;
  #room: PromiseWithResolvers<void> | null = null;

  /**
   * Creates the main inbox.
   *
   * @param options The limits of each inbox.
   */
  constructor(options: InboxOptions) {
    this.#options = options;
    this.main = this.#newInbox();
  }

  /** Creates another inbox. Messages call it `name`. */
  open(name: string): Inbox<EbsocketEvent> {
    const inbox = this.#newInbox();
    this.#others.set(inbox, name);
    return inbox;
  }

  /** Ends another inbox. From now on it does not pause reading. */
  close(inbox: Inbox<EbsocketEvent>): void {
    inbox.end();
    if (this.#others.delete(inbox) && inbox.full) this.#checkRoom();
  }

  /** Returns the reason why reading is paused, or an empty string. */
  readBlockedBy(): string {
    if (this.main.full) return MAIN_FULL;
    for (const [inbox, name] of this.#others) {
      if (inbox.full) return `what ${name} gives is not read, and nothing is heard until it is`;
    }
    return "";
  }

  /**
   * Throws if reading is paused, because a reply could not be read.
   *
   * @param verb The operation, for the message.
   * @param subject Its subject, for the message.
   * @throws {EbsocketError} With the code `inbox-full`.
   */
  checkReading(verb: string, subject: unknown): void {
    const why = this.readBlockedBy();
    if (why) throw new EbsocketError("inbox-full", `Cannot ${verb} ${subject}: ${why}`);
  }

  /** Pauses a connection while an inbox is full. Returns whether one is. */
  pauseIfFull(connection: Reader): boolean {
    if (this.readBlockedBy() === "") return false;
    this.#paused = connection;
    connection.pause();
    return true;
  }

  /** Returns a promise that resolves when no inbox is full any more, or `null` if none is. */
  whenRoom(): Promise<void> | null {
    if (this.readBlockedBy() === "") return null;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  #newInbox(): Inbox<EbsocketEvent> {
    return new Inbox(this.#options, () => this.#checkRoom());
  }

  #checkRoom(): void {
    if (this.readBlockedBy() !== "") return;
    this.#paused?.resume();
    this.#paused = null;
    this.#room?.resolve();
    this.#room = null;
  }
}
