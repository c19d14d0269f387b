/**
 * Owns the step from bytes to lines and back: a splitter without I/O, and the Web Streams around
 * it. Must not know sockets or clients.
 *
 * @example Send events through any pair of streams
 * ```ts
 * import { EbsocketEvent } from "@ebsockets/relay/event";
 * import { EventDecoderStream, EventEncoderStream } from "@ebsockets/relay/framing";
 * import { assertEquals } from "@std/assert/equals";
 *
 * const events = ReadableStream.from([new EbsocketEvent("a"), new EbsocketEvent("b")])
 *   .pipeThrough(new EventEncoderStream())
 *   .pipeThrough(new EventDecoderStream());
 * assertEquals((await Array.fromAsync(events)).map((event) => event.event), ["a", "b"]);
 * ```
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { startsWith } from "@std/bytes/starts-with";
import { encodeLine } from "./codec.ts";
import { BlockDecoder } from "./decoder.ts";
import { EbsocketError, EventFormatError, FramingError } from "./errors.ts";
import { EbsocketEvent, type EventOf, type OpenEvents, type SendableEvent } from "./event.ts";
import { checkMaxLineBytes } from "./limits.ts";

export { EbsocketError, EbsocketEvent, EventFormatError, FramingError };
export type { EventOf, OpenAttributes, OpenEvents, SendableEvent } from "./event.ts";

const LF = 0x0a;
const CR = 0x0d;
const BOM = new Uint8Array([0xef, 0xbb, 0xbf]);
const NOTHING = new Uint8Array(0);

/** The largest buffer that a splitter keeps while no line is unfinished, in bytes. */
const MAX_KEPT_BYTES = 4096;

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

/** Options of {@link EventDecoderStream}. */
export interface EventDecoderStreamOptions extends LineSplitterOptions {
  /**
   * How deep a line may nest, the outermost object included, from 2 to 1,000.
   *
   * @default {64}
   */
  readonly maxDepth?: number;
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
  /** The longest line, in bytes without its end. */
  readonly maxLineBytes: number;

  #atStart = true;
  /** Holds the unfinished line, in its first `#held` bytes. */
  #buffer: Uint8Array = NOTHING;
  #held = 0;
  #fault: FramingError | null = null;

  /**
   * Makes a splitter for one stream.
   *
   * @throws {RangeError} If `maxLineBytes` is no integer from 1 to 1 GiB.
   */
  constructor({ maxLineBytes }: LineSplitterOptions = {}) {
    this.maxLineBytes = checkMaxLineBytes(maxLineBytes);
  }

  /** The error of a line that was too long; the lines before it have been given out. */
  get fault(): FramingError | null {
    return this.#fault;
  }

  /** How many bytes of a line without an end are held: at the end of the stream they are lost. */
  get unfinishedBytes(): number {
    const isBom = this.#atStart && startsWith(this.#buffer.subarray(0, this.#held), BOM);
    return isBom ? this.#held - BOM.length : this.#held;
  }

  /**
   * Takes the next chunk and gives the lines that it completes. The chunk may be reused afterwards.
   *
   * When a line is longer than `maxLineBytes`, the lines before it are given and `fault` is set.
   *
   * @throws {FramingError} If `fault` was set by an earlier call.
   */
  push(chunk: Uint8Array): LineBlock {
    if (this.#fault) throw this.#fault;
    const end = chunk.lastIndexOf(LF) + 1;
    if (end === 0) {
      this.#hold(chunk);
      return NO_LINES;
    }
    let bytes = concat([this.#buffer.subarray(0, this.#held), chunk.subarray(0, end)]);
    this.#held = 0;
    if (this.#atStart) {
      this.#atStart = false;
      if (startsWith(bytes, BOM)) bytes = bytes.subarray(BOM.length);
    }
    const sound = this.#soundBytes(bytes);
    if (sound < bytes.length) return new LineBlock(bytes.subarray(0, sound));
    this.#hold(chunk.subarray(end));
    return new LineBlock(bytes);
  }

  /** How many of the bytes are lines of an acceptable length. */
  #soundBytes(bytes: Uint8Array): number {
    if (bytes.length <= this.maxLineBytes) return bytes.length;
    let start = 0;
    while (start < bytes.length) {
      const end = bytes.indexOf(LF, start);
      const length = lineStop(bytes, start, end) - start;
      if (length > this.maxLineBytes) {
        this.#tooLong(length);
        break;
      }
      start = end + 1;
    }
    return start;
  }

  /** Keeps the beginning of a line whose end has not come yet. */
  #hold(bytes: Uint8Array): void {
    const held = this.#held + bytes.length;
    if (held > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(held, 2 * this.#held));
      grown.set(this.#buffer.subarray(0, this.#held));
      this.#buffer = grown;
    } else if (held === 0 && this.#buffer.length > MAX_KEPT_BYTES) {
      this.#buffer = NOTHING;
    }
    this.#buffer.set(bytes, this.#held);
    this.#held = held;

    // A byte order mark, or the beginning of one, is no part of the line; a last "\r" may not be.
    const mark = BOM.subarray(0, held);
    let length = this.#atStart && startsWith(this.#buffer, mark) ? held - mark.length : held;
    if (length > 0 && this.#buffer[held - 1] === CR) length--;
    if (length > this.maxLineBytes) this.#tooLong(length);
  }

  #tooLong(length: number): void {
    this.#buffer = NOTHING;
    this.#held = 0;
    this.#fault = new FramingError(
      "line-too-long",
      `Cannot decode line: length ${length} exceeds maxLineBytes ${this.maxLineBytes}`,
    );
  }
}

/** Where the text of the line ends whose `\n` is at `end`: one `\r` before that is not part of it. */
function lineStop(bytes: Uint8Array, start: number, end: number): number {
  return end > start && bytes[end - 1] === CR ? end - 1 : end;
}

/**
 * A transform stream from bytes to events, to be used with `pipeThrough()`.
 *
 * Chunks may end anywhere. Control lines and empty lines are left out. A slow reader slows the
 * source down: at most one chunk is decoded ahead.
 *
 * The stream fails with a {@link FramingError} when a line is longer than `maxLineBytes` or the
 * last one has no end (`truncated`), and with an `EventFormatError` when a line is no event. The
 * events before it are given out first.
 *
 * @typeParam M The event map, a promise about the source that is not checked.
 *
 * @example Read events from any stream of bytes
 * ```ts
 * import { EventDecoderStream } from "@ebsockets/relay/framing";
 *
 * const { body } = new Response('{"event":"a"}\n{"event":"b","__dict__":{"x":1}}\n');
 * for await (const event of body!.pipeThrough(new EventDecoderStream())) {
 *   console.log(event.event, event.__dict__);
 * }
 * ```
 */
export class EventDecoderStream<M extends object = OpenEvents>
  implements TransformStream<Uint8Array, EventOf<M>> {
  /** Where events come out. */
  readonly readable: ReadableStream<EventOf<M>>;
  /** Where bytes go in. */
  readonly writable: WritableStream<Uint8Array>;

  /**
   * Makes a stream.
   *
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(options: EventDecoderStreamOptions = {}) {
    const splitter = new LineSplitter(options);
    const decoder = new BlockDecoder(options.maxDepth);
    const chunks = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => controller.enqueue(chunk),
    });
    const reader = chunks.readable.getReader();
    let events: EventOf<M>[] = [];
    let next = 0;

    /** Decodes the next chunk; `false` at the end of the stream. */
    async function refill(): Promise<boolean> {
      const { done, value } = await reader.read();
      if (done) {
        const lost = splitter.unfinishedBytes;
        if (lost > 0) throw truncated(lost);
        return false;
      }
      const lines = decoder.decode(splitter.push(value).bytes);
      events = lines.filter((line) => line instanceof EbsocketEvent) as unknown as EventOf<M>[];
      next = 0;
      return true;
    }

    this.writable = chunks.writable;
    // Pulled one at a time, so that an error comes after all events before it: an error of a
    // transformer's controller would discard them.
    this.readable = new ReadableStream({
      async pull(controller) {
        try {
          while (next === events.length) {
            const fault = decoder.fault ?? splitter.fault;
            if (fault) throw fault;
            if (!await refill()) return controller.close();
          }
          controller.enqueue(events[next++]!);
        } catch (error) {
          controller.error(error);
          await reader.cancel(error);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    }, { highWaterMark: 0 });
  }
}

function truncated(lost: number): FramingError {
  return new FramingError(
    "truncated",
    `Cannot decode line: the stream ended ${lost} bytes after the last newline`,
  );
}

/**
 * A transform stream from events to bytes, one line each, to be used with `pipeThrough()`.
 *
 * It fails with the error of {@link EbsocketEvent.asBytes} when an event cannot be encoded.
 *
 * @typeParam M The event map, checked when the program is compiled.
 *
 * @example Write events to any stream of bytes
 * ```ts
 * import { EbsocketEvent } from "@ebsockets/relay/event";
 * import { EventEncoderStream } from "@ebsockets/relay/framing";
 *
 * await ReadableStream.from([new EbsocketEvent("start"), new EbsocketEvent("stop")])
 *   .pipeThrough(new EventEncoderStream())
 *   .pipeTo(Deno.stdout.writable, { preventClose: true });
 * ```
 */
export class EventEncoderStream<M extends object = OpenEvents>
  extends TransformStream<SendableEvent<M>, Uint8Array<ArrayBuffer>> {
  /** Makes a stream. */
  constructor() {
    super({
      transform: (event, controller) => {
        controller.enqueue(encodeLine(event.event, event.__dict__));
      },
    });
  }
}
