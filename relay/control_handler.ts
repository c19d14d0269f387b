/**
 * Answers the control lines that clients send to the relay itself. Does not depend on the routing
 * of events.
 *
 * @module
 */

import type { Subscriber } from "./subscription_table.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type {
  ControlLine,
  Hello,
  Refusal,
  StatsRequest,
  SubscriptionRequest,
} from "../protocol/control.ts";
import { decodeRequest, encodeReceipts, encodeRefusal } from "../protocol/control.ts";
import { decodeCancel } from "../protocol/history.ts";
import type { Handshake } from "../server/handshake.ts";
import type { Inspector } from "./inspector.ts";
import { checkLimit, MAX_CONTROL_BYTES } from "../protocol/option_checks.ts";
import type { RelayOptions } from "./options.ts";
import { parseLine } from "../protocol/json_parser.ts";
import type { Router } from "./router.ts";
import {
  DEFAULT_MAX_SUBSCRIPTIONS,
  DEFAULT_MAX_TOTAL_SUBSCRIPTIONS,
  refusalOf,
  Subscriptions,
} from "./subscriptions.ts";
import { TextSet } from "../protocol/text_map.ts";
import { decoder } from "../protocol/utf8.ts";

/** Control lines that the relay handles. Others are not even parsed, because they may be long. */
const KNOWN = new TextSet([
  "close",
  "hello",
  "subscribe",
  "unsubscribe",
  "stats",
  "read",
  "cancel",
]);

/**
 * Amounts of work that take the relay about as long as a short control line, some 50 µs: bytes to
 * read or write, patterns to look up or clients to send to, and patterns to copy.
 */
const BYTES_PER_LINE = 4096;
const STEPS_PER_LINE = 64;
const COPIES_PER_LINE = 2048;

type Client = Subscriber<LineConnection>;

/** The cluster of a relay, as far as clients ask about it. */
export interface ClusterPort {
  /**
   * Returns a promise that resolves when the other relays know the subscriptions of now, to `false`
   * if they cannot be expected to. Returns `null` if they know already. `isForAll` is set if a client
   * waits for it that hears everything.
   */
  whenKnown(isForAll: boolean): Promise<boolean> | null;
  /** Tells a client what becomes of the cluster from now on. */
  keepInformed(client: LineConnection): void;
}

/** The history of a relay, as far as clients ask for it. */
export interface HistoryPort {
  /** Returns the refusal of a request for kept events, or `null`. */
  refusalOf(client: Client, request: SubscriptionRequest): Refusal | null;
  /**
   * Changes the subscriptions of a client to those `after` its request. Answers the request if it is
   * for kept events. Returns the work done, as a number of pattern look-ups.
   */
  change(client: Client, request: SubscriptionRequest, after: Subscriptions): number;
  /** Answers a request for events of the past alone. Returns the work. */
  read(client: Client, request: SubscriptionRequest): number;
  /** Ends such an answer. */
  cancel(client: Client, id: string): void;
}

const NO_CLUSTER: ClusterPort = { whenKnown: () => null, keepInformed() {} };

/** Answers the control lines of the clients of one relay. */
export class ControlHandler {
  readonly #handshake: Handshake;
  readonly #router: Router<LineConnection>;
  readonly #inspector: Inspector<LineConnection> | null;
  readonly #cluster: ClusterPort;
  readonly #history: () => HistoryPort | null;
  readonly #maxSubscriptions: number;
  readonly #maxTotal: number;

  /**
   * Creates a handler.
   *
   * @param handshake Answers the control lines that every server answers.
   * @param router Passes events on.
   * @param inspector Reports the state of the relay. `null` if clients may not ask for it.
   * @param limits The limits of one client, and of all clients together.
   * @param cluster The cluster of the relay.
   * @param history Returns the history of the relay, or `null` if it keeps no events.
   * @throws {RangeError} If a limit is out of range.
   */
  constructor(
    handshake: Handshake,
    router: Router<LineConnection>,
    inspector: Inspector<LineConnection> | null,
    limits: Pick<RelayOptions, "maxSubscriptions" | "maxTotalSubscriptions">,
    cluster: ClusterPort = NO_CLUSTER,
    history: () => HistoryPort | null = () => null,
  ) {
    const {
      maxSubscriptions = DEFAULT_MAX_SUBSCRIPTIONS,
      maxTotalSubscriptions = DEFAULT_MAX_TOTAL_SUBSCRIPTIONS,
    } = limits;
    this.#handshake = handshake;
    this.#router = router;
    this.#inspector = inspector;
    this.#cluster = cluster;
    this.#history = history;
    this.#maxSubscriptions = checkLimit("maxSubscriptions", maxSubscriptions, 1);
    this.#maxTotal = checkLimit("maxTotalSubscriptions", maxTotalSubscriptions, 1);
  }

  /**
   * Handles a control line. Ignores unknown ones.
   *
   * @param control The value of the line's `control` key.
   * @param bytes The line, including its `\n`.
   * @returns The cost of the line, as a number of short control lines.
   */
  onControl(client: Client, control: string, bytes: Uint8Array, hasEscapedKey: boolean): number {
    // A client that is being closed gets no answers. The rest of its block may be long.
    if (!KNOWN.has(control) || !client.recipient.open) return 1;
    const length = bytes.length - 1;
    if (length > MAX_CONTROL_BYTES) {
      const detail = `a control line may have ${MAX_CONTROL_BYTES} bytes, this had ${length}`;
      refuse(client, { reason: "too-long", detail });
      return 1;
    }
    const line = parseLine(decoder.decode(bytes), hasEscapedKey) as ControlLine;
    if (control === "read") {
      const isFree = this.#handshake.onRead(client.recipient, line);
      return (isFree ? 0 : 1) + Math.floor(length / BYTES_PER_LINE);
    }
    return 1 + length / BYTES_PER_LINE + this.#answer(client, line);
  }

  /** Executes a control line. Returns its additional cost, as a number of short control lines. */
  #answer(client: Client, line: ControlLine): number {
    const request = decodeRequest(line);
    if (request && "reason" in request) refuse(client, request);
    else if (request?.control === "stats") return this.#onStats(client, request);
    else if (request?.replay?.isPast) return this.#onPast(client, request);
    else if (request) return this.#onSubscription(client, request);
    else {
      const cancelled = decodeCancel(line);
      if (cancelled !== null) this.#history()?.cancel(client, cancelled);
      const hello = this.#handshake.onControl(client.recipient, line);
      if (hello) this.onHello(client, hello);
    }
    return 0;
  }

  /** Applies the options of a `hello` that has already been answered. */
  onHello(client: Client, { sequence, cluster }: Hello): void {
    if (cluster) this.#cluster.keepInformed(client.recipient);
    if (sequence) this.#router.change(client, client.subscriptions, true);
  }

  /** Returns the reason why all clients together would have too many subscriptions, or `null`. */
  #excessOf(client: Client, after: Subscriptions, isCatchingUp: boolean): string | null {
    const kind = isCatchingUp ? "catching-up" : client.group.kind;
    const total = this.#router.subscriptionsAfter(client, after, kind);
    if (total === null || total <= this.#maxTotal) return null;
    return `all clients may have ${this.#maxTotal} together, this would make ${total}`;
  }

  #onSubscription(client: Client, request: SubscriptionRequest): number {
    const after = client.subscriptions.after(request);
    const copies = client.subscriptions.size / COPIES_PER_LINE;
    const cost = (steps: number) => copies + (request.events.length + steps) / STEPS_PER_LINE;
    const { id, control, replay } = request;
    const refusal = refusalOf(request, after, this.#maxSubscriptions) ??
      (replay ? this.#historyRefusal(client, request) : null);
    if (refusal) {
      refuse(client, { id, ...refusal });
      return cost(0);
    }
    const excess = this.#excessOf(client, after, replay !== undefined);
    // A client that shared a set of subscriptions and drops some of them needs a set of its own.
    if (excess && control === "unsubscribe") client.recipient.close("overloaded", excess);
    else if (excess) refuse(client, { id, reason: "too-many-subscriptions", detail: excess });
    if (excess) return cost(0);
    const isMember = client.subscriptions.queues > 0;
    const steps = this.#history()?.change(client, request, after) ??
      this.#router.change(client, after, client.isNumbered);
    if (id !== undefined && !replay) this.#confirm(client, id, control === "subscribe", isMember);
    return cost(steps);
  }

  /** Returns the refusal of a request for kept events, or `null`. */
  #historyRefusal(client: Client, request: SubscriptionRequest): Refusal | null {
    const history = this.#history();
    if (history) return history.refusalOf(client, request);
    return { reason: "no-history", detail: "the relay keeps no events" };
  }

  /** Answers a request for events of the past, which has its own subscriptions. */
  #onPast(client: Client, request: SubscriptionRequest): number {
    const patterns = Subscriptions.NOTHING.after(request);
    const refusal = refusalOf(request, patterns, this.#maxSubscriptions) ??
      this.#historyRefusal(client, request);
    if (refusal) refuse(client, { id: request.id, ...refusal });
    const steps = refusal ? 0 : this.#history()!.read(client, request);
    return (request.events.length + steps) / STEPS_PER_LINE;
  }

  /**
   * Confirms a change. New subscriptions wait until they are in force at all relays. Until then, a client
   * that was not a member of any queue is joining.
   */
  async #confirm(client: Client, id: string, isNew: boolean, isMember: boolean): Promise<void> {
    const { recipient, subscriptions } = client;
    const known = isNew ? this.#cluster.whenKnown(subscriptions.coversAll) : null;
    if (known && !isMember) client.isJoining = subscriptions.queues > 0;
    const isComplete = known === null || await known;
    if (isNew) client.isJoining = false;
    recipient.send(encodeReceipts([isComplete ? { id } : { id, isIncomplete: true }]), 0);
  }

  #onStats(client: Client, { id }: StatsRequest): number {
    if (!this.#inspector) {
      const detail = "the relay answers no such questions";
      refuse(client, { id, reason: "not-allowed", detail });
      return 0;
    }
    const answer = this.#inspector.answer(id);
    client.recipient.send(answer, 0);
    return answer.length / BYTES_PER_LINE;
  }
}

function refuse({ recipient }: Client, refusal: Refusal): void {
  recipient.send(encodeRefusal(refusal), 0);
}
