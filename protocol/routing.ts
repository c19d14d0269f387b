/**
 * Owns the control lines about who gets what: with which a client says what it wants to hear, and
 * with which a relay says what became of that, and of events. Must not know connections, or how a
 * relay finds out.
 *
 * @module
 */

import { EbsocketError } from "../errors.ts";
import { encodeJson } from "./encoder.ts";
import type { ControlLine } from "./control.ts";
import { inspect, MAX_QUOTE, printable, quote } from "./printable.ts";
import { TextSet } from "./text_map.ts";
import { MAX_NAME_BYTES } from "./validator.ts";

/** What a client may expect of a server that says so in its `welcome`. */
export type Feature = "subscribe" | "ack" | "sequence" | "stats" | "subscribe-first";

/** The queue of what is in none: no queue can be called so. */
export const NO_QUEUE = "";

/** A client's wish to hear some events from now on, or some no longer. */
export interface SubscriptionRequest {
  /** Which of the two. */
  readonly control: "subscribe" | "unsubscribe";
  /** The patterns of the events' names. */
  readonly events: readonly string[];
  /** The group of clients of which one gets each event; without it, every client does. */
  readonly queue?: string;
  /** What the answer is to be called; without it there is none, unless something is wrong. */
  readonly id?: string;
}

/** That a subscription is in force, or that an event has been passed on. */
export interface Receipt {
  /** What it answers: the `id` of a subscription, or the `ack` or `id` of an event. */
  readonly id: string;
  /** For how many clients the event was queued. */
  readonly clients?: number;
}

/** That something was not done. */
export interface Refusal {
  /** What it answers, if that had a name. */
  readonly id?: string;
  /** The name of the event, if it was one. */
  readonly event?: string;
  /** Why, as a short constant string. */
  readonly reason: string;
  /** Why, for a person. */
  readonly detail: string;
}

const encoder = new TextEncoder();

/** The line of a wish. */
export function encodeSubscription(
  { control, events, queue, id }: SubscriptionRequest,
): Uint8Array {
  return encode({ control, events, queue, id });
}

/**
 * The wish that `line` is, or what is wrong with it; `null` if it is none. The patterns are strings,
 * and that is all that is known of them.
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

/** The line of a receipt. */
export function encodeReceipt(receipt: Receipt): Uint8Array {
  return encoder.encode(receiptText(receipt));
}

/** The same as text. */
export function receiptText({ id, clients }: Receipt): string {
  return `${encodeJson({ control: "ack", id, clients })}\n`;
}

/** The receipt that `line` is, or `null` if it is none that makes sense. */
export function decodeReceipt(line: ControlLine): Receipt | null {
  const { control, id, clients } = line;
  if (control !== "ack" || !isName(id)) return null;
  return Number.isSafeInteger(clients) && clients as number >= 0
    ? { id, clients: clients as number }
    : { id };
}

/** The line of a refusal. */
export function encodeRefusal({ id, event, reason, detail }: Refusal): Uint8Array {
  // No line can have both "control" and "event".
  return encode({ control: "error", id, name: event, reason, detail });
}

/** The codes of errors that only a client itself can find: no relay can give one as its reason. */
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

/** The refusal that `line` is, or `null` if it is none. Trusts nothing in it. */
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

/** Whether a value can name something: it is as long as the name of an event. */
export function isName(value: unknown): value is string {
  if (typeof value !== "string" || value === "") return false;
  return 3 * value.length <= MAX_NAME_BYTES || encoder.encode(value).length <= MAX_NAME_BYTES;
}

function encode(line: ControlLine): Uint8Array {
  return encoder.encode(`${encodeJson(line)}\n`);
}

/** What the server would have to be able to do. */
export function notSupported(feature: Feature, what: string): EbsocketError {
  const message = `Cannot ${what}: the server does not offer ${quote(feature)}; a relay does`;
  return new EbsocketError("not-supported", message);
}

/**
 * `value` if it can be the id of a client or the name of a queue, otherwise a `TypeError` or
 * `RangeError`.
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
