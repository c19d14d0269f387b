/**
 * Owns what a client has received and does not hand out, since it does not fit its definition; and
 * everyone who reads that. Must not know how connections are made.
 *
 * @module
 */

import type { EventChecker } from "../schema/checker.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import { Inbox } from "../net/inbox.ts";

/** An event that does not fit its definition. */
export interface InvalidEvent {
  /** The event, as it was sent. */
  readonly event: EbsocketEvent;
  /** What does not fit, one text for each: `user.tags[2]: Expected a string`. */
  readonly issues: readonly string[];
  /** How many invalid events before it were dropped, since they were not read in time. */
  readonly missed: number;
}

/** How many invalid events wait for a reader that falls behind; then the oldest are dropped. */
const MAX_UNREAD = 1000;

/** How many bytes they may have had on the wire: long ones would need a gigabyte. */
const MAX_UNREAD_BYTES = 8_388_608;

/** A invalid event that waits for a reader. */
interface Unread {
  /** Which of the invalid events of its client it is, from 1. */
  readonly number: number;
  readonly event: EbsocketEvent;
  readonly issues: readonly string[];
  readonly bytes: number;
}

/** Tells what fits from what does not, and passes that on to everyone who reads it. */
export class InvalidEvents {
  readonly #checker: EventChecker;
  /** Whoever reads first; until then it keeps what there is. */
  #first: Reader | null = new Reader(0);
  readonly #readers = new Set<Reader>([this.#first!]);
  #count = 0;
  /** What has been taken among the events that are being looked at. */
  #taken: Pick<InvalidEvent, "event" | "issues">[] = [];
  #ended = false;

  /** Makes an empty feed of what does not fit by `checker`. */
  constructor(checker: EventChecker) {
    this.#checker = checker;
  }

  /** How many there have been. */
  get count(): number {
    return this.#count;
  }

  /** Whether anything can be a invalid event. */
  get isPossible(): boolean {
    return this.#checker.hasDefinitions;
  }

  /**
   * Takes an event that does not fit, and gives what does not. One that fits has what its validator
   * makes of it afterwards, and `null` is given.
   */
  take(event: EbsocketEvent): readonly string[] | null {
    const issues = this.#checker.takeReceived(event);
    if (issues) this.#taken.push({ event, issues });
    return issues;
  }

  /** Tells everyone of what has been taken; the lines of all that was looked at had `bytes` bytes. */
  publish(bytes: number): void {
    if (this.#taken.length === 0) return;
    const taken = this.#taken;
    this.#taken = [];
    for (const invalidEvent of taken) {
      // All bytes are theirs: the long lines may be among them.
      const unread = { ...invalidEvent, number: ++this.#count, bytes: bytes / taken.length };
      for (const reader of this.#readers) reader.push(unread);
    }
  }

  /** Says that nothing more will come. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }

  /** Says that more may come after all. */
  reopen(): void {
    this.#ended = false;
    if (!this.#first) return;
    this.#first.reopen();
    this.#readers.add(this.#first);
  }

  /** What comes from now on, up to the end; whoever reads first gets what has come before, too. */
  read(): AsyncGenerator<InvalidEvent, void, void> {
    const reader = this.#first ?? new Reader(this.#count);
    this.#first = null;
    if (this.#ended) reader.end();
    else this.#readers.add(reader);
    return this.#give(reader);
  }

  async *#give(reader: Reader): AsyncGenerator<InvalidEvent, void, void> {
    try {
      for (;;) {
        const invalidEvent = await reader.next();
        if (!invalidEvent) return;
        yield invalidEvent;
      }
    } finally {
      this.#readers.delete(reader);
    }
  }
}

/** One reader, and what waits for it. */
class Reader {
  readonly #inbox = new Inbox<Unread>({}, () => {});
  #bytes = 0;
  /** The number of the last one that was read. */
  #last: number;

  constructor(last: number) {
    this.#last = last;
  }

  push(invalidEvent: Unread): void {
    this.#bytes += invalidEvent.bytes;
    this.#inbox.push([invalidEvent], 0);
    while (this.#inbox.length > MAX_UNREAD || this.#hasTooMuch) {
      this.#bytes -= this.#inbox.take()!.bytes;
    }
  }

  /** Whether it holds too many bytes. A single invalid event may have as many as it likes. */
  get #hasTooMuch(): boolean {
    return this.#inbox.length > 1 && this.#bytes > MAX_UNREAD_BYTES;
  }

  end(): void {
    this.#inbox.end();
  }

  reopen(): void {
    this.#inbox.reopen();
  }

  async next(): Promise<InvalidEvent | null> {
    const unread = await this.#inbox.next();
    if (!unread) return null;
    const { number, event, issues, bytes } = unread;
    const missed = number - this.#last - 1;
    this.#bytes -= bytes;
    this.#last = number;
    return { event, issues, missed };
  }
}
