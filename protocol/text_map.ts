/**
 * Owns maps and sets of texts that a peer has chosen. Must not know what they are for.
 *
 * V8 hashes a text with a seed of the process, but not one that looks like an integer below 2^32: that is
 * hashed as its number, so that anybody can choose thousands that collide ("0", "2048", "4096", …), and
 * each look-up walks through all of them. To look one up is enough, whatever the map has: V8 puts it into
 * its own table of texts first. With a character in front, no text looks like an integer.
 *
 * @module
 */

const PREFIX = ".";

/** The text by which a `Map` or a `Set` may keep `text`; it has one character more. */
export function keyOf(text: string): string {
  return PREFIX + text;
}

/** The text whose key this is. */
function textOf(key: string): string {
  return key.slice(PREFIX.length);
}

/** Values by texts. */
export class TextMap<V> implements Iterable<[text: string, value: V]> {
  readonly #values: Map<string, V>;

  /** Makes an empty map, or a copy of another. */
  constructor(other?: TextMap<V>) {
    this.#values = new Map(other ? other.#values : []);
  }

  /** How many texts there are. */
  get size(): number {
    return this.#values.size;
  }

  /** The value of a text. */
  get(text: string): V | undefined {
    return this.#values.get(keyOf(text));
  }

  /** Whether a text has a value. */
  has(text: string): boolean {
    return this.#values.has(keyOf(text));
  }

  /** Gives a text a value. */
  set(text: string, value: V): void {
    this.#values.set(keyOf(text), value);
  }

  /** Takes a text out; whether it was there. */
  delete(text: string): boolean {
    return this.#values.delete(keyOf(text));
  }

  /** Takes all texts out. */
  clear(): void {
    this.#values.clear();
  }

  /** The values, in the order in which their texts came. */
  values(): MapIterator<V> {
    return this.#values.values();
  }

  /** The texts with their values, in the order in which they came. */
  *[Symbol.iterator](): Generator<[text: string, value: V]> {
    for (const [key, value] of this.#values) yield [textOf(key), value];
  }
}

/** Texts, each once. */
export class TextSet implements Iterable<string> {
  readonly #keys: Set<string>;

  /** Makes a set of these texts. To copy another set is quick. */
  constructor(texts: Iterable<string> = []) {
    this.#keys = new Set(texts instanceof TextSet ? texts.#keys : Iterator.from(texts).map(keyOf));
  }

  /** How many texts there are. */
  get size(): number {
    return this.#keys.size;
  }

  /** Whether a text is there. */
  has(text: string): boolean {
    return this.#keys.has(keyOf(text));
  }

  /** Puts a text in; whether it was not there. */
  add(text: string): boolean {
    return this.#keys.size < this.#keys.add(keyOf(text)).size;
  }

  /** Takes a text out; whether it was there. */
  delete(text: string): boolean {
    return this.#keys.delete(keyOf(text));
  }

  /** Whether another set has all of the texts. */
  isSubsetOf(other: TextSet): boolean {
    return this.#keys.isSubsetOf(other.#keys);
  }

  /** The texts that another set does not have. */
  *without(other: TextSet): Generator<string> {
    for (const key of this.#keys.difference(other.#keys)) yield textOf(key);
  }

  /** The texts, in the order in which they came. */
  *[Symbol.iterator](): Generator<string> {
    for (const key of this.#keys) yield textOf(key);
  }
}
