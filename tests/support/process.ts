/**
 * The child processes of tests: starts a program, waits for what it prints, ends it.
 *
 * @module
 */

import { soon } from "./waiting.ts";

/** What {@link Program} needs to know about a program. */
export interface ProgramOptions {
  /** The folder in which it runs. */
  readonly cwd?: string;
  /** Environment variables beside those of the tests. */
  readonly env?: Record<string, string>;
}

/** How a program ended, and all that it printed. */
export interface Outcome {
  /** Its exit code. */
  readonly code: number;
  /** What it wrote to its standard output. */
  readonly stdout: string;
  /** What it wrote to its standard error. */
  readonly stderr: string;
}

/** Whether this machine has the program `command`, and it succeeds with `args`. */
export function canRun(command: string, args: string[]): boolean {
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** A running program. Disposing of it kills it, if it has not ended by itself. */
export class Program implements AsyncDisposable {
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stdout: Output;
  readonly #stderr: Output;
  readonly #ended: Promise<number>;

  /** Starts the program `command` with `args`. Its input stays open until {@link end}. */
  constructor(command: string, args: string[], { cwd, env = {} }: ProgramOptions = {}) {
    this.#name = [command, ...args].join(" ");
    this.#child = new Deno.Command(command, {
      args,
      env: { NO_COLOR: "1", ...env },
      ...(cwd !== undefined && { cwd }),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#stdout = new Output(this.#child.stdout);
    this.#stderr = new Output(this.#child.stderr);
    this.#ended = this.#child.status.then(({ code }) => code);
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What it has written to its standard output so far. */
  get stdout(): string {
    return this.#stdout.text;
  }

  /** What it has written to its standard error so far. */
  get stderr(): string {
    return this.#stderr.text;
  }

  /** Waits until `pattern` matches what it prints after the last match. */
  async expect(pattern: RegExp): Promise<RegExpExecArray> {
    const match = await this.#within(this.#stdout.take(pattern), `to print ${pattern}`);
    if (match) return match;
    throw new Error(`${this.#name} ended and did not print ${pattern}; ${this.#printed}`);
  }

  /** Writes to its standard input. */
  async type(text: string): Promise<void> {
    await this.#within(this.#input.write(new TextEncoder().encode(text)), "to read its input");
  }

  /** Sends it a signal. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Ends its standard input and waits until it has ended too. */
  async end(): Promise<Outcome> {
    await this.#input.close().catch(() => {}); // It may have ended before.
    const ended = Promise.all([this.#ended, this.#stdout.ended, this.#stderr.ended]);
    const [code] = await this.#within(ended, "to end");
    return { code, stdout: this.#stdout.text, stderr: this.#stderr.text };
  }

  /** Kills it. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.end();
  }

  #within<T>(promise: Promise<T>, purpose: string): Promise<T> {
    return soon(promise, () => `${this.#name} ${purpose}; ${this.#printed}`);
  }

  get #printed(): string {
    return `it printed:\n${this.#stdout.text}${this.#stderr.text}`;
  }
}

/** What a program has written to one of its outputs. */
class Output {
  text = "";
  /** Resolves when nothing more will come. */
  readonly ended: Promise<void>;
  #isEnded = false;
  #taken = 0;
  #news = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#collect(stream);
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.text += text;
      this.#tell();
    }
    this.#isEnded = true;
    this.#tell();
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers<void>();
  }

  /** Waits for a match in what has not been taken yet, and takes it; `null` if none can come. */
  async take(pattern: RegExp): Promise<RegExpExecArray | null> {
    for (;;) {
      const match = pattern.exec(this.text.slice(this.#taken));
      if (match) {
        this.#taken += match.index + match[0].length;
        return match;
      }
      if (this.#isEnded) return null;
      await this.#news.promise;
    }
  }
}
