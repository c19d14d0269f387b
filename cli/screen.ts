/**
 * Takes over the screen and keys of a terminal, and restores both however the program ends.
 *
 * | event                                   | screen and keys                                   |
 * | --------------------------------------- | ------------------------------------------------- |
 * | disposed of, `Deno.exit()`, a crash     | are restored                                      |
 * | SIGHUP, SIGQUIT                         | are restored, and the process ends                |
 * | SIGTSTP (Ctrl+Z)                        | are restored, and the process stops               |
 * | SIGCONT, or the process did not stop    | are taken over again                              |
 *
 * @module
 */

import { isTerminal, sizeOfTerminal } from "./terminal.ts";
import type { Size } from "./top_view.ts";

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

const encoder = new TextEncoder();

/** Receives the events of a {@link Screen}. */
export interface ScreenListener {
  /** A key was pressed. Never called if standard input is not a terminal. */
  onKey?(key: string): void;
  /** The screen was taken over again, and is empty. */
  onResume?(): void;
}

/** Draws on the whole screen until it is disposed of or the process ends. */
export class Screen implements Disposable {
  readonly #write: (text: string) => void;
  readonly #listener: ScreenListener;
  readonly #keys: Keys | null;
  readonly #signals: Partial<Record<Deno.Signal, () => void>> = isWindows ? {} : {
    SIGTSTP: () => this.#suspend(),
    SIGCONT: () => this.#resume(),
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
    const onKey = (key: string) => listener.onKey?.(key);
    this.#keys = listener.onKey && isTerminal("stdin") ? new Keys(onKey) : null;
    // A second signal or an uncaught error ends the process at any point.
    for (const end of ENDS) globalThis.addEventListener(end, this.#leave);
    for (const [name, listener] of Object.entries(this.#signals)) {
      Deno.addSignalListener(name as Deno.Signal, listener);
    }
    this.#enter();
  }

  /** The current size of the screen. */
  get size(): Size {
    return sizeOfTerminal();
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
    this.#keys?.end();
  }

  #enter(): void {
    this.#keys?.take();
    if (!this.#isOpen) this.#write(ENTER);
    this.#isOpen = true;
  }

  #leave = (): void => {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#write(LEAVE);
    this.#keys?.giveBack();
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
    this.#listener.onResume?.();
  }
}

/** The events at the end of a process. */
const ENDS = ["unload", "error", "unhandledrejection"];

/**
 * Reads the keys of a terminal as they are pressed, without showing them. Ctrl+C and similar keys
 * stay signals.
 */
class Keys {
  readonly #reader = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();

  constructor(onKey: (key: string) => void) {
    this.#read(onKey);
  }

  async #read(onKey: (key: string) => void): Promise<void> {
    try {
      for (let text; (text = (await this.#reader.read()).value) !== undefined;) {
        for (const key of text) onKey(key);
      }
    } catch {
      // The terminal has gone.
    }
  }

  take(): void {
    setRaw(true);
  }

  giveBack(): void {
    setRaw(false);
  }

  /** Stops reading. Otherwise the process could not end before the next key. */
  end(): void {
    this.#reader.cancel().catch(() => {});
  }
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
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    try {
      return writeAll(encoder.encode(text));
    } catch (error) {
      // Any other error means that the terminal has gone. A retry may write a part twice, which
      // looks the same.
      if (!(error instanceof Deno.errors.WouldBlock)) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}

function writeAll(bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) {
    written += Deno.stdout.writeSync(bytes.subarray(written));
  }
}
