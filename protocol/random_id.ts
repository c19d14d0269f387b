/**
 * Owns ids that nobody can guess. Must not know what they are for.
 *
 * @module
 */

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/** All texts of two digits: 12 bits each. */
const PAIRS = Array.from(
  { length: DIGITS.length ** 2 },
  (_, i) => DIGITS[i >> 6]! + DIGITS[i & 63]!,
);

/** Random numbers of 16 bits, of which 12 are used; many at once, as each call takes its time. */
const pool = new Uint16Array(4096);
let used = pool.length;

/** An id of `pairs` pairs of characters, each of which has 12 bits of chance. */
export function randomId(pairs: number): string {
  let id = "";
  for (let i = 0; i < pairs; i++) {
    if (used === pool.length) {
      crypto.getRandomValues(pool);
      used = 0;
    }
    id += PAIRS[pool[used++]! & PAIRS.length - 1];
  }
  return id;
}
