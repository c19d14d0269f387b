/**
 * Owns the line on standard error that tells how far something is. Must not know what is done.
 *
 * `@std/cli` has one that is still unstable, and that `vendor/` cannot serve where JSR is out of reach.
 *
 * @module
 */

import { columnsOfTerminal, isScreen } from "./terminal.ts";
import { countOf, formatDuration, formatExact, formatRate } from "./units.ts";
import { cut, widthOf } from "./width.ts";

/** How often the line is drawn anew, in milliseconds. */
const INTERVAL_MS = 200;

/** The widest bar, in columns. */
const MAX_BAR = 40;

/** The narrowest bar that still tells something. */
const MIN_BAR = 5;

/** How far something is. */
export interface ProgressState {
  /** What is counted: `event`. */
  readonly noun: string;
  /** How many are done. */
  readonly done: number;
  /** How many there will be, or `null` if nobody knows. */
  readonly total: number | null;
  /** How long it has taken so far, in milliseconds. */
  readonly elapsedMs: number;
}

/** What a {@link Progress} can be told beside what it counts. */
export interface ProgressOptions {
  /** How many there will be, if that is known. */
  readonly total?: number;
  /** Whether a person sees it; otherwise nothing is written. Standard error, by default. */
  readonly isShown?: boolean;
  /** Writes text. To standard error, by default. */
  readonly write?: (text: string) => void;
}

/** `[█████▌    ] 55 %  55,000 of 100,000 events  12 k/s  4s left`, in at most `columns` columns. */
export function formatProgress(state: ProgressState, columns: number): string {
  const { noun, done, total, elapsedMs } = state;
  const perSecond = elapsedMs > 0 ? 1000 * done / elapsedMs : 0;
  if (total === null) return cut(`${countOf(done, noun)}  ${formatRate(perSecond)}`, columns);
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const words = [
    `${String(Math.floor(100 * share)).padStart(3)} %`,
    `${formatExact(done)} of ${countOf(total, noun)}`,
    formatRate(perSecond),
    ...(done > 0 && done < total
      ? [`${formatDuration((total - done) / perSecond * 1000)} left`]
      : []),
  ].join("  ");
  const width = Math.min(MAX_BAR, columns - widthOf(words) - 3);
  return width < MIN_BAR ? cut(words.trimStart(), columns) : `[${bar(share, width)}] ${words}`;
}

/** A bar over `share` of `width` columns, exact to an eighth of a column. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(8 * width * Math.min(1, Math.max(0, share)));
  const rest = " ▏▎▍▌▋▊▉"[eighths % 8]!;
  return ("█".repeat(eighths / 8) + (eighths % 8 > 0 ? rest : "")).padEnd(width);
}

/**
 * Shows how far something is, for as long as it is not disposed of, if a person sees standard error.
 * Then nothing of it remains there.
 *
 * @example Count to a thousand
 * ```ts ignore
 * using progress = new Progress("event", { total: 1000 });
 * for (const event of events) {
 *   await client.sendEvent(event);
 *   progress.done++;
 * }
 * ```
 */
export class Progress implements Disposable {
  /** How many are done. */
  done = 0;
  readonly #noun: string;
  readonly #total: number | null;
  readonly #write: (text: string) => void;
  readonly #start = performance.now();
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #isDrawn = false;

  /** Begins to show how many there are of the `noun`: `event`. */
  constructor(
    noun: string,
    { total, isShown = isScreen("stderr"), write = writeToStderr }: ProgressOptions = {},
  ) {
    this.#noun = noun;
    this.#total = total ?? null;
    this.#write = write;
    if (!isShown) return;
    this.#timer = setInterval(() => this.#draw(), INTERVAL_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** Takes the line away, so that something else can be written; it comes back by itself. */
  clear(): void {
    if (this.#isDrawn) this.#write("\r\x1b[K");
    this.#isDrawn = false;
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.clear();
  }

  #draw(): void {
    const state = {
      noun: this.#noun,
      done: this.done,
      total: this.#total,
      elapsedMs: performance.now() - this.#start,
    };
    // The last column stays free: some terminals go to the next line after it.
    this.#write(`\r${formatProgress(state, columnsOfTerminal() - 1)}\x1b[K`);
    this.#isDrawn = true;
  }
}

const encoder = new TextEncoder();

function writeToStderr(text: string): void {
  try {
    Deno.stderr.writeSync(encoder.encode(text));
  } catch {
    // Whoever saw it has gone, and the work goes on without.
  }
}
