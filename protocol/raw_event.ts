/**
 * Events that keep the line in which they were written, and their decoder.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { BACKSLASH, LF, QUOTE } from "./ascii.ts";
import type { ControlLine } from "./control.ts";
import { BlockDecoder } from "./decoder.ts";
import type { Envelope } from "./encoder.ts";
import { cutMember, memberBytes, readNumber, readString, spliceMembers } from "./envelope.ts";
import { EventFormatError } from "../errors.ts";
import { EbsocketEvent, type OpenAttributes, UNREAD } from "./event.ts";
import { parseLine } from "./json_parser.ts";
import { decoder, NOTHING } from "./utf8.ts";
import {
  ACK,
  type EnvelopeKey,
  FROM,
  ID,
  LineValidator,
  MAX_MAX_DEPTH,
  OFFSET,
  PAST,
  REPLY_TO,
  SEQ,
  TO,
} from "./validator.ts";

const reader = new LineValidator();

/** Makes the event of the line at `start`, which is the last that the validator has checked. */
let toRawEvent: (block: Uint8Array, start: number, validator: LineValidator) => RawEvent;

/**
 * An event that keeps the line in which it was written: the digits of its numbers, the order of its
 * keys, and its spacing. A client receives such events with the option `raw`.
 *
 * The name and the attributes are decoded when they are first read. They cannot be changed. A
 * client sends the line as it is. Only the members that the call itself needs, such as `to`,
 * replace those of the line.
 *
 * @example Pass on a number that JavaScript cannot represent
 * ```ts
 * import { EbsocketClient, EbsocketServer, RawEvent } from "@ebsockets/relay";
 * import { Relay } from "@ebsockets/relay/relay";
 * import { assertEquals } from "@std/assert/equals";
 *
 * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
 * await using client = new EbsocketClient({ raw: true });
 * await client.connectTo(relay.server.address);
 *
 * const line = '{"event":"paid","__dict__":{"cents":12345678901234567890}}\n';
 * client.sendEvent(RawEvent.fromLine(new TextEncoder().encode(line)));
 * const event = await client.recvEvent();
 * if (!(event instanceof RawEvent)) throw new Error("The client has no option raw");
 * assertEquals(new TextDecoder().decode(event.line), line);
 * ```
 */
export class RawEvent extends EbsocketEvent {
  /** The name. */
  declare readonly event: string;
  /** The attributes, in a frozen object. */
  declare readonly __dict__: Readonly<OpenAttributes>;
  /**
   * The line as it was written, with its `\n`. Its bytes must not be changed. It may share the
   * memory of the lines that arrived with it, so a program that keeps few of many should copy them.
   */
  readonly line: Uint8Array;
  /** The position of the name in the line. */
  readonly #nameStart: number;
  #name: string | null = null;
  #attributes: Readonly<OpenAttributes> | null = null;

  static {
    // Accessors of the prototype, because fields would have to be decoded at once.
    Object.defineProperties(this.prototype, {
      event: {
        get(this: RawEvent): string {
          return this.#name ??= readString(this.line, this.#nameStart - 1);
        },
      },
      __dict__: {
        get(this: RawEvent): Readonly<OpenAttributes> {
          return this.#attributes ??= Object.freeze(attributesOf(this.line));
        },
      },
    });
    toRawEvent = (block, start, validator) => new RawEvent(block, start, validator);
  }

  private constructor(block: Uint8Array, start: number, validator: LineValidator) {
    super(UNREAD as never);
    this.line = block.subarray(start, validator.end + 1);
    this.#nameStart = validator.nameStart - start;
    if (!validator.hasEnvelope) return;
    this.id = textAt(block, validator, ID);
    this.from = textAt(block, validator, FROM);
    this.to = textAt(block, validator, TO);
    this.replyTo = textAt(block, validator, REPLY_TO);
    this.past = textAt(block, validator, PAST);
    this.seq = numberAt(block, validator, SEQ);
    this.offset = numberAt(block, validator, OFFSET);
  }

  /**
   * Makes an event of a line, to send it unchanged.
   *
   * The rules are those of {@link EbsocketEvent.fromBytes}.
   *
   * @param bytes The line, with or without its `\n`. They are copied.
   * @returns The event.
   * @throws {EventFormatError} If the bytes are not an event. The message gives the fault and its
   * position.
   */
  static fromLine(bytes: Uint8Array): RawEvent {
    const line = bytes.at(-1) === LF ? bytes.slice() : concat([bytes, Uint8Array.of(LF)]);
    const validator = reader.open(line);
    const kind = validator.validate(0);
    if (kind === "invalid") throw validator.fault;
    if (kind !== "event" || validator.end !== line.length - 1) {
      const found = kind === "event" ? "more than one line" : kind;
      throw new EventFormatError(
        "bad-event",
        `Cannot decode line: expected an event, got ${found}`,
      );
    }
    const event = toRawEvent(line, 0, validator);
    validator.open(NOTHING); // so that it does not keep the line
    return event;
  }

  /** Returns the line as it was written, without its `\n`. */
  override asBytes(): Uint8Array {
    return this.line.slice(0, -1);
  }
}

function attributesOf(line: Uint8Array): OpenAttributes {
  const { __dict__ = {} } = parseLine(decoder.decode(line), line.includes(BACKSLASH));
  return __dict__ as OpenAttributes;
}

function textAt(block: Uint8Array, validator: LineValidator, key: EnvelopeKey): string | null {
  if (!validator.has(key)) return null;
  const value = validator.valueAt(key);
  return block[value] === QUOTE ? readString(block, value) : null;
}

function numberAt(block: Uint8Array, validator: LineValidator, key: EnvelopeKey): number | null {
  return validator.has(key) ? readNumber(block, validator.valueAt(key)) : null;
}

/** Decodes blocks of lines into raw events and control lines. */
export class RawDecoder extends BlockDecoder {
  override decode(block: Uint8Array): (RawEvent | ControlLine)[] {
    const lines: (RawEvent | ControlLine)[] = [];
    const validator = this.validator.open(block);
    this.fault = null;
    this.lines = 0;
    this.eventBytes = 0;
    for (let start = 0; start < block.length; start = validator.end + 1) {
      const kind = validator.validate(start);
      this.lines++;
      if (kind === "invalid") {
        this.fault = validator.fault;
        break;
      }
      if (kind === "event") {
        lines.push(toRawEvent(block, start, validator));
        this.eventBytes += validator.end + 1 - start;
      } else if (kind === "control") {
        const text = decoder.decode(block.subarray(start, validator.end));
        lines.push(parseLine(text, validator.hasEscapedKey) as ControlLine);
      }
    }
    return lines;
  }
}

/**
 * Copies the lines of events from one block, unless they are most of it. Otherwise few events that
 * stay unread would keep the memory of all that arrived with them.
 */
export function detachLines(events: readonly EbsocketEvent[]): void {
  if (!(events[0] instanceof RawEvent)) return;
  const raw = events as RawEvent[] as { line: Uint8Array }[];
  const bytes = raw.reduce((sum, { line }) => sum + line.length, 0);
  if (2 * bytes >= events[0].line.buffer.byteLength) return;
  for (const event of raw) event.line = event.line.slice();
}

/** Returns the line of an event of the past without the ID of the question that it answers. */
export function withoutPast({ line }: RawEvent): Uint8Array {
  sealer.open(line).validate(0);
  const bytes = sealer.has(PAST) ? cutMember(line, sealer.keyAt(PAST)) : line;
  sealer.open(NOTHING); // so that it does not keep the line
  return bytes;
}

/** The members of an envelope that a sender may set, by their names. */
const KEYS: Readonly<Record<keyof Envelope, EnvelopeKey>> = {
  id: ID,
  to: TO,
  reply_to: REPLY_TO,
  ack: ACK,
};

const sealer = new LineValidator(MAX_MAX_DEPTH);

/** Returns the line of an event with the members of `envelope` in place of its own. */
export function sealLine({ line }: RawEvent, envelope: Envelope): Uint8Array {
  const keys = Object.keys(envelope) as (keyof Envelope)[];
  sealer.open(line).validate(0);
  const old = keys.map((key) => KEYS[key]).filter((key) => sealer.has(key))
    .map((key) => sealer.keyAt(key));
  sealer.open(NOTHING); // so that it does not keep the line
  // From the end, so that earlier positions stay valid.
  const rest = old.toSorted((one, two) => two - one).reduce(cutMember, line);
  return spliceMembers(rest, concat(keys.map((key) => memberBytes(key, envelope[key]!))));
}
