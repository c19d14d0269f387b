/**
 * Cuts a byte stream into lines, and holds the buffer that bytes are read into. Does no I/O.
 *
 * The length of the buffer follows the data. It is never less than the unfinished line.
 *
 * | situation | next length |
 * | --- | --- |
 * | no bytes yet | 0, and 256 bytes once space is needed |
 * | a read filled it | four times as long, up to 130,560 bytes, or twice that for long lines |
 * | over 64 KiB, not filled, and at most 32 KiB unfinished | 64 KiB |
 * | otherwise, a read used less than an eighth of it | 256 bytes |
 * | full of an unfinished line, up to 130,560 bytes | twice as long |
 * | full of a longer one | 130,560 bytes longer, or half as long again if that is more |
 * | over 64 KiB, and all of it taken by a push | 256 bytes |
 * | shrunk | 256 bytes |
 * | dropped, after a fault or at the end | 0 |
 *
 * @module
 */

import { startsWith } from "@std/bytes/starts-with";
import { CR, LF } from "./ascii.ts";
import { FramingError } from "../errors.ts";
import { checkLimit, checkMaxLineBytes } from "./option_checks.ts";
import { NOTHING } from "./utf8.ts";

const BOM = new Uint8Array([0xef, 0xbb, 0xbf]);

/** Counts the bytes in many buffers, and limits the length of each. */
export interface BufferCount {
  /**
   * The longest buffer that full reads alone justify, in bytes. An unfinished line may need more.
   */
  readonly maxBufferBytes: number;
  /** The number of buffers. */
  buffers: number;
  /**
   * Adds `bytes`, which may be negative, to the count. The minimum length of a buffer does not
   * count.
   */
  add(bytes: number): void;
}

/** The first length of a buffer, in bytes, and thus the cost of each of many idle connections. */
const MIN_BUFFER_BYTES = 256;

/** The longest buffer that is kept after a read that has not filled it. */
const MAX_KEPT_BYTES = 65_536;

/**
 * The longest buffer while reads fill it. This is as much as a writer hands over at once, and a
 * little less than two segments of the loopback device (65,483 bytes each), so that the data of one
 * read also travels on at once. If only a few lines fit, the limit is twice as high. Otherwise most
 * of a read would be the rest of one line.
 */
const MAX_BUFFER_BYTES = 130_560;
const MAX_LONG_BUFFER_BYTES = 2 * MAX_BUFFER_BYTES;

/** Options of {@link LineSplitter}. */
export interface LineSplitterOptions {
  /**
   * The longest line, in bytes without its end, from 1 to 1 GiB. Without a limit, a peer could fill
   * the memory by never sending a newline.
   *
   * @default {1_048_576}
   */
  readonly maxLineBytes?: number;
}

/**
 * Whole lines in one piece of memory. The iterator yields each line as a view, without its `\n` or
 * `\r\n`, and skips empty lines, which are keep-alives.
 */
export class LineBlock {
  /** The lines, each with its `\n`. The bytes are a separate copy that is never overwritten. */
  readonly bytes: Uint8Array;

  /** Takes ownership of `bytes`, which must be empty or end in `\n`. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Iterates over the lines that are not empty. */
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
 * A line ends in `\n`, and one preceding `\r` is dropped. One byte order mark at the start of the
 * stream is dropped too. Each byte is examined once and copied a few times, regardless of the size
 * of the chunks.
 *
 * There are two ways in. Either push chunks, or read into {@link LineSplitter.space} and then call
 * {@link LineSplitter.fill}, which saves a copy. Python's `asyncio.BufferedProtocol` has the same
 * two steps.
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
  /** The longest line, in bytes without its end. A change applies to the bytes that follow. */
  maxLineBytes: number;

  #atStart = true;
  /** Holds the unfinished line in its first `#unfinished` bytes. The rest is free. */
  #buffer: Uint8Array<ArrayBuffer> = NOTHING;
  #unfinished = 0;
  #fault: FramingError | null = null;
  /** Counts the bytes in many buffers. */
  #count: BufferCount | null;

  /**
   * Makes a splitter for one stream.
   *
   * @param options The limit of lines.
   * @param count Is notified of the length of the buffer.
   * @throws {RangeError} If `maxLineBytes` is not an integer from 1 to 1 GiB.
   */
  constructor({ maxLineBytes }: LineSplitterOptions = {}, count: BufferCount | null = null) {
    this.maxLineBytes = checkMaxLineBytes(maxLineBytes);
    this.#count = count;
    if (count) count.buffers++;
  }

  /** The error of a line that was too long. The lines before it have been returned. */
  get fault(): FramingError | null {
    return this.#fault;
  }

  /** The bytes of the unfinished line. At the end of the stream they are lost. */
  get unfinishedBytes(): number {
    const isBom = this.#atStart && this.#unfinished > 0 &&
      startsWith(this.#buffer.subarray(0, this.#unfinished), BOM);
    return isBom ? this.#unfinished - BOM.length : this.#unfinished;
  }

  /** The length of the buffer, in bytes. */
  get bufferBytes(): number {
    return this.#buffer.length;
  }

  /**
   * Returns the space for the next bytes. It is valid until the next {@link fill} or {@link push},
   * and must not be transferred.
   *
   * @param least The least length of the space, in bytes, from 1 to 256.
   * @throws {FramingError} If an earlier call has set `fault`.
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
  space(least = 1): Uint8Array<ArrayBuffer> {
    if (this.#fault) throw this.#fault;
    const room = this.#buffer.length - this.#unfinished;
    if (room < least) this.#resize(Math.max(this.#larger(), MIN_BUFFER_BYTES));
    return this.#unfinished === 0 ? this.#buffer : this.#buffer.subarray(this.#unfinished);
  }

  /**
   * Takes the first `length` bytes of {@link space} and returns the lines that they complete.
   *
   * If a line is longer than `maxLineBytes`, the lines before it are returned and `fault` is set.
   *
   * @param length The number of bytes.
   * @param filled How many bytes of the space have been filled, if some were removed from it since.
   * @throws {FramingError} If an earlier call has set `fault`.
   * @throws {RangeError} If `length` is not an integer from 0 to the length of that space.
   */
  fill(length: number, filled = length): LineBlock {
    if (this.#fault) throw this.#fault;
    const size = this.#buffer.length;
    checkLimit("length", length, 0, size - this.#unfinished);
    const used = this.#unfinished + filled;
    const lines = this.#take(length);
    if (!this.#fault) this.#adapt(used);
    return lines;
  }

  /**
   * Takes a chunk and returns the lines that it completes. The chunk may be reused afterwards. A
   * line that is too long has the same effect as in {@link fill}.
   *
   * @throws {FramingError} If an earlier call has set `fault`.
   */
  push(chunk: Uint8Array): LineBlock {
    if (this.#fault) throw this.#fault;
    const needed = this.#unfinished + chunk.length;
    if (needed > this.#buffer.length) {
      this.#resize(Math.max(needed, this.#larger(), MIN_BUFFER_BYTES));
    }
    this.#buffer.set(chunk, this.#unfinished);
    const lines = this.#take(chunk.length);
    if (this.#unfinished === 0 && needed > MAX_KEPT_BYTES) this.#resize(MIN_BUFFER_BYTES);
    return lines;
  }

  #take(length: number): LineBlock {
    const buffer = this.#buffer;
    const end = this.#unfinished + length;
    const stop = this.#unfinished + buffer.subarray(this.#unfinished, end).lastIndexOf(LF) + 1;
    let lines = NO_LINES;
    if (stop > this.#unfinished) {
      const start = this.#atStart && startsWith(buffer, BOM) ? BOM.length : 0;
      this.#atStart = false;
      // V8 does not zero a copy of a typed array first, unlike a new array.
      lines = new LineBlock(new Uint8Array(buffer.subarray(start, this.#soundEnd(start, stop))));
      buffer.copyWithin(0, stop, end);
      this.#unfinished = end - stop;
    } else {
      this.#unfinished = end;
    }
    if (!this.#fault) this.#checkUnfinished();
    if (this.#fault) this.drop();
    return lines;
  }

  /** Makes the buffer as short as possible, because no more bytes are expected for a while. */
  shrink(): void {
    if (this.#buffer.length > MIN_BUFFER_BYTES) this.#resize(MIN_BUFFER_BYTES);
  }

  /**
   * Releases the buffer and its content. No more bytes may be taken. Further calls have no effect.
   */
  drop(): void {
    this.#unfinished = 0;
    if (this.#buffer.length > 0) this.#resize(0);
    if (this.#count) this.#count.buffers--;
    this.#count = null;
  }

  /** Returns a larger length: twice the unfinished line, or half as much again for a long line. */
  #larger(): number {
    const length = this.#unfinished;
    const longest = Math.max(length, this.maxLineBytes) + MAX_BUFFER_BYTES;
    return Math.min(length + Math.min(length, Math.max(length >> 1, MAX_BUFFER_BYTES)), longest);
  }

  /** Chooses the length of the buffer for the next read. This read used `used` bytes of it. */
  #adapt(used: number): void {
    const size = this.#buffer.length;
    if (used === size) { // more data is most likely available
      const worth = 16 * this.#unfinished > size ? MAX_LONG_BUFFER_BYTES : MAX_BUFFER_BYTES;
      const max = Math.min(worth, this.#count?.maxBufferBytes ?? Infinity);
      if (size < max) this.#resize(Math.min(4 * size, max));
    } else if (size > MAX_KEPT_BYTES && 2 * this.#unfinished <= MAX_KEPT_BYTES) {
      this.#resize(MAX_KEPT_BYTES);
    } else if (size > MIN_BUFFER_BYTES && 8 * used < size) {
      this.#resize(MIN_BUFFER_BYTES);
    }
  }

  /**
   * Returns the end of the lines from `start` to `stop` that precede the first one that is too
   * long.
   */
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

  /** Checks the length of the unfinished line. */
  #checkUnfinished(): void {
    // A byte order mark, even an incomplete one, is not part of the line. A final "\r" may not be.
    const held = this.#unfinished;
    const mark = BOM.subarray(0, held);
    let length = this.#atStart && startsWith(this.#buffer, mark) ? held - mark.length : held;
    if (length > 0 && this.#buffer[held - 1] === CR) length--;
    if (length > this.maxLineBytes) this.#tooLong(length);
  }

  /**
   * Moves the unfinished line to a buffer of `size` bytes, or of its own length if that is greater.
   * The memory of a long line is freed at once, because the memory of many would pile up until the
   * next garbage collection. Shorter buffers are left to the garbage collector: V8 reads all typed
   * arrays a fifth more slowly once it has seen any buffer transferred.
   */
  #resize(size: number): void {
    const old = this.#buffer;
    const before = old.length;
    const after = Math.max(size, this.#unfinished);
    if (before > MAX_LONG_BUFFER_BYTES) {
      this.#buffer = new Uint8Array(old.buffer.transfer(after));
    } else {
      this.#buffer = new Uint8Array(after);
      this.#buffer.set(old.subarray(0, this.#unfinished));
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

/** Returns by how much a buffer exceeds the minimum length. */
function excessOf(size: number): number {
  return Math.max(0, size - MIN_BUFFER_BYTES);
}

/**
 * Returns where the text of a line ends whose `\n` is at `end`. One preceding `\r` is not part of
 * it.
 */
function lineStop(bytes: Uint8Array, start: number, end: number): number {
  return end > start && bytes[end - 1] === CR ? end - 1 : end;
}
