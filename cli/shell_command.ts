/**
 * Owns running a command line in a shell: its input, its output, its end by itself or by force. Must not
 * know events, or what the output is good for.
 *
 * Nothing but the input depends on what somebody else sent: the command line is what the user has typed,
 * to the letter.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { messageOf } from "./errors.ts";
import { formatBytes } from "./units.ts";

/** The exit codes that shells and timeout(1) use for what was not the command's own end. */
const CODES = { timedOut: 124, notExecutable: 126, notFound: 127, killed: 137 };

/** How long the output of a command that has exited must bring nothing more, in milliseconds. */
const QUIET_MS = 50;

/** How often that is waited for, at most, before the rest is left to the background process that writes it. */
const MAX_QUIET_WAITS = 10;

const isWindows = Deno.build.os === "windows";

/** The program to which command lines are given. */
export const SHELL: string = isWindows ? "cmd" : "sh";

/** What became of a command. */
export interface Execution {
  /** What it wrote to its standard output, without the line ends at the end. */
  readonly output: string;
  /** Its exit code, or 124 (took too long), 126 or 127 (could not be started), 137 (killed). */
  readonly code: number;
  /** Why it did not end by itself, or not well; `null` if it did. */
  readonly fault: string | null;
}

/** The limits of a command. */
export interface ExecutionLimits {
  /** How long it may take, in milliseconds. */
  readonly timeout: number;
  /** How much it may print, in bytes. */
  readonly maxOutputBytes: number;
}

/** Runs one command again and again, each time with another input; several at a time if need be. */
export class Executor {
  readonly #command: string;
  readonly #limits: ExecutionLimits;
  readonly #running = new Set<Deno.ChildProcess>();

  /** Makes one for a command line, as a person would type it into a shell. */
  constructor(command: string, limits: ExecutionLimits) {
    this.#command = command;
    this.#limits = limits;
  }

  /** Runs it to its end. Never rejects: what goes wrong is told. */
  async run(input: Uint8Array): Promise<Execution> {
    let child: Deno.ChildProcess;
    try {
      child = this.#spawn();
    } catch (error) {
      return failureToStart(error);
    }
    this.#running.add(child);
    try {
      return await this.#attend(child, input);
    } finally {
      this.#running.delete(child);
    }
  }

  /** Ends all that are running, at once. */
  killAll(): void {
    for (const child of this.#running) kill(child);
  }

  #spawn(): Deno.ChildProcess {
    return new Deno.Command(SHELL, {
      // cmd takes what stands between the first and the last quotation mark as it is.
      args: isWindows ? ["/d", "/s", "/c", `"${this.#command}"`] : ["-c", this.#command],
      windowsRawArguments: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      // In a group of its own, it does not get the Ctrl+C that is meant for this program, and can be
      // ended together with what it has started.
      detached: !isWindows,
    }).spawn();
  }

  async #attend(child: Deno.ChildProcess, input: Uint8Array): Promise<Execution> {
    const { timeout, maxOutputBytes } = this.#limits;
    const output = new BoundedOutput(child.stdout, maxOutputBytes);
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), timeout);
    // Nobody waits for that: what has got away from a command that has ended may keep its input open.
    feed(child.stdin, input);
    const reading = output.read();
    const exited = child.status.then(() => "exited" as const);
    const how = await Promise.race([reading, exited, late.promise]);
    // One that has closed its output may go on, and a background process may keep it open.
    const end = how === "ended"
      ? await Promise.race([exited, late.promise])
      : how === "exited"
      ? await output.rest(reading)
      : how;
    clearTimeout(timer);
    if (end === "late" || end === "full") kill(child);
    await output.cancel();
    const { code } = await child.status;
    const text = output.text;
    if (end === "late") {
      return { output: text, code: CODES.timedOut, fault: `it took longer than ${timeout} ms` };
    }
    if (end === "full") {
      const fault = `it printed more than ${formatBytes(maxOutputBytes)}`;
      return { output: "", code: CODES.killed, fault };
    }
    return { output: text, code, fault: code === 0 ? null : `it ended with code ${code}` };
  }
}

/** Reads an output, up to a limit. */
class BoundedOutput {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #most: number;
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>, most: number) {
    this.#reader = stream.getReader();
    this.#most = most;
  }

  /** Reads until it ends, or is too much. */
  async read(): Promise<"ended" | "full"> {
    for (;;) {
      const { value } = await this.#reader.read();
      if (!value) return "ended";
      this.#length += value.length;
      if (this.#length > this.#most) return "full";
      this.#chunks.push(value);
    }
  }

  /**
   * Waits, of a command that has exited, for the rest of its output, which `reading` reads: until the end,
   * or until nothing more comes.
   */
  async rest(reading: Promise<"ended" | "full">): Promise<"ended" | "full" | "quiet"> {
    let length = this.#length;
    // Twice in a row, as a busy event loop may be late to read what is there.
    for (let waits = 0, quiet = 0; waits < MAX_QUIET_WAITS && quiet < 2; waits++) {
      const { promise, resolve } = Promise.withResolvers<null>();
      const timer = setTimeout(() => resolve(null), QUIET_MS);
      const end = await Promise.race([reading, promise]);
      clearTimeout(timer);
      if (end) return end;
      quiet = this.#length === length ? quiet + 1 : 0;
      length = this.#length;
    }
    return "quiet";
  }

  /** Reads no more, even if it never ends. */
  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }

  /** What has been read, as text, without the line ends at the end. */
  get text(): string {
    return new TextDecoder().decode(concat(this.#chunks)).replace(/[\r\n]+$/, "");
  }
}

async function feed(stdin: WritableStream<Uint8Array>, input: Uint8Array): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(input);
    await writer.close();
  } catch {
    // A command need not read what it is given.
  }
}

/** Kills a command, and what it has started. */
function kill(child: Deno.ChildProcess): void {
  try {
    Deno.kill(isWindows ? child.pid : -child.pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** The shell itself could not be started; what it cannot start is told by its exit code. */
function failureToStart(error: unknown): Execution {
  const isMissing = error instanceof Deno.errors.NotFound;
  const why = isMissing ? `there is no ${SHELL}` : messageOf(error);
  return {
    output: "",
    code: isMissing ? CODES.notFound : CODES.notExecutable,
    fault: `it could not be started: ${why}`,
  };
}
