import type { Copied } from "./envelope.ts";
import { memberBytes } from "./envelope.ts";
import { headLength, writeHead } from "./frame_encoder.ts";
export const MAX_HEAD_BYTES = 10;
export function headLengthAt(bytes: Uint8Array, at: number): number {
  const short = bytes[at + 1]!;
  return short < 126 ? 2 : short === 126 ? 4 : 10;
}
function frameEnd(bytes: Uint8Array, at: number): number {
  const short = bytes[at + 1]!;
  if (short < 126) return at + 2 + short;
  if (short === 126) return at + 4 + bytes[at + 2]! * 256 + bytes[at + 3]!;
  return at + 10 + bytes[at + 6]! * 2 ** 24 + bytes[at + 7]! * 65536 + bytes[at + 8]! * 256 +
    bytes[at + 9]!;
}
export function endOfFrame(bytes: Uint8Array, at: number): number {
  let i = 0;
  while (i <= at) i = frameEnd(bytes, i);
  return i <= bytes.length ? i : 0;
}
export function countFrames(bytes: Uint8Array, end = bytes.length): number {
  let n = 0;
  for (let i = 0; i < end;) {
    const next = frameEnd(bytes, i);
    if (next > end) break;
    if ((bytes[i]! & 15) === 1) n++;
    i = next;
  }
  return n;
}
export function numberedFramesLength(bytes: Uint8Array, first: number): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; first++) {
    const next = frameEnd(bytes, i);
    const payload = next - i - headLengthAt(bytes, i) + memberBytes("seq", first).length;
    sum += payload + headLength(payload);
    i = next;
  }
  return sum;
}
export function copyNumberedFrames(
  bytes: Uint8Array,
  first: number,
  target: Uint8Array,
  at: number,
): Copied {
  const begin = at;
  let lines = 0;
  let i = 0;
  while (i < bytes.length) {
    const member = memberBytes("seq", first + lines);
    const next = frameEnd(bytes, i);
    const text = i + headLengthAt(bytes, i);
    const payload = next - text + member.length;
    if (at + headLength(payload) + payload > target.length) break;
    at = writeHead(target, at, payload);
    const behind = bytes.indexOf(0x7b, text) + 1;
    target.set(bytes.subarray(text, behind), at);
    at += behind - text;
    target.set(member, at);
    at += member.length;
    target.set(bytes.subarray(behind, next), at);
    at += next - behind;
    i = next;
    lines++;
  }
  return { lines, read: i, written: at - begin };
}
