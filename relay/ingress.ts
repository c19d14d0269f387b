/**
 * Owns the way of a block of lines into the relay: what each line is, and what its envelope asks for.
 * Must not know who hears what, or sockets.
 *
 * @module
 */

import type { Recipient } from "../server/subscriber_group.ts";
import type { Subscriber } from "./subscriber.ts";
import { cutMember, readString } from "../protocol/envelope.ts";
import type { SchemaFilter } from "./schema_filter.ts";
import { Block } from "../net/send_queue.ts";
import { Delivery } from "./receipts.ts";
import type { Lines, Router } from "./router.ts";
import { LineArena } from "./line_arena.ts";
import {
  ACK,
  type EnvelopeKey,
  FROM,
  ID,
  type LineValidator,
  SEQ,
  TO,
} from "../protocol/validator.ts";

const CR = 0x0d;
const NOTHING = new Uint8Array(0);
const NO_BLOCK = new Block(NOTHING);

/**
 * After how many lines that are looked at one by one the intake asks whether it should stop. Control
 * lines may cost much more than others, so it asks after each of them.
 */
const LINES_BETWEEN_LOOKS = 32;

/** How many lines of a block are looked at to find out who would get some of it. */
const MAX_PEEKED_LINES = 1024;

/** What a block was. */
export interface IngressResult {
  /** How many lines were good. */
  readonly lines: number;
  /** How many of them were events. */
  readonly events: number;
  /** How many of them had no byte. */
  readonly empty: number;
  /** Where the rest begins that was not taken; the end of the block if there is none. */
  readonly end: number;
  /** Whether the rest begins with a bad line, after which nothing counts. Otherwise it has to wait. */
  readonly isBad: boolean;
}

/** Takes the blocks of all clients of one relay. */
export class Ingress<R extends Recipient> {
  readonly #validator: LineValidator;
  readonly #router: Router<R>;
  readonly #checker: SchemaFilter;
  readonly #onControl: (source: Subscriber<R>, control: string, line: Uint8Array) => void;
  /** What the lines are in that are being taken. */
  #block = NO_BLOCK;
  /** Where the lines of a block are that are not passed on as they came. */
  readonly #sheet = new LineArena();
  /** The lines being passed on: one object for all, since there are so many. */
  readonly #passed: { -readonly [K in keyof Lines]: Lines[K] } = {
    block: NO_BLOCK,
    start: 0,
    end: 0,
  };

  /** Makes one that gives control lines, with their `\n`, and what they are about to `onControl`. */
  constructor(
    validator: LineValidator,
    router: Router<R>,
    checker: SchemaFilter,
    onControl: (source: Subscriber<R>, control: string, line: Uint8Array) => void,
  ) {
    this.#validator = validator;
    this.#router = router;
    this.#checker = checker;
    this.#onControl = onControl;
  }

  /**
   * Passes the events of a block on. While nobody has asked for anything special, all lines that
   * follow one another are passed on together: nearly always the whole block. Otherwise it stops in
   * the middle of a block once `isLate()` says that others should have their turn.
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
    this.#sheet.reset();
    // Asked here and not for each line: there are millions of them a second.
    const isChecked = this.#checker.isNeeded;
    let isIdle = router.isIdle;
    let lines = 0;
    let events = 0;
    let empty = 0;
    /** Where the lines begin that can be passed on together, and how many there are. */
    let runStart = 0;
    let run = 0;
    let start = 0;
    let isBad = false;
    /** How many lines may still be looked at before it asks whether it is late. */
    let left = LINES_BETWEEN_LOOKS;
    while (start < bytes.length) {
      if (left <= 0) {
        if (isLate()) break;
        left = LINES_BETWEEN_LOOKS;
      }
      const kind = validator.validate(start);
      if (kind === "invalid") {
        isBad = true;
        break;
      }
      lines++;
      const next = validator.end + 1;
      const isEvent = kind === "event";
      if (isEvent) events++;
      const isGood = isEvent && (!isChecked || this.#fits(bytes, start));
      if (isGood && isIdle && this.#isPlain(bytes)) {
        run++;
        if (isChecked) left--; // A program's own check may take any time.
      } else {
        if (run > 0) this.#passRun(bytes, runStart, start, run);
        if (isGood) this.#pass(source, bytes, start);
        else if (kind === "control") this.#control(source, bytes, start);
        else if (kind === "empty") empty++;
        left = kind === "control" ? 0 : left - 1;
        isIdle = router.isIdle;
        runStart = next;
        run = 0;
      }
      start = next;
    }
    if (run > 0) this.#passRun(bytes, runStart, start, run);
    const isStopped = start < bytes.length && !isBad;
    if (isStopped) this.#block.keep();
    router.end(isStopped || hasMore && !isBad);
    this.#checker.answer(source.recipient);
    return { lines, events, empty, end: start, isBad };
  }

  /**
   * Which of some clients would get some event of a block, if it was passed on now. Looks at its first
   * lines, as many as it has the time for.
   */
  hearers(
    source: Subscriber<R>,
    bytes: Uint8Array,
    clients: readonly Subscriber<R>[],
    isLate: () => boolean = () => false,
  ): Iterable<Subscriber<R>> {
    const validator = this.#validator.open(bytes);
    const hearers = this.#router.hearers(source, clients);
    let lines = 0;
    for (let start = 0; start < bytes.length && !hearers.isComplete; start = validator.end + 1) {
      if (lines > 0 && lines % LINES_BETWEEN_LOOKS === 0 && isLate()) break;
      if (++lines > MAX_PEEKED_LINES) break;
      const kind = validator.validate(start);
      if (kind === "invalid") break;
      if (kind !== "event") continue;
      const to = validator.hasEnvelope ? this.#read(bytes, TO) : null;
      if (to !== null) hearers.addOne(this.#router.find(to));
      else hearers.add(this.#router.routes.peek(bytes, validator.nameStart, validator.nameEnd));
    }
    return hearers.found;
  }

  /** Whether the event that was checked last, and begins at `start`, fits its definition. */
  #fits(bytes: Uint8Array, start: number): boolean {
    const { end, hasEscapedKey } = this.#validator;
    return this.#checker.admits(bytes.subarray(start, end), hasEscapedKey);
  }

  /** Whether an event goes on as it came. */
  #isPlain(bytes: Uint8Array): boolean {
    return !this.#validator.hasEnvelope && bytes[this.#validator.end - 1] !== CR;
  }

  #passRun(bytes: Uint8Array, start: number, end: number, count: number): void {
    this.#router.passRun(this.#lines(bytes, start, end), count);
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

  /** Passes on the event that was checked last, which begins at `start`. */
  #pass(source: Subscriber<R>, bytes: Uint8Array, start: number): void {
    const validator = this.#validator;
    const router = this.#router;
    const route = router.routes.find(bytes, validator.nameStart, validator.nameEnd);
    if (this.#isPlain(bytes)) {
      return router.pass(route, this.#lines(bytes, start, validator.end + 1), false, null);
    }
    const id = this.#read(bytes, ID);
    const to = this.#read(bytes, TO);
    const ack = this.#read(bytes, ACK);
    const delivery = id === null && ack === null ? null : new Delivery(ack, id);
    const line = this.#rewrite(source, bytes, start);
    if (to === null) router.pass(route, line, id !== null, delivery);
    else router.passTo(to, line, id !== null, delivery);
  }

  /** Gives out the control line that was checked last, which begins at `start`. */
  #control(source: Subscriber<R>, bytes: Uint8Array, start: number): void {
    const line = bytes.subarray(start, this.#validator.end + 1);
    this.#onControl(source, this.#name(bytes), line);
  }

  #name(bytes: Uint8Array): string {
    return readString(bytes, this.#validator.nameStart - 1);
  }

  #read(bytes: Uint8Array, key: EnvelopeKey): string | null {
    const validator = this.#validator;
    return validator.has(key) ? readString(bytes, validator.valueAt(key)) : null;
  }

  /**
   * The event that was checked last as others get it: without what only the relay writes, and with the
   * name of its sender where somebody may answer it.
   */
  #rewrite(source: Subscriber<R>, bytes: Uint8Array, start: number): Lines {
    const validator = this.#validator;
    const sheet = this.#sheet;
    const { end } = validator;
    const endsInCr = bytes[end - 1] === CR;
    const isForged = validator.has(FROM) || validator.has(SEQ);
    const isSigned = validator.has(ID) || validator.has(TO);
    if (!endsInCr && !isSigned && !isForged) return this.#lines(bytes, start, end + 1);
    const members = isSigned ? source.signature : NOTHING;
    const rest = bytes.length - end - 1;
    const stop = endsInCr ? end - 1 : end;
    if (isForged) {
      const text = this.#withoutForged(bytes.subarray(start, stop), start);
      sheet.write(text, 0, text.length, members, rest);
    } else {
      sheet.write(bytes, start, stop, members, rest);
    }
    return this.#partOf(sheet.block, sheet.start, sheet.end);
  }

  /** The text of the event that was checked last, which begins at `start` of its block. */
  #withoutForged(text: Uint8Array, start: number): Uint8Array {
    const validator = this.#validator;
    // From the back, so that the positions in front stay right.
    const keys = ([FROM, SEQ] as const).filter((key) => validator.has(key))
      .map((key) => validator.keyAt(key) - start).sort((one, two) => two - one);
    for (const at of keys) text = cutMember(text, at);
    return text;
  }
}
