/**
 * Owns a publisher and a subscriber that use a client library, each a process of its own, and what is
 * in flight between them. Must not know libraries, servers or figures.
 *
 * @module
 */

import { messageAttributes } from "./fixtures.ts";
import { MeasuredProcess, type ProcessCommand, type ProcessOptions } from "./measured_process.ts";
import { within } from "./within.ts";

/** How many events are asked for, and reported, at a time. */
export const BATCH_EVENTS = 1024;

/** How many batches may be asked for and not yet be received. */
const BATCHES_IN_FLIGHT = 4;

/** How long any step may stand still, in milliseconds. */
const STALL_MS = 20_000;

/** What a program of the pair is for. */
export type ClientRole = "publisher" | "subscriber";

/** A program with a client library, as `clients/program.mjs` describes it. */
export type ToClientCommand = (args: readonly string[]) => ProcessCommand;

/** A program that publishes or subscribes. */
class ClientProcess extends MeasuredProcess {
  readonly #role: ClientRole;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<Uint8Array>;
  /** What it writes to standard error until its end. */
  readonly #complaint: Promise<string>;

  private constructor(role: ClientRole, command: ProcessCommand, options: ProcessOptions) {
    super(command, { ...options, piped: true });
    this.#role = role;
    this.#input = this.child.stdin.getWriter();
    this.#output = this.child.stdout.getReader();
    this.#complaint = new Response(this.child.stderr).text();
  }

  /** Starts a program, and waits until it is ready. */
  static async start(
    role: ClientRole,
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

  /** Has it publish batches. */
  async ask(batches: number): Promise<void> {
    await this.#input.write(new Uint8Array(batches));
  }

  /** How many batches it has received meanwhile, at least one; rejects when the program ends. */
  async hear(): Promise<number> {
    const { value } = await this.#output.read();
    if (value) return value.length;
    throw new Error(`The ${this.#role} has ended: ${(await this.#complaint).trim()}`);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await Promise.all([this.#input.abort(), this.#output.cancel(), this.#complaint]);
  }
}

/** A publisher, and a subscriber that checks every event. */
export class ClientPair implements AsyncDisposable {
  readonly publisher: ClientProcess;
  readonly subscriber: ClientProcess;
  /** Rejects when the publisher ends; it has nothing to say before. */
  readonly #publisherEnd: Promise<number>;

  private constructor(publisher: ClientProcess, subscriber: ClientProcess) {
    this.publisher = publisher;
    this.subscriber = subscriber;
    this.#publisherEnd = publisher.hear();
    this.#publisherEnd.catch(() => {});
  }

  /** Starts both, as clients of the server on `port`. The publisher comes last, so nothing is lost. */
  static async start(
    port: number,
    toCommand: ToClientCommand,
    options: ProcessOptions,
  ): Promise<ClientPair> {
    const first = { event: "message", attributes: messageAttributes(0) };
    const start = (role: ClientRole) => {
      const args = [role, `${port}`, `${BATCH_EVENTS}`, JSON.stringify(first)];
      return ClientProcess.start(role, toCommand(args), options);
    };
    const subscriber = await start("subscriber");
    try {
      return new ClientPair(await start("publisher"), subscriber);
    } catch (error) {
      await subscriber[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Has batches published, and waits until the subscriber has received them. */
  async publish(batches: number): Promise<void> {
    for (let asked = 0, received = 0; received < batches;) {
      const next = Math.min(batches, received + BATCHES_IN_FLIGHT) - asked;
      if (next > 0) await this.publisher.ask(next);
      asked += next;
      const more = Promise.race([this.subscriber.hear(), this.#publisherEnd]);
      received += await within(STALL_MS, "Waiting for the subscriber", more);
    }
  }

  /** Ends both programs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.publisher[Symbol.asyncDispose]();
    await this.subscriber[Symbol.asyncDispose]();
  }
}
