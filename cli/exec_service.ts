/**
 * Owns answering requests with what a command prints, byte for byte: a decoded number may have lost
 * digits. Must not know how the command is run, or where the requests come from.
 *
 * @module
 */

import { encodeJson } from "../protocol/encoder.ts";
import { printable } from "../protocol/printable.ts";
import { DEFAULT_MAX_DEPTH } from "../protocol/validator.ts";
import { messageOf } from "./errors.ts";
import type { Execution, Executor } from "./shell_command.ts";
import { FileChecker, LONGEST_LINE_BYTES } from "./file_checker.ts";
import { formatLatency } from "./units.ts";

/** From how many requests on that wait for a command there is no room for more: as in an inbox. */
const MAX_WAITING = 10_000;

/** The same, in bytes of their lines. */
const MAX_WAITING_BYTES = 8_388_608;

/** How deep an answer may nest: the line around it takes two levels. */
const MAX_DEPTH = DEFAULT_MAX_DEPTH - 2;

const encoder = new TextEncoder();

/** Where answers go. */
export interface Responder {
  /** The longest line that it takes, in bytes without its end. */
  readonly maxLineBytes: number;
  /** Queues a line. Returns `false` if the connection has ended. */
  send(line: Uint8Array, count: number): boolean;
  /** A promise that resolves when there is room for more; `null` while there is. */
  room(): Promise<void> | null;
}

/** A request, as it has come. */
export interface ServiceRequest {
  /** The line of the event, with its `\n`. */
  readonly line: Uint8Array;
  /** The name of the event. */
  readonly name: string;
  /** What the answer calls it. */
  readonly id: string;
  /** The client that asks, by the word of the relay. */
  readonly from: string | null;
  /** Where it came from: what the client is called is good for this connection alone. */
  readonly source: { readonly wire: Responder };
}

/** What a {@link Service} needs to know. */
export interface ServiceOptions {
  /** Runs the command. */
  readonly executor: Executor;
  /** How many commands may run at a time. */
  readonly jobs: number;
  /** Is told what has been done, or has gone wrong, in one line. */
  readonly onNews: (text: string) => void;
  /** Is called when there is room again, after {@link Service.take} has said that there is none. */
  readonly onRoom: () => void;
}

/** Answers requests. */
export class Service {
  readonly #options: ServiceOptions;
  readonly #running = new Set<Promise<void>>();
  readonly #waiting: ServiceRequest[] = [];
  #waitingBytes = 0;
  #isFull = false;
  #idle = Promise.withResolvers<void>();

  /** Makes one without requests. */
  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** How many commands are running. */
  get running(): number {
    return this.#running.size;
  }

  /** Takes a request. Returns whether there is room for more. */
  take(request: ServiceRequest): boolean {
    this.#waiting.push(request);
    this.#waitingBytes += request.line.length;
    this.#startNext();
    this.#isFull ||= !this.#hasRoom;
    return !this.#isFull;
  }

  /** Waits until all requests have been answered. */
  async finish(): Promise<void> {
    while (this.#running.size > 0) await this.#idle.promise;
  }

  get #hasRoom(): boolean {
    return this.#waiting.length < MAX_WAITING && this.#waitingBytes < MAX_WAITING_BYTES;
  }

  #startNext(): void {
    while (this.#running.size < this.#options.jobs) {
      const request = this.#waiting.shift();
      if (!request) return;
      this.#waitingBytes -= request.line.length;
      const job = this.#answer(request)
        // Whatever it is, the next request may go well.
        .catch((error) => this.#options.onNews(`cannot answer: ${messageOf(error)}`))
        .finally(() => this.#onDone(job));
      this.#running.add(job);
    }
  }

  #onDone(job: Promise<void>): void {
    this.#running.delete(job);
    this.#startNext();
    if (this.#running.size === 0) {
      this.#idle.resolve();
      this.#idle = Promise.withResolvers<void>();
    }
    if (!this.#isFull || !this.#hasRoom) return;
    this.#isFull = false;
    this.#options.onRoom();
  }

  async #answer(request: ServiceRequest): Promise<void> {
    const { executor, onNews } = this.#options;
    const since = performance.now();
    const execution = await executor.run(request.line);
    const took = formatLatency(performance.now() - since);
    const what = `${printable(request.name)} for ${printable(request.from ?? "somebody")}`;
    onNews(
      execution.fault === null
        ? `answered ${what} in ${took}`
        : `failed at ${what} in ${took}: ${execution.fault}`,
    );
    const { wire } = request.source;
    let line = toLine(request, toAttributes(execution));
    const fault = faultOf(line, wire);
    if (fault !== null) {
      onNews(`cannot send the answer to ${what}: ${fault}`);
      line = toLine(request, JSON.stringify({ output: "", code: 0, error: fault }));
    }
    if (await send(line, wire)) return;
    onNews(`cannot send the answer to ${what}: the connection over which it asked has ended`);
  }
}

/** Sends a line once there is room for it. Returns `false` if the connection has ended. */
async function send(line: Uint8Array, responder: Responder): Promise<boolean> {
  for (let room; (room = responder.room());) await room;
  return responder.send(line, 1);
}

/** The line of the answer that has these attributes, which are JSON. */
function toLine({ name, id, from }: ServiceRequest, attributes: string): Uint8Array {
  const to = from === null ? "" : `,"to":${encodeJson(from)}`;
  const event = `"event":${encodeJson(name)},"__dict__":${attributes}`;
  return encoder.encode(`{${event},"reply_to":${encodeJson(id)}${to}}\n`);
}

/** Why a line cannot be sent: it is too long, or nests too deeply; `null` if it can. */
function faultOf(line: Uint8Array, { maxLineBytes }: Responder): string | null {
  const length = line.length - 1;
  if (length > maxLineBytes) {
    return `its ${length} bytes exceed the ${maxLineBytes} that the relay takes`;
  }
  const [checked] = new FileChecker(LONGEST_LINE_BYTES).push(line);
  const { reason, text } = checked!.fault ?? {};
  return reason === "too-deep" ? `it nests deeper than ${MAX_DEPTH} levels` : text ?? null;
}

/**
 * The attributes of the answer that an execution gives, as JSON: the object that the command has printed,
 * as it was written, or else its output, its exit code, and what went wrong.
 */
export function toAttributes({ output, code, fault }: Execution): string {
  if (fault === null && isObject(output)) {
    // Between two values JSON may have line breaks, and within one it has none.
    return output.trim().replaceAll(/[\r\n]/g, " ");
  }
  return encodeJson({ output, code, ...(fault !== null && { error: fault }) });
}

/** Whether a text is one JSON object. */
function isObject(text: string): boolean {
  if (!text.trimStart().startsWith("{")) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
