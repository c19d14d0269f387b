/**
 * Turns the frames of a WebSocket client (RFC 6455) into lines.
 *
 * Payload is decoded where it was received. Nothing is kept of a message, so the limit of a message
 * is that of its lines, which `line_splitter.ts` checks.
 *
 * @module
 */

import * as ascii from "./ascii.ts";
import type { CloseReason } from "../errors.ts";
import { headLength, pongFrame, WHOLE_TEXT } from "./frame_encoder.ts";
import { NOTHING } from "./utf8.ts";
import { isCloseCode, MAX_CONTROL_PAYLOAD, NO_CODE, OPCODES } from "./websocket.ts";

const { LF } = ascii;

/** The bits of the first byte of a frame (section 5.2). */
const FINAL = 0x80;
const RESERVED = 0x70;
const OPCODE = 0x0f;

/** The bits of the second byte. The two largest lengths announce a longer form of the length. */
const MASKED = 0x80;
const LENGTH = 0x7f;
const LENGTH_IN_16_BITS = 126;

/** The length of the mask, which is the end of a head, in bytes. */
const MASK_BYTES = 4;

/** The length of a head for a length in 16 bits, and of the longest head, in bytes. */
const LONG_HEAD_BYTES = 8;
const MAX_HEAD_BYTES = 14;

/** The names of control frames in error messages. */
const CONTROL_NAMES: Readonly<Record<number, string>> = {
  [OPCODES.close]: "Close",
  [OPCODES.ping]: "Ping",
  [OPCODES.pong]: "Pong",
};

/** Throws an error for bytes that are not UTF-8. */
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The fault of a frame. */
export interface FrameFault {
  /** The close reason that follows from the fault. */
  readonly reason: CloseReason;
  /** What was expected, and what was found. */
  readonly message: string;
}

/** The content of a Close frame. */
export interface CloseFrame {
  /** The code. 1005 stands for a Close frame without a code. */
  readonly code: number;
  /** The text, of at most 123 bytes. */
  readonly reason: string;
}

/**
 * Decodes the frames of one client, without any I/O: received bytes in, lines out.
 *
 * A text message holds lines. The end of a message is always the end of a line, so `\n` is added to
 * a message that does not end in it. An empty message is an empty line. Whether lines are UTF-8 is
 * checked by `validator.ts`, so that a character may be split over frames.
 *
 * RFC 6455 demands to refuse unmasked frames (section 5.1), reserved bits and opcodes, and lengths
 * not in their shortest form (5.2), fragments out of order (5.4), long or fragmented control frames
 * (5.5), and Close frames without a valid code or text (5.5.1, 7.4, 8.1). Binary messages are
 * refused because they are not lines.
 */
export class FrameDecoder {
  /** The fault that ended the stream, or `null`. The lines before it have been returned. */
  fault: FrameFault | null = null;
  /** The Close frame that ended the stream, or `null`. Bytes after it are ignored. */
  closed: CloseFrame | null = null;

  #opcode: number = OPCODES.text;
  #isFinal = true;
  /** The number of bytes of the current frame that have not been received. */
  #rest = 0;
  /** The mask. Its lowest eight bits are for the next byte. */
  #mask = 0;
  /** Whether the last text frame was a fragment that another one must follow. */
  #isInMessage = false;
  /** Whether the message, as far as it was received, ends in `\n`. */
  #isLineEnded = false;
  /** The head of the current frame, while only a part of it has been received. */
  #head: Uint8Array<ArrayBuffer> | null = null;
  #headBytes = 0;
  /** The payload of the current control frame. */
  #control = NOTHING;
  /** The payload of the latest Ping that has not been answered. */
  #ping: Uint8Array | null = null;
  /** The number of frames without text since {@link FrameDecoder.takeChatter} was called. */
  #chatter = 0;

  /** Whether the received bytes end within a frame or a message. */
  get isUnfinished(): boolean {
    return this.#rest > 0 || this.#headBytes > 0 || this.#isInMessage;
  }

  /**
   * How many unused bytes must precede the bytes that are received next, so that there is room for
   * the `\n` that is added to a message: one within a frame, otherwise none, because a head follows.
   */
  get headroom(): number {
    return this.#rest > 0 || this.#headBytes > 0 ? 1 : 0;
  }

  /** Returns the frame that answers the latest Ping, or `null` if no Ping needs an answer. */
  takePong(): Uint8Array | null {
    const ping = this.#ping;
    this.#ping = null;
    return ping && pongFrame(ping);
  }

  /**
   * Returns how many frames were received since the last call that had no text: Pings, Pongs and
   * empty fragments.
   */
  takeChatter(): number {
    const chatter = this.#chatter;
    this.#chatter = 0;
    return chatter;
  }

  /**
   * Decodes received bytes in place. Returns the number of bytes at the front that are lines now,
   * the last of which may be unfinished.
   *
   * @param bytes The {@link headroom}, followed by the received bytes.
   */
  decode(bytes: Uint8Array): number {
    if (this.fault || this.closed) return 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let end = 0;
    for (let i = this.headroom; i < bytes.length;) {
      // Nearly all messages are whole. Without any state, they take half the time of parts.
      for (let length; !this.isUnfinished && (length = wholeLength(view, i)) >= 0;) {
        const start = i + headLength(length) + MASK_BYTES;
        unmask(view, start, end, length, view.getInt32(start - MASK_BYTES, true));
        i = start + length;
        end += length;
        if (length === 0 || bytes[end - 1] !== LF) bytes[end++] = LF;
      }
      if (this.#rest === 0) i = this.#readHead(view, i);
      if (i < 0) break;
      const length = Math.min(this.#rest, bytes.length - i);
      end = this.#takePayload(bytes, view, i, length, end);
      if (this.fault || this.closed) break;
      i += length;
    }
    return end;
  }

  /**
   * Takes `length` bytes of payload at `i`. Returns the end of the lines, which was `end` before.
   */
  #takePayload(bytes: Uint8Array, view: DataView, i: number, length: number, end: number): number {
    const isText = this.#opcode <= OPCODES.text;
    unmask(view, i, isText ? end : i, length, this.#mask);
    this.#mask = rotate(this.#mask, length);
    this.#rest -= length;
    if (this.#rest === 0 && (!isText || length === 0)) this.#chatter++;
    if (!isText) {
      this.#takeControl(bytes.subarray(i, i + length));
      return end;
    }
    end += length;
    if (length > 0) this.#isLineEnded = bytes[end - 1] === LF;
    const isEnd = this.#rest === 0 && this.#isFinal;
    if (isEnd && !this.#isLineEnded) bytes[end++] = LF;
    return end;
  }

  /**
   * Reads a head, which begins at `i` or has begun before. Returns the position of the payload, or
   * -1 if the head is not complete or has a fault.
   */
  #readHead(view: DataView, i: number): number {
    if (this.#headBytes === 0) {
      const length = this.#parseHead(view, i);
      if (length !== 0) return length > 0 ? i + length : -1;
    }
    while (i < view.byteLength) {
      const head = this.#head ??= new Uint8Array(MAX_HEAD_BYTES);
      head[this.#headBytes++] = view.getUint8(i++);
      const length = this.#parseHead(new DataView(head.buffer, 0, this.#headBytes), 0);
      if (length === 0) continue;
      this.#head = null;
      this.#headBytes = 0;
      return length > 0 ? i : -1;
    }
    return -1;
  }

  /** Returns the length of the head at `i`, 0 if it is not complete, or -1 if it has a fault. */
  #parseHead(view: DataView, i: number): number {
    const available = view.byteLength - i;
    if (available < 2) return 0;
    const first = view.getUint8(i);
    const second = view.getUint8(i + 1);
    if (!this.#checkHead(first, second)) return -1;
    const code = second & LENGTH;
    const isShort = code < LENGTH_IN_16_BITS;
    const size = isShort ? 6 : code === LENGTH_IN_16_BITS ? LONG_HEAD_BYTES : MAX_HEAD_BYTES;
    if (available < size) return 0;
    const length = isShort ? code : this.#longLength(view, i + 2, code === LENGTH_IN_16_BITS);
    if (length < 0) return -1;
    this.#mask = view.getInt32(i + size - MASK_BYTES, true);
    this.#begin(first & OPCODE, first >= FINAL, length);
    return size;
  }

  /** Checks the first two bytes of a head. */
  #checkHead(first: number, second: number): boolean {
    const opcode = first & OPCODE;
    const name = CONTROL_NAMES[opcode];
    const length = second & LENGTH;
    if ((first & RESERVED) !== 0) {
      const bits = (first & RESERVED) >> 4;
      return this.#fail("the reserved bits 000", bits.toString(2).padStart(3, "0"));
    }
    if (second < MASKED) return this.#fail("a masked frame", "one without a mask");
    if (opcode === OPCODES.binary) {
      return this.#fail("text (opcode 1)", "binary data (opcode 2)", "bad-json");
    }
    if (name !== undefined) {
      if (first < FINAL) return this.#fail(`a ${name} in one frame`, "a fragment");
      if (length <= MAX_CONTROL_PAYLOAD) return true;
      return this.#fail(`a ${name} of at most ${MAX_CONTROL_PAYLOAD} bytes`, "a longer one");
    }
    if (opcode > OPCODES.text) return this.#fail("the opcode 0, 1, 8, 9 or 10", `${opcode}`);
    if ((opcode === OPCODES.continuation) === this.#isInMessage) return true;
    const expected = this.#isInMessage
      ? "the next fragment (opcode 0)"
      : "a new message (opcode 1)";
    return this.#fail(expected, `opcode ${opcode}`);
  }

  /** Returns the length in 16 or 64 bits at `i`, or -1 if it has a fault. */
  #longLength(view: DataView, i: number, has16Bits: boolean): number {
    const high = has16Bits ? 0 : view.getUint32(i);
    const length = has16Bits ? view.getUint16(i) : high * 2 ** 32 + view.getUint32(i + 4);
    const isShortest = length >= (has16Bits ? LENGTH_IN_16_BITS : 2 ** 16);
    if (isShortest && high < 2 ** 31) return length;
    if (isShortest) this.#fail("a length below 2^63", `0x${view.getBigUint64(i).toString(16)}`);
    else this.#fail("a length in its shortest form", `${length} in ${has16Bits ? 16 : 64} bits`);
    return -1;
  }

  #begin(opcode: number, isFinal: boolean, length: number): void {
    this.#opcode = opcode;
    this.#isFinal = isFinal;
    this.#rest = length;
    if (opcode <= OPCODES.text) {
      if (opcode === OPCODES.text) this.#isLineEnded = false;
      this.#isInMessage = !isFinal;
    } else {
      this.#control = new Uint8Array(length);
    }
  }

  /** Takes payload of a control frame, and acts on the frame once it is complete. */
  #takeControl(part: Uint8Array): void {
    const payload = this.#control;
    payload.set(part, payload.length - this.#rest - part.length);
    if (this.#rest > 0) return;
    if (this.#opcode === OPCODES.ping) this.#ping = payload;
    if (this.#opcode === OPCODES.close) this.#close(payload);
    this.#control = NOTHING;
  }

  #close(payload: Uint8Array): void {
    const code = payload[0]! << 8 | payload[1]!;
    if (payload.length === 0) this.closed = { code: NO_CODE, reason: "" };
    else if (payload.length === 1) this.#fail("a Close with a code of 2 bytes", "one of 1 byte");
    else if (!isCloseCode(code)) this.#fail("a Close with a code that may be sent", `${code}`);
    else this.#closeWith(code, payload.subarray(2));
  }

  #closeWith(code: number, text: Uint8Array): void {
    try {
      this.closed = { code, reason: strictDecoder.decode(text) };
    } catch {
      this.#fail("a Close with a text in UTF-8", "other bytes", "bad-utf8");
    }
  }

  #fail(expected: string, found: string, reason: CloseReason = "bad-frame"): false {
    this.fault = { reason, message: `Cannot decode frame: expected ${expected}, found ${found}` };
    return false;
  }
}

/**
 * Returns the length of the payload of the text message at `i`, if all of it is there and is one
 * frame. Returns a negative number if not, and if the payload is longer than 65,535 bytes.
 */
function wholeLength(view: DataView, i: number): number {
  if (i + LONG_HEAD_BYTES > view.byteLength || view.getUint8(i) !== WHOLE_TEXT) return -1;
  let length = view.getUint8(i + 1) - MASKED;
  if (length === LENGTH_IN_16_BITS) {
    length = view.getUint16(i + 2);
    if (length < LENGTH_IN_16_BITS) return -1;
  } else if (length > LENGTH_IN_16_BITS) {
    return -1;
  }
  return i + headLength(length) + MASK_BYTES + length <= view.byteLength ? length : -1;
}

/**
 * Removes the mask of `length` bytes at `from`, and moves them to `to`, which must not be greater.
 * Takes four bytes at a time.
 */
function unmask(view: DataView, from: number, to: number, length: number, mask: number): void {
  let rest = length | 0;
  for (; rest >= 4; rest = rest - 4 | 0, from = from + 4 | 0, to = to + 4 | 0) {
    view.setInt32(to, view.getInt32(from, true) ^ mask, true);
  }
  for (; rest > 0; rest = rest - 1 | 0, mask >>>= 8) {
    view.setUint8(to++, view.getUint8(from++) ^ mask);
  }
}

/** Returns the mask for the bytes after `length` others. */
function rotate(mask: number, length: number): number {
  const bits = 8 * (length & 3);
  return mask >>> bits | mask << 32 - bits;
}
