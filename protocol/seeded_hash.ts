/**
 * Hashes seeded with a random number of this process, so that no peer can predict collisions.
 * Callers must also compare the hashed data.
 *
 * @module
 */

/** The prime of FNV-1a, in 32 bits. */
const PRIME = 0x01000193;

/** The seed, which stays the same while the process runs. */
const SEED = crypto.getRandomValues(new Int32Array(1))[0]!;

/**
 * Returns a hash of the bytes from `start` to `end`. It is an integer of 30 bits, which V8 stores
 * without an object.
 */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = SEED;
  for (let i = start; i < end; i++) hash = mix(hash, bytes[i]!);
  return hash >>> 2;
}

/** Returns a hash of a text. `before` is the hash of the preceding text, if any. */
export function hashText(text: string, before = 0): number {
  let hash = SEED ^ before;
  for (let i = 0; i < text.length; i++) hash = mix(hash, text.charCodeAt(i));
  return hash >>> 2;
}

/** Mixes in one more unit. The shift makes the result depend on all bits, and thus on the seed. */
function mix(hash: number, unit: number): number {
  hash = Math.imul(hash ^ unit, PRIME);
  return hash ^ hash >>> 15;
}
