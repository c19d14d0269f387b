/**
 * Owns the whole screen of a terminal and its keys for a while, and gives both back as they were, however
 * that ends. Must not know what is shown, or what a key means.
 *
 * | what happens                            | screen and keys                                   |
 * | --------------------------------------- | ------------------------------------------------- |
 * | disposed of, `Deno.exit()`, a crash     | are given back                                    |
 * | SIGHUP, SIGQUIT                         | are given back, and the process ends with it      |
 * | SIGTSTP (Ctrl+Z)                        | are given back, and the process stops             |
 * | SIGCONT, or nothing could stop it       | are taken again                                   |
 *
 * @module
 */

import { isTerminal, sizeOfTerminal } from "./terminal.ts";
import type { Size } from "./top_view.ts";

/** The alternate screen without a cursor, and back (xterm's private modes 1049 and 25). */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/** To the top left corner; erase to the end of the line; erase all below (ECMA-48). */
const HOME = "\x1b[H";
const ERASE_LINE = "\x1b[K";
const ERASE_BELOW = "\x1b[J";

/** The signals that end the process, with their numbers. */
const FATAL = { SIGHUP: 1, SIGQUIT: 3 } as const;

/** How long the system may take to stop the process, in milliseconds. */
const STOPPING_MS = 50;

/** How often a write is tried again that a non-blocking terminal has no room for, and how soon. */
const MAX_TRIES = 40;
const RETRY_MS = 5;

const isWindows = Deno.build.os === "windows";

const encoder = new TextEncoder();

/** Who is told what happens at a {@link Screen}. */
export interface ScreenListener {
  /** A key was pressed, if somebody sits there. */
  onKey?(key: string): void;
  /** The screen was taken again, and is empty. */
  onResume?(): void;
}

/** Draws on the whole screen until it is disposed of, or the process ends. */
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
  /** Runs while it is not clear yet whether the process was stopped. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Takes the screen. Text goes to standard output, by default. */
  constructor(write: (text: string) => void = writeToStdout, listener: ScreenListener = {}) {
    this.#write = write;
    this.#listener = listener;
    const onKey = (key: string) => listener.onKey?.(key);
    this.#keys = listener.onKey && isTerminal("stdin") ? new Keys(onKey) : null;
    // A second signal ends the process at once, wherever it is; so does an error that nobody catches.
    for (const end of ENDS) globalThis.addEventListener(end, this.#leave);
    for (const [name, listener] of Object.entries(this.#signals)) {
      Deno.addSignalListener(name as Deno.Signal, listener);
    }
    this.#enter();
  }

  /** How much room there is now. */
  get size(): Size {
    return sizeOfTerminal();
  }

  /** Shows these lines, in place of what was shown. They must not be more, or wider, than fit. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    const text = lines.map((line) => line + ERASE_LINE).join("\r\n");
    this.#write(HOME + text + ERASE_BELOW);
  }

  /** Gives the screen back. */
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
    // Not SIGSTOP: where no shell could let the process go on, the system does not stop it for this.
    Deno.kill(Deno.pid, "SIGTTIN");
    this.#timer = setTimeout(() => this.#resume(), STOPPING_MS);
  }

  #resume(): void {
    clearTimeout(this.#timer);
    this.#enter();
    this.#listener.onResume?.();
  }
}

/** The events of the end of a process. */
const ENDS = ["unload", "error", "unhandledrejection"];

/** The keys of a terminal, each told as it is pressed, and not shown. Ctrl+C and the like stay signals. */
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

  /** Reads no more, or the process could not end before the next key. */
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

/** Writes at once, so that nothing is left to be written when the process ends. */
function writeToStdout(text: string): void {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    try {
      return writeAll(encoder.encode(text));
    } catch (error) {
      // There may be no terminal any more to be told. And all of it may be written twice: it looks the same.
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
