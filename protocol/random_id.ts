/**
 * Unguessable IDs.
 *
 * @module
 */

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/**
 * Random 16-bit numbers, of which 12 bits are used. They are drawn in bulk because each call is
 * slow.
 */
const pool = new Uint16Array(4096);
let used = pool.length;

/** Returns a random ID of `pairs` pairs of characters. Each pair has 12 random bits. */
export function randomId(pairs: number): string {
  let id = "";
  for (let i = 0; i < pairs; i++) {
    if (used === pool.length) {
      crypto.getRandomValues(pool);
      used = 0;
    }
    const bits = pool[used++]!;
    id += DIGITS[bits >> 6 & 63]! + DIGITS[bits & 63]!;
  }
  return id;
}
