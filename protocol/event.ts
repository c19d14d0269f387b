/**
 * Owns the event: a name and attributes, and its JSON bytes, both ways. Must not know newlines,
 * sockets or time.
 *
 * @module
 */

import { checkAttributes, checkName, encodeText } from "./encoder.ts";
import { EventFormatError } from "../errors.ts";
import { parseLine } from "./json_parser.ts";
import { inspect, printable } from "./printable.ts";
import { LineValidator } from "./validator.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Attributes of which nothing is known before they are looked at. */
export type OpenAttributes = Record<string, unknown>;

/** The event map of a program that has not said which events there are: any name, any attributes. */
export type OpenEvents = Record<string, OpenAttributes>;

/**
 * `T` if it arrives as it is sent. Where JSON has no such thing, or makes something else of it, is a
 * text instead that says so: the compiler shows it where somebody relies on that.
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

/** Marks an event map of attributes that validators make, which JSON need not carry. Only a type has it. */
export type Validated = { readonly [Symbol.toStringTag]: "Validated" };

/**
 * An event map as it arrives: as it is, but for events with something in them that is not
 * {@link Carried}. Of what validators make, all arrives.
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
 * Any one of the events of an event map, told apart by `event`.
 *
 * @typeParam M A map from event name to the type of its attributes.
 */
export type EventOf<M extends object> = {
  [N in keyof M & string]: EbsocketEvent<N, CarriedEvents<M>[N]>;
}[keyof M & string];

/**
 * Those of the events of an event map that have one of these names.
 *
 * @typeParam M The event map.
 * @typeParam N The name, or a union of names.
 */
export type EventNamed<M extends object, N extends keyof M & string> = {
  [P in N]: EbsocketEvent<P, CarriedEvents<M>[P]>;
}[N];

/**
 * What may be sent where the events are those of `M`: without a map, any event.
 *
 * @typeParam M The event map.
 * @typeParam N The name of the event, or a union of names.
 */
export type SendableEvent<M extends object, N extends keyof M & string = keyof M & string> =
  string extends keyof M ? EbsocketEvent<string, object>
    : EventNamed<M, N>;

/**
 * The attributes with which an event may be sent where the events are those of `M`.
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
 * A name and key-value attributes.
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
  event: N;
  /** The attributes, live: what is written here is what is sent. */
  __dict__: A;
  /** The connection on which a system received the event, otherwise `null`. Never sent. */
  fromConnection: object | null = null;
  /**
   * What an answer to the event says that it answers; `null` unless somebody waits for one. Like all
   * that follows it is set on receipt, and never sent again with the event.
   */
  id: string | null = null;
  /**
   * The client that has sent the event, such as `c3`, by the word of the relay; `null` where nobody
   * said so. A relay says it of requests and of events that were sent to one client alone.
   */
  from: string | null = null;
  /** The client that the event was sent to alone, which is this one; `null` if it was for others too. */
  to: string | null = null;
  /** The `id` of the request that the event answers, or `null`. */
  replyTo: string | null = null;
  /** Which of the events on its connection it is, from 1, where these are numbered; or `null`. */
  seq: number | null = null;

  /**
   * Makes an event. The attributes are copied, one level deep.
   *
   * @throws {TypeError} If the name is no string or the attributes are no object.
   * @throws {RangeError} If the name has not 1 to 255 bytes of UTF-8.
   */
  constructor(event: N, attributes: A);
  /**
   * Makes an event without attributes, where an event of its type may have none.
   *
   * @throws {TypeError} If the name is no string.
   * @throws {RangeError} If the name has not 1 to 255 bytes of UTF-8.
   */
  // deno-lint-ignore ban-types
  constructor(event: N, ...none: {} extends A ? [] : [attributes: A]);
  constructor(event: N, attributes?: A) {
    this.event = checkName(event);
    this.__dict__ = { ...checkAttributes(attributes ?? {}) } as A;
  }

  /**
   * Decodes one line, without its newline.
   *
   * The rules are those of `PROTOCOL.md`: JSON by RFC 8259, nested at most 64 deep.
   *
   * @throws {EventFormatError} If the bytes are no event; the message names what was found where.
   *
   * @example Tell bad input from good
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
    line[bytes.length] = 0x0a;
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
   * The event as one line of JSON in UTF-8, without a newline.
   *
   * U+0085, U+2028 and U+2029 are escaped, so that no reader takes them for the end of the line.
   *
   * What is `undefined` is left out, at any depth, as `JSON.stringify()` does it.
   *
   * @throws {TypeError} If an attribute cannot be carried by JSON (a bigint, a function, `NaN`, a `Map`,
   * `undefined` in an array, an object that contains itself, nesting deeper than 62); the message names
   * it.
   * @throws {RangeError} If the name has been changed to one that has not 1 to 255 bytes.
   */
  asBytes(): Uint8Array {
    return encoder.encode(encodeText(this.event, this.__dict__));
  }

  /** Whether the name is `type`; if so, TypeScript knows the attributes. */
  compareType<T extends string>(type: T): this is { event: T } {
    return (this.event as string) === type;
  }

  /** The attribute called `key`, or `null` where there is none, or it is `undefined`. */
  getAttribute<K extends keyof A & string>(key: K): Exclude<A[K], undefined> | null {
    const value = Object.hasOwn(this.__dict__, key) ? this.__dict__[key] : null;
    return value === undefined ? null : value as Exclude<A[K], undefined>;
  }

  /**
   * Prints every attribute on a line of its own, names padded to one width: `* content : hi`.
   *
   * Control characters are shown escaped, since a peer may have chosen the text.
   */
  printAttributes(): void {
    const entries = Object.entries(this.__dict__)
      .map(([key, value]) => [printable(key), showValue(value)] as const);
    const width = entries.reduce((width, [key]) => Math.max(width, key.length), 0);
    for (const [key, value] of entries) console.log(`* ${key.padEnd(width)} : ${value}`);
  }

  /** `EbsocketEvent<message>`. */
  toString(): string {
    return `EbsocketEvent<${printable(this.event)}>`;
  }

  /** The name and the attributes, as they stand in a line. */
  toJSON(): { event: N; __dict__: A } {
    return { event: this.event, __dict__: this.__dict__ };
  }

  /** Shows the event in `console.log` and `Deno.inspect` as {@link toString} does. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

/** The event that a line of the right shape is. */
export function toEvent(line: Record<string, unknown>): EbsocketEvent {
  const event = new EbsocketEvent(line.event as string, line.__dict__ as OpenAttributes);
  const { id, from, to, reply_to: replyTo, seq } = line;
  if (typeof id === "string") event.id = id;
  if (typeof from === "string") event.from = from;
  if (typeof to === "string") event.to = to;
  if (typeof replyTo === "string") event.replyTo = replyTo;
  if (typeof seq === "number") event.seq = seq;
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
