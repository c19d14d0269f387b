/**
 * Answers requests with the output of a command, byte for byte. Decoding and encoding a number
 * could lose digits.
 *
 * @module
 */

import { encodeJson } from "../protocol/encoder.ts";
import { printable } from "../protocol/printable.ts";
import { DEFAULT_MAX_DEPTH } from "../protocol/validator.ts";
import { encoder } from "../protocol/utf8.ts";
import { messageOf } from "./errors.ts";
import type { Execution, Executor } from "./shell_command.ts";
import { FileChecker, LONGEST_LINE_BYTES } from "./file_checker.ts";
import { formatTime } from "./units.ts";

/**
 * The maximum number of queued requests, equal to that of an inbox. Above it, there is no room for
 * more.
 */
const MAX_WAITING = 10_000;

/** The maximum size of the queued requests' lines, in bytes. */
const MAX_WAITING_BYTES = 8_388_608;

/** The maximum nesting depth of an answer. The line around it takes two levels. */
const MAX_DEPTH = DEFAULT_MAX_DEPTH - 2;

/** The destination of answers. */
export interface Responder {
  /** The longest line that it accepts, in bytes without its line end. */
  readonly maxLineBytes: number;
  /** Queues a line. Returns `false` if the connection has ended. */
  send(line: Uint8Array, count: number): boolean;
  /**
   * Returns a promise that resolves when there is room for more, or `null` if there is room now.
   */
  room(): Promise<void> | null;
}

/** A received request. */
export interface ServiceRequest {
  /** The line of the event, with its `\n`. */
  readonly line: Uint8Array;
  /** The name of the event. */
  readonly name: string;
  /** The ID that the answer repeats. */
  readonly id: string;
  /** The client that sent the request, as stated by the relay. */
  readonly from: string | null;
  /** The connection it arrived over. A client's ID is valid only for this connection. */
  readonly source: { readonly wire: Responder };
}

/** The options of a {@link Service}. */
export interface ServiceOptions {
  /** Runs the command. */
  readonly executor: Executor;
  /** The maximum number of commands running at a time. */
  readonly jobs: number;
  /** Called with one line about each answer or failure. */
  readonly onNews: (text: string) => void;
  /** Called when there is room again after {@link Service.take} has returned `false`. */
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

  /** Creates a service without requests. */
  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** The number of running commands. */
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
        // A failure must not stop later requests.
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
    const took = formatTime(performance.now() - since);
    const what = `${printable(request.name)} for ${printable(request.from ?? "an unknown client")}`;
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
    onNews(`cannot send the answer to ${what}: the connection of the request has ended`);
  }
}

/** Sends a line once there is room for it. Resolves to `false` if the connection has ended. */
async function send(line: Uint8Array, responder: Responder): Promise<boolean> {
  for (let room; (room = responder.room());) await room;
  return responder.send(line, 1);
}

/** Returns the line of the answer with these attributes, which are JSON. */
function toLine({ name, id, from }: ServiceRequest, attributes: string): Uint8Array {
  const to = from === null ? "" : `,"to":${encodeJson(from)}`;
  const event = `"event":${encodeJson(name)},"__dict__":${attributes}`;
  return encoder.encode(`{${event},"reply_to":${encodeJson(id)}${to}}\n`);
}

/**
 * Returns why a line cannot be sent: it is too long or nests too deeply. Returns `null` if it can
 * be sent.
 */
function faultOf(line: Uint8Array, { maxLineBytes }: Responder): string | null {
  const length = line.length - 1;
  if (length > maxLineBytes) {
    return `its ${length} bytes exceed the ${maxLineBytes} that the relay accepts`;
  }
  const [checked] = new FileChecker(LONGEST_LINE_BYTES).push(line);
  const { reason, text } = checked!.fault ?? {};
  return reason === "too-deep" ? `it nests deeper than ${MAX_DEPTH} levels` : text ?? null;
}

/**
 * Returns the attributes of the answer to an execution, as JSON: the object that the command has
 * printed, unchanged, or else its output, its exit code and its fault.
 */
export function toAttributes({ output, code, fault }: Execution): string {
  if (fault === null && isObject(output)) {
    // JSON allows line breaks between values, but not within one.
    return output.trim().replaceAll(/[\r\n]/g, " ");
  }
  return encodeJson({ output, code, ...(fault !== null && { error: fault }) });
}

/** Returns whether a text is one JSON object. */
function isObject(text: string): boolean {
  if (!text.trimStart().startsWith("{")) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
