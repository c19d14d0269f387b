/**
 * What the runtime says and does that a client or a relay needs: errors of the operating system, memory, timers.
 * The rooms that run in browsers as well ask here, and name no runtime themselves.
 *
 * @module
 */

/** Whether `error` says that the program has not the permission to do something. */
export function isPermissionError(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable;
}

/** Returns what the operating system says of a connection that could not be made, with advice where there is some. */
export function describeConnectError(error: unknown): string {
  if (error instanceof Deno.errors.ConnectionRefused) {
    return "connection refused; is a server running there?";
  }
  return error instanceof Error ? error.message : String(error);
}

/** The memory of the process, in bytes. */
export interface MemoryUsage {
  /** The resident set. */
  readonly rss: number;
  /** The part of JavaScript's heap that is in use. */
  readonly heapUsed: number;
}

/** Returns how much memory the process has. */
export function memoryUsage(): MemoryUsage {
  return Deno.memoryUsage();
}

/** Lets the process end although a timer is set. */
export function unrefTimer(timer: ReturnType<typeof setTimeout>): void {
  Deno.unrefTimer(timer);
}
