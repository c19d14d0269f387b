/**
 * One connection that receives events, from its subscription to its end.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import {
  type ControlLine,
  decodeReceipt,
  decodeRefusal,
  encodeRequest,
  type Refusal,
} from "../protocol/control.ts";
import { type CloseInfo, ConnectError } from "../errors.ts";
import { matches } from "../protocol/pattern.ts";
import { TextSet } from "../protocol/text_map.ts";
import type { Place } from "../net/transport.ts";
import { split } from "../client/subscribe_request.ts";
import { describeEnd, StartError } from "./errors.ts";
import { type ReceivedLine, Wire, type WireOptions, type WireSink } from "./raw_connection.ts";

/** The ID of the line that ends a subscription. */
const LEAVING = "leave";

/** The requested subscription. */
export interface HelloExtras {
  /** The patterns of event names; empty for all events. */
  readonly patterns: readonly string[];
  /** The queue to share the events with. */
  readonly queue?: string;
}

/** A connection that receives events. */
export class Subscription implements WireSink {
  readonly #wishes: HelloExtras;
  readonly #onEvent: (event: ReceivedLine, subscription: Subscription) => void;
  readonly #onRefusal: (refusal: Refusal) => void;
  readonly #ended = Promise.withResolvers<CloseInfo>();
  readonly #answered = Promise.withResolvers<Refusal | null>();
  /** The IDs of the subscription lines that the server has not yet acknowledged. */
  readonly #open = new TextSet();
  readonly #left = Promise.withResolvers<void>();
  #wire: Wire | null = null;
  /** Whether only requested events arrive. */
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
   * Connects. Resolves once the subscription is in force. If the server does not support
   * subscriptions, events are filtered here. `onRefusal` is called for later refusals.
   *
   * @throws {ConnectError} If it cannot connect.
   * @throws {StartError} If the server refuses the subscription, or does not support it.
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
      // Without patterns or a queue, no subscription is needed unless the welcome requires one.
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

  /** Resolves to the reason when the connection has ended. */
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
      throw new StartError(`Cannot use --queue: ${wire.place} does not support queues`);
    }
    const all = patterns.length === 0 ? [">"] : patterns;
    const group = queue === undefined ? {} : { queue };
    for (const events of split(all, queue ?? "", wire.maxLineBytes)) {
      const id = `s${this.#open.size + 1}`;
      this.#open.add(id);
      wire.send(encodeRequest({ control: "subscribe", events, ...group, id }));
    }
    const ended = this.ended.then((info) => {
      const why = `the connection ended with ${describeEnd(info)}`;
      throw new ConnectError(`Cannot connect to ${wire.place}: ${why}`, { reason: info.reason });
    });
    ended.catch(() => {}); // Not awaited once the subscription is in force.
    const refusal = await abortable(Promise.race([this.#answered.promise, ended]), signal);
    if (!refusal) return;
    throw new StartError(
      `The relay refuses the subscription: ${refusal.reason}: ${refusal.detail}`,
    );
  }

  /**
   * Ends the subscription. Resolves when all events sent under it have arrived, or when the
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
      // The acknowledgement of the last line covers all lines.
      const id = i === lines.length - 1 ? { id: LEAVING } : {};
      wire.send(encodeRequest({ control: "unsubscribe", events, ...group, ...id }));
    }
    await Promise.race([this.#left.promise, this.ended]);
  }

  /**
   * Filters events by the patterns until the subscription is in force, since all events arrive
   * until then.
   */
  onEvent(event: ReceivedLine): void {
    const { patterns, queue } = this.#wishes;
    const isWanted = this.#isInForce ||
      queue === undefined && patterns.some((pattern) => matches(pattern, event.name));
    if (isWanted) this.#onEvent(event, this);
  }

  /** Handles acknowledgements and refusals of the subscription. */
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
