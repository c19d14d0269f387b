/** The relay command as a process of its own, as its users run it. */

import type { Address } from "../../address.ts";
import { soon } from "./peer.ts";

const root = new URL("../../", import.meta.url);

export class Command implements AsyncDisposable {
  /** All that it has written so far. */
  stdout = "";
  stderr = "";
  readonly status: Promise<Deno.CommandStatus>;

  readonly #child: Deno.ChildProcess;
  readonly #streams: Promise<void>[];
  #news = Promise.withResolvers<void>();
  #isRunning = true;

  /** Starts it with `args`; `flags` are those of Deno. */
  constructor(args: string[], flags: string[] = ["--allow-net=127.0.0.1,[::1]"]) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", ...flags, "mod.ts", ...args],
      cwd: root,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#streams = [
      this.#read(this.#child.stdout, (text) => this.stdout += text),
      this.#read(this.#child.stderr, (text) => this.stderr += text),
    ];
    this.status = this.#child.status.then(async (status) => {
      await Promise.all(this.#streams);
      this.#isRunning = false;
      this.#tell();
      return status;
    });
  }

  async #read(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      take(decoder.decode(chunk, { stream: true }));
      this.#tell();
    }
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  get pid(): number {
    return this.#child.pid;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits until standard output matches; gives the match. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match) return match;
      if (!this.#isRunning) throw new Error(`It ended without ${pattern}: ${this.#output()}`);
      await soon(this.#news.promise, `${pattern} in ${this.#output()}`);
    }
  }

  /** Waits until it listens; gives its address. */
  async listens(): Promise<Address> {
    const [, hostname, port] = await this.prints(/Relay listening on \[?([^\s\]]+)\]?:(\d+)\n/);
    return [hostname!, Number(port)];
  }

  /** Waits until it ends; gives its exit code. */
  async ends(): Promise<number> {
    return (await soon(this.status, `the end of ${this.#output()}`)).code;
  }

  #output(): string {
    return JSON.stringify({ stdout: this.stdout, stderr: this.stderr }).slice(0, 2000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isRunning) this.kill("SIGKILL");
    await this.status;
  }
}
