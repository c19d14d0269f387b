/**
 * The events of a tail that wait to be drawn. However many arrive, few are kept.
 *
 * @module
 */

import type { EbsocketEvent } from "../client.ts";

/** Maximum number of events that are drawn at once. A person cannot read more in a tenth of a second. */
export const MAX_BATCH = 20;

/** Maximum number of rows of a tail. Older ones are removed. */
export const MAX_ROWS = 300;

/** The part of a received event that a tail shows. */
export type TailEvent = Pick<
  EbsocketEvent,
  "event" | "__dict__" | "id" | "from" | "to" | "replyTo"
>;

/** A row to draw: an event, or the number of events that are not shown before the next row. */
export type TailRow =
  | {
    readonly type: "event";
    readonly at: number;
    readonly event: TailEvent;
    readonly json: string;
  }
  | { readonly type: "skipped"; readonly count: number };

/** Keeps the last few events until they are drawn, and counts the others. */
export class TailBuffer {
  /** Number of events that have arrived. */
  received = 0;
  /** Number of those that are not shown: they came too fast. */
  skipped = 0;
  #filter = "";
  #waiting: { at: number; event: TailEvent }[] = [];
  #skipped = 0;

  /** Only events that contain this text, in lower or upper case, are shown. */
  get filter(): string {
    return this.#filter;
  }

  set filter(text: string) {
    this.#filter = text.toLowerCase();
    this.#waiting = this.#waiting.filter(({ event }) => this.#accepts(event));
  }

  /** Adds events that have arrived at `at`, in milliseconds since 1970. */
  push(events: readonly TailEvent[], at: number): void {
    this.received += events.length;
    for (const event of events) if (this.#accepts(event)) this.#waiting.push({ at, event });
    const excess = this.#waiting.length - MAX_BATCH;
    if (excess <= 0) return;
    this.#waiting = this.#waiting.slice(excess);
    this.#skipped += excess;
    this.skipped += excess;
  }

  /** Returns the rows to draw now. */
  take(): TailRow[] {
    const rows: TailRow[] = this.#waiting.map(({ at, event }) => ({
      type: "event",
      at,
      event,
      json: JSON.stringify(event.__dict__),
    }));
    if (this.#skipped > 0) rows.unshift({ type: "skipped", count: this.#skipped });
    this.#waiting = [];
    this.#skipped = 0;
    return rows;
  }

  /** Forgets all events and counts. */
  clear(): void {
    this.received = 0;
    this.skipped = 0;
    this.#skipped = 0;
    this.#waiting = [];
  }

  #accepts(event: TailEvent): boolean {
    return this.#filter === "" ||
      matchesFilter(event.event, JSON.stringify(event.__dict__), this.#filter);
  }
}

/** Returns whether an event is shown with a filter in lower case. */
export function matchesFilter(name: string, json: string, filter: string): boolean {
  return `${name} ${json}`.toLowerCase().includes(filter);
}
