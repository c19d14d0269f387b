/**
 * Owns the line in which a person sees how far a long sending has come. Must not know what is sent.
 *
 * @module
 */

/** How often the line changes at most, in milliseconds. */
const INTERVAL_MS = 100;

/** Erases a line of a terminal, and goes to its start (ECMA-48, "EL" and carriage return). */
const ERASE = "\r\x1b[2K";

const encoder = new TextEncoder();

/** How far a sending has come. */
export interface Counts {
  /** How many events have been sent. */
  readonly sent: number;
  /** How many of them the relay has taken. */
  readonly taken: number;
}

/** Shows how far it has come, if anybody is there to see. */
export class Progress {
  readonly #write: ((text: string) => void) | null;
  readonly #now: () => number;
  readonly #since: number;
  #shownAt = -Infinity;

  /** Makes one that shows nothing where `write` is `null`. */
  constructor(write: ((text: string) => void) | null, now = () => performance.now()) {
    this.#write = write;
    this.#now = now;
    this.#since = now();
  }

  /** The line on standard error, if that is a terminal. */
  static onTerminal(): Progress {
    const write = (text: string) => void Deno.stderr.writeSync(encoder.encode(text));
    return new Progress(Deno.stderr.isTerminal() ? write : null);
  }

  /** Shows it, unless it has been shown only just now. */
  update({ sent, taken }: Counts): void {
    const now = this.#now();
    if (!this.#write || now - this.#shownAt < INTERVAL_MS) return;
    this.#shownAt = now;
    const rate = sent / Math.max((now - this.#since) / 1000, 0.001);
    this.#write(
      `${ERASE}${group(sent)} events sent, ${group(taken)} taken, ${group(Math.round(rate))}/s`,
    );
  }

  /** Makes room for what is written next. */
  clear(): void {
    if (this.#shownAt !== -Infinity) this.#write?.(ERASE);
    this.#shownAt = -Infinity;
  }
}

/** `12,345` */
function group(number: number): string {
  return number.toLocaleString("en");
}
