/**
 * Stops a command on a signal: in order at the first one, at once at a second one.
 *
 * @module
 */

import { hasTerminal } from "./terminal.ts";

/**
 * How long after the first signal another one is ignored, in milliseconds. Under `deno task` or
 * npx, one Ctrl+C arrives twice: from the terminal, and passed on by the parent. A second key press
 * takes longer than that.
 */
const SECOND_SIGNAL_MS = 200;

/** The signals that stop a command, with their numbers. */
const NUMBERS: { readonly [name in Deno.Signal]?: number } = Deno.build.os === "windows"
  ? { SIGINT: 2, SIGBREAK: 21 }
  : { SIGINT: 2, SIGTERM: 15 };

/** The number of SIGHUP. */
const HANGUP = 1;

/** The options of signal handling. */
export interface SignalOptions {
  /**
   * Whether closing the terminal also stops the command. SIGHUP reports it to a program that was
   * started in a terminal. Otherwise SIGHUP is not handled, since that would undo `nohup`, which
   * leaves no standard stream on a terminal.
   */
  readonly hangup?: boolean;
}

/**
 * Waits for a signal to stop, and resolves to it. A second signal ends the process at once, unless
 * it follows so soon that it is a duplicate.
 */
export function firstSignal({ hangup = false }: SignalOptions = {}): Promise<Deno.Signal> {
  const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
  if (hangup && hasTerminal() && Deno.build.os !== "windows") {
    // Both the system and a shell may send it, so a second one is ignored.
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

/** A signal ended the command before it was done. The exit code is that of the signal. */
export class Interrupted extends Error {
  /** The exit code that shells interpret as "ended by that signal". */
  readonly exitCode: number;

  /** Creates the error for a signal. */
  constructor(signal: Deno.Signal) {
    super(`Ended by ${signal}`);
    this.exitCode = 128 + (NUMBERS[signal] ?? HANGUP);
  }
}

/**
 * Returns a signal that is aborted with {@link Interrupted} by the first signal to stop, as in
 * {@link firstSignal}.
 */
export function stopSignal(options?: SignalOptions): AbortSignal {
  const controller = new AbortController();
  firstSignal(options).then((signal) => controller.abort(new Interrupted(signal)));
  return controller.signal;
}
