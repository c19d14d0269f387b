/**
 * Measures the look-up cost of one client's wildcards, as the number of places in the tree of its
 * patterns that a single name can reach.
 *
 * The shape of a pattern is its tokens up to the last wildcard, with all other tokens treated as
 * equal. For example, `room.7.*` and `room.8.*.text` have the same shape. Among all patterns whose
 * beginnings have one shape, a name matches at most one beginning, because the name determines the
 * other tokens. A look-up therefore visits at most as many nodes as there are shapes of beginnings.
 * Only beginnings with a wildcard multiply with the clients. The others lie on the single path of
 * the name itself.
 *
 * @module
 */

import { ANY, REST } from "../protocol/pattern.ts";

/** Stands for a token that is not a wildcard. */
const OTHER = "x";

/** Returns the shape of a pattern, one character for each token. It is empty without a wildcard. */
export function shapeOf(pattern: string): string {
  if (!pattern.includes(ANY) && !pattern.includes(REST)) return "";
  let shape = "";
  let length = 0;
  for (const token of pattern.split(".")) {
    const isWildcard = token === ANY || token === REST;
    shape += isWildcard ? token : OTHER;
    if (isWildcard) ({ length } = shape);
  }
  return shape.slice(0, length);
}

/** Returns the number of distinct beginnings with a wildcard among all shapes. */
export function placesOf(shapes: Iterable<string>): number {
  let places = 0;
  let before = "";
  for (const shape of [...shapes].sort()) {
    // In sorted order, no earlier shape has a longer beginning in common than the previous one.
    places += shape.length - Math.max(commonLength(before, shape), firstWildcard(shape));
    before = shape;
  }
  return places;
}

/** Returns the offset of a shape's first wildcard, or the shape's length without one. */
function firstWildcard(shape: string): number {
  let i = 0;
  while (shape[i] === OTHER) i++;
  return i;
}

function commonLength(one: string, two: string): number {
  let i = 0;
  while (i < one.length && one[i] === two[i]) i++;
  return i;
}
