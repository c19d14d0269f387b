/**
 * Maps and sets that are safe for texts chosen by a peer.
 *
 * V8 hashes a text with a seed of the process, except a text that looks like an integer below 2^32.
 * Such a text is hashed as its number, so a peer can choose thousands that collide ("0", "2048",
 * "4096", …). Each look-up then walks through all of them. The content of the map does not matter,
 * because V8 first enters the looked-up text into its own table of texts. With a prefix, no text
 * looks like an integer.
 *
 * @module
 */

const PREFIX = ".";

/** Returns the key for `text` in a `Map` or a `Set`. It is one character longer. */
export function keyOf(text: string): string {
  return PREFIX + text;
}

/** Returns the text of a key. */
function textOf(key: string): string {
  return key.slice(PREFIX.length);
}

/** A map from texts to values. */
export class TextMap<V> implements Iterable<[text: string, value: V]> {
  #values: Map<string, V>;

  /** Makes an empty map, or a copy of another. */
  constructor(other?: TextMap<V>) {
    this.#values = new Map(other ? other.#values : []);
  }

  /** The number of texts. */
  get size(): number {
    return this.#values.size;
  }

  /** Returns the value of a text. */
  get(text: string): V | undefined {
    return this.#values.get(keyOf(text));
  }

  /** Returns whether a text has a value. */
  has(text: string): boolean {
    return this.#values.has(keyOf(text));
  }

  /** Sets the value of a text. */
  set(text: string, value: V): void {
    this.#values.set(keyOf(text), value);
  }

  /** Removes a text. Returns whether it was present. */
  delete(text: string): boolean {
    return this.#values.delete(keyOf(text));
  }

  /** Removes all texts. */
  clear(): void {
    // V8 frees the content of a cleared map only with a full collection of garbage.
    this.#values = new Map();
  }

  /** Returns the values, in the order in which their texts were added. */
  values(): MapIterator<V> {
    return this.#values.values();
  }

  /** Iterates over the texts and their values, in the order in which they were added. */
  *[Symbol.iterator](): Generator<[text: string, value: V]> {
    for (const [key, value] of this.#values) yield [textOf(key), value];
  }
}

/** A set of texts. */
export class TextSet implements Iterable<string> {
  readonly #keys: Set<string>;

  /** Makes a set of these texts. A copy of another set is quick. */
  constructor(texts: Iterable<string> = []) {
    this.#keys = new Set(texts instanceof TextSet ? texts.#keys : Iterator.from(texts).map(keyOf));
  }

  /** The number of texts. */
  get size(): number {
    return this.#keys.size;
  }

  /** Returns whether a text is present. */
  has(text: string): boolean {
    return this.#keys.has(keyOf(text));
  }

  /** Adds a text. Returns whether it was absent. */
  add(text: string): boolean {
    return this.#keys.size < this.#keys.add(keyOf(text)).size;
  }

  /** Removes a text. Returns whether it was present. */
  delete(text: string): boolean {
    return this.#keys.delete(keyOf(text));
  }

  /** Returns whether the other set contains all of these texts. */
  isSubsetOf(other: TextSet): boolean {
    return this.#keys.isSubsetOf(other.#keys);
  }

  /** Iterates over the texts that the other set does not contain. */
  *without(other: TextSet): Generator<string> {
    for (const key of this.#keys.difference(other.#keys)) yield textOf(key);
  }

  /** Iterates over the texts, in the order in which they were added. */
  *[Symbol.iterator](): Generator<string> {
    for (const key of this.#keys) yield textOf(key);
  }
}
