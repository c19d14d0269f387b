/**
 * The events of a tail that wait to be drawn. However many arrive, few are kept.
 *
 * @module
 */

/** Maximum number of events that are drawn at once. Nobody reads more in a tenth of a second. */
export const MAX_BATCH = 20;

/** Maximum number of rows of a tail. Older ones are removed. */
export const MAX_ROWS = 300;

/** The part of a received event that a tail needs: its line, with or without the line end. */
export interface TailEvent {
  readonly line: Uint8Array;
}

/** A row to draw: an event, or the number of events that are not shown before the next row. */
export type TailRow =
  | { readonly type: "event"; readonly at: number; readonly line: string }
  | { readonly type: "skipped"; readonly count: number };

const decoder = new TextDecoder();

/** Keeps the last few events until they are drawn, and counts the others. */
export class TailBuffer {
  /** Number of events that have arrived. */
  received = 0;
  /** Number of those that are not shown: they came too fast. */
  skipped = 0;
  #filter = "";
  #waiting: { at: number; line: Uint8Array }[] = [];
  #skipped = 0;

  /** Only events whose line contains this text, in lower or upper case, are shown. */
  get filter(): string {
    return this.#filter;
  }

  set filter(text: string) {
    this.#filter = text.toLowerCase();
    this.#waiting = this.#waiting.filter(({ line }) => this.#accepts(line));
  }

  /** Adds events that have arrived at `at`, in milliseconds since 1970. */
  push(events: readonly TailEvent[], at: number): void {
    this.received += events.length;
    for (const { line } of events) if (this.#accepts(line)) this.#waiting.push({ at, line });
    const excess = this.#waiting.length - MAX_BATCH;
    if (excess <= 0) return;
    // The lines of a read share its memory, which must not be kept for the few that are shown.
    this.#waiting = this.#waiting.slice(excess)
      .map(({ at, line }) => ({ at, line: line.slice() }));
    this.#skipped += excess;
    this.skipped += excess;
  }

  /** Returns the rows to draw now. */
  take(): TailRow[] {
    const rows: TailRow[] = this.#waiting.map(({ at, line }) => ({
      type: "event",
      at,
      line: decoder.decode(line).trimEnd(),
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

  #accepts(line: Uint8Array): boolean {
    return this.#filter === "" || decoder.decode(line).toLowerCase().includes(this.#filter);
  }
}

/** Returns whether a line is shown with a filter in lower case. */
export function matchesFilter(line: string, filter: string): boolean {
  return line.toLowerCase().includes(filter);
}
