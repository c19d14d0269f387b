/**
 * Owns a server that is measured: a child process, its port, its CPU time, its memory, its end. Must
 * not know which server it is, or the traffic.
 *
 * @module
 */

import { within } from "./within.ts";

const START_MS = 30_000;
const STOP_MS = 10_000;
const RETRY_MS = 20;

/** The CPU that servers run on, and the one that the driver runs on, where there are two. */
const SERVER_CPU = 0;
const DRIVER_CPU = 1;

/** How to start a server. */
export interface ServerCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string;
}

/** CPU time by thread, in nanoseconds; the threads of child processes are among them. */
export type CpuTimes = ReadonlyMap<string, number>;

/** A server in a process of its own. */
export class ServerProcess implements AsyncDisposable {
  /** The port that it listens on, of 127.0.0.1. */
  readonly port: number;

  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /**
   * Starts the server that `toCommand` describes for a free port, until `signal`, and waits until it
   * accepts. If `pinned`, it is kept on one CPU; {@link pinDriver} keeps the driver off it.
   */
  static async start(
    toCommand: (port: number) => ServerCommand,
    signal: AbortSignal,
    pinned = false,
  ): Promise<ServerProcess> {
    const port = freePort();
    const { program, args, cwd = "." } = toCommand(port);
    const [first, ...rest] = pinned
      ? ["taskset", "-c", `${SERVER_CPU}`, program, ...args]
      : [program, ...args];
    const child = new Deno.Command(first!, {
      args: rest,
      cwd,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      signal,
    }).spawn();
    try {
      await within(START_MS, `Starting ${program}`, untilAccepting(child, port));
      return new ServerProcess(child, port);
    } catch (error) {
      await stop(child);
      throw error;
    }
  }

  /** The CPU time spent so far, user and system; `null` where it is not known. */
  cpuTimes(): CpuTimes | null {
    if (Deno.build.os !== "linux") return null;
    const times = new Map<string, number>();
    addCpuTimes(times, this.#child.pid);
    return times;
  }

  /** The resident memory, in KiB; `null` where it is not known. */
  residentKib(): number | null {
    if (Deno.build.os !== "linux") return null;
    const status = Deno.readTextFileSync(`/proc/${this.#child.pid}/status`);
    return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]);
  }

  /** How many files and sockets it holds; infinitely many where that is not known. */
  openFiles(): number {
    if (Deno.build.os !== "linux") return Infinity;
    return [...Deno.readDirSync(`/proc/${this.#child.pid}/fd`)].length;
  }

  /** Stops the process, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await stop(this.#child);
  }
}

/**
 * The CPU time between two readings, in microseconds. Threads that have ended in between count for
 * nothing: they are helpers that had been idle.
 */
export function cpuMicrosBetween(before: CpuTimes | null, after: CpuTimes | null): number | null {
  if (before === null || after === null) return null;
  let nanos = 0;
  for (const [thread, time] of after) nanos += time - (before.get(thread) ?? 0);
  return nanos / 1000;
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

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

async function untilAccepting(child: Deno.ChildProcess, port: number): Promise<void> {
  let ended = false;
  child.status.then(() => ended = true);
  for (;;) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch (error) {
      if (ended) throw new Error("The server ended before it listened", { cause: error });
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Adds what each thread of a process has used, and those of its children. */
function addCpuTimes(times: Map<string, number>, pid: number): void {
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const task = `/proc/${pid}/task/${name}`;
    // The exact sum behind the 10 ms ticks of `stat`; its first field is the time on a CPU.
    times.set(`${pid}/${name}`, Number(readOr(`${task}/schedstat`, "0").split(" ")[0]));
    for (const child of readOr(`${task}/children`, "").split(" ").filter(Boolean)) {
      addCpuTimes(times, Number(child));
    }
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

/** Ends a process, in order if it can. */
async function stop(child: Deno.ChildProcess): Promise<void> {
  kill(child, "SIGTERM");
  try {
    await within(STOP_MS, "Stopping the server", child.status);
  } catch {
    kill(child, "SIGKILL");
    await within(STOP_MS, "Killing the server", child.status);
  }
}

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended already
  }
}
