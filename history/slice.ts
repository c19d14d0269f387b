/**
 * Work on files that goes on for long. It is done in slices, between which events are passed on.
 *
 * A process has one event loop, which all its logs share. So they also share the turns of those who
 * work on files.
 *
 * @module
 */

/** For how long files are looked through before others get their turn, in milliseconds. */
const SLICE_MS = 1;

/** Resolves when the last one of those that work on files now may go on. */
let lastTurn = Promise.resolve();

/** The time of one who works on a file. All of them share one slice in each turn of the event loop. */
export class Slice {
  readonly #ms: number;
  #end = NaN;

  /** Creates a slice of so many milliseconds, which begins with the first look whether it is over. */
  constructor(ms: number = SLICE_MS) {
    this.#ms = ms;
  }

  /** Returns whether others have to get their turn. */
  isOver(): boolean {
    const now = performance.now();
    if (Number.isNaN(this.#end)) this.#end = now + this.#ms;
    return now >= this.#end;
  }

  /** Waits for the next one. */
  async next(): Promise<void> {
    lastTurn = lastTurn.then(() => new Promise((resolve) => setTimeout(resolve, 0)));
    await lastTurn;
    this.#end = NaN;
  }
}
