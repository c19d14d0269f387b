/**
 * Owns how a signal ends a command: in order at first, at once if that is not enough.
 *
 * @module
 */

import { hasTerminal } from "./terminal.ts";

/**
 * How soon after the first signal another one counts, in milliseconds. Ctrl+C under `deno task` or
 * npx arrives twice: from the terminal, and passed on by the parent. Who is in a hurry takes longer.
 */
const SECOND_SIGNAL_MS = 200;

/** The signals that ask a command to stop, with their numbers. */
const NUMBERS: { readonly [name in Deno.Signal]?: number } = Deno.build.os === "windows"
  ? { SIGINT: 2, SIGBREAK: 21 }
  : { SIGINT: 2, SIGTERM: 15 };

/** What SIGHUP is as a number. */
const HANGUP = 1;

/** What a command asks of signals. */
export interface SignalOptions {
  /**
   * Whether the end of the terminal is a signal to stop, too. SIGHUP says so to a program that was started
   * in one. Elsewhere it is not listened to: that would undo what `nohup` does, which leaves no standard
   * stream to a terminal.
   */
  readonly hangup?: boolean;
}

/** Waits for a signal to stop; another one that is not its echo ends the process at once. */
export function firstSignal({ hangup = false }: SignalOptions = {}): Promise<Deno.Signal> {
  const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
  if (hangup && hasTerminal() && Deno.build.os !== "windows") {
    // Both the system and a shell may send it: a second one means no more than the first.
    Deno.addSignalListener("SIGHUP", () => resolve("SIGHUP"));
  }
  let first: number | null = null;
  for (const [name, number] of Object.entries(NUMBERS)) {
    Deno.addSignalListener(name as Deno.Signal, () => {
      const now = performance.now();
      first ??= now;
      if (now - first >= SECOND_SIGNAL_MS) Deno.exit(128 + number);
      resolve(name as Deno.Signal);
    });
  }
  return promise;
}

/** A signal has ended the command before it was done: the exit code is that of the signal. */
export class Interrupted extends Error {
  /** What a shell takes for "ended by that signal". */
  readonly exitCode: number;

  /** Makes one for a signal. */
  constructor(signal: Deno.Signal) {
    super(`Ended by ${signal}`);
    this.exitCode = 128 + (NUMBERS[signal] ?? HANGUP);
  }
}

/** Is aborted by the first signal to stop, as {@link firstSignal} tells, with {@link Interrupted}. */
export function stopSignal(options?: SignalOptions): AbortSignal {
  const controller = new AbortController();
  firstSignal(options).then((signal) => controller.abort(new Interrupted(signal)));
  return controller.signal;
}
