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
import { pongFrame } from "./frame_encoder.ts";
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
const LENGTH_OF_16_BITS = 126;

/** The longest head of a masked frame, in bytes. */
const MAX_HEAD_BYTES = 14;

/** The first byte of a text message in one frame. */
const WHOLE_TEXT = FINAL | OPCODES.text;

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

  /** Whether the received bytes end within a frame or a message. */
  get isUnfinished(): boolean {
    return this.#rest > 0 || this.#headBytes > 0 || this.#isInMessage;
  }

  /** Returns the frame that answers the latest Ping, or `null` if no Ping needs an answer. */
  takePong(): Uint8Array | null {
    const ping = this.#ping;
    this.#ping = null;
    return ping && pongFrame(ping);
  }

  /**
   * Decodes received bytes in place. Returns the number of bytes at the front that are lines now,
   * the last of which may be unfinished.
   *
   * @param bytes One unused byte, followed by the received bytes. With it, there is always room for
   * the `\n` that is added to a message.
   */
  decode(bytes: Uint8Array): number {
    if (this.fault || this.closed) return 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let end = 0;
    for (
      let i = this.#rest > 0 ? 1 : this.#readHead(view, 1);
      i >= 0;
      i = this.#readHead(view, i)
    ) {
      const length = Math.min(this.#rest, bytes.length - i);
      const isText = this.#opcode <= OPCODES.text;
      if (!isText) this.#takeControl(view, i, length);
      else if (length > 0) {
        unmask(view, i, view, end, length, this.#mask);
        end += length;
        this.#isLineEnded = bytes[end - 1] === LF;
      }
      i += length;
      this.#rest -= length;
      if (this.#rest > 0) {
        this.#mask = rotate(this.#mask, length);
        break;
      }
      if (isText) { if (this.#isFinal && !this.#isLineEnded) bytes[end++] = LF; }
      else if (!this.#endControl()) break;
    }
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
    const isUsual = first === WHOLE_TEXT && second >= MASKED && !this.#isInMessage;
    if (!isUsual && !this.#checkHead(first, second)) return -1;
    let length = second & LENGTH;
    let size = 6;
    if (length >= LENGTH_OF_16_BITS) {
      size = length === LENGTH_OF_16_BITS ? 8 : MAX_HEAD_BYTES;
      if (available < size) return 0;
      length = this.#longLength(view, i + 2, length === LENGTH_OF_16_BITS);
      if (length < 0) return -1;
    } else if (available < size) {
      return 0;
    }
    this.#mask = view.getInt32(i + size - 4, true);
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

  /** Returns the length in 16 or 64 bits at `i`, or -1 if it is not valid. */
  #longLength(view: DataView, i: number, isShort: boolean): number {
    const high = isShort ? 0 : view.getUint32(i);
    const length = isShort ? view.getUint16(i) : high * 2 ** 32 + view.getUint32(i + 4);
    const least = isShort ? LENGTH_OF_16_BITS : 2 ** 16;
    if (length < least) {
      this.#fail("the shortest form of a length", `${length} in ${isShort ? 16 : 64} bits`);
      return -1;
    }
    if (high < 2 ** 31) return length;
    this.#fail("a length below 2^63", `0x${view.getBigUint64(i).toString(16)}`);
    return -1;
  }

  #begin(opcode: number, isFinal: boolean, length: number): void {
    this.#opcode = opcode;
    this.#isFinal = isFinal;
    this.#rest = length;
    if (opcode <= OPCODES.text) {
      if (opcode === OPCODES.text) this.#isLineEnded = false;
      this.#isInMessage = !isFinal;
    } else if (opcode !== OPCODES.pong) {
      this.#control = new Uint8Array(length);
    }
  }

  /** Takes payload of a control frame. A Pong has no use for its own. */
  #takeControl(view: DataView, i: number, length: number): void {
    if (this.#opcode === OPCODES.pong) return;
    const control = this.#control;
    const target = new DataView(control.buffer);
    unmask(view, i, target, control.length - this.#rest, length, this.#mask);
  }

  /** Acts on a control frame that is complete. Returns whether other frames may follow. */
  #endControl(): boolean {
    if (this.#opcode === OPCODES.ping) this.#ping = this.#control;
    return this.#opcode !== OPCODES.close || this.#close(this.#control);
  }

  /** Reads the payload of a Close frame, after which nothing counts. */
  #close(payload: Uint8Array): false {
    if (payload.length === 0) {
      this.closed = { code: NO_CODE, reason: "" };
      return false;
    }
    if (payload.length === 1) return this.#fail("a Close with a code of 2 bytes", "one of 1 byte");
    const code = payload[0]! << 8 | payload[1]!;
    if (!isCloseCode(code)) return this.#fail("a Close with a code that may be sent", `${code}`);
    try {
      this.closed = { code, reason: strictDecoder.decode(payload.subarray(2)) };
    } catch {
      this.#fail("a Close with a text in UTF-8", "other bytes", "bad-utf8");
    }
    return false;
  }

  #fail(expected: string, found: string, reason: CloseReason = "bad-frame"): false {
    this.fault = { reason, message: `Cannot decode frame: expected ${expected}, found ${found}` };
    return false;
  }
}

/**
 * Copies payload and removes its mask, four bytes at a time. The target may be the source if it
 * begins earlier there.
 */
function unmask(
  source: DataView,
  i: number,
  target: DataView,
  at: number,
  length: number,
  mask: number,
): void {
  let rest = length | 0;
  for (; rest >= 4; rest = rest - 4 | 0, i = i + 4 | 0, at = at + 4 | 0) {
    target.setInt32(at, source.getInt32(i, true) ^ mask, true);
  }
  for (; rest > 0; rest = rest - 1 | 0, mask >>>= 8) {
    target.setUint8(at++, source.getUint8(i++) ^ mask);
  }
}

/** Returns the mask for the bytes after `length` others. */
function rotate(mask: number, length: number): number {
  const bits = 8 * (length & 3);
  return mask >>> bits | mask << 32 - bits;
}
