/**
 * Owns one request of the command line: asks, and hears the answers as they were written. Must not know
 * how they are shown.
 *
 * @module
 */

import type { ControlLine } from "../protocol/control.ts";
import { memberBytes, spliceMembers } from "../protocol/envelope.ts";
import type { CloseInfo } from "../errors.ts";
import { after } from "../protocol/option_checks.ts";
import { printable, quote } from "../protocol/printable.ts";
import { randomId } from "../protocol/random_id.ts";
import { decodeReceipt, decodeRefusal, encodeSubscription } from "../protocol/routing.ts";
import type { Place } from "../net/transport.ts";
import { PROGRAM } from "./program.ts";
import { describeEnd, describeRefusal, StartError } from "./errors.ts";
import { countOf } from "./units.ts";
import { type ReceivedLine, Wire, type WireOptions, type WireSink } from "./raw_connection.ts";

/** What the receipt for the request is called. */
const RECEIPT = "a1";

/** How long the id of a request is: nobody who has not got it is to answer. */
const ID_PAIRS = 4;

/** What is asked, and for how long. */
export interface Question {
  /** The name of the event, for errors. */
  readonly name: string;
  /** Its line, with its `\n`, and without an envelope. */
  readonly line: Uint8Array;
  /** The client that is asked, alone; without it, all that hear the event. */
  readonly to?: string | undefined;
  /** How many answers are wanted. */
  readonly count: number;
  /** How long to wait for them, in milliseconds. */
  readonly timeout: number;
  /** Gets the line of each answer, with its `\n`. */
  readonly onAnswer: (line: Uint8Array) => void;
  /** Gives it up when aborted. */
  readonly signal: AbortSignal;
}

/** Asks through a connection of its own. */
export class Requester implements WireSink, AsyncDisposable {
  readonly #answered = Promise.withResolvers<void>();
  readonly #id = randomId(ID_PAIRS);
  #wire: Wire | null = null;
  #question: Question | null = null;
  #answers = 0;
  /** How many clients have got the request, as far as is known. */
  #heard: number | null = null;

  private constructor() {}

  /**
   * Connects.
   *
   * @throws {ConnectError} If it cannot.
   * @throws {StartError} If the server knows no requests.
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
    throw new StartError(`The server at ${wire.place} knows no requests: it must be a newer relay`);
  }

  /**
   * Asks once. Resolves to the number of answers when there are as many as wanted, or the time is up.
   *
   * @throws {StartError} If there is no answer; the message says why, and what to do.
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
          `${wire.maxLineBytes} that the relay takes`,
      );
    }
    // What others send is of no interest.
    wire.send(encodeSubscription({ control: "subscribe", events: [] }));
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
      : `, though ${countOf(this.#heard, "client")} heard it, perhaps only to listen`;
    this.#fail(`No answer to ${quote(name)} within ${timeout} ms${heard}; --timeout gives more`);
  }

  /** Takes the answers. */
  onEvent({ bytes, replyTo }: ReceivedLine): void {
    if (!this.#question || replyTo !== this.#id) return;
    const { count, onAnswer } = this.#question;
    if (this.#answers >= count) return;
    onAnswer(bytes);
    if (++this.#answers === count) this.#answered.resolve();
  }

  /** Learns who has heard the request. */
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
      ? `Nobody hears ${quote(name)}: start what answers it, such as ${PROGRAM} serve ${
        printable(name)
      } --exec CMD`
      : `There is no client ${quote(to)}; ${PROGRAM} top shows which there are`;
  }

  /** Nothing more will come. */
  onEnd(info: CloseInfo): void {
    this.#fail(`The connection ended with ${describeEnd(info)} before an answer came`);
  }

  #fail(message: string): void {
    this.#answered.promise.catch(() => {}); // Nobody may have asked yet.
    this.#answered.reject(new StartError(message));
  }

  /** Closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#wire!.close();
  }
}
