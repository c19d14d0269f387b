/**
 * Sends one request, and passes its answers on as they were written.
 *
 * @module
 */

import {
  type ControlLine,
  decodeReceipt,
  decodeRefusal,
  encodeRequest,
} from "../protocol/control.ts";
import { memberBytes, spliceMembers } from "../protocol/envelope.ts";
import type { CloseInfo } from "../errors.ts";
import { after } from "../net/platform.ts";
import { printable, quote } from "../protocol/printable.ts";
import { randomId } from "../protocol/random_id.ts";
import type { Place } from "../net/transport.ts";
import { PROGRAM } from "./program.ts";
import { describeEnd, describeRefusal, StartError } from "./errors.ts";
import { countOf } from "./units.ts";
import { type ReceivedLine, Wire, type WireOptions, type WireSink } from "./raw_connection.ts";

/** The ID of the receipt for the request. */
const RECEIPT = "a1";

/**
 * The length of the request ID. Only clients that received the request must be able to answer it.
 */
const ID_PAIRS = 4;

/** A request and its limits. */
export interface Question {
  /** The name of the event, for errors. */
  readonly name: string;
  /** Its line, with its `\n` and without an envelope. */
  readonly line: Uint8Array;
  /** The only recipient; without it, every client subscribed to the event. */
  readonly to?: string | undefined;
  /** The number of answers to wait for. */
  readonly count: number;
  /** How long to wait for them, in milliseconds. */
  readonly timeout: number;
  /** Called with the line of each answer, with its `\n`. */
  readonly onAnswer: (line: Uint8Array) => void;
  /** Cancels the request when aborted. */
  readonly signal: AbortSignal;
}

/** Sends a request over its own connection. */
export class Requester implements WireSink, AsyncDisposable {
  readonly #answered = Promise.withResolvers<void>();
  readonly #id = randomId(ID_PAIRS);
  #wire: Wire | null = null;
  #question: Question | null = null;
  #answers = 0;
  /** The number of clients that received the request, or `null` if it is unknown. */
  #heard: number | null = null;

  private constructor() {}

  /**
   * Connects. Resolves to a requester.
   *
   * @throws {ConnectError} If it cannot connect.
   * @throws {StartError} If the server does not support requests.
   * @throws {Deno.errors.NotCapable} Without the permission to connect.
   */
  static async open(where: Place, options: WireOptions): Promise<Requester> {
    const requester = new Requester();
    const wire = requester.#wire = await Wire.open(where, requester, {
      ...options,
      welcome: "required",
    });
    if (wire.features.includes("ack") && wire.features.includes("subscribe")) return requester;
    await wire.close();
    throw new StartError(
      `The server at ${wire.place} does not support requests; upgrade the relay`,
    );
  }

  /**
   * Sends the request once. Resolves to the number of answers when enough have arrived or the time
   * is up.
   *
   * @throws {StartError} If there is no answer. The message says why, and what to do.
   */
  async ask(question: Question): Promise<number> {
    const { name, line, to, timeout, signal } = this.#question = question;
    const wire = this.#wire!;
    const members = [["id", this.#id], ["ack", RECEIPT], ...(to === undefined ? [] : [["to", to]])];
    const request = members.reduceRight(
      (line, [key, value]) => spliceMembers(line, memberBytes(key!, value!)),
      line,
    );
    if (request.length - 1 > wire.maxLineBytes) {
      throw new StartError(
        `Cannot send ${quote(name)}: its ${request.length - 1} bytes exceed the ` +
          `${wire.maxLineBytes} that the relay accepts`,
      );
    }
    // A requester needs no events from other clients.
    wire.send(encodeRequest({ control: "subscribe", events: [] }));
    wire.send(request, 1);
    const onAbort = () => this.#answered.reject(signal.reason);
    signal.addEventListener("abort", onAbort);
    const timer = after(timeout, () => this.#onTimeout());
    try {
      signal.throwIfAborted();
      await this.#answered.promise;
      return this.#answers;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  #onTimeout(): void {
    const { name, timeout } = this.#question!;
    if (this.#answers > 0) return this.#answered.resolve();
    const heard = this.#heard === null || this.#heard === 0
      ? ""
      : `, although ${countOf(this.#heard, "client")} received it, perhaps only subscribers`;
    this.#fail(
      `No answer to ${quote(name)} within ${timeout} ms${heard}; use --timeout to wait longer`,
    );
  }

  /** Handles the answers. */
  onEvent({ bytes, replyTo }: ReceivedLine): void {
    if (!this.#question || replyTo !== this.#id) return;
    const { count, onAnswer } = this.#question;
    if (this.#answers >= count) return;
    onAnswer(bytes);
    if (++this.#answers === count) this.#answered.resolve();
  }

  /** Handles receipts and refusals of the request. */
  onControl(line: ControlLine): void {
    const receipt = decodeReceipt(line);
    const refusal = decodeRefusal(line);
    if (receipt?.id === RECEIPT) this.#heard = receipt.clients ?? null;
    if (receipt?.id === this.#id && receipt.clients === 0) this.#fail(this.#adviseOnNobody());
    if (refusal) this.#fail(describeRefusal(this.#question?.name, refusal));
  }

  #adviseOnNobody(): string {
    const { name, to } = this.#question!;
    return to === undefined
      ? `No client receives ${quote(name)}: start a service for it, such as ${PROGRAM} serve ${
        printable(name)
      } --exec CMD`
      : `No client ${quote(to)}; ${PROGRAM} top lists the clients`;
  }

  /** The connection has ended. No more answers will arrive. */
  onEnd(info: CloseInfo): void {
    this.#fail(`The connection ended with ${describeEnd(info)} before an answer arrived`);
  }

  #fail(message: string): void {
    this.#answered.promise.catch(() => {}); // The rejection may come before `ask()` awaits it.
    this.#answered.reject(new StartError(message));
  }

  /** Closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#wire!.close();
  }
}
