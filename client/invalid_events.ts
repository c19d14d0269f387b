/**
 * The invalid events of a client, which do not match their definitions, and their readers.
 *
 * @module
 */

import type { EventChecker } from "../schema/checker.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import { Inbox } from "../net/inbox.ts";

/** An event that does not match its definition. */
export interface InvalidEvent {
  /** The event as it was sent. */
  readonly event: EbsocketEvent;
  /** The violations, one text for each, such as `user.tags[2]: Expected a string`. */
  readonly issues: readonly string[];
  /**
   * The number of invalid events before this one that were dropped because they were not read in
   * time.
   */
  readonly missed: number;
}

/**
 * The maximum number of invalid events queued for a slow reader. After that the oldest are dropped.
 */
const MAX_UNREAD = 1000;

/**
 * The maximum number of bytes that their lines may have had. Without it, long events could need a
 * gigabyte.
 */
const MAX_UNREAD_BYTES = 8_388_608;

/** An invalid event queued for a reader. */
interface Unread extends Omit<InvalidEvent, "missed"> {
  /** Its number among the invalid events of its client, from 1. */
  readonly number: number;
  readonly bytes: number;
}

/** Separates the invalid events, and passes them to all readers. */
export class InvalidEvents {
  /** The number of invalid events so far. */
  count = 0;
  readonly #checker: EventChecker;
  /** The first reader. Until it is used, it collects the invalid events. */
  #first: Reader | null = new Reader(0);
  readonly #readers = new Set<Reader>([this.#first!]);
  /** The invalid events of the block that is being dispatched. */
  #taken: Pick<InvalidEvent, "event" | "issues">[] = [];
  #ended = false;

  /** Creates a feed of the events that `checker` finds invalid. */
  constructor(checker: EventChecker) {
    this.#checker = checker;
  }

  /** Whether events can be invalid at all. */
  get isPossible(): boolean {
    return this.#checker.hasDefinitions;
  }

  /**
   * Checks an event, and takes it if it is invalid. A valid event gets the values that its
   * validator returns.
   *
   * @returns The violations, or `null` if the event is valid.
   */
  take(event: EbsocketEvent): readonly string[] | null {
    const issues = this.#checker.takeReceived(event);
    if (issues) this.#taken.push({ event, issues });
    return issues;
  }

  /** Passes the taken events to all readers. The lines of the whole block had `bytes` bytes. */
  publish(bytes: number): void {
    if (this.#taken.length === 0) return;
    const taken = this.#taken;
    this.#taken = [];
    for (const invalidEvent of taken) {
      // All bytes of the block count, because the long lines may be the invalid ones.
      const unread = { ...invalidEvent, number: ++this.count, bytes: bytes / taken.length };
      for (const reader of this.#readers) reader.add(unread);
    }
  }

  /** Ends all readers. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }

  /** Allows further events after `end()`. */
  reopen(): void {
    this.#ended = false;
    if (!this.#first) return;
    this.#first.reopen();
    this.#readers.add(this.#first);
  }

  /**
   * Returns the invalid events from now on until the end. The first reader also gets the earlier
   * ones.
   */
  read(): AsyncGenerator<InvalidEvent, void, void> {
    const reader = this.#first ?? new Reader(this.count);
    this.#first = null;
    if (this.#ended) reader.end();
    else this.#readers.add(reader);
    return this.#iterate(reader);
  }

  async *#iterate(reader: Reader): AsyncGenerator<InvalidEvent, void, void> {
    try {
      for (let event; (event = await reader.read());) yield event;
    } finally {
      this.#readers.delete(reader);
    }
  }
}

/** A reader and its queue. */
class Reader extends Inbox<Unread> {
  #bytes = 0;
  /** The number of the last event read. */
  #last: number;

  constructor(last: number) {
    super({}, () => {});
    this.#last = last;
  }

  /** Adds an event, and drops the oldest if there are too many. */
  add(invalidEvent: Unread): void {
    this.#bytes += invalidEvent.bytes;
    this.push([invalidEvent], 0);
    // A single event may have any size.
    while (this.length > MAX_UNREAD || this.length > 1 && this.#bytes > MAX_UNREAD_BYTES) {
      this.#bytes -= this.take()!.bytes;
    }
  }

  /** Waits for the next event. Resolves to `null` at the end. */
  async read(): Promise<InvalidEvent | null> {
    const unread = await this.next();
    if (!unread) return null;
    const { number, event, issues, bytes } = unread;
    const missed = number - this.#last - 1;
    this.#bytes -= bytes;
    this.#last = number;
    return { event, issues, missed };
  }
}
