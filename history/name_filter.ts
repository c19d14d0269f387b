/**
 * The events that a reader of the history asks for, by their names.
 *
 * @module
 */

import { REST } from "../protocol/pattern.ts";
import { PatternTrie } from "../protocol/pattern_trie.ts";
import { TextMap } from "../protocol/text_map.ts";
import { type KeptBlock, MAX_NAMES } from "./kept_block.ts";

/** Maximum number of names whose result is remembered. */
const MAX_KNOWN = 1000;

/** Matches names with patterns. */
export class NameFilter {
  /** Whether every name matches. */
  readonly takesAll: boolean;
  /** Whether no name matches. */
  readonly takesNothing: boolean;

  readonly #patterns = new PatternTrie<true>();
  /** The names seen lately. */
  readonly #known = new TextMap<boolean>();

  /** Creates a filter of valid patterns. */
  constructor(patterns: Iterable<string>) {
    let takesAll = false;
    for (const pattern of patterns) {
      this.#patterns.add(pattern, true);
      takesAll ||= pattern === REST;
    }
    this.takesAll = takesAll;
    this.takesNothing = this.#patterns.size === 0;
  }

  /** Returns whether a name matches. */
  matches(name: string): boolean {
    if (this.takesAll) return true;
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    const isMatch = this.matchesOnce(name);
    this.#known.set(name, isMatch);
    return isMatch;
  }

  /** Returns the same for a name that will hardly be seen again, and remembers nothing. */
  matchesOnce(name: string): boolean {
    return this.takesAll || this.#patterns.find(name).length > 0;
  }
}

/** Chooses lines of a block. */
export interface LineChoice {
  /** The names that the lines may have. */
  readonly filter: NameFilter;
  /** The sender whose lines are left out, or `NO_SENDER`. */
  readonly excluded: number;
}

/** Returns a function from the number of a line to whether it is chosen. */
export function chooser(
  block: KeptBlock,
  { filter, excluded }: LineChoice,
): (line: number) => boolean {
  const isOther = block.hasSender(excluded)
    ? (line: number) => block.senderOf(line) !== excluded
    : () => true;
  if (filter.takesAll) return isOther;
  /** The result for each name that the block keeps, which is found at its first line. */
  const isMatch: (boolean | undefined)[] = [];
  return (line) => {
    const id = block.nameOf(line);
    const name = block.names[id]!;
    if (id === MAX_NAMES) return filter.matchesOnce(name) && isOther(line);
    return (isMatch[id] ??= filter.matches(name)) && isOther(line);
  };
}
