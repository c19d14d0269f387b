/**
 * Runs a command line in a shell, with its input, output, time limit and output limit.
 *
 * Only the input comes from other clients. The command line is exactly the one that the user typed.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { messageOf } from "./errors.ts";
import { formatBytes } from "../protocol/units.ts";

/** The exit codes of shells and timeout(1) for a command that did not end by itself. */
const CODES = { timedOut: 124, notExecutable: 126, notFound: 127, killed: 137 };

/**
 * How long the output of an exited command must stay silent before it counts as complete, in
 * milliseconds.
 */
const QUIET_MS = 50;

/**
 * The maximum number of such waits. After that, the rest of the output is left to the background
 * process that writes it.
 */
const MAX_QUIET_WAITS = 10;

const isWindows = Deno.build.os === "windows";

/** The shell that runs command lines. */
export const SHELL: string = isWindows ? "cmd" : "sh";

/** The result of a command. */
export interface Execution {
  /** Its standard output, without trailing line ends. */
  readonly output: string;
  /** Its exit code, or 124 (timed out), 126 or 127 (could not be started), 137 (killed). */
  readonly code: number;
  /** Why it failed or was ended; `null` on success. */
  readonly fault: string | null;
}

/** The limits of a command. */
export interface ExecutionLimits {
  /** The time limit, in milliseconds. */
  readonly timeout: number;
  /** The output limit, in bytes. */
  readonly maxOutputBytes: number;
}

/** Runs one command repeatedly, each time with a different input. Runs may overlap. */
export class Executor {
  readonly #command: string;
  readonly #limits: ExecutionLimits;
  readonly #running = new Set<Deno.ChildProcess>();

  /** Creates an executor for a command line, as a user would type it into a shell. */
  constructor(command: string, limits: ExecutionLimits) {
    this.#command = command;
    this.#limits = limits;
  }

  /** Runs the command to its end. Resolves to the result and never rejects. */
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

  /** Kills all running commands at once. */
  killAll(): void {
    for (const child of this.#running) kill(child);
  }

  #spawn(): Deno.ChildProcess {
    return new Deno.Command(SHELL, {
      // cmd takes the text between the first and the last quotation mark literally.
      args: isWindows ? ["/d", "/s", "/c", `"${this.#command}"`] : ["-c", this.#command],
      windowsRawArguments: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      // In a process group of its own, the command does not receive the Ctrl+C meant for this
      // program, and can be killed together with its children.
      detached: !isWindows,
    }).spawn();
  }

  async #attend(child: Deno.ChildProcess, input: Uint8Array): Promise<Execution> {
    const { timeout, maxOutputBytes } = this.#limits;
    const output = new BoundedOutput(child.stdout, maxOutputBytes);
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), timeout);
    // Not awaited: a background process may keep the input open after the command has ended.
    feed(child.stdin, input);
    const reading = output.read();
    const exited = child.status.then(() => "exited" as const);
    const how = await Promise.race([reading, exited, late.promise]);
    // A command may go on after it has closed its output, and a background process may keep the
    // output open.
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
  readonly #max: number;
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>, max: number) {
    this.#reader = stream.getReader();
    this.#max = max;
  }

  /** Reads until the output ends or exceeds the limit. Resolves to which of the two happened. */
  async read(): Promise<"ended" | "full"> {
    for (;;) {
      const { value } = await this.#reader.read();
      if (!value) return "ended";
      this.#length += value.length;
      if (this.#length > this.#max) return "full";
      this.#chunks.push(value);
    }
  }

  /**
   * Waits for the rest of the output of an exited command, which `reading` reads. Resolves when the
   * output ends or falls silent.
   */
  async rest(reading: Promise<"ended" | "full">): Promise<"ended" | "full" | "quiet"> {
    let length = this.#length;
    // Twice in a row, since a busy event loop may be late to read available output.
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

  /** Stops reading, even if the output never ends. */
  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }

  /** The output so far, as text, without trailing line ends. */
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
    // A command need not read its input.
  }
}

/** Kills a command and its children. */
function kill(child: Deno.ChildProcess): void {
  try {
    Deno.kill(isWindows ? child.pid : -child.pid, "SIGKILL");
  } catch {
    // It has already ended.
  }
}

/**
 * Returns the result for a shell that could not be started. For a command that the shell cannot
 * start, the shell's exit code says so.
 */
function failureToStart(error: unknown): Execution {
  const isMissing = error instanceof Deno.errors.NotFound;
  const why = isMissing ? `there is no ${SHELL}` : messageOf(error);
  return {
    output: "",
    code: isMissing ? CODES.notFound : CODES.notExecutable,
    fault: `it could not be started: ${why}`,
  };
}
