/**
 * Owns hashes that begin with a random number of this process, so that nobody outside can tell which
 * texts collide. Must not know what they are for. Whoever uses one compares what was hashed, too.
 *
 * @module
 */

/** The prime of FNV-1a, in 32 bits. */
const PRIME = 0x01000193;

/** The same for as long as the process runs. */
const SEED = crypto.getRandomValues(new Int32Array(1))[0]!;

/** A hash of the bytes from `start` to `end`: an integer of 30 bits, which V8 keeps without an object. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = SEED;
  for (let i = start; i < end; i++) hash = mix(hash, bytes[i]!);
  return hash >>> 2;
}

/** The same for a text, and for the hash that comes before it. */
export function hashText(text: string, before = 0): number {
  let hash = SEED ^ before;
  for (let i = 0; i < text.length; i++) hash = mix(hash, text.charCodeAt(i));
  return hash >>> 2;
}

/** Takes one more unit in. The shift makes what follows depend on all bits, and so on the seed. */
function mix(hash: number, unit: number): number {
  hash = Math.imul(hash ^ unit, PRIME);
  return hash ^ hash >>> 15;
}
