/**
 * Takes over the screen and keys of a terminal, and restores both however the program ends.
 *
 * | event                                   | screen and keys                                   |
 * | --------------------------------------- | ------------------------------------------------- |
 * | disposed of, `Deno.exit()`, a crash     | are restored                                      |
 * | SIGHUP, SIGQUIT                         | are restored, and the process ends                |
 * | SIGTSTP (Ctrl+Z)                        | are restored, and the process stops               |
 * | SIGCONT, or the process did not stop    | are taken over again                              |
 * | SIGWINCH                                | are kept                                          |
 *
 * @module
 */

import { encoder } from "../protocol/utf8.ts";
import { isTerminal } from "./terminal.ts";

/**
 * Enters the alternate screen without a cursor, and leaves it (xterm's private modes 1049 and 25).
 */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/** Moves to the top left corner; erases to the end of the line; erases all below (ECMA-48). */
const HOME = "\x1b[H";
const ERASE_LINE = "\x1b[K";
const ERASE_BELOW = "\x1b[J";

/** The signals that end the process, with their numbers. */
const FATAL = { SIGHUP: 1, SIGQUIT: 3 } as const;

/** How long the system may take to stop the process, in milliseconds. */
const STOPPING_MS = 50;

/**
 * How often a write to a full non-blocking terminal is retried, and after how many milliseconds.
 */
const MAX_TRIES = 40;
const RETRY_MS = 5;

const isWindows = Deno.build.os === "windows";

/** Receives the events of a {@link Screen}. */
export interface ScreenListener {
  /** A key was pressed. Never called if standard input is not a terminal. */
  onKey?(key: string): void;
  /** The screen was taken over again, and is empty, or has another size. */
  onChange?(): void;
}

/** Draws on the whole screen until it is disposed of or the process ends. */
export class Screen implements Disposable {
  readonly #write: (text: string) => void;
  readonly #listener: ScreenListener;
  readonly #keys: ReadableStreamDefaultReader<string> | null;
  readonly #signals: Partial<Record<Deno.Signal, () => void>> = isWindows ? {} : {
    SIGTSTP: () => this.#suspend(),
    SIGCONT: () => this.#resume(),
    SIGWINCH: () => this.#listener.onChange?.(),
    SIGHUP: () => Deno.exit(128 + FATAL.SIGHUP),
    SIGQUIT: () => Deno.exit(128 + FATAL.SIGQUIT),
  };
  #isOpen = false;
  /** Runs while it is unknown whether the process was stopped. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Takes over the screen. By default, text goes to standard output. */
  constructor(write: (text: string) => void = writeToStdout, listener: ScreenListener = {}) {
    this.#write = write;
    this.#listener = listener;
    const { onKey } = listener;
    this.#keys = onKey && isTerminal("stdin") ? readKeys(onKey) : null;
    // A second signal or an uncaught error ends the process at any point.
    for (const end of ENDS) globalThis.addEventListener(end, this.#leave);
    for (const [name, listener] of Object.entries(this.#signals)) {
      Deno.addSignalListener(name as Deno.Signal, listener);
    }
    this.#enter();
  }

  /** Draws these lines in place of the earlier ones. They must fit the screen. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    const text = lines.map((line) => line + ERASE_LINE).join("\r\n");
    this.#write(HOME + text + ERASE_BELOW);
  }

  /** Restores the screen. */
  [Symbol.dispose](): void {
    for (const end of ENDS) globalThis.removeEventListener(end, this.#leave);
    for (const [name, listener] of Object.entries(this.#signals)) {
      Deno.removeSignalListener(name as Deno.Signal, listener);
    }
    clearTimeout(this.#timer);
    this.#leave();
    this.#keys?.cancel().catch(() => {}); // Otherwise the process ends only with the next key.
  }

  #enter(): void {
    if (this.#keys) setRaw(true);
    if (!this.#isOpen) this.#write(ENTER);
    this.#isOpen = true;
  }

  #leave = (): void => {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#write(LEAVE);
    if (this.#keys) setRaw(false);
  };

  #suspend(): void {
    this.#leave();
    // Not SIGSTOP: with SIGTTIN, the system does not stop a process that no shell could continue.
    Deno.kill(Deno.pid, "SIGTTIN");
    this.#timer = setTimeout(() => this.#resume(), STOPPING_MS);
  }

  #resume(): void {
    clearTimeout(this.#timer);
    this.#enter();
    this.#listener.onChange?.();
  }
}

/** The events at the end of a process. */
const ENDS = ["unload", "error", "unhandledrejection"];

/**
 * Reads the keys of a terminal as they are pressed, without showing them, until the returned reader
 * is cancelled. Ctrl+C and similar keys stay signals.
 */
function readKeys(onKey: (key: string) => void): ReadableStreamDefaultReader<string> {
  const reader = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();
  const read = async () => {
    for (let text; (text = (await reader.read()).value) !== undefined;) {
      for (const key of text) onKey(key);
    }
  };
  read().catch(() => {}); // The terminal has gone.
  return reader;
}

function setRaw(isRaw: boolean): void {
  try {
    Deno.stdin.setRaw(isRaw, { cbreak: !isWindows });
  } catch {
    // The terminal has gone.
  }
}

/** Writes synchronously, so that nothing is left to write when the process ends. */
function writeToStdout(text: string): void {
  const bytes = encoder.encode(text);
  for (let written = 0, tries = 0; written < bytes.length && tries < MAX_TRIES;) {
    try {
      written += Deno.stdout.writeSync(bytes.subarray(written));
    } catch (error) {
      // Any other error means that the terminal has gone.
      if (!(error instanceof Deno.errors.WouldBlock)) return;
      written = 0; // A part that is written twice looks the same.
      tries++;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
