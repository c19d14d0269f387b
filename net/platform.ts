/**
 * Functions of the runtime that a client or a relay needs: system errors, memory, timers. The rooms
 * that also run in browsers use them and name no runtime themselves.
 *
 * @module
 */

/** Returns whether `error` reports a missing permission. */
export function isPermissionError(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable;
}

/** Returns a description of a failed connection attempt, with advice where possible. */
export function describeConnectError(error: unknown): string {
  if (error instanceof Deno.errors.ConnectionRefused) {
    return "connection refused; is a server running there?";
  }
  return error instanceof Error ? error.message : String(error);
}

/** Memory usage of the process, in bytes. */
export interface MemoryUsage {
  /** Size of the resident set. */
  readonly rss: number;
  /** Used part of the JavaScript heap. */
  readonly heapUsed: number;
}

/** Returns the memory usage of the process. */
export function memoryUsage(): MemoryUsage {
  return Deno.memoryUsage();
}

/** Lets the process exit although the timer is set. */
export function unrefTimer(timer: ReturnType<typeof setTimeout>): void {
  Deno.unrefTimer(timer);
}
