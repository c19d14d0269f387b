/**
 * Owns the measure of what the wildcards of one client cost a look-up: in how many places of the tree of
 * its patterns a single name can be. Must not know whose patterns they are.
 *
 * Where all tokens of a pattern up to its last wildcard that are none themselves count as equal, its
 * shape is left: `room.7.*` and `room.8.*.text` have the same. Of all patterns whose beginning has one
 * shape, a name fits that beginning of one at most, since the name says what the other tokens are. So a
 * look-up can come to no more nodes than there are shapes of beginnings, and only those with a wildcard
 * multiply with the clients: the others are on the one path that the name itself is.
 *
 * @module
 */

import { ANY, REST } from "../protocol/pattern.ts";

/** Stands for a token that is no wildcard. */
const OTHER = "x";

/** The shape of a pattern, one character for each token; empty if it has no wildcard. */
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

/** How many beginnings there are that have a wildcard, of all shapes together; each counts once. */
export function placesOf(shapes: Iterable<string>): number {
  let places = 0;
  let before = "";
  for (const shape of [...shapes].sort()) {
    // Sorted, a shape has no longer beginning in common with any before than with the last.
    places += shape.length - Math.max(commonLength(before, shape), firstWildcard(shape));
    before = shape;
  }
  return places;
}

/** Where the first wildcard of a shape is; its length if there is none. */
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
