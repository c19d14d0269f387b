/**
 * Owns answering requests with what a command prints. Must not know how the command is run, or where the
 * requests come from.
 *
 * @module
 */

import type { EbsocketClient } from "../client.ts";
import { EbsocketEvent, type OpenAttributes } from "../event.ts";
import { printable } from "../printable.ts";
import { abortable } from "../waits.ts";
import { messageOf } from "./errors.ts";
import type { Execution, Executor } from "./execute.ts";
import { formatLatency } from "./units.ts";

const encoder = new TextEncoder();

/** What a {@link Service} needs to know. */
export interface ServiceOptions {
  /** Runs the command. */
  readonly executor: Executor;
  /** How many commands may run at a time. */
  readonly jobs: number;
  /** Is told what has been done, or has gone wrong, in one line. */
  readonly onNews: (text: string) => void;
}

/** Answers the requests that a client receives. */
export class Service {
  readonly #client: EbsocketClient;
  readonly #options: ServiceOptions;
  readonly #running = new Set<Promise<void>>();

  /** Makes one for a client that hears the requests, and nothing else. */
  constructor(client: EbsocketClient, options: ServiceOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** How many commands are running. */
  get running(): number {
    return this.#running.size;
  }

  /** Answers what comes, until `signal` is aborted, or nothing more can come. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await abortable(this.#room(), signal);
        const event = await this.#client.recvEvent({ signal });
        if (!event) return;
        this.#start(event);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Answers what has come already, and waits for all that is running. */
  async finish(): Promise<void> {
    const [events] = await this.#client.pump();
    for (const event of events) {
      await this.#room();
      this.#start(event);
    }
    await Promise.all(this.#running);
  }

  /** Waits until one more command may run. */
  async #room(): Promise<void> {
    if (this.#running.size >= this.#options.jobs) await Promise.race(this.#running);
  }

  #start(event: EbsocketEvent): void {
    // Nobody waits for an answer to an event that is no request.
    if (event.id === null) return;
    const job = this.#answer(event)
      // Whatever it is, the next request may go well.
      .catch((error) => this.#options.onNews(`cannot answer: ${messageOf(error)}`))
      .finally(() => this.#running.delete(job));
    this.#running.add(job);
  }

  async #answer(event: EbsocketEvent): Promise<void> {
    const { executor, onNews } = this.#options;
    const since = performance.now();
    const execution = await executor.run(toInput(event));
    const took = formatLatency(performance.now() - since);
    const what = `${printable(event.event)} for ${printable(event.from ?? "somebody")}`;
    onNews(
      execution.fault === null
        ? `answered ${what} in ${took}`
        : `failed at ${what} in ${took}: ${execution.fault}`,
    );
    try {
      await this.#client.reply(event, toAnswer(event, execution));
    } catch (error) {
      onNews(`cannot send the answer to ${what}: ${messageOf(error)}`);
      if (error instanceof TypeError || error instanceof RangeError) {
        await this.#apologise(event, messageOf(error));
      }
    }
  }

  /** Says that there is an answer that cannot be sent: it is too long, or nests too deeply. */
  async #apologise(event: EbsocketEvent, why: string): Promise<void> {
    const answer = new EbsocketEvent(event.event, { output: "", code: 0, error: why });
    await this.#client.reply(event, answer).catch(() => {}); // The connection has ended.
  }
}

/** What the command gets: the event as a line, with who asks. */
function toInput(event: EbsocketEvent): Uint8Array {
  const { id, from } = event;
  return encoder.encode(`${JSON.stringify({ ...event.toJSON(), id, from })}\n`);
}

/**
 * The answer that an execution gives: the attributes are those of the object that the command has printed,
 * or else tell its output, its exit code, and what went wrong.
 */
export function toAnswer(
  { event }: EbsocketEvent,
  { output, code, fault }: Execution,
): EbsocketEvent {
  const attributes = fault === null ? parseObject(output) : null;
  const error = fault === null ? {} : { error: fault };
  return new EbsocketEvent(event, attributes ?? { output, code, ...error });
}

/** The object that a text of JSON is, or `null`. */
function parseObject(text: string): OpenAttributes | null {
  if (!text.trimStart().startsWith("{")) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
