/**
 * The event class, the types of event maps, and the JSON bytes of an event in both directions. The
 * newline that ends a line is not part of them.
 *
 * @module
 */

import { LF } from "./ascii.ts";
import { checkAttributes, encodeText } from "./encoder.ts";
import { checkName } from "./names.ts";
import { EventFormatError } from "../errors.ts";
import { parseLine } from "./json_parser.ts";
import { inspect, printable } from "./printable.ts";
import { decoder, encoder } from "./utf8.ts";
import { LineValidator } from "./validator.ts";

/** Tells the constructor that a subclass reads the name and the attributes itself, on demand. */
export const UNREAD: unique symbol = Symbol("unread");

/** Attributes of unknown types. */
export type OpenAttributes = Record<string, unknown>;

/** The event map of a program that declares no events: any name, any attributes. */
export type OpenEvents = Record<string, OpenAttributes>;

/**
 * `T` if it arrives unchanged. A type that JSON lacks or converts becomes a string that explains
 * the problem. The compiler shows that string wherever the type is used.
 *
 * @typeParam T The type of an attribute, or of all attributes of an event.
 */
export type Carried<T> = unknown extends T ? T
  : T extends string | number | boolean | null | undefined ? T
  : T extends bigint ? "JSON has no bigint: declare and send a string"
  : T extends symbol ? "JSON has no symbols"
  : T extends (...args: never) => unknown ? "JSON has no functions"
  : T extends { toJSON(key: never): unknown }
    ? "JSON has what its toJSON() returns: declare and send that, of a Date a string"
  : T extends { readonly [Symbol.toStringTag]: string }
    ? "JSON has only arrays and plain objects: declare and send one of them"
  : T extends readonly (infer Item)[] ? readonly (
      Item extends undefined ? "JSON has no undefined in an array: declare and send null"
        : Carried<Item>
    )[]
  : { [K in keyof T]: Carried<T[K]> };

/**
 * Marks an event map whose attributes are produced by validators, so that JSON need not carry them.
 * It exists only as a type.
 */
export type Validated = { readonly [Symbol.toStringTag]: "Validated" };

/**
 * An event map as it arrives. Events with attributes that are not {@link Carried} are adjusted, and
 * all others stay as they are. Attributes produced by validators always stay as they are.
 *
 * @typeParam M The event map.
 */
export type CarriedEvents<M extends object> = {
  [N in keyof M]: Extract<
    M extends Validated ? M[N] : M[N] extends Carried<M[N]> ? M[N] : Carried<M[N]>,
    object
  >;
};

/**
 * The union of all events of an event map, discriminated by `event`.
 *
 * @typeParam M A map from event name to the type of its attributes.
 */
export type EventOf<M extends object> = {
  [N in keyof M & string]: EbsocketEvent<N, CarriedEvents<M>[N]>;
}[keyof M & string];

/**
 * The events of an event map that have one of the given names.
 *
 * @typeParam M The event map.
 * @typeParam N The name, or a union of names.
 */
export type EventNamed<M extends object, N extends keyof M & string> = {
  [P in N]: EbsocketEvent<P, CarriedEvents<M>[P]>;
}[N];

/**
 * An event that may be sent under the event map `M`. Without a map, any event may be sent.
 *
 * @typeParam M The event map.
 * @typeParam N The name of the event, or a union of names.
 */
export type SendableEvent<M extends object, N extends keyof M & string = keyof M & string> =
  string extends keyof M ? EbsocketEvent<string, object>
    : EventNamed<M, N>;

/**
 * The attributes that an event may be sent with under the event map `M`.
 *
 * @typeParam M The event map.
 * @typeParam N The name of the event.
 */
export type SendableAttributes<M extends object, N extends keyof M & string> = string extends
  keyof M ? object : CarriedEvents<M>[N];

/**
 * The names of the events that may be sent without attributes.
 *
 * @typeParam M The event map.
 */
export type BareName<M extends object> = string extends keyof M ? string
  // deno-lint-ignore ban-types
  : { [N in keyof M & string]: {} extends CarriedEvents<M>[N] ? N : never }[keyof M & string];

/**
 * An event: a name and key-value attributes.
 *
 * @typeParam N The name, where it is known.
 * @typeParam A The type of the attributes.
 *
 * @example Read and change attributes
 * ```ts
 * import { EbsocketEvent } from "@ebsockets/relay";
 * import { assertEquals } from "@std/assert/equals";
 *
 * const event = new EbsocketEvent("message", { content: "hi" });
 * event.__dict__.content += "!";
 * assertEquals(event.getAttribute("content"), "hi!");
 * assertEquals(event.compareType("message"), true);
 * assertEquals(`${event}`, "EbsocketEvent<message>");
 * ```
 */
export class EbsocketEvent<N extends string = string, A extends object = OpenAttributes> {
  /** The name: 1 to 255 bytes of UTF-8. */
  declare event: N;
  /** The live attributes. The event is sent with their current values. */
  declare __dict__: A;
  /** The connection on which a system received the event, otherwise `null`. Never sent. */
  fromConnection: object | null = null;
  /**
   * The ID of a request, which each reply repeats; `null` if no reply is expected. This field and
   * those after it are set on receipt and are never sent again with the event.
   */
  id: string | null = null;
  /**
   * The ID of the sender, such as `c3`, as stated by the relay; `null` if it is not stated. A relay
   * states it for requests and for events with a single recipient.
   */
  from: string | null = null;
  /**
   * The ID of the event's only recipient, which is this client. `null` if the event was also for
   * other clients.
   */
  to: string | null = null;
  /** The `id` of the request that this event answers, or `null`. */
  replyTo: string | null = null;
  /**
   * The number of the event on its connection, starting at 1. `null` if events are not numbered.
   */
  seq: number | null = null;
  /**
   * The place of the event in the relay's history. `null` if the relay does not keep the event, or
   * the client has not asked for this.
   */
  offset: number | null = null;
  /** The `id` of the question about the past that this event answers, or `null`. */
  past: string | null = null;

  /**
   * Makes an event. The attributes are copied, one level deep.
   *
   * @param event The name.
   * @param attributes The attributes.
   * @throws {TypeError} If the name is not a string or the attributes are not an object.
   * @throws {RangeError} If the name is not 1 to 255 bytes of UTF-8.
   */
  constructor(event: N, attributes: A);
  /**
   * Makes an event without attributes, if the type of the event allows that.
   *
   * @throws {TypeError} If the name is not a string.
   * @throws {RangeError} If the name is not 1 to 255 bytes of UTF-8.
   */
  // deno-lint-ignore ban-types
  constructor(event: N, ...none: {} extends A ? [] : [attributes: A]);
  constructor(event: N | typeof UNREAD, attributes?: A) {
    if (event === UNREAD) return;
    this.event = checkName(event);
    this.__dict__ = { ...checkAttributes(attributes ?? {}) } as A;
  }

  /**
   * Decodes one line.
   *
   * The rules are those of `PROTOCOL.md`: JSON according to RFC 8259, nested at most 64 deep.
   *
   * @param bytes The line, without its newline.
   * @returns The event.
   * @throws {EventFormatError} If the bytes are not an event. The message gives the fault and its
   * position.
   *
   * @example Reject invalid input
   * ```ts
   * import { EbsocketEvent, EventFormatError } from "@ebsockets/relay";
   * import { assertThrows } from "@std/assert/throws";
   *
   * const bytes = new TextEncoder().encode('{"event":""}');
   * assertThrows(() => EbsocketEvent.fromBytes(bytes), EventFormatError);
   * ```
   */
  static fromBytes(bytes: Uint8Array): EbsocketEvent {
    const line = new Uint8Array(bytes.length + 1);
    line.set(bytes);
    line[bytes.length] = LF;
    const validator = new LineValidator().open(line);
    const kind = validator.validate(0);
    if (kind === "invalid") throw validator.fault;
    if (validator.end !== bytes.length) {
      throw new EventFormatError(
        "bad-json",
        `Cannot decode line: it ends at byte ${validator.end} of ${bytes.length}`,
      );
    }
    if (kind !== "event") {
      throw new EventFormatError("bad-event", `Cannot decode line: expected an event, got ${kind}`);
    }
    return toEvent(parseLine(decoder.decode(bytes), validator.hasEscapedKey));
  }

  /**
   * Encodes the event as one line of JSON in UTF-8, without a newline.
   *
   * U+0085, U+2028 and U+2029 are escaped, so that no reader takes them for the end of the line.
   * Members that are `undefined` are omitted at any depth, as by `JSON.stringify()`.
   *
   * @returns The line.
   * @throws {TypeError} If JSON cannot carry an attribute: a bigint, a function, `NaN`, a `Map`,
   * `undefined` in an array, an object that contains itself, or nesting deeper than 62. The message
   * names the attribute.
   * @throws {RangeError} If the name has been changed and is no longer 1 to 255 bytes.
   */
  asBytes(): Uint8Array {
    return encoder.encode(encodeText(this.event, this.__dict__));
  }

  /** Returns whether the name is `type`. If so, TypeScript knows the attributes. */
  compareType<T extends string>(type: T): this is { event: T } {
    return (this.event as string) === type;
  }

  /** Returns the attribute `key`, or `null` if it is missing or `undefined`. */
  getAttribute<K extends keyof A & string>(key: K): Exclude<A[K], undefined> | null {
    const value = Object.hasOwn(this.__dict__, key) ? this.__dict__[key] : null;
    return value === undefined ? null : value as Exclude<A[K], undefined>;
  }

  /**
   * Prints each attribute on its own line, with the names padded to the same width:
   * `* content : hi`.
   *
   * Control characters are escaped, because a peer may have chosen the text.
   */
  printAttributes(): void {
    const entries = Object.entries(this.__dict__)
      .map(([key, value]) => [printable(key), showValue(value)] as const);
    const width = entries.reduce((width, [key]) => Math.max(width, key.length), 0);
    for (const [key, value] of entries) console.log(`* ${key.padEnd(width)} : ${value}`);
  }

  /** Returns a short form such as `EbsocketEvent<message>`. */
  toString(): string {
    return `EbsocketEvent<${printable(this.event)}>`;
  }

  /** Returns the name and the attributes, as in a line. */
  toJSON(): { event: N; __dict__: A } {
    return { event: this.event, __dict__: this.__dict__ };
  }

  /** Returns the form that `console.log` and `Deno.inspect` show: that of {@link toString}. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

/** Converts a line of the right shape to an event. */
export function toEvent(line: Record<string, unknown>): EbsocketEvent {
  const event = new EbsocketEvent(line.event as string, line.__dict__ as OpenAttributes);
  const { id, from, to, reply_to: replyTo, seq, offset, past } = line;
  if (typeof id === "string") event.id = id;
  if (typeof from === "string") event.from = from;
  if (typeof to === "string") event.to = to;
  if (typeof replyTo === "string") event.replyTo = replyTo;
  if (typeof seq === "number") event.seq = seq;
  if (typeof offset === "number") event.offset = offset;
  if (typeof past === "string") event.past = past;
  return event;
}

function showValue(value: unknown): string {
  if (typeof value === "string") return printable(value);
  try {
    return printable(JSON.stringify(value));
  } catch {
    return printable(inspect(value)); // a value that could not be sent either
  }
}
