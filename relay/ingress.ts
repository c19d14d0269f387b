/**
 * Takes blocks of lines into the relay: classifies each line and reads its envelope. Does not
 * depend on sockets or subscriptions.
 *
 * @module
 */

import type { Recipient } from "../server/subscriber_group.ts";
import type { Subscriber } from "./subscription_table.ts";
import * as ascii from "../protocol/ascii.ts";
import { cutMember, readString } from "../protocol/envelope.ts";
import type { SchemaFilter } from "./schema_filter.ts";
import { Block, type Lines } from "../net/piece.ts";
import { Delivery } from "./receipts.ts";
import type { Routing } from "./router.ts";
import type { EnvelopeKey, LineValidator } from "../protocol/validator.ts";
import { ACK, FROM, ID, RELAY_KEYS, REPLY_TO, TO } from "../protocol/validator.ts";
import { NOTHING } from "../protocol/utf8.ts";

const { CR, LF, OPEN_BRACE } = ascii;
const NO_BLOCK = new Block(NOTHING);

/**
 * Number of individually handled lines between checks of the time. A control line may cost much
 * more than an event, so the time is checked after each control line.
 */
const LINES_BETWEEN_LOOKS = 32;

/** Maximum number of lines of a block that are examined to find its recipients. */
const MAX_PEEKED_LINES = 1024;

/** Maximum size of one allocation, in bytes, unless a single line needs more. */
const MAX_ARENA_BYTES = 65_536;

/** Result of taking a block. */
export interface IngressResult {
  /** Number of valid lines that were events. */
  readonly events: number;
  /** Number of valid lines that were empty. */
  readonly empty: number;
  /** Offset of the first line that was not taken, or the length of the block. */
  readonly end: number;
  /**
   * Whether the rest starts with an invalid line, after which nothing counts. Otherwise the rest
   * has to wait.
   */
  readonly isBad: boolean;
}

/** Takes the blocks of all clients of one relay. */
export class Ingress<R extends Recipient> {
  readonly #validator: LineValidator;
  readonly #router: Routing<R>;
  readonly #checker: SchemaFilter;
  readonly #onControl: (source: Subscriber<R>, control: string, line: Uint8Array) => void;
  readonly #vouches: ((relay: Subscriber<R>, from: string) => boolean) | null;
  readonly #isRelayed: boolean;
  /** The buffer that holds the lines being taken. */
  #block = NO_BLOCK;
  /** Memory for lines that are not passed on unchanged. */
  readonly #arena = new LineArena();
  /** The lines being passed on. One object is reused for all of them, because there are so many. */
  readonly #passed: { -readonly [K in keyof Lines]: Lines[K] } = {
    block: NO_BLOCK,
    start: 0,
    end: 0,
  };

  /**
   * Creates an ingress.
   *
   * @param onControl Called with the source, the value of the `control` key, and the line including
   * its `\n`.
   * @param vouches Set for lines from other relays, which have already written the members that only
   * relays may write. Returns whether a relay may name this client as the sender of an event.
   */
  constructor(
    validator: LineValidator,
    router: Routing<R>,
    checker: SchemaFilter,
    onControl: (source: Subscriber<R>, control: string, line: Uint8Array) => void,
    vouches: ((relay: Subscriber<R>, from: string) => boolean) | null = null,
  ) {
    this.#validator = validator;
    this.#router = router;
    this.#checker = checker;
    this.#onControl = onControl;
    this.#vouches = vouches;
    this.#isRelayed = vouches !== null;
  }

  /**
   * Passes the events of a block on. While no client has subscribed and event names are not
   * counted, consecutive events without an envelope are passed on together. That is nearly always
   * the whole block. Otherwise stops in the middle of the block once `isLate()` returns true.
   *
   * @param hasMore Whether more input from the source is ready.
   * @param isLate Returns whether other clients should have their turn.
   */
  take(
    source: Subscriber<R>,
    bytes: Uint8Array,
    hasMore: boolean,
    isLate: () => boolean = () => false,
  ): IngressResult {
    const validator = this.#validator.open(bytes);
    const router = this.#router;
    router.begin(source);
    this.#block = Block.of(bytes);
    this.#arena.reset();
    // Read once and not for each line: there are millions of lines a second.
    const isChecked = this.#checker.isNeeded;
    let isIdle = router.isIdle;
    let events = 0;
    let empty = 0;
    /** The start of the lines that can be passed on together, and their number. */
    let runStart = 0;
    let run = 0;
    let start = 0;
    let isBad = false;
    /** Number of lines that may still be handled individually before the next check of the time. */
    let budget = LINES_BETWEEN_LOOKS;
    while (start < bytes.length) {
      if (budget <= 0) {
        if (isLate()) break;
        budget = LINES_BETWEEN_LOOKS;
      }
      const kind = validator.validate(start);
      if (kind === "invalid") {
        isBad = true;
        break;
      }
      const next = validator.end + 1;
      const isEvent = kind === "event";
      if (isEvent) events++;
      const isGood = isEvent && (!isChecked || this.#fits(bytes, start)) &&
        (!this.#isRelayed || this.#isGenuine(source, bytes));
      if (isGood && isIdle && this.#isPlain(bytes)) {
        run++;
        if (isChecked) budget--; // An application's own validator may take any time.
      } else {
        if (kind === "control" && router.isHolding) break;
        if (run > 0) router.passRun(this.#lines(bytes, runStart, start), run);
        if (isGood) this.#pass(source, bytes, start);
        else if (isEvent) router.refuse?.();
        else if (kind === "empty") empty++;
        else if (kind === "control") {
          const control = readString(bytes, validator.nameStart - 1);
          this.#onControl(source, control, bytes.subarray(start, next));
        }
        budget = kind === "control" ? 0 : budget - 1;
        isIdle = router.isIdle;
        runStart = next;
        run = 0;
      }
      start = next;
    }
    if (run > 0) router.passRun(this.#lines(bytes, runStart, start), run);
    const isStopped = start < bytes.length && !isBad;
    if (isStopped) this.#block.keep();
    router.end(isStopped || hasMore && !isBad);
    this.#checker.answer(source.recipient);
    return { events, empty, end: start, isBad };
  }

  /**
   * Returns those of `clients` that would receive an event of a block if it were passed on now.
   * Examines only the first lines of the block, as many as time permits.
   */
  recipientsAmong(
    clients: readonly Subscriber<R>[],
    source: Subscriber<R>,
    bytes: Uint8Array,
    isLate: () => boolean = () => false,
  ): Iterable<Subscriber<R>> {
    const validator = this.#validator.open(bytes);
    const search = this.#router.search(source, clients);
    let lines = 0;
    for (let start = 0; start < bytes.length && !search.isComplete; start = validator.end + 1) {
      if (lines > 0 && lines % LINES_BETWEEN_LOOKS === 0 && isLate()) break;
      if (++lines > MAX_PEEKED_LINES) break;
      const kind = validator.validate(start);
      if (kind === "invalid") break;
      if (kind !== "event") continue;
      const to = validator.hasEnvelope ? this.#read(bytes, TO) : null;
      if (to !== null) search.addFor(this.#router.find(to));
      else search.add(this.#router.routes.peek(bytes, validator.nameStart, validator.nameEnd));
    }
    return search.found;
  }

  /** Returns whether the sender of the last validated event, if named, is a client of the relay. */
  #isGenuine(relay: Subscriber<R>, bytes: Uint8Array): boolean {
    const from = this.#validator.hasEnvelope ? this.#read(bytes, FROM) : null;
    return from === null || this.#vouches!(relay, from);
  }

  /** Returns whether the last validated event, which starts at `start`, matches its definition. */
  #fits(bytes: Uint8Array, start: number): boolean {
    const { end, hasEscapedKey } = this.#validator;
    return this.#checker.admits(bytes.subarray(start, end), hasEscapedKey);
  }

  /** Returns whether the last validated event is passed on unchanged. */
  #isPlain(bytes: Uint8Array): boolean {
    return !this.#validator.hasEnvelope && bytes[this.#validator.end - 1] !== CR;
  }

  #lines(bytes: Uint8Array, start: number, end: number): Lines {
    const offset = bytes.byteOffset - this.#block.bytes.byteOffset;
    return this.#partOf(this.#block, offset + start, offset + end);
  }

  #partOf(block: Block, start: number, end: number): Lines {
    const passed = this.#passed;
    passed.block = block;
    passed.start = start;
    passed.end = end;
    return passed;
  }

  /** Passes on the last validated event, which starts at `start`. */
  #pass(source: Subscriber<R>, bytes: Uint8Array, start: number): void {
    const validator = this.#validator;
    const router = this.#router;
    const route = router.routes.find(bytes, validator.nameStart, validator.nameEnd);
    if (this.#isPlain(bytes)) {
      return router.pass(route, this.#lines(bytes, start, validator.end + 1), false, null, false);
    }
    const id = this.#read(bytes, ID);
    const to = this.#read(bytes, TO);
    const ack = this.#read(bytes, ACK);
    const delivery = id === null && ack === null ? null : new Delivery(ack, id);
    const line = this.#rewrite(source, bytes, start);
    if (to === null) {
      return router.pass(route, line, id !== null, delivery, validator.has(REPLY_TO));
    }
    const replyTo = this.#isRelayed ? this.#read(bytes, REPLY_TO) : null;
    router.passTo(to, line, id !== null, delivery, replyTo);
  }

  #read(bytes: Uint8Array, key: EnvelopeKey): string | null {
    const validator = this.#validator;
    return validator.has(key) ? readString(bytes, validator.valueAt(key)) : null;
  }

  /**
   * Returns the last validated event as its recipients receive it: without keys that only the relay
   * may write, and with the sender's ID if it is a request or addressed to one client.
   */
  #rewrite(source: Subscriber<R>, bytes: Uint8Array, start: number): Lines {
    const validator = this.#validator;
    const arena = this.#arena;
    const { end } = validator;
    const endsInCr = bytes[end - 1] === CR;
    const isForged = !this.#isRelayed && RELAY_KEYS.some((key) => validator.has(key));
    const isSigned = !this.#isRelayed && (validator.has(ID) || validator.has(TO));
    if (!endsInCr && !isSigned && !isForged) return this.#lines(bytes, start, end + 1);
    const members = isSigned ? source.signature : NOTHING;
    const remaining = bytes.length - end - 1;
    const stop = endsInCr ? end - 1 : end;
    if (isForged) {
      const text = this.#withoutForged(bytes.subarray(start, stop), start);
      arena.write(text, 0, text.length, members, remaining);
    } else {
      arena.write(bytes, start, stop, members, remaining);
    }
    return this.#partOf(arena.block, arena.start, arena.end);
  }

  /**
   * Returns the text of the last validated event without its forged keys. The text starts at
   * `start` of the block.
   */
  #withoutForged(text: Uint8Array, start: number): Uint8Array {
    const validator = this.#validator;
    // Cut from the end, so that earlier positions stay valid.
    const keys = RELAY_KEYS.filter((key) => validator.has(key))
      .map((key) => validator.keyAt(key) - start).sort((a, b) => b - a);
    for (const at of keys) text = cutMember(text, at);
    return text;
  }
}

/**
 * Memory for the changed lines of one block. They are adjacent, as the unchanged lines of a block
 * are, so that a client receives them in one piece.
 */
export class LineArena {
  /** Contains the last line, from `start` to `end`. Its bytes never change. */
  block: Block = NO_BLOCK;
  start = 0;
  end = 0;

  /** Starts over with new memory. Earlier lines stay valid for their holders. */
  reset(): void {
    this.block = NO_BLOCK;
    this.end = 0;
  }

  /**
   * Writes a line with a newline.
   *
   * @param text Contains the original line, without a newline, from `from` to `to`.
   * @param members Members to insert before all others, as `memberBytes()` returns them.
   * @param remaining Number of bytes that will follow, as far as known.
   */
  write(text: Uint8Array, from: number, to: number, members: Uint8Array, remaining: number): void {
    const length = to - from + members.length + 1;
    if (this.end + length > this.block.bytes.length) {
      const wanted = length + remaining + (remaining >> 2); // those will grow, too
      const size = Math.max(length, Math.min(wanted, MAX_ARENA_BYTES));
      this.block = new Block(new Uint8Array(size));
      this.end = 0;
    }
    const { bytes } = this.block;
    let at = this.start = this.end;
    let i = from;
    if (members.length > 0) {
      for (let byte = 0; byte !== OPEN_BRACE;) bytes[at++] = byte = text[i++]!;
      for (let k = 0; k < members.length; k++) bytes[at++] = members[k]!;
    }
    bytes.set(text.subarray(i, to), at);
    at += to - i;
    bytes[at++] = LF;
    this.end = at;
  }
}
