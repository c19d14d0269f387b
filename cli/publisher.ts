/**
 * Owns the sending of lines whose arrival matters: how many the relay has taken, and how many clients
 * each has reached. Must not know where the lines come from.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { ControlLine } from "../protocol/control.ts";
import { cutMember, memberBytes, readString, spliceMembers } from "../protocol/envelope.ts";
import type { CloseInfo } from "../errors.ts";
import { decodeAck } from "../protocol/greeting.ts";
import {
  decodeReceipt,
  decodeRefusal,
  encodeSubscription,
  type Refusal,
} from "../protocol/routing.ts";
import { TextMap } from "../protocol/text_map.ts";
import type { Place } from "../net/transport.ts";
import { ACK, type EnvelopeKey, LineValidator, TO } from "../protocol/validator.ts";
import { abortable } from "../net/waits.ts";
import { describeEnd, describeRefusal, StartError } from "./errors.ts";
import { Wire, type WireOptions, type WireSink } from "./raw_connection.ts";

/**
 * How many receipts may have yet to come before the next events are sent: who asks for more than it
 * reads is closed by the relay as a slow consumer.
 */
const MAX_UNCONFIRMED = 10_000;

/** How the events are sent, and who hears what becomes of them. */
export interface PublisherOptions {
  /** The client that is to get them, alone; without it, everybody. */
  readonly to?: string | undefined;
  /** Is told of each event how many clients it has reached, in the order of sending. */
  readonly onReached?: ((name: string, clients: number) => void) | undefined;
  /** Is told of an event that the relay does not pass on. */
  readonly onRefused: (text: string) => void;
}

/** Sends lines. */
export class Publisher implements WireSink, AsyncDisposable {
  readonly #options: PublisherOptions;
  readonly #validator = new LineValidator(1000);
  /** Is aborted, with an error, when there is no point in going on. */
  readonly #failure = new AbortController();
  /** The names of the events of which a receipt has yet to come, by what it is called. */
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
   * Connects.
   *
   * @throws {ConnectError} If it cannot.
   * @throws {StartError} If the server cannot do what the options ask for.
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
      const option = to === undefined ? "--confirm" : "--to";
      throw new StartError(`Cannot use ${option}: the server at ${wire.place} does not know of it`);
    }
    // What others send is of no interest.
    if (wire.features.includes("subscribe")) {
      wire.send(encodeSubscription({ control: "subscribe", events: [] }));
    }
  }

  /** How many events have been sent. */
  get sent(): number {
    return this.#sent;
  }

  /** How many of them the relay has taken. */
  get taken(): number {
    return this.#taken;
  }

  /** How many of those it does not pass on. */
  get refused(): number {
    return this.#refused;
  }

  /** Is aborted, with the error, when nothing more can be sent. */
  get failed(): AbortSignal {
    return this.#failure.signal;
  }

  /**
   * Sends the lines of events, each with its `\n`, and waits until there is room for more.
   *
   * @throws {StartError} If a line is longer than the relay takes, or the connection has ended.
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

  /** The line as it is sent: with what the options add to its envelope, in place of what is there. */
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
      `Cannot send an event of ${length} bytes: the relay takes ${wire.maxLineBytes}`,
    );
  }

  /** What the receipt for an event is to be called. */
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
    // From the back, so that the positions in front stay right.
    old.sort((one, two) => two - one);
    const rest = old.reduce((cut, at) => cutMember(cut, at), line);
    return spliceMembers(rest, concat(members.map(([, bytes]) => bytes)));
  }

  /**
   * Waits until the relay has taken all.
   *
   * @throws {StartError} If the connection ends before, or the server does not say what it takes.
   */
  async finish(): Promise<void> {
    const wire = this.#wire!;
    while (wire.hasAcks && (this.#taken < this.#sent || this.#names.size > 0)) {
      await abortable(this.#news.promise, this.failed);
    }
    if (wire.hasAcks) return;
    await wire.flush();
    throw new StartError(
      `${wire.place} does not say whether it has taken the events: they were sent, no more is known`,
    );
  }

  /** Sends what is queued, then closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    await this.#wire!.close();
  }

  /** What others send is not looked at. */
  onEvent(): void {}

  /** Learns what has become of events. */
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

  /** Nothing more can be sent, or be known of what was. */
  onEnd(info: CloseInfo): void {
    if (this.#isClosing) return;
    const where = this.#wire?.place ?? "the relay";
    this.#failure.abort(
      new StartError(
        `The connection to ${where} ended with ${describeEnd(info)}: ` +
          `it has taken ${this.#taken} of ${this.#sent} events`,
      ),
    );
  }
}
