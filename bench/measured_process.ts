/**
 * A process that is measured: its start, the CPU it runs on, its CPU time, its memory, its end.
 *
 * @module
 */

import { within } from "./within.ts";

const STOP_MS = 10_000;

/** The CPU that servers run on, and the one that the driver runs on, where there are two. */
export const SERVER_CPU = 0;
export const DRIVER_CPU = 1;

/** How to start a program. */
export interface ProcessCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Which of its processes are measured, by their command lines; all where it does not say. */
  readonly measured?: RegExp;
}

/** How a process is to run. */
export interface ProcessOptions {
  /** The CPUs that it may use; those of this process where it does not say. */
  readonly cpus?: readonly number[];
  /** Whether its input and output are for this process, or for nobody. */
  readonly piped?: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** A program that runs. */
export class MeasuredProcess implements AsyncDisposable {
  /** The process; with its ends of the pipes, if it has any. */
  protected readonly child: Deno.ChildProcess;
  readonly #measured: RegExp;

  /** Starts a program. */
  constructor(command: ProcessCommand, { cpus, piped = false, signal }: ProcessOptions) {
    const { program, args, cwd = ".", measured = /^/ } = command;
    this.#measured = measured;
    const [first, ...rest] = cpus
      ? ["taskset", "-c", cpus.join(","), program, ...args]
      : [program, ...args];
    const io = piped ? "piped" : "null";
    this.child = new Deno.Command(first!, {
      args: rest,
      cwd,
      stdin: io,
      stdout: io,
      stderr: io,
      signal,
    }).spawn();
  }

  /**
   * Tells the CPU time from this call on, user and system, in microseconds; `null` where that is not
   * known. Threads that have ended meanwhile count for nothing: they are helpers that had been idle.
   */
  meterCpu(): () => number | null {
    if (Deno.build.os !== "linux") return () => null;
    const before = cpuTimes(this.child.pid, this.#measured);
    return () => {
      let nanos = 0;
      for (const [thread, time] of cpuTimes(this.child.pid, this.#measured)) {
        nanos += time - (before.get(thread) ?? 0);
      }
      return nanos / 1000;
    };
  }

  /** The resident memory, in KiB; `null` where it is not known. */
  residentKib(): number | null {
    if (Deno.build.os !== "linux") return null;
    const status = Deno.readTextFileSync(`/proc/${this.child.pid}/status`);
    return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]);
  }

  /** How many files and sockets it holds; infinitely many where that is not known. */
  openFiles(): number {
    if (Deno.build.os !== "linux") return Infinity;
    return [...Deno.readDirSync(`/proc/${this.child.pid}/fd`)].length;
  }

  /** Ends the process, in order if it can, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill("SIGTERM");
    try {
      await within(STOP_MS, "Stopping a process", this.child.status);
    } catch {
      this.#kill("SIGKILL");
      await within(STOP_MS, "Killing a process", this.child.status);
    }
  }

  #kill(signal: Deno.Signal): void {
    try {
      this.child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended already
    }
  }
}

/** The CPU time that a process spends during `work`, and the wall time that this takes. */
export async function meter(
  process: MeasuredProcess,
  work: () => Promise<void>,
): Promise<{ cpuMicros: number | null; seconds: number }> {
  const cpu = process.meterCpu();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  return { cpuMicros: cpu(), seconds };
}

/** Keeps this process on a CPU of its own; `false` if that is not possible here. */
export async function pinDriver(): Promise<boolean> {
  if (Deno.build.os !== "linux" || navigator.hardwareConcurrency <= DRIVER_CPU) return false;
  try {
    const args = ["-a", "-c", "-p", `${DRIVER_CPU}`, `${Deno.pid}`];
    return (await new Deno.Command("taskset", { args, stderr: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * CPU time by thread, in nanoseconds, of those processes whose command lines are `measured`; child
 * processes are among them.
 */
function cpuTimes(
  pid: number,
  measured: RegExp,
  times = new Map<string, number>(),
): Map<string, number> {
  const isMeasured = measured.test(readOr(`/proc/${pid}/cmdline`, "").replaceAll("\0", " "));
  for (const name of threadsOf(pid)) {
    const task = `/proc/${pid}/task/${name}`;
    // The exact sum behind the 10 ms ticks of `stat`; its first field is the time on a CPU.
    const time = () => Number(readOr(`${task}/schedstat`, "0").split(" ")[0]);
    if (isMeasured) times.set(`${pid}/${name}`, time());
    for (const child of readOr(`${task}/children`, "").split(" ").filter(Boolean)) {
      cpuTimes(Number(child), measured, times);
    }
  }
  return times;
}

/** The numbers of a process's threads; none if it has just ended. */
function threadsOf(pid: number): string[] {
  try {
    return Array.from(Deno.readDirSync(`/proc/${pid}/task`), ({ name }) => name);
  } catch {
    return [];
  }
}

/** The text of a file, or `otherwise` if that has just gone. */
function readOr(path: string, otherwise: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return otherwise;
  }
}
