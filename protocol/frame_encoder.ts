/**
 * Encodes the frames of a WebSocket server (RFC 6455): a text message for each line, and control
 * frames.
 *
 * @module
 */

import * as ascii from "./ascii.ts";
import { encoder } from "./utf8.ts";
import { OPCODES } from "./websocket.ts";

const { LF } = ascii;

/** The bit of the first byte of a frame that ends a message. */
const FINAL = 0x80;

/** The first byte of a text message in one frame. */
export const WHOLE_TEXT = FINAL | OPCODES.text;

/** The least lengths of a payload that is announced in 16 and in 64 bits. */
const MIN_16_BITS = 126;
const MIN_64_BITS = 65_536;

/** Bit 7 of each of four bytes. */
const HIGH_BITS = 0x80808080;

/** The longest head of a frame, in bytes. */
const MAX_HEAD_BYTES = 10;

/** The length of the memory that is kept for frames, in bytes: enough for the lines of one read. */
const KEPT_BYTES = 262_144;

/** Memory in which frames are put together, because their total length is not known before. */
class Memory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The same bytes, to write four at a time. */
  readonly view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }
}

/** The memory that is kept, from the first use on. */
let kept: Memory | null = null;

/** A Ping without a payload. */
export const PING: Uint8Array = controlFrame(OPCODES.ping, new Uint8Array(0));

/**
 * Returns the Pong that answers a Ping.
 *
 * @param payload The payload of the Ping, at most 125 bytes.
 */
export function pongFrame(payload: Uint8Array): Uint8Array {
  return controlFrame(OPCODES.pong, payload);
}

/**
 * Returns a Close frame.
 *
 * @param code A code that may be sent, as `closeCodeOf()` returns it for an announced reason.
 * @param reason A text of at most 123 bytes.
 */
export function closeFrame(code: number, reason: string): Uint8Array {
  const text = encoder.encode(reason);
  const payload = new Uint8Array(2 + text.length);
  new DataView(payload.buffer).setUint16(0, code);
  payload.set(text, 2);
  return controlFrame(OPCODES.close, payload);
}

function controlFrame(opcode: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(2 + payload.length);
  frame[0] = FINAL | opcode;
  frame[1] = payload.length;
  frame.set(payload, 2);
  return frame;
}

/** Returns the length of the head of a frame, in bytes. */
export function headLength(payloadLength: number): number {
  return payloadLength < MIN_16_BITS ? 2 : payloadLength < MIN_64_BITS ? 4 : MAX_HEAD_BYTES;
}

/** Returns the head of a text message. */
export function headOf(payloadLength: number): Uint8Array {
  const head = new Uint8Array(headLength(payloadLength));
  writeHead(head, 0, payloadLength);
  return head;
}

/** Writes the head of a text message at `at`. Returns the position of its payload. */
export function writeHead(target: Uint8Array, at: number, payloadLength: number): number {
  target[at] = WHOLE_TEXT;
  if (payloadLength < MIN_16_BITS) {
    target[at + 1] = payloadLength;
    return at + 2;
  }
  if (payloadLength < MIN_64_BITS) {
    target[at + 1] = 126;
    target[at + 2] = payloadLength >>> 8;
    target[at + 3] = payloadLength;
    return at + 4;
  }
  target[at + 1] = 127;
  target.fill(0, at + 2, at + 6); // a line has less than 4 GiB
  target[at + 6] = payloadLength >>> 24;
  target[at + 7] = payloadLength >>> 16;
  target[at + 8] = payloadLength >>> 8;
  target[at + 9] = payloadLength;
  return at + MAX_HEAD_BYTES;
}

/**
 * Returns the frames of whole lines: one text message for each, without the line end.
 *
 * Searching and copying in one pass takes half the time of a search and a copy by the runtime for
 * each line of usual length, and no more time for long ones.
 */
export function encodeFrames(lines: Uint8Array): Uint8Array {
  const source = new DataView(lines.buffer, lines.byteOffset, lines.length);
  const { bytes: target, view } = memoryFor(lines.length);
  const lastPair = lines.length - 8;
  let at = 0;
  /** The length of the last head. Lines of one kind have heads of the same length. */
  let head = 4;
  for (let i = 0; i < lines.length; i++) {
    const start = i;
    let to = at + head;
    for (; i <= lastPair; i += 8, to += 8) {
      const one = source.getInt32(i, true);
      const two = source.getInt32(i + 4, true);
      if (((lineEnds(one) | lineEnds(two)) & HIGH_BITS) !== 0) break;
      view.setInt32(to, one, true);
      view.setInt32(to + 4, two, true);
    }
    for (let byte; (byte = lines[i]!) !== LF; i++) target[to++] = byte;
    const length = i - start;
    if (headLength(length) !== head) {
      target.copyWithin(at + headLength(length), at + head, to);
      head = headLength(length);
    }
    at = writeHead(target, at, length) + length;
  }
  return target.slice(0, at);
}

/** Returns memory for the frames of lines of `length` bytes. An empty line takes twice its length. */
function memoryFor(length: number): Memory {
  const size = 2 * length + MAX_HEAD_BYTES;
  return size > KEPT_BYTES ? new Memory(size) : kept ??= new Memory(KEPT_BYTES);
}

/**
 * Returns a number in which one of {@link HIGH_BITS} is set if, and only if, one of the four bytes
 * of `word` is `\n`.
 */
function lineEnds(word: number): number {
  const other = word ^ 0x0a0a0a0a;
  return other - 0x01010101 & ~other;
}
