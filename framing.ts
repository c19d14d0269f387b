/**
 * Web Streams between bytes and events.
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

import { encodeLine } from "./protocol/encoder.ts";
import { BlockDecoder } from "./protocol/decoder.ts";
import { EbsocketError, EventFormatError, FramingError } from "./errors.ts";
import type { EventOf, OpenEvents, SendableEvent } from "./protocol/event.ts";
import { EbsocketEvent } from "./protocol/event.ts";
import { LineSplitter, type LineSplitterOptions } from "./protocol/line_splitter.ts";

export { EbsocketError, EbsocketEvent, EventFormatError, FramingError, LineSplitter };
export { LineBlock } from "./protocol/line_splitter.ts";
export type { LineSplitterOptions };
export type {
  Carried,
  CarriedEvents,
  EventNamed,
  EventOf,
  OpenAttributes,
  OpenEvents,
  SendableEvent,
  Validated,
} from "./protocol/event.ts";

/** Options of {@link EventDecoderStream}. */
export interface EventDecoderStreamOptions extends LineSplitterOptions {
  /**
   * How deep a line may nest, counting the outermost object, from 2 to 1,000.
   *
   * @default {64}
   */
  readonly maxDepth?: number;
}

/**
 * A transform stream from bytes to events, for use with `pipeThrough()`.
 *
 * Chunks may end anywhere. Control lines and empty lines are dropped. A slow reader slows down the
 * source, because at most one chunk is decoded ahead.
 *
 * The stream fails with a {@link FramingError} if a line is longer than `maxLineBytes`, or if the
 * last line has no end (`truncated`). It fails with an `EventFormatError` if a line is not an
 * event. In both cases the preceding events are delivered first.
 *
 * @typeParam M The event map. It is a promise about the source and is not checked.
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
  /** The decoded events. */
  readonly readable: ReadableStream<EventOf<M>>;
  /** The destination of the bytes. */
  readonly writable: WritableStream<Uint8Array>;

  /**
   * Makes a stream.
   *
   * @throws {RangeError} If an option is out of range.
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

    /** Decodes the next chunk. Resolves to `false` at the end of the stream. */
    async function refill(): Promise<boolean> {
      const { done, value } = await reader.read();
      if (done) {
        const lost = splitter.unfinishedBytes;
        if (lost === 0) return false;
        const why = `the stream ended ${lost} bytes after the last newline`;
        throw new FramingError("truncated", `Cannot decode line: ${why}`);
      }
      const lines = decoder.decode(splitter.push(value).bytes);
      events = lines.filter((line) => line instanceof EbsocketEvent) as unknown as EventOf<M>[];
      next = 0;
      return true;
    }

    this.writable = chunks.writable;
    // Pulled one event at a time, so that an error follows all preceding events. An error of a
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

/**
 * A transform stream from events to bytes, one line for each event, for use with `pipeThrough()`.
 *
 * The stream fails with the error of {@link EbsocketEvent.asBytes} if an event cannot be encoded.
 *
 * @typeParam M The event map, checked at compile time.
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
