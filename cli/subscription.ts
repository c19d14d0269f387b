/**
 * Owns one connection over which events are heard, from its subscription to its end. Must not know what
 * comes after it.
 *
 * @module
 */

import type { ControlLine } from "../protocol/control.ts";
import { type CloseInfo, ConnectError } from "../errors.ts";
import { matches } from "../protocol/pattern.ts";
import {
  decodeReceipt,
  decodeRefusal,
  encodeSubscription,
  type Refusal,
} from "../protocol/routing.ts";
import { TextSet } from "../protocol/text_map.ts";
import type { Place } from "../net/transport.ts";
import { abortable } from "../net/waits.ts";
import { split } from "../client/subscribe_request.ts";
import { describeEnd, StartError } from "./errors.ts";
import { type ReceivedLine, Wire, type WireOptions, type WireSink } from "./raw_connection.ts";

/** What the line is called with which a subscription ends. */
const LEAVING = "leave";

/** What is to be heard. */
export interface HelloExtras {
  /** The patterns of the events' names; none for all. */
  readonly patterns: readonly string[];
  /** The group of clients of which one gets each event. */
  readonly queue?: string;
}

/** A connection over which events are heard. */
export class Subscription implements WireSink {
  readonly #wishes: HelloExtras;
  readonly #onEvent: (event: ReceivedLine, subscription: Subscription) => void;
  readonly #onRefusal: (refusal: Refusal) => void;
  readonly #ended = Promise.withResolvers<CloseInfo>();
  readonly #answered = Promise.withResolvers<Refusal | null>();
  /** The lines of the subscription that have not been granted, by their ids. */
  readonly #open = new TextSet();
  readonly #left = Promise.withResolvers<void>();
  #wire: Wire | null = null;
  /** Whether only what is wanted comes. */
  #isInForce: boolean;

  private constructor(
    wishes: HelloExtras,
    onEvent: (event: ReceivedLine, subscription: Subscription) => void,
    onRefusal: (refusal: Refusal) => void,
  ) {
    this.#wishes = wishes;
    this.#onEvent = onEvent;
    this.#onRefusal = onRefusal;
    this.#isInForce = wishes.patterns.length === 0 && wishes.queue === undefined;
  }

  /**
   * Connects, and waits until the wishes are in force. Where the server does not know them, what comes
   * is chosen here. `onRefusal` is told what the relay refuses later.
   *
   * @throws {ConnectError} If it cannot connect.
   * @throws {StartError} If the server refuses the wishes, or cannot grant them.
   * @throws {Deno.errors.NotCapable} Without the permission to connect.
   */
  static async open(
    where: Place,
    wishes: HelloExtras,
    onEvent: (event: ReceivedLine, subscription: Subscription) => void,
    options: WireOptions,
    onRefusal: (refusal: Refusal) => void = () => {},
  ): Promise<Subscription> {
    const subscription = new Subscription(wishes, onEvent, onRefusal);
    const wire = subscription.#wire = await Wire.open(where, subscription, {
      ...options,
      // Who wants everything need not ask for it, unless the welcome says so.
      welcome: wishes.queue === undefined ? "wanted" : "required",
    });
    try {
      const mustAsk = wire.features.includes("subscribe-first");
      if (mustAsk || !subscription.#isInForce) await subscription.#subscribe(wire, options.signal);
      return subscription;
    } catch (error) {
      await wire.close();
      throw error;
    }
  }

  /** How it ended, once it has. */
  get ended(): Promise<CloseInfo> {
    return this.#ended.promise;
  }

  /** The connection. */
  get wire(): Wire {
    return this.#wire!;
  }

  async #subscribe(wire: Wire, signal: AbortSignal): Promise<void> {
    const { patterns, queue } = this.#wishes;
    if (!wire.features.includes("subscribe")) {
      if (queue === undefined) return;
      throw new StartError(`Cannot use --queue: the server at ${wire.place} knows no queues`);
    }
    const all = patterns.length === 0 ? [">"] : patterns;
    const group = queue === undefined ? {} : { queue };
    for (const events of split(all, queue ?? "", wire.maxLineBytes)) {
      const id = `s${this.#open.size + 1}`;
      this.#open.add(id);
      wire.send(encodeSubscription({ control: "subscribe", events, ...group, id }));
    }
    const ended = this.ended.then((info) => {
      const why = `the connection ended with ${describeEnd(info)}`;
      throw new ConnectError(`Cannot connect to ${wire.place}: ${why}`, { reason: info.reason });
    });
    ended.catch(() => {}); // Once the wishes are in force, nobody waits for it.
    const refusal = await abortable(Promise.race([this.#answered.promise, ended]), signal);
    if (!refusal) return;
    throw new StartError(
      `The relay refuses the subscription: ${refusal.reason}: ${refusal.detail}`,
    );
  }

  /**
   * Takes the wishes back. Resolves when all has come that was sent because of them, or when the
   * connection has ended.
   */
  async leave(): Promise<void> {
    const { patterns, queue } = this.#wishes;
    const wire = this.#wire!;
    if (!wire.features.includes("subscribe")) return;
    const all = patterns.length === 0 ? [">"] : patterns;
    const group = queue === undefined ? {} : { queue };
    const lines = split(all, queue ?? "", wire.maxLineBytes);
    for (const [i, events] of lines.entries()) {
      // The answer to the last line tells of all.
      const id = i === lines.length - 1 ? { id: LEAVING } : {};
      wire.send(encodeSubscription({ control: "unsubscribe", events, ...group, ...id }));
    }
    await Promise.race([this.#left.promise, this.ended]);
  }

  /** Until the wishes are in force everything comes, of which the patterns choose. */
  onEvent(event: ReceivedLine): void {
    const { patterns, queue } = this.#wishes;
    const isWanted = this.#isInForce ||
      queue === undefined && patterns.some((pattern) => matches(pattern, event.name));
    if (isWanted) this.#onEvent(event, this);
  }

  /** Learns whether the wishes are in force. */
  onControl(line: ControlLine): void {
    const receipt = decodeReceipt(line);
    if (receipt && this.#open.delete(receipt.id)) {
      this.#isInForce = true;
      if (this.#open.size === 0) this.#answered.resolve(null);
    }
    const refusal = decodeRefusal(line);
    if ((receipt ?? refusal)?.id === LEAVING) this.#left.resolve();
    else if (refusal?.id !== undefined && this.#open.has(refusal.id)) {
      this.#answered.resolve(refusal);
    } else if (refusal) this.#onRefusal(refusal);
  }

  /** The connection has ended. */
  onEnd(info: CloseInfo): void {
    this.#ended.resolve(info);
  }
}
