/**
 * The CPU time and memory of a process, as Linux reports them.
 *
 * @module
 */

/** Whether this machine tells. */
export const canTell: boolean = Deno.build.os === "linux";

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  return statusOf(pid, "VmRSS");
}

/** The most resident memory that a process has had, in bytes. */
export function peakBytes(pid: number): number {
  return statusOf(pid, "VmHWM");
}

/** How many file descriptors a process has open. */
export function openFiles(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

function statusOf(pid: number, field: string): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)![1]) * 1024;
}
