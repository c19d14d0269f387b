/**
 * Owns the relay that is measured: a child process, its address, its CPU time, its end. Must not
 * know the traffic.
 *
 * @module
 */

import { TextLineStream } from "@std/streams/text-line-stream";
import { within } from "./within.ts";

const START_MS = 30_000;
const STOP_MS = 10_000;

/** The unit of the times in `/proc/<pid>/stat` (`USER_HZ`), the same on all usual systems. */
const TICK_MICROS = 10_000;

/** A relay in a process of its own. */
export class RelayProcess implements AsyncDisposable {
  /** The port that it listens on, of 127.0.0.1. */
  readonly port: number;

  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Starts the relay of the checkout in `folder`, until `signal`, and waits until it listens. */
  static async start(folder: string, signal: AbortSignal): Promise<RelayProcess> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-net", "mod.ts", "--port", "0", "--log", "json", "--no-echo"],
      cwd: folder,
      stdin: "null",
      stdout: "piped",
      signal,
    }).spawn();
    try {
      return new RelayProcess(child, await within(START_MS, "Starting a relay", readPort(child)));
    } catch (error) {
      await stop(child);
      throw error;
    }
  }

  /** The CPU time spent so far, user and system, in microseconds; `null` where it is not known. */
  cpuMicros(): number | null {
    if (Deno.build.os !== "linux") return null;
    const stat = Deno.readTextFileSync(`/proc/${this.#child.pid}/stat`);
    // The second field is the name in parentheses, which may have spaces; `utime` is the 14th.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
  }

  /** Stops the process, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await stop(this.#child);
  }
}

/** The port that the first line of the log names. The rest is read so that the pipe never fills. */
async function readPort(child: Deno.ChildProcess): Promise<number> {
  const lines: ReadableStream<string> = child.stdout
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  const reader = lines.getReader();
  const { value } = await reader.read();
  if (value === undefined) throw new Error("The relay ended before it listened");
  reader.releaseLock();
  lines.pipeTo(new WritableStream()).catch(() => {});
  return JSON.parse(value).port;
}

/** Ends a process, in order if it can. */
async function stop(child: Deno.ChildProcess): Promise<void> {
  kill(child, "SIGTERM");
  try {
    await within(STOP_MS, "Stopping the relay", child.status);
  } catch {
    kill(child, "SIGKILL");
    await within(STOP_MS, "Killing the relay", child.status);
  }
}

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended already
  }
}
