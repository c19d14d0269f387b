/**
 * The frames of a WebSocket client, a slow decoder for comparison, and what becomes of a stream of
 * frames.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { CloseReason } from "../../errors.ts";
import { FrameDecoder } from "../../protocol/frame_decoder.ts";
import { LineSplitter } from "../../protocol/line_splitter.ts";
import { LineValidator } from "../../protocol/validator.ts";
import { closeCodeOf, isCloseCode } from "../../protocol/websocket.ts";
import { utf8 } from "./bytes.ts";

/** A frame as a client writes it. */
export interface Frame {
  opcode: number;
  payload?: Uint8Array;
  isFinal?: boolean;
  /** The three reserved bits, as a number from 0 to 7. */
  reserved?: number;
  /** The four bytes of the mask, or `null` for a frame that is not masked. */
  mask?: readonly number[] | null;
  /** The number of bits of the length, if it is not the least possible one. */
  lengthBits?: 7 | 16 | 64;
  /** The announced length, if it is not that of the payload. */
  length?: bigint;
}

/** The bytes of a frame. */
export function frameOf(frame: Frame): Uint8Array<ArrayBuffer> {
  const { opcode, payload = utf8(""), isFinal = true, reserved = 0 } = frame;
  const { mask = [0x37, 0xfa, 0x21, 0x3d], length = BigInt(payload.length) } = frame;
  const { lengthBits = length < 126n ? 7 : length < 65_536n ? 16 : 64 } = frame;
  const head = [(isFinal ? 0x80 : 0) | reserved << 4 | opcode];
  head.push(
    (mask ? 0x80 : 0) | (lengthBits === 7 ? Number(length) : lengthBits === 16 ? 126 : 127),
  );
  if (lengthBits !== 7) {
    for (let bits = lengthBits - 8; bits >= 0; bits -= 8) {
      head.push(Number(length >> BigInt(bits) & 0xffn));
    }
  }
  const bytes = mask ? payload.map((byte, i) => byte ^ mask[i & 3]!) : payload;
  return new Uint8Array(concat([Uint8Array.from([...head, ...mask ?? []]), bytes]));
}

/** A message in one frame. */
export function text(content: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return frameOf({ opcode: 1, payload: toBytes(content) });
}

/** A message in several frames, one for each part. */
export function fragments(...parts: (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const frames = parts.map((part, i) =>
    frameOf({ opcode: i > 0 ? 0 : 1, payload: toBytes(part), isFinal: i === parts.length - 1 })
  );
  return new Uint8Array(concat(frames));
}

/** A fragment that another one follows: the first of a message, or one in between. */
export function fragment(content: string | Uint8Array, opcode: 0 | 1): Uint8Array<ArrayBuffer> {
  return frameOf({ opcode, payload: toBytes(content), isFinal: false });
}

/** The last fragment of a message. */
export function lastFragment(content: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return frameOf({ opcode: 0, payload: toBytes(content) });
}

export function ping(content: string | Uint8Array = ""): Uint8Array<ArrayBuffer> {
  return frameOf({ opcode: 9, payload: toBytes(content) });
}

export function pong(content: string | Uint8Array = ""): Uint8Array<ArrayBuffer> {
  return frameOf({ opcode: 10, payload: toBytes(content) });
}

/** A Close frame with a code and a text. */
export function close(code: number, reason: string | Uint8Array = ""): Uint8Array<ArrayBuffer> {
  const payload = concat([Uint8Array.of(code >> 8, code & 0xff), toBytes(reason)]);
  return frameOf({ opcode: 8, payload });
}

function toBytes(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? utf8(content) : content;
}

/** What becomes of the frames of a client. */
export interface Outcome {
  /** The decoded bytes, in hexadecimal. */
  lines: string;
  /** The reason for which the frames were refused. */
  fault: string | null;
  /** The code and the text of the Close frame. */
  closed: string | null;
  isUnfinished: boolean;
}

/** Decodes chunks that follow one another. */
export function decodeChunks(chunks: Iterable<Uint8Array>): Outcome & { pongs: Uint8Array[] } {
  const decoder = new FrameDecoder();
  const parts: Uint8Array[] = [];
  const pongs: Uint8Array[] = [];
  for (const chunk of chunks) {
    parts.push(decode(decoder, chunk));
    const answer = decoder.takePong();
    if (answer) pongs.push(answer);
  }
  const { fault, closed, isUnfinished } = decoder;
  return {
    lines: concat(parts).toHex(),
    fault: fault && fault.reason,
    closed: closed && `${closed.code} ${closed.reason}`,
    isUnfinished: isUnfinished && !fault,
    pongs,
  };
}

/** Decodes a copy of received bytes. */
export function decode(decoder: FrameDecoder, chunk: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(decoder.headroom + chunk.length);
  bytes.set(chunk, decoder.headroom);
  return bytes.subarray(0, decoder.decode(bytes));
}

/** Decodes a whole stream one byte after another, as section 5 of RFC 6455 describes frames. */
export function decodeSlowly(stream: Uint8Array): Outcome {
  const lines: number[] = [];
  const outcome = { fault: null as string | null, closed: null as string | null };
  let at = 0;
  let isInMessage = false;
  let lastByte = -1;
  const end = (isUnfinished: boolean): Outcome => ({
    ...outcome,
    lines: Uint8Array.from(lines).toHex(),
    isUnfinished,
  });
  const refuse = (reason: string): Outcome => {
    outcome.fault = reason;
    return end(false);
  };
  while (at < stream.length) {
    if (stream.length - at < 2) return end(true);
    const [first, second] = [stream[at++]!, stream[at++]!];
    const opcode = first % 16;
    const isFinal = first >= 128;
    if (first % 128 >= 16 || second < 128) return refuse("bad-frame");
    if (opcode === 2) return refuse("bad-json");
    if (![0, 1, 8, 9, 10].includes(opcode)) return refuse("bad-frame");
    let length = BigInt(second - 128);
    if (opcode >= 8 && (!isFinal || length > 125n)) return refuse("bad-frame");
    if (opcode < 8 && (opcode === 0) !== isInMessage) return refuse("bad-frame");
    const bytes = length === 126n ? 2 : length === 127n ? 8 : 0;
    if (stream.length - at < bytes + 4) return end(true);
    if (bytes > 0) {
      length = 0n;
      for (let k = 0; k < bytes; k++) length = length * 256n + BigInt(stream[at++]!);
      if (length < (bytes === 2 ? 126n : 65_536n) || length >= 1n << 63n) {
        return refuse("bad-frame");
      }
    }
    const mask = stream.slice(at, at + 4);
    at += 4;
    const payload: number[] = [];
    while (at < stream.length && payload.length < length) {
      payload.push(stream[at++]! ^ mask[payload.length % 4]!);
    }
    const isWhole = BigInt(payload.length) === length;
    if (opcode < 8) {
      if (opcode === 1) lastByte = -1;
      for (const byte of payload) lines.push(lastByte = byte);
      if (!isWhole) return end(true);
      isInMessage = !isFinal;
      if (isFinal && lastByte !== 0x0a) lines.push(0x0a);
    } else if (!isWhole) {
      return end(true);
    } else if (opcode === 8) {
      const code = payload.length === 0 ? 1005 : payload[0]! * 256 + payload[1]!;
      if (code !== 1005 || payload.length > 0) {
        if (payload.length === 1 || !isCloseCode(code)) return refuse("bad-frame");
      }
      try {
        const reason = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
          .decode(Uint8Array.from(payload.slice(2)));
        outcome.closed = `${code} ${reason}`;
      } catch {
        return refuse("bad-utf8");
      }
      return end(isInMessage);
    }
  }
  return end(isInMessage);
}

/** What a server makes of the frames of a client. */
export interface Verdict {
  /** The lines, without their ends. The lines before a fault count. */
  lines: string[];
  /** The payloads of the Pongs that answer Pings. */
  pongs: string[];
  /** The code with which the server closes because of a fault. */
  code: number | null;
  /** The code and the text of the client's Close frame. */
  closed: string | null;
  /** Whether the stream has ended within a frame or a message. */
  isUnfinished: boolean;
}

/** Decodes chunks and splits them into lines, up to the first fault. */
export function receive(
  chunks: Iterable<Uint8Array>,
  { maxLineBytes = 1_048_576, isChecked = false }: {
    maxLineBytes?: number;
    /** Whether each line must be an event or a control line. */
    isChecked?: boolean;
  } = {},
): Verdict {
  const decoder = new FrameDecoder();
  const splitter = new LineSplitter({ maxLineBytes });
  const lines: string[] = [];
  const pongs: string[] = [];
  let fault: CloseReason | undefined;
  for (const chunk of chunks) {
    const { bytes } = splitter.push(decode(decoder, chunk));
    const badLine = takeLines(bytes, isChecked, lines);
    const pong = decoder.takePong();
    if (pong) pongs.push(new TextDecoder("latin1").decode(pong.subarray(2)));
    fault = badLine ?? splitter.fault?.code ?? decoder.fault?.reason;
    if (fault !== undefined) break;
  }
  const { closed } = decoder;
  return {
    lines,
    pongs,
    code: fault === undefined ? null : closeCodeOf(fault),
    closed: closed && `${closed.code} ${closed.reason}`.trimEnd(),
    isUnfinished: fault === undefined && decoder.isUnfinished,
  };
}

/** Adds whole lines to `lines`. Returns why one of them is bad. */
function takeLines(bytes: Uint8Array, isChecked: boolean, lines: string[]): CloseReason | null {
  const validator = new LineValidator().open(bytes);
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0x0a, start);
    if (isChecked && validator.validate(start) === "invalid") return validator.fault.code;
    lines.push(new TextDecoder().decode(bytes.subarray(start, end)));
    start = end + 1;
  }
  return null;
}

/** The payloads of the text messages of a server, each in one frame. */
export function messagesOf(frames: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const view = new DataView(frames.buffer, frames.byteOffset, frames.length);
  for (let at = 0; at < frames.length;) {
    if (frames[at] !== 0x81) throw new Error(`Expected a text message, found ${frames[at]}`);
    let length = frames[at + 1]!;
    at += 2;
    if (length === 126) {
      length = view.getUint16(at);
      at += 2;
    } else if (length === 127) {
      length = Number(view.getBigUint64(at));
      at += 8;
    }
    if (at + length > frames.length) throw new Error(`Expected ${length} bytes from ${at} on`);
    messages.push(frames.slice(at, at += length));
  }
  return messages;
}
