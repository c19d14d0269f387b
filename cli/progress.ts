/**
 * The progress line on standard error.
 *
 * The one in `@std/cli` is still unstable, and `vendor/` cannot provide it where JSR is out of
 * reach.
 *
 * @module
 */

import { encoder } from "../protocol/utf8.ts";
import { bar, cut, widthOf } from "./layout.ts";
import { isScreen, sizeOfTerminal } from "./terminal.ts";
import { countOf, formatDuration, formatExact, formatRate } from "../protocol/units.ts";

/** How often the line is redrawn, in milliseconds. */
const INTERVAL_MS = 200;

/** The widest bar, in columns. */
const MAX_BAR = 40;

/** The narrowest useful bar. */
const MIN_BAR = 5;

/** A state of progress. */
export type ProgressState = Readonly<Pick<Progress, "noun" | "done" | "total" | "elapsedMs">>;

/** The options of a {@link Progress}. */
export interface ProgressOptions {
  /** The total number of items, if it is known. */
  readonly total?: number;
  /** Whether the line is shown. By default, it is shown if standard error is a screen. */
  readonly isShown?: boolean;
  /** Writes text; to standard error by default. */
  readonly write?: (text: string) => void;
}

/**
 * Returns `[█████▌    ] 55 %  55,000 of 100,000 events  12K/s  4s left`, in at most `columns`
 * columns.
 */
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

/**
 * Shows a progress line until it is disposed of, if standard error is a screen. Disposing of it
 * removes the line.
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
  /** The noun that is counted: `event`. */
  readonly noun: string;
  /** The total number of items, or `null` if it is unknown. */
  readonly total: number | null;
  /** The number of finished items. */
  done = 0;
  readonly #write: (text: string) => void;
  readonly #start = performance.now();
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #isDrawn = false;

  /** Starts to show how many items of the `noun`, such as `event`, are finished. */
  constructor(
    noun: string,
    { total, isShown = isScreen("stderr"), write = writeToStderr }: ProgressOptions = {},
  ) {
    this.noun = noun;
    this.total = total ?? null;
    this.#write = write;
    if (!isShown) return;
    this.#timer = setInterval(() => this.#draw(), INTERVAL_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** The elapsed time, in milliseconds. */
  get elapsedMs(): number {
    return performance.now() - this.#start;
  }

  /** Removes the line so that other text can be written. The line returns at the next redraw. */
  clear(): void {
    if (this.#isDrawn) this.#write("\r\x1b[K");
    this.#isDrawn = false;
  }

  /** Ends the progress line. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.clear();
  }

  #draw(): void {
    // The last column stays free, since some terminals wrap after it.
    this.#write(`\r${formatProgress(this, sizeOfTerminal().columns - 1)}\x1b[K`);
    this.#isDrawn = true;
  }
}

function writeToStderr(text: string): void {
  try {
    Deno.stderr.writeSync(encoder.encode(text));
  } catch {
    // The terminal has gone. The work continues without it.
  }
}
