/**
 * Owns the relay as a process of its own that can be started again on its port. Must not know what
 * is done to it.
 *
 * @module
 */

import type { Address } from "../../address.ts";
import type { RelayOptions } from "../../relay.ts";
import { type Outcome, Program } from "../support/process.ts";
import { launch, type LaunchOptions } from "./launch.ts";

/** How a relay is started. */
export interface RelayProcessOptions extends LaunchOptions {
  /** Options of the command, but `--host`, `--port` and `--log`. */
  readonly args?: readonly string[];
  /** Options of the relay that the command does not have; it is then not the command that runs. */
  readonly options?: RelayOptions;
  /** Where it listens. */
  readonly hostname?: string;
}

/** A line of the log. */
export interface LogLine {
  readonly type: string;
  readonly reason?: string;
  readonly [member: string]: unknown;
}

/** One relay after the other, all on one port. */
export class RelayProcess implements AsyncDisposable {
  readonly #options: RelayProcessOptions;
  #program: Program;
  #address: Address = ["", 0];

  private constructor(options: RelayProcessOptions) {
    this.#options = options;
    this.#program = this.#run();
  }

  /** Starts one on a free port. Resolves when it listens. */
  static async start(options: RelayProcessOptions = {}): Promise<RelayProcess> {
    const relay = new RelayProcess(options);
    try {
      await relay.#listens();
    } catch (error) {
      await relay[Symbol.asyncDispose]();
      throw error;
    }
    return relay;
  }

  /** Where it listens. */
  get address(): Address {
    return this.#address;
  }

  get pid(): number {
    return this.#program.pid;
  }

  /** What the present one has logged. */
  get log(): LogLine[] {
    return this.#program.stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
  }

  /** Waits for a line of the log in which `pattern` is found, after the last that was found. */
  async logs(pattern: RegExp): Promise<LogLine> {
    const [line] = await this.#program.expect(new RegExp(`.*${pattern.source}.*\\n`));
    return JSON.parse(line);
  }

  /** Sends the present one a signal. */
  kill(signal: Deno.Signal): void {
    this.#program.kill(signal);
  }

  /** Ends the present one by `signal`; resolves when it has ended. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<Outcome> {
    this.#program.kill(signal);
    return await this.#program.end();
  }

  /** Starts another one on the same port, after the one before has ended. */
  async restart(): Promise<void> {
    this.#program = this.#run();
    await this.#listens();
  }

  #run(): Program {
    const { hostname = "127.0.0.1", args = [], options } = this.#options;
    const port = this.#address[1];
    const [command, all] = options
      ? launch(
        "tests/faults/relay_program.ts",
        [JSON.stringify([hostname, port]), JSON.stringify(options)],
        this.#options,
      )
      : launch(
        "mod.ts",
        ["--host", hostname, "--port", `${port}`, "--log", "json", ...args],
        this.#options,
      );
    return new Program(command, all);
  }

  async #listens(): Promise<void> {
    const { hostname, port } = await this.logs(/"type":"listening"/);
    this.#address = [hostname as string, port as number];
  }

  /** Kills it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}
