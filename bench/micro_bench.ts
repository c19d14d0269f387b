/**
 * The benchmarks of the parts that do no I/O, for `deno bench`.
 *
 * Within a group every benchmark does the same job on the same lines; the baseline is the obvious
 * way to do it with what Deno has, where there is one. Each checks its result, which also keeps
 * the compiler from leaving the work out.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { encodeLine } from "../protocol/encoder.ts";
import { BlockDecoder } from "../protocol/decoder.ts";
import { encodeEventStream } from "../protocol/event_stream.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { copyNumberedFrames } from "../protocol/encoded_frames.ts";
import { copyNumbered } from "../protocol/envelope.ts";
import { FrameDecoder } from "../protocol/frame_decoder.ts";
import { encodeFrames } from "../protocol/frame_encoder.ts";
import { LineSplitter } from "../framing.ts";
import { SendQueue } from "../net/send_queue.ts";
import { LineValidator } from "../protocol/validator.ts";
import {
  LINE_BYTES,
  longLines,
  messageAttributes,
  messageLines,
  numberLines,
  toChunks,
  unicodeLines,
} from "./fixtures.ts";

const LINES = 1000;
const LONG_LINES = 100;
const CHUNK_BYTES = 65_536;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const messages = messageLines(LINES);

function expectCount(actual: number, expected: number): void {
  if (actual !== expected) throw new Error(`Expected ${expected}, got ${actual}`);
}

// What one would write without this module

function splitText(chunks: Iterable<Uint8Array>): number {
  const streaming = new TextDecoder();
  let unfinished = "";
  let lines = 0;
  for (const chunk of chunks) {
    const parts = (unfinished + streaming.decode(chunk, { stream: true })).split("\n");
    unfinished = parts.pop()!;
    lines += parts.length;
  }
  return lines;
}

function parseText(block: Uint8Array): { event: string; __dict__: object }[] {
  return decoder.decode(block).split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

// Splitter

function pushAll(splitter: LineSplitter, chunks: Iterable<Uint8Array>): number {
  let bytes = 0;
  for (const chunk of chunks) bytes += splitter.push(chunk).bytes.length;
  return bytes;
}

function iterateAll(splitter: LineSplitter, chunks: Iterable<Uint8Array>): number {
  let lines = 0;
  for (const chunk of chunks) {
    for (const line of splitter.push(chunk)) if (line.length > 0) lines++;
  }
  return lines;
}

function benchSplitter(lines: string, count: number, block: Uint8Array): void {
  const group = `split ${lines}`;
  const chunks = toChunks(block, CHUNK_BYTES);
  Deno.bench(`TextDecoder + split: ${lines}, 64 KiB chunks`, { group, baseline: true }, () => {
    expectCount(splitText(chunks), count);
  });
  const splitter = new LineSplitter();
  Deno.bench(`LineSplitter.push(): ${lines}, 64 KiB chunks`, { group }, () => {
    expectCount(pushAll(splitter, chunks), block.length);
  });
  Deno.bench(`LineSplitter.push(), each line: ${lines}, 64 KiB chunks`, { group }, () => {
    expectCount(iterateAll(splitter, chunks), count);
  });
}

function benchSplitterBytes(lines: string, count: number, block: Uint8Array): void {
  const group = `split ${lines}, byte by byte`;
  const chunks = toChunks(block, 1);
  Deno.bench(`TextDecoder + split: ${lines}, 1-byte chunks`, { group, baseline: true }, () => {
    expectCount(splitText(chunks), count);
  });
  const splitter = new LineSplitter();
  Deno.bench(`LineSplitter.push(): ${lines}, 1-byte chunks`, { group }, () => {
    expectCount(pushAll(splitter, chunks), block.length);
  });
}

benchSplitter(`${LINES} lines of ${LINE_BYTES} bytes`, LINES, messages);
benchSplitter(`${LONG_LINES} lines of 16 KiB`, LONG_LINES, longLines(LONG_LINES));
benchSplitterBytes(`${LINES} lines of ${LINE_BYTES} bytes`, LINES, messages);

// Validator

function countEvents(validator: LineValidator, block: Uint8Array): number {
  let events = 0;
  validator.open(block);
  for (let start = 0; start < block.length; start = validator.end + 1) {
    const kind = validator.validate(start);
    if (kind === "invalid") throw validator.fault;
    if (kind === "event") events++;
  }
  return events;
}

function benchValidator(lines: string, count: number, block: Uint8Array): void {
  const group = `validate ${lines}`;
  Deno.bench(`TextDecoder + split + JSON.parse: ${lines}`, { group, baseline: true }, () => {
    expectCount(parseText(block).length, count);
  });
  const validator = new LineValidator();
  Deno.bench(`LineValidator.validate(): ${lines}`, { group }, () => {
    expectCount(countEvents(validator, block), count);
  });
}

/** `1000 lines of 146 bytes`, with what is in them. */
function describe(count: number, block: Uint8Array, content: string): string {
  return `${count} lines of ${block.length / count} bytes (${content})`;
}

for (
  const [content, count, block] of [
    ["message", LINES, messages],
    ["numbers and nesting", LINES, numberLines(LINES)],
    ["not ASCII", LINES, unicodeLines(LINES)],
    ["one string", LONG_LINES, longLines(LONG_LINES)],
  ] as const
) benchValidator(describe(count, block, content), count, block);

// Encode

const events = Array.from(
  { length: LINES },
  (_, i) => new EbsocketEvent("message", messageAttributes(i)),
);

function benchEncode(name: string, baseline: boolean, encode: (event: typeof events[0]) => number) {
  const group = `encode ${LINES} events`;
  Deno.bench(`${name}: ${LINES} events of ${LINE_BYTES} bytes`, { group, baseline }, () => {
    let bytes = 0;
    for (const event of events) bytes += encode(event);
    expectCount(bytes, messages.length);
  });
}

benchEncode(
  "JSON.stringify + TextEncoder",
  true,
  (event) => encoder.encode(`${JSON.stringify(event)}\n`).length,
);
benchEncode("encodeLine()", false, ({ event, __dict__ }) => encodeLine(event, __dict__).length);
benchEncode("EbsocketEvent.asBytes()", false, (event) => event.asBytes().length + 1);

// Decode

function benchDecode(name: string, baseline: boolean, decode: () => number): void {
  const group = `decode ${LINES} lines`;
  Deno.bench(`${name}: ${LINES} lines of ${LINE_BYTES} bytes`, { group, baseline }, () => {
    expectCount(decode(), LINES);
  });
}

const blockDecoder = new BlockDecoder();
const messageLine = messages.subarray(0, LINE_BYTES - 1);

benchDecode("TextDecoder + split + JSON.parse", true, () => parseText(messages).length);
benchDecode("BlockDecoder.decode()", false, () => blockDecoder.decode(messages).length);
benchDecode("EbsocketEvent.fromBytes()", false, () => {
  let decoded = 0;
  for (let i = 0; i < LINES; i++) decoded += EbsocketEvent.fromBytes(messageLine) ? 1 : 0;
  return decoded;
});

// Server-sent events

/** What each event becomes longer by: `data: ` before it, and an empty line after it. */
const STREAM_BYTES = 7;

function benchEventStream(lines: string, count: number, block: Uint8Array): void {
  const group = `event stream of ${lines}`;
  const length = block.length + STREAM_BYTES * count;
  Deno.bench(`TextDecoder + replaceAll: ${lines}`, { group, baseline: true }, () => {
    const text = decoder.decode(block).slice(0, -1).replaceAll("\r", " ");
    expectCount(encoder.encode(`data: ${text.replaceAll("\n", "\n\ndata: ")}\n\n`).length, length);
  });
  Deno.bench(`encodeEventStream(): ${lines}`, { group }, () => {
    expectCount(encodeEventStream(block, true).length, length);
  });
}

benchEventStream(describe(LINES, messages, "message"), LINES, messages);
benchEventStream(describe(LINES, unicodeLines(LINES), "not ASCII"), LINES, unicodeLines(LINES));

// WebSocket frames

const MASK = [0x37, 0xfa, 0x21, 0x3d];

/** The frames of a client, one for each line. */
function clientFrames(lines: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let start = 0; start < lines.length;) {
    const end = lines.indexOf(0x0a, start);
    const head = end - start < 126 ? [end - start] : [126, end - start >> 8, end - start & 0xff];
    head[0]! |= 0x80;
    const payload = lines.subarray(start, end).map((byte, i) => byte ^ MASK[i & 3]!);
    frames.push(Uint8Array.of(0x81, ...head, ...MASK, ...payload));
    start = end + 1;
  }
  return frames;
}

function decodeBytewise(frames: Uint8Array, lines: Uint8Array): number {
  let to = 0;
  for (let at = 0; at < frames.length;) {
    let length = frames[at + 1]! & 0x7f;
    at += 2;
    if (length === 126) {
      length = frames[at]! << 8 | frames[at + 1]!;
      at += 2;
    }
    const mask = frames.subarray(at, at += 4);
    for (let i = 0; i < length; i++) lines[to++] = frames[at++]! ^ mask[i & 3]!;
    lines[to++] = 0x0a;
  }
  return to;
}

function encodeByLine(lines: Uint8Array): Uint8Array {
  const frames = new Uint8Array(2 * lines.length);
  let to = 0;
  for (let start = 0; start < lines.length;) {
    const end = lines.indexOf(0x0a, start);
    const length = end - start;
    frames[to++] = 0x81;
    if (length < 126) frames[to++] = length;
    else {
      frames[to++] = 126;
      frames[to++] = length >> 8;
      frames[to++] = length;
    }
    frames.set(lines.subarray(start, end), to);
    to += length;
    start = end + 1;
  }
  return frames.slice(0, to);
}

/** As many lines as one read may take. */
const READ_LINES = 850;

const readLines = messages.subarray(0, READ_LINES * LINE_BYTES);
const serverFrames = encodeByLine(readLines);
const received = new Uint8Array(concat(clientFrames(readLines)));
const frameBuffer = new Uint8Array(2 * received.length);

function benchFrames(action: string, name: string, baseline: boolean, run: () => number): void {
  const group = `${action} ${READ_LINES} frames`;
  Deno.bench(`${name}: ${READ_LINES} lines of ${LINE_BYTES} bytes`, { group, baseline }, () => {
    expectCount(run(), action === "encode" ? serverFrames.length : readLines.length);
  });
}

benchFrames("encode", "indexOf + set", true, () => encodeByLine(readLines).length);
benchFrames("encode", "encodeFrames()", false, () => encodeFrames(readLines).length);

const frameDecoder = new FrameDecoder();

benchFrames("decode", "byte by byte", true, () => {
  return decodeBytewise(received, frameBuffer);
});
benchFrames("decode", "a copy + FrameDecoder.decode()", false, () => {
  frameBuffer.set(received);
  return frameDecoder.decode(frameBuffer.subarray(0, received.length));
});

function benchNumbers(name: string, baseline: boolean, copy: () => number): void {
  const group = `number ${READ_LINES} events`;
  Deno.bench(`${name}: ${READ_LINES} lines of ${LINE_BYTES} bytes`, { group, baseline }, () => {
    expectCount(copy(), READ_LINES);
  });
}

benchNumbers("copyNumbered()", true, () => copyNumbered(readLines, 1, frameBuffer, 0).lines);
benchNumbers("copyNumberedFrames()", false, () => {
  return copyNumberedFrames(serverFrames, 1, frameBuffer, 0).lines;
});

// Outbound queue

const blocks = toChunks(messages, LINE_BYTES);
const queue = new SendQueue(8_388_608);

/** Takes all that waits, in writes that take at most `most` bytes; returns how much it was. */
function drain(most: number): number {
  let written = 0;
  while (queue.bytes > 0) {
    const taken = Math.min(queue.batch().length, most);
    queue.consume(taken);
    written += taken;
  }
  return written;
}

function benchQueue(name: string, baseline: boolean, transfer: () => number): void {
  const group = `queue ${LINES} lines`;
  Deno.bench(`SendQueue, ${name}: ${LINES} lines`, { group, baseline }, () => {
    expectCount(transfer(), messages.length);
  });
}

benchQueue("each line written by itself", true, () => {
  let written = 0;
  for (const block of blocks) {
    queue.offer(block);
    written += drain(Infinity);
  }
  return written;
});
benchQueue("all lines joined", false, () => {
  for (const block of blocks) queue.offer(block);
  return drain(Infinity);
});
benchQueue("all lines joined, writes take 8 KiB", false, () => {
  for (const block of blocks) queue.offer(block);
  return drain(8192);
});
benchQueue("one block of all lines", false, () => {
  queue.offer(messages);
  return drain(Infinity);
});
