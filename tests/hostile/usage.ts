/**
 * Owns what a process costs, as Linux tells it.
 *
 * @module
 */

/** Whether this machine tells. */
export const canTell: boolean = Deno.build.os === "linux";

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}

/** How many file descriptors a process has open. */
export function openFiles(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}
