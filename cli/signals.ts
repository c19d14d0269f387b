/**
 * Owns how a signal ends a command: in order at first, at once if that is not enough.
 *
 * @module
 */

/**
 * How soon after the first signal another one counts, in milliseconds. Ctrl+C under `deno task` or
 * npx arrives twice: from the terminal, and passed on by the parent. Who is in a hurry takes longer.
 */
const SECOND_SIGNAL_MS = 200;

/** The signals that ask a command to stop, with their numbers. */
const NUMBERS: { readonly [name in Deno.Signal]?: number } = Deno.build.os === "windows"
  ? { SIGINT: 2, SIGBREAK: 21 }
  : { SIGINT: 2, SIGTERM: 15 };

/** Waits for a signal to stop; another one that is not its echo ends the process at once. */
export function firstSignal(): Promise<Deno.Signal> {
  const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
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
    this.exitCode = 128 + (NUMBERS[signal] ?? 0);
  }
}

/** Is aborted by the first signal to stop, with {@link Interrupted} for its reason. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  firstSignal().then((signal) => controller.abort(new Interrupted(signal)));
  return controller.signal;
}
