/**
 * Owns the step from bytes to lines: the buffer that bytes are read into, and where its lines end.
 * Must not know where the bytes come from or what the lines say.
 *
 * @module
 */

import { startsWith } from "@std/bytes/starts-with";
import { FramingError } from "../errors.ts";
import { checkLimit, checkMaxLineBytes } from "./option_checks.ts";

const LF = 0x0a;
const CR = 0x0d;
const BOM = new Uint8Array([0xef, 0xbb, 0xbf]);
const NOTHING = new Uint8Array(0);

/** Who counts the bytes of many buffers, and says how large one may be so that reads bring much. */
export interface BufferCount {
  /** How large one may be without need, in bytes. */
  readonly most: number;
  /** There is one buffer more, without bytes. */
  join(): void;
  /** There is one buffer fewer; it has no bytes any more. */
  leave(): void;
  /** A buffer has got so many bytes more, or fewer; those that every buffer has do not count. */
  add(bytes: number): void;
}

/** The buffer at first, in bytes: what each of many idle connections costs. */
const MIN_BUFFER_BYTES = 256;

/** The most that stays when a read has not filled it. */
const MAX_KEPT_BYTES = 65_536;

/**
 * The most for as long as reads fill it: as much as a writer hands over at once, and a little less
 * than two segments of the loopback device (65,483 bytes each), so that what is read at once also
 * travels on at once. Where only a few lines fit into that, twice as much, or most of a read would
 * be the rest of one line.
 */
const MAX_BUFFER_BYTES = 130_560;
const MAX_LONG_BUFFER_BYTES = 2 * MAX_BUFFER_BYTES;

/** Options of {@link LineSplitter}. */
export interface LineSplitterOptions {
  /**
   * The longest line, in bytes without its end, from 1 to 1 GiB. Without a limit one peer could
   * fill the memory by never sending a newline.
   *
   * @default {1_048_576}
   */
  readonly maxLineBytes?: number;
}

/**
 * Whole lines in one piece of memory. Iterating gives each line as a view, without its `\n` or
 * `\r\n`, and leaves out empty lines, which are keep-alives.
 */
export class LineBlock {
  /** The lines, each with its `\n`. A copy of its own: nothing else writes to it. */
  readonly bytes: Uint8Array;

  /** Takes over `bytes`, which must be empty or end in `\n`. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The lines, one after the other. */
  *[Symbol.iterator](): Generator<Uint8Array> {
    const bytes = this.bytes;
    for (let start = 0, end = 0; start < bytes.length; start = end + 1) {
      end = bytes.indexOf(LF, start);
      const stop = lineStop(bytes, start, end);
      if (stop > start) yield bytes.subarray(start, stop);
    }
  }
}

const NO_LINES = new LineBlock(NOTHING);

/**
 * Cuts a byte stream into lines, without any I/O: chunks in, blocks of whole lines out.
 *
 * A line ends in `\n`, and one `\r` before that is dropped. One byte order mark at the start of
 * the stream is dropped too. Each byte is looked at once and copied a few times, however small
 * the chunks are.
 *
 * Bytes are either pushed in chunks, or read into {@link LineSplitter.space} and then taken with
 * {@link LineSplitter.fill}, which saves a copy; Python's `asyncio.BufferedProtocol` has the same two
 * steps.
 *
 * @example Lines from chunks that end anywhere
 * ```ts
 * import { LineSplitter } from "@ebsockets/relay/framing";
 * import { assertEquals } from "@std/assert/equals";
 *
 * const splitter = new LineSplitter();
 * const lines: string[] = [];
 * for (const chunk of ["on", "e\ntw", "o\r\nthr"]) {
 *   for (const line of splitter.push(new TextEncoder().encode(chunk))) {
 *     lines.push(new TextDecoder().decode(line));
 *   }
 * }
 * assertEquals(lines, ["one", "two"]);
 * assertEquals(splitter.unfinishedBytes, 3);
 * ```
 */
export class LineSplitter {
  /** The longest line, in bytes without its end. May be changed: it holds for what comes then. */
  maxLineBytes: number;

  #atStart = true;
  /** Holds the unfinished line in its first `#held` bytes; behind them is room for more. */
  #buffer: Uint8Array<ArrayBuffer> = NOTHING;
  #held = 0;
  #fault: FramingError | null = null;
  /** Who counts the bytes of many buffers. */
  #count: BufferCount | null;

  /**
   * Makes a splitter for one stream. `count` is told of the size of the buffer.
   *
   * @throws {RangeError} If `maxLineBytes` is no integer from 1 to 1 GiB.
   */
  constructor({ maxLineBytes }: LineSplitterOptions = {}, count: BufferCount | null = null) {
    this.maxLineBytes = checkMaxLineBytes(maxLineBytes);
    this.#count = count;
    count?.join();
  }

  /** The error of a line that was too long; the lines before it have been given out. */
  get fault(): FramingError | null {
    return this.#fault;
  }

  /** How many bytes of a line without an end are held: at the end of the stream they are lost. */
  get unfinishedBytes(): number {
    const isBom = this.#atStart && this.#held > 0 &&
      startsWith(this.#buffer.subarray(0, this.#held), BOM);
    return isBom ? this.#held - BOM.length : this.#held;
  }

  /** How many bytes the buffer has. */
  get bufferBytes(): number {
    return this.#buffer.length;
  }

  /**
   * Where the next bytes are to be read into, at least one: valid until the next {@link fill} or
   * {@link push}, and not to be transferred.
   *
   * @throws {FramingError} If `fault` was set by an earlier call.
   *
   * @example Read from a file
   * ```ts
   * import { LineSplitter } from "@ebsockets/relay/framing";
   *
   * const splitter = new LineSplitter();
   * using file = await Deno.open("README.md");
   * let lines = 0;
   * for (let length; (length = await file.read(splitter.space())) !== null;) {
   *   for (const _ of splitter.fill(length)) lines++;
   * }
   * console.log(lines, "lines that are not empty");
   * ```
   */
  space(): Uint8Array<ArrayBuffer> {
    if (this.#fault) throw this.#fault;
    const size = this.#buffer.length;
    if (this.#held === size) this.#resize(Math.max(this.#larger(), MIN_BUFFER_BYTES));
    return this.#held === 0 ? this.#buffer : this.#buffer.subarray(this.#held);
  }

  /**
   * Takes the first `length` bytes of {@link space}, and gives the lines that they complete.
   *
   * When a line is longer than `maxLineBytes`, the lines before it are given and `fault` is set.
   *
   * @throws {FramingError} If `fault` was set by an earlier call.
   * @throws {RangeError} If `length` is no integer from 0 to the length of that space.
   */
  fill(length: number): LineBlock {
    if (this.#fault) throw this.#fault;
    const size = this.#buffer.length;
    checkLimit("length", length, 0, size - this.#held);
    const used = this.#held + length;
    const lines = this.#take(length);
    if (!this.#fault) this.#adapt(used);
    return lines;
  }

  /**
   * Takes the next chunk, and gives the lines that it completes. The chunk may be reused afterwards.
   * Otherwise as {@link fill}.
   *
   * @throws {FramingError} If `fault` was set by an earlier call.
   */
  push(chunk: Uint8Array): LineBlock {
    if (this.#fault) throw this.#fault;
    const needed = this.#held + chunk.length;
    if (needed > this.#buffer.length) {
      this.#resize(Math.max(needed, this.#larger(), MIN_BUFFER_BYTES));
    }
    this.#buffer.set(chunk, this.#held);
    const lines = this.#take(chunk.length);
    if (this.#held === 0 && needed > MAX_KEPT_BYTES) this.#resize(MIN_BUFFER_BYTES);
    return lines;
  }

  #take(length: number): LineBlock {
    const buffer = this.#buffer;
    const end = this.#held + length;
    const stop = this.#held + buffer.subarray(this.#held, end).lastIndexOf(LF) + 1;
    let lines = NO_LINES;
    if (stop > this.#held) {
      const start = this.#atStart && startsWith(buffer, BOM) ? BOM.length : 0;
      this.#atStart = false;
      // V8 does not fill a copy of a typed array with zeros first, as it does with a new one.
      lines = new LineBlock(new Uint8Array(buffer.subarray(start, this.#soundEnd(start, stop))));
      if (this.#fault) {
        this.drop();
        return lines;
      }
      buffer.copyWithin(0, stop, end);
      this.#held = end - stop;
    } else {
      this.#held = end;
    }
    this.#checkUnfinished();
    if (this.#fault) this.drop();
    return lines;
  }

  /**
   * Lets go of the buffer, and of what it holds: nothing more may be taken. To be called twice makes no
   * difference.
   */
  drop(): void {
    this.#held = 0;
    if (this.#buffer.length > 0) this.#resize(0);
    this.#count?.leave();
    this.#count = null;
  }

  /** A size with room for more: twice what is held, or half as much again of a long line. */
  #larger(): number {
    const held = this.#held;
    const longest = Math.max(held, this.maxLineBytes) + MAX_BUFFER_BYTES;
    return Math.min(held + Math.min(held, Math.max(held >> 1, MAX_BUFFER_BYTES)), longest);
  }

  /** Chooses the size of the buffer for the next read, when `used` bytes of it were used for this. */
  #adapt(used: number): void {
    const size = this.#buffer.length;
    if (used === size) { // more is waiting, most likely
      const worth = 16 * this.#held > size ? MAX_LONG_BUFFER_BYTES : MAX_BUFFER_BYTES;
      const most = Math.min(worth, this.#count?.most ?? Infinity);
      if (size < most) this.#resize(Math.min(4 * size, most));
    } else if (size > MAX_KEPT_BYTES && 2 * this.#held <= MAX_KEPT_BYTES) {
      this.#resize(MAX_KEPT_BYTES);
    } else if (size > MIN_BUFFER_BYTES && 8 * used < size) {
      this.#resize(MIN_BUFFER_BYTES);
    }
  }

  /** Where the lines of an acceptable length end, of those from `start` to `stop`. */
  #soundEnd(start: number, stop: number): number {
    if (stop - start <= this.maxLineBytes) return stop;
    while (start < stop) {
      const end = this.#buffer.indexOf(LF, start);
      const length = lineStop(this.#buffer, start, end) - start;
      if (length > this.maxLineBytes) {
        this.#tooLong(length);
        break;
      }
      start = end + 1;
    }
    return start;
  }

  /** Looks at the length of the line whose end has not come yet. */
  #checkUnfinished(): void {
    // A byte order mark, or the beginning of one, is no part of the line; a last "\r" may not be.
    const held = this.#held;
    const mark = BOM.subarray(0, held);
    let length = this.#atStart && startsWith(this.#buffer, mark) ? held - mark.length : held;
    if (length > 0 && this.#buffer[held - 1] === CR) length--;
    if (length > this.maxLineBytes) this.#tooLong(length);
  }

  /**
   * Moves the unfinished line to a buffer of `size` bytes, or of as many as it needs. The memory of a long
   * line is free at once: left to the garbage collector, that of many would pile up. Other memory is left
   * to it, since V8 reads all typed arrays a fifth more slowly once it has seen any buffer transferred.
   */
  #resize(size: number): void {
    const old = this.#buffer;
    const before = old.length;
    const after = Math.max(size, this.#held);
    if (before > MAX_LONG_BUFFER_BYTES) {
      this.#buffer = new Uint8Array(old.buffer.transfer(after));
    } else {
      this.#buffer = new Uint8Array(after);
      this.#buffer.set(old.subarray(0, this.#held));
    }
    this.#count?.add(excessOf(after) - excessOf(before));
  }

  #tooLong(length: number): void {
    this.#fault = new FramingError(
      "line-too-long",
      `Cannot decode line: length ${length} exceeds maxLineBytes ${this.maxLineBytes}`,
    );
  }
}

/** How much larger a buffer is than at first. */
function excessOf(size: number): number {
  return Math.max(0, size - MIN_BUFFER_BYTES);
}

/** Where the text of the line ends whose `\n` is at `end`: one `\r` before that is not part of it. */
function lineStop(bytes: Uint8Array, start: number, end: number): number {
  return end > start && bytes[end - 1] === CR ? end - 1 : end;
}
