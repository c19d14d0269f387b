/**
 * Sends event lines, and tracks which the relay has accepted and how many clients each has reached.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import { concat } from "@std/bytes/concat";
import {
  type ControlLine,
  decodeAck,
  decodeReceipt,
  decodeRefusal,
  encodeRequest,
  type Refusal,
} from "../protocol/control.ts";
import { cutMember, memberBytes, readString, spliceMembers } from "../protocol/envelope.ts";
import type { CloseInfo } from "../errors.ts";
import { TextMap } from "../protocol/text_map.ts";
import type { Place } from "../net/transport.ts";
import { ACK, type EnvelopeKey, LineValidator, TO } from "../protocol/validator.ts";
import { describeEnd, describeRefusal, StartError } from "./errors.ts";
import { Wire, type WireOptions, type WireSink } from "./raw_connection.ts";

/**
 * The maximum number of outstanding receipts before sending pauses. A client that requests more
 * receipts than it reads is closed as a slow consumer.
 */
const MAX_UNCONFIRMED = 10_000;

/** The options of a publisher. */
export interface PublisherOptions {
  /** The only recipient; without it, all clients receive the events. */
  readonly to?: string | undefined;
  /** Called for each event, in the order of sending, with the number of clients it has reached. */
  readonly onReached?: ((name: string, clients: number) => void) | undefined;
  /** Called with a text for each event that the relay refuses. */
  readonly onRefused: (text: string) => void;
}

/** Sends event lines. */
export class Publisher implements WireSink, AsyncDisposable {
  readonly #options: PublisherOptions;
  readonly #validator = new LineValidator(1000);
  /** Aborted, with an error, when the publisher cannot go on. */
  readonly #failure = new AbortController();
  /** The names of the events with an outstanding receipt, by receipt ID. */
  readonly #names = new TextMap<string>();
  #wire: Wire | null = null;
  #sent = 0;
  #taken = 0;
  #refused = 0;
  #isClosing = false;
  #news = Promise.withResolvers<void>();

  private constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /**
   * Connects. Resolves to a publisher.
   *
   * @throws {ConnectError} If it cannot connect.
   * @throws {StartError} If the server does not support the options.
   * @throws {Deno.errors.NotCapable} Without the permission to connect.
   */
  static async open(
    where: Place,
    options: PublisherOptions,
    wireOptions: WireOptions,
  ): Promise<Publisher> {
    const publisher = new Publisher(options);
    const wire = publisher.#wire = await Wire.open(where, publisher, {
      ...wireOptions,
      acks: true,
      welcome: (options.to ?? options.onReached) === undefined ? "wanted" : "required",
    });
    try {
      publisher.#begin(wire, wireOptions.signal);
    } catch (error) {
      await wire.close();
      throw error;
    }
    return publisher;
  }

  #begin(wire: Wire, signal: AbortSignal): void {
    const { to, onReached } = this.#options;
    signal.addEventListener("abort", () => this.#failure.abort(signal.reason));
    if ((to ?? onReached) !== undefined && !wire.features.includes("ack")) {
      const [option, what] = to === undefined
        ? ["--confirm", "receipts"]
        : ["--to", "direct events"];
      throw new StartError(`Cannot use ${option}: ${wire.place} does not support ${what}`);
    }
    // A publisher needs no events from other clients.
    if (wire.features.includes("subscribe")) {
      wire.send(encodeRequest({ control: "subscribe", events: [] }));
    }
  }

  /** The number of events sent. */
  get sent(): number {
    return this.#sent;
  }

  /** The number of events that the relay has accepted. */
  get taken(): number {
    return this.#taken;
  }

  /** The number of events that the relay has refused. */
  get refused(): number {
    return this.#refused;
  }

  /** Aborted, with the error, when nothing more can be sent. */
  get failed(): AbortSignal {
    return this.#failure.signal;
  }

  /**
   * Sends the lines of events, each with its `\n`. Resolves when there is room for more.
   *
   * @throws {StartError} If a line exceeds the relay's limit, or the connection has ended.
   */
  async send(lines: readonly Uint8Array[]): Promise<void> {
    this.failed.throwIfAborted();
    const wire = this.#wire!;
    const sealed = lines.map((line) => this.#seal(line, wire));
    wire.send(concat(sealed), sealed.length);
    const room = wire.room();
    if (room) await abortable(room, this.failed);
    while (this.#names.size > MAX_UNCONFIRMED) await abortable(this.#news.promise, this.failed);
  }

  /** Returns the line to send. The envelope members of the options replace those in `line`. */
  #seal(line: Uint8Array, wire: Wire): Uint8Array {
    const { to, onReached } = this.#options;
    this.#sent++;
    const members: [key: EnvelopeKey, bytes: Uint8Array][] = [];
    if (to !== undefined) members.push([TO, memberBytes("to", to)]);
    if (onReached) members.push([ACK, memberBytes("ack", this.#expectReceipt(line))]);
    const sealed = members.length > 0 ? this.#put(line, members) : line;
    const length = sealed.length - 1;
    if (length <= wire.maxLineBytes) return sealed;
    throw new StartError(
      `Cannot send an event of ${length} bytes: the relay accepts at most ${wire.maxLineBytes}`,
    );
  }

  /** Registers a receipt for an event. Returns its ID. */
  #expectReceipt(line: Uint8Array): string {
    const receipt = `e${this.#sent}`;
    this.#validator.open(line).validate(0);
    this.#names.set(receipt, readString(line, this.#validator.nameStart - 1));
    return receipt;
  }

  #put(
    line: Uint8Array,
    members: readonly (readonly [key: EnvelopeKey, bytes: Uint8Array])[],
  ): Uint8Array {
    const validator = this.#validator;
    validator.open(line).validate(0);
    const old = members.map(([key]) => key).filter((key) => validator.has(key))
      .map((key) => validator.keyAt(key));
    // From the end, so that earlier positions stay valid.
    old.sort((one, two) => two - one);
    const rest = old.reduce((cut, at) => cutMember(cut, at), line);
    return spliceMembers(rest, concat(members.map(([, bytes]) => bytes)));
  }

  /**
   * Waits until the relay has accepted all events.
   *
   * @throws {StartError} If the connection ends first, or the server does not acknowledge events.
   */
  async finish(): Promise<void> {
    const wire = this.#wire!;
    while (wire.hasAcks && (this.#taken < this.#sent || this.#names.size > 0)) {
      await abortable(this.#news.promise, this.failed);
    }
    if (wire.hasAcks) return;
    await wire.flush();
    throw new StartError(
      `${wire.place} does not acknowledge events: they were sent, but may not have arrived`,
    );
  }

  /** Sends the queued lines, then closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    await this.#wire!.close();
  }

  /** Ignores events from other clients. */
  onEvent(): void {}

  /** Handles acknowledgements, receipts and refusals. */
  onControl(line: ControlLine): void {
    const taken = decodeAck(line);
    const receipt = decodeReceipt(line);
    const refusal = decodeRefusal(line);
    if (taken !== null) this.#taken = taken;
    if (receipt) this.#onReceipt(receipt.id, receipt.clients ?? 0);
    if (refusal) this.#onRefusal(refusal);
    this.#news.resolve();
    this.#news = Promise.withResolvers<void>();
  }

  #onReceipt(id: string, clients: number): void {
    const name = this.#names.get(id);
    if (name === undefined) return;
    this.#names.delete(id);
    this.#options.onReached!(name, clients);
  }

  #onRefusal(refusal: Refusal): void {
    const { id = "", event } = refusal;
    this.#refused++;
    const name = event ?? this.#names.get(id);
    this.#names.delete(id);
    this.#options.onRefused(describeRefusal(name, refusal));
  }

  /** The connection has ended. Nothing more can be sent or confirmed. */
  onEnd(info: CloseInfo): void {
    if (this.#isClosing) return;
    const where = this.#wire?.place ?? "the relay";
    this.#failure.abort(
      new StartError(
        `The connection to ${where} ended with ${describeEnd(info)}: ` +
          `it accepted ${this.#taken} of ${this.#sent} events`,
      ),
    );
  }
}
