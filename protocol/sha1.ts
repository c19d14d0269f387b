/**
 * SHA-1 (FIPS 180-4, section 6.1), for the handshake of a WebSocket, where it keeps no secret.
 *
 * That of `crypto.subtle` works on another thread. If many peers connect at once, their handshakes
 * wait for it together with all that they have made, which then outlives collections of garbage:
 * 0.8 KiB for each of 10,000 clients.
 *
 * @module
 */

/** Length of a block, in bytes, and of what ends the last one: a bit and the length of the message. */
const BLOCK_BYTES = 64;
const END_BYTES = 9;

const ROUNDS = 80;

/** The initial state. */
const INITIAL = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0] as const;

/** The constants of rounds 0 to 19, 20 to 39, 40 to 59 and 60 to 79. */
const CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6] as const;

/** Returns the digest of a message, 20 bytes. */
export function sha1(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const view = new DataView(pad(message).buffer);
  const digest = new Uint8Array(4 * INITIAL.length);
  const state = new DataView(digest.buffer);
  for (const [i, word] of INITIAL.entries()) state.setUint32(4 * i, word);
  const words = new Int32Array(ROUNDS);
  for (let at = 0; at < view.byteLength; at += BLOCK_BYTES) {
    for (let i = 0; i < ROUNDS; i++) {
      words[i] = i < 16
        ? view.getInt32(at + 4 * i)
        : rotate(words[i - 3]! ^ words[i - 8]! ^ words[i - 14]! ^ words[i - 16]!, 1);
    }
    mix(state, words);
  }
  return digest;
}

/** Returns the message with its end: one bit, zeros, and its length in bits. */
function pad(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const blocks = Math.ceil((message.length + END_BYTES) / BLOCK_BYTES);
  const padded = new Uint8Array(blocks * BLOCK_BYTES);
  padded.set(message);
  padded[message.length] = 0x80;
  new DataView(padded.buffer).setBigUint64(padded.length - 8, 8n * BigInt(message.length));
  return padded;
}

/** Mixes the words of a block into the state. */
function mix(state: DataView, words: Int32Array): void {
  let a = state.getInt32(0);
  let b = state.getInt32(4);
  let c = state.getInt32(8);
  let d = state.getInt32(12);
  let e = state.getInt32(16);
  for (let i = 0; i < ROUNDS; i++) {
    const quarter = Math.floor(i / 20);
    const next = rotate(a, 5) + choose(quarter, b, c, d) + e + CONSTANTS[quarter]! + words[i]! | 0;
    e = d;
    d = c;
    c = rotate(b, 30);
    b = a;
    a = next;
  }
  state.setInt32(0, state.getInt32(0) + a);
  state.setInt32(4, state.getInt32(4) + b);
  state.setInt32(8, state.getInt32(8) + c);
  state.setInt32(12, state.getInt32(12) + d);
  state.setInt32(16, state.getInt32(16) + e);
}

/** The function of a quarter of the rounds: choice, parity, majority, parity. */
function choose(quarter: number, b: number, c: number, d: number): number {
  if (quarter === 0) return b & c | ~b & d;
  return quarter === 2 ? b & c | b & d | c & d : b ^ c ^ d;
}

function rotate(word: number, bits: number): number {
  return word << bits | word >>> 32 - bits;
}
