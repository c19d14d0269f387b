/**
 * A program that uses a client library, in a process of its own: its input and its output.
 *
 * @module
 */

import { MeasuredProcess, type ProcessCommand, type ProcessOptions } from "./measured_process.ts";
import { within } from "./within.ts";

/** How long any step may stand still, in milliseconds. */
export const STALL_MS = 20_000;

/** How to start one of the programs in `clients/`, with the arguments that it describes. */
export type ToClientCommand = (args: readonly string[]) => ProcessCommand;

/** A program that says a byte when it is ready, and then does what it is asked for. */
export class ClientProcess extends MeasuredProcess {
  readonly #role: string;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<Uint8Array>;
  /** What it writes to standard error until its end. */
  readonly #complaint: Promise<string>;

  private constructor(role: string, command: ProcessCommand, options: ProcessOptions) {
    super(command, { ...options, piped: true });
    this.#role = role;
    this.#input = this.child.stdin.getWriter();
    this.#output = this.child.stdout.getReader();
    this.#complaint = new Response(this.child.stderr).text();
  }

  /** Starts a program, which its errors call `role`, and waits until it is ready. */
  static async start(
    role: string,
    command: ProcessCommand,
    options: ProcessOptions,
  ): Promise<ClientProcess> {
    const client = new ClientProcess(role, command, options);
    try {
      await within(STALL_MS, `Starting the ${role}`, client.hear());
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Writes to its input. */
  async ask(bytes: Uint8Array): Promise<void> {
    await this.#input.write(bytes);
  }

  /** What it has written to its output meanwhile, at least a byte; rejects when the program ends. */
  async hear(): Promise<Uint8Array> {
    const { value } = await this.#output.read();
    if (value) return value;
    throw new Error(`The ${this.#role} has ended: ${(await this.#complaint).trim()}`);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await Promise.all([this.#input.abort(), this.#output.cancel(), this.#complaint]);
  }
}
