/**
 * Owns the whole screen of a terminal for a while, and gives it back as it was. Must not know what it
 * shows.
 *
 * @module
 */

import type { Size } from "./top_view.ts";

/** The alternate screen without a cursor, and back (xterm's private modes 1049 and 25). */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/** To the top left corner; erase to the end of the line; erase all below (ECMA-48). */
const HOME = "\x1b[H";
const ERASE_LINE = "\x1b[K";
const ERASE_BELOW = "\x1b[J";

const encoder = new TextEncoder();

/** Draws on the whole screen until it is disposed of, or the process ends. */
export class Screen implements Disposable {
  readonly #write: (text: string) => void;
  #isOpen = true;

  /** Takes the screen. Text goes to standard output, by default. */
  constructor(write: (text: string) => void = writeToStdout) {
    this.#write = write;
    this.#write(ENTER);
    // A second signal ends the process at once, wherever it is.
    globalThis.addEventListener("unload", this.#leave);
  }

  /** How much room there is now. */
  get size(): Size {
    return Deno.consoleSize();
  }

  /** Shows these lines, in place of what was shown. They must not be more, or wider, than fit. */
  draw(lines: readonly string[]): void {
    const text = lines.map((line) => line + ERASE_LINE).join("\r\n");
    this.#write(HOME + text + ERASE_BELOW);
  }

  /** Gives the screen back. */
  [Symbol.dispose](): void {
    globalThis.removeEventListener("unload", this.#leave);
    this.#leave();
  }

  #leave = (): void => {
    if (this.#isOpen) this.#write(LEAVE);
    this.#isOpen = false;
  };
}

/** Writes at once, so that nothing is left to be written when the process ends. */
function writeToStdout(text: string): void {
  const bytes = encoder.encode(text);
  for (let written = 0; written < bytes.length;) {
    written += Deno.stdout.writeSync(bytes.subarray(written));
  }
}
