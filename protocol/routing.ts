/**
 * The control lines of subscriptions, receipts and refusals.
 *
 * @module
 */

import { EbsocketError } from "../errors.ts";
import { encodeJson } from "./encoder.ts";
import type { ControlLine } from "./control.ts";
import { inspect, MAX_QUOTE, printable, quote } from "./printable.ts";
import { TextSet } from "./text_map.ts";
import { MAX_NAME_BYTES } from "./validator.ts";

/** A feature that a server may announce in its `welcome`. */
export type Feature = "subscribe" | "ack" | "sequence" | "stats" | "subscribe-first";

/** The queue of subscriptions without a queue. No queue can have this name. */
export const NO_QUEUE = "";

/** A client's request to receive some events from now on, or to stop receiving them. */
export interface SubscriptionRequest {
  /** Whether the client subscribes or unsubscribes. */
  readonly control: "subscribe" | "unsubscribe";
  /** The patterns of the event names. */
  readonly events: readonly string[];
  /**
   * The name of a group of clients, of which only one receives each event. If unset, this client
   * receives every matching event.
   */
  readonly queue?: string;
  /** The ID that the answer repeats. If unset, the only possible answer is a refusal. */
  readonly id?: string;
}

/** Confirms that a subscription is in force, or that an event has been relayed. */
export interface Receipt {
  /** The `id` of the subscription, or the `ack` or `id` of the event. */
  readonly id: string;
  /** How many clients the event was queued for. */
  readonly clients?: number;
}

/** Reports that an operation was not carried out. */
export interface Refusal {
  /** The ID of the refused line, if it had one. */
  readonly id?: string;
  /** The name of the event, if the line was an event. */
  readonly event?: string;
  /** The reason, as a short constant string. */
  readonly reason: string;
  /** The reason, as a text for people. */
  readonly detail: string;
}

const encoder = new TextEncoder();

/** Returns the line of a subscription request. */
export function encodeSubscription(
  { control, events, queue, id }: SubscriptionRequest,
): Uint8Array {
  return encode({ control, events, queue, id });
}

/**
 * Returns the subscription request in `line`, the refusal of an invalid one, or `null` for any
 * other line. The patterns are strings, but not necessarily valid.
 */
export function decodeSubscription(line: ControlLine): SubscriptionRequest | Refusal | null {
  const { control, events, queue, id } = line;
  if (control !== "subscribe" && control !== "unsubscribe") return null;
  const name = isName(id) ? { id } : {};
  const wrong = (detail: string): Refusal => ({ ...name, reason: "bad-request", detail });
  if (id !== undefined && !isName(id)) return wrong(`"id" must be a ${NAME}`);
  if (queue !== undefined && !isName(queue)) return wrong(`"queue" must be a ${NAME}`);
  if (!Array.isArray(events) || !events.every((event) => typeof event === "string")) {
    return wrong('"events" must be an array of strings');
  }
  return { control, events, ...(queue !== undefined && { queue }), ...name };
}

/** Returns the line of a receipt. */
export function encodeReceipt(receipt: Receipt): Uint8Array {
  return encoder.encode(receiptText(receipt));
}

/** Returns the line of a receipt as text. */
export function receiptText({ id, clients }: Receipt): string {
  return `${encodeJson({ control: "ack", id, clients })}\n`;
}

/** Returns the receipt in `line`, or `null` if it is not a valid receipt. */
export function decodeReceipt(line: ControlLine): Receipt | null {
  const { control, id, clients } = line;
  if (control !== "ack" || !isName(id)) return null;
  return Number.isSafeInteger(clients) && clients as number >= 0
    ? { id, clients: clients as number }
    : { id };
}

/** Returns the line of a refusal. */
export function encodeRefusal({ id, event, reason, detail }: Refusal): Uint8Array {
  // A line cannot have both "control" and "event".
  return encode({ control: "error", id, name: event, reason, detail });
}

/** The error codes that only a client can produce. A relay cannot give one as its reason. */
const CLIENT_CODES = new TextSet([
  "connect-failed",
  "connection-closed",
  "inbox-full",
  "no-responders",
  "no-welcome",
  "not-supported",
  "queue-full",
  "timeout",
]);

/**
 * Returns the refusal in `line`, or `null` for any other line. No member of the line is trusted.
 */
export function decodeRefusal(line: ControlLine): Refusal | null {
  const { control, id, name: event, reason, detail } = line;
  if (control !== "error") return null;
  const words = typeof detail === "string"
    ? printable(detail.slice(0, 4 * MAX_QUOTE).toWellFormed())
    : "";
  const isTheirs = isName(reason) && !CLIENT_CODES.has(reason);
  const why = isName(reason) ? `the relay gave the reason ${quote(reason)}` : "";
  return {
    ...(isName(id) && { id }),
    ...(isName(event) && { event }),
    reason: isTheirs ? printable(reason.toWellFormed()) : "unknown",
    detail: isTheirs ? words : [why, words].filter((text) => text !== "").join(": "),
  };
}

const NAME = `string of 1 to ${MAX_NAME_BYTES} bytes`;

/** Returns whether a value is a valid name. The limit is that of event names. */
export function isName(value: unknown): value is string {
  if (typeof value !== "string" || value === "") return false;
  return 3 * value.length <= MAX_NAME_BYTES || encoder.encode(value).length <= MAX_NAME_BYTES;
}

function encode(line: ControlLine): Uint8Array {
  return encoder.encode(`${encodeJson(line)}\n`);
}

/**
 * Returns the error for a feature that the server does not announce.
 *
 * @param feature The missing feature.
 * @param what The operation that needs it.
 */
export function notSupported(feature: Feature, what: string): EbsocketError {
  const message = `Cannot ${what}: the server does not offer ${quote(feature)}; a relay does`;
  return new EbsocketError("not-supported", message);
}

/**
 * Returns `value` if it is a valid client ID or queue name.
 *
 * @param name Describes the value in the error.
 * @param value The value to check.
 * @throws {TypeError} If it is not a string.
 * @throws {RangeError} If it is not 1 to 255 bytes of UTF-8.
 */
export function checkWord(name: string, value: string): string {
  if (typeof value !== "string") {
    throw new TypeError(`Invalid ${name}: expected a string, got ${inspect(value)}`);
  }
  if (isName(value)) return value;
  const { length } = new TextEncoder().encode(value);
  throw new RangeError(
    `Invalid ${name} ${quote(value)}: expected 1 to ${MAX_NAME_BYTES} bytes, got ${length}`,
  );
}
