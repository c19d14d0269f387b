/**
 * The parts of WebSocket (RFC 6455) besides its frames: the key of the opening handshake, opcodes,
 * and the codes of Close frames.
 *
 * @module
 */

import { sha1 } from "./sha1.ts";
import { encoder } from "./utf8.ts";
import type { CloseReason } from "../errors.ts";

/** The opcodes of frames (section 5.2). */
export const OPCODES = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

/** The longest payload of a Ping, Pong or Close frame, in bytes (section 5.5). */
export const MAX_CONTROL_PAYLOAD = 125;

/** The code that stands for a Close frame without a code. It is never sent (section 7.4.1). */
export const NO_CODE = 1005;

/** The code that stands for an end without a Close frame. It is never sent either. */
const NO_FRAME = 1006;

/** The suffix of a key before it is hashed (section 1.3). */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** A base64 text of 16 bytes. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** PROTOCOL.md has the same table. */
const CLOSE_CODES: Readonly<Record<CloseReason, number>> = {
  "local": 1000,
  "eof": 1000,
  "truncated": 1002,
  "reset": NO_FRAME,
  "aborted": NO_FRAME,
  "shutdown": 1001,
  "slow-consumer": 1013,
  "idle-timeout": 1001,
  "line-too-long": 1009,
  "too-deep": 1003,
  "bad-utf8": 1007,
  "bad-json": 1003,
  "bad-event": 1003,
  "bad-frame": 1002,
  "bad-request": NO_FRAME,
  "unauthorized": 1008,
  "too-many-clients": 1013,
  "rate-limited": 1008,
  "overloaded": 1013,
  "replaced": 1008,
};

/**
 * Returns the code of the Close frame for a reason. For a reason with which no Close frame is sent,
 * returns 1006, which is what browsers report then.
 */
export function closeCodeOf(reason: CloseReason): number {
  return CLOSE_CODES[reason];
}

/**
 * Returns whether a peer may send `code` in a Close frame: whether it is registered with IANA for
 * that purpose, or meant for libraries (3000 to 3999) or applications (4000 to 4999).
 */
export function isCloseCode(code: number): boolean {
  return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 ||
    code >= 3000 && code <= 4999;
}

/** Returns whether `text` is a valid value of `Sec-WebSocket-Key`: 16 bytes in base64. */
export function isKey(text: string): boolean {
  return KEY.test(text);
}

/**
 * Returns the value of `Sec-WebSocket-Accept` that answers a key (section 4.2.2).
 *
 * @param key A text for which {@link isKey} returns `true`.
 */
export function acceptKey(key: string): string {
  return sha1(encoder.encode(key + KEY_SUFFIX)).toBase64();
}
