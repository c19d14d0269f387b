/**
 * Owns what clients ask of the relay itself, in control lines, and what they are answered. Must not
 * know how events get to the clients.
 *
 * @module
 */

import type { Subscriber } from "./subscriber.ts";
import type { EbsocketConnection } from "../net/connection.ts";
import type { ControlLine } from "../protocol/control.ts";
import type { Handshake } from "../server/handshake.ts";
import type { Hello } from "../protocol/greeting.ts";
import type { Inspector } from "./inspector.ts";
import { MAX_CONTROL_BYTES } from "../protocol/option_checks.ts";
import { parseLine } from "../protocol/json_parser.ts";
import type { Router } from "./router.ts";
import {
  decodeSubscription,
  encodeReceipt,
  encodeRefusal,
  isName,
  type Refusal,
  type SubscriptionRequest,
} from "../protocol/routing.ts";
import { refusalOf, type Subscriptions } from "./subscriptions.ts";
import { TextSet } from "../protocol/text_map.ts";

/** The control lines that mean something here. Others are not even parsed: they may be long. */
const KNOWN = new TextSet(["close", "hello", "subscribe", "unsubscribe", "stats"]);

/**
 * What takes the relay about as long as a short control line, some 50 µs: so many bytes to read or to
 * write, so many patterns to look for or clients to send to, or so many patterns to copy.
 */
const BYTES_PER_LINE = 4096;
const STEPS_PER_LINE = 64;
const COPIES_PER_LINE = 2048;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

type Client = Subscriber<EbsocketConnection>;

/** What a desk works with. */
export interface DeskOptions {
  /** Who answers what any server answers. */
  readonly greeter: Handshake;
  /** Who passes events on. */
  readonly router: Router<EbsocketConnection>;
  /** How many subscriptions a client may have. */
  readonly maxSubscriptions: number;
  /** How many all clients may have together; those that hear the same count once. */
  readonly maxTotalSubscriptions: number;
  /** Who finds out how the relay is; `null` if that is told nobody. */
  readonly inspector: Inspector<EbsocketConnection> | null;
}

/** Answers the clients of one relay. */
export class ControlHandler {
  readonly #greeter: Handshake;
  readonly #router: Router<EbsocketConnection>;
  readonly #maxSubscriptions: number;
  readonly #maxTotal: number;
  readonly #inspector: Inspector<EbsocketConnection> | null;

  /** Makes one that works with these. */
  constructor(options: DeskOptions) {
    this.#greeter = options.greeter;
    this.#router = options.router;
    this.#maxSubscriptions = options.maxSubscriptions;
    this.#maxTotal = options.maxTotalSubscriptions;
    this.#inspector = options.inspector;
  }

  /**
   * Takes a control line, with its `\n`, and what it is about. What is not known is ignored. Returns how
   * many short lines would have cost as much.
   */
  onControl(
    client: Client,
    control: string,
    bytes: Uint8Array,
    hasEscapedKey: boolean,
  ): number {
    // Of a client that is going, nothing is answered any more: the rest of its block may be long.
    if (!KNOWN.has(control) || !client.recipient.open) return 1;
    const length = bytes.length - 1;
    if (length > MAX_CONTROL_BYTES) {
      const detail = `a control line may have ${MAX_CONTROL_BYTES} bytes, this had ${length}`;
      refuse(client, { reason: "too-long", detail });
      return 1;
    }
    const line = parseLine(decoder.decode(bytes), hasEscapedKey) as ControlLine;
    return 1 + length / BYTES_PER_LINE + this.#answer(client, line);
  }

  /** Does what a control line asks for. Returns how many short lines would have cost as much more. */
  #answer(client: Client, line: ControlLine): number {
    const wish = decodeSubscription(line);
    if (wish && "reason" in wish) refuse(client, wish);
    else if (wish) return this.#onWish(client, wish);
    else if (line.control === "stats") return this.#onStats(client, line);
    else {
      const hello = this.#greeter.onControl(client.recipient, line);
      if (hello) this.onHello(client, hello);
    }
    return 0;
  }

  /** Does what a client wants according to a `hello` that has been answered. */
  onHello(client: Client, { sequence }: Hello): void {
    if (sequence) this.#router.change(client, client.subscriptions, true);
  }

  /** Why all clients would have too many subscriptions together, or `null`. */
  #excessOf(client: Client, after: Subscriptions): string | null {
    const total = this.#router.subscriptionsAfter(client, after);
    if (total === null || total <= this.#maxTotal) return null;
    return `all clients may have ${this.#maxTotal} together, this would make ${total}`;
  }

  #onWish(client: Client, wish: SubscriptionRequest): number {
    const after = client.subscriptions.after(wish);
    const copies = client.subscriptions.size / COPIES_PER_LINE;
    const cost = (steps: number) => copies + (wish.events.length + steps) / STEPS_PER_LINE;
    const refusal = refusalOf(wish, after, this.#maxSubscriptions);
    const excess = refusal ? null : this.#excessOf(client, after);
    if (refusal) refuse(client, refusal);
    // Who shared its subscriptions with others, and wants fewer, needs some of its own.
    else if (excess && wish.control === "unsubscribe") client.recipient.close("overloaded", excess);
    else if (excess) {
      const name = wish.id === undefined ? {} : { id: wish.id };
      refuse(client, { ...name, reason: "too-many-subscriptions", detail: excess });
    }
    if (refusal || excess) return cost(0);
    const steps = this.#router.change(client, after, client.isNumbered);
    if (wish.id !== undefined) client.recipient.send(encodeReceipt({ id: wish.id }), 0);
    return cost(steps);
  }

  #onStats(client: Client, line: ControlLine): number {
    const name = isName(line.id) ? { id: line.id } : {};
    if (line.id !== undefined && !isName(line.id)) {
      const detail = '"id" must be a string of 1 to 255 bytes';
      refuse(client, { reason: "bad-request", detail });
      return 0;
    }
    if (!this.#inspector) {
      refuse(client, { ...name, reason: "not-allowed", detail: "the relay tells nobody" });
      return 0;
    }
    const answer = this.#inspector.answer(name.id);
    client.recipient.send(answer, 0);
    return answer.length / BYTES_PER_LINE;
  }
}

function refuse({ recipient }: Client, refusal: Refusal): void {
  recipient.send(encodeRefusal(refusal), 0);
}
