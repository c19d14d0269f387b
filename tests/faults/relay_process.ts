/**
 * The relay as a process of its own that can be started again on its port.
 *
 * @module
 */

import type { Address } from "../../protocol/address.ts";
import type { RelayOptions } from "../../relay.ts";
import { type Outcome, Program } from "../support/process.ts";
import { until } from "../support/waiting.ts";
import { launch, type LaunchOptions } from "./launch.ts";

/** How a relay is started. */
export interface RelayProcessOptions extends LaunchOptions {
  /** Options of the command, but `--host`, `--port` and `--log`. */
  readonly args?: readonly string[];
  /** Options of the relay that the command does not have; it is then not the command that runs. */
  readonly options?: RelayOptions;
  /** Where it listens: on a free port by default. */
  readonly hostname?: string;
  readonly port?: number;
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
  #log: LogLine[] = [];
  /** How much of what it has printed is in the log. */
  #read = 0;
  /** How much of the log has been looked at. */
  #looked = 0;
  #address: Address = ["", 0];

  private constructor(options: RelayProcessOptions) {
    this.#options = options;
    this.#address = ["", options.port ?? 0];
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
  get log(): readonly LogLine[] {
    const text = this.#program.stdout;
    const end = text.lastIndexOf("\n") + 1;
    const lines = text.slice(this.#read, end).split("\n").slice(0, -1);
    this.#log.push(...lines.map((line) => JSON.parse(line)));
    this.#read = end;
    return this.#log;
  }

  /** Waits for the next line of the log of a type. */
  async logs(type: string): Promise<LogLine> {
    let found: LogLine | undefined;
    await until(() => {
      const { log } = this;
      while (!found && this.#looked < log.length) {
        const line = log[this.#looked++]!;
        if (line.type === type) found = line;
      }
      return found !== undefined;
    });
    return found!;
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
    this.#log = [];
    this.#read = this.#looked = 0;
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
    const [line] = await this.#program.expect(/.*"type":"listening".*\n/);
    const { hostname, port } = JSON.parse(line);
    this.#address = [hostname, port];
  }

  /** Kills it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}

/** What a relay complained about: not its warning that it can be reached beyond a cable. */
export function complaintsOf({ stderr }: Outcome): string {
  return stderr.replace(/^warning: anyone who can reach .*\n/m, "");
}
