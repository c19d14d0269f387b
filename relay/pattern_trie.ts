/**
 * Maps the name of an event to the values of all patterns that match it. A radix tree over the
 * tokens of the patterns holds each pattern up to its last wildcard. The rest is looked up in one
 * piece, and so is a pattern without wildcards.
 *
 * Tokens without another branch share one node. A pattern therefore adds at most two nodes, however
 * many tokens it has. A look-up visits each node at most once and compares each with the name once.
 * It is a loop, so that no pattern can overflow the stack. Below wildcards, it visits at most one
 * node for each shape of a pattern's beginning (see `shapes.ts`).
 *
 * @module
 */

import { DOT } from "../protocol/ascii.ts";
import { ANY, REST } from "../protocol/pattern.ts";
import { keyOf } from "../protocol/text_map.ts";

class Node<V> {
  /** The tokens that lead from the parent to this node, separated by dots. None of them is REST. */
  label = "";
  /** Number of tokens in `label`. */
  length = 0;
  /** The child whose label starts with ANY. */
  any: Node<V> | null = null;
  /** The other children, by the keys of the first tokens of their labels. */
  plain: Map<string, Node<V>> | null = null;
  /** Values of the pattern that ends here. */
  values: Set<V> | null = null;
  /** Values of the pattern that continues with REST. */
  rest: Set<V> | null = null;
  /** Values of patterns that continue without another wildcard, by the keys of their tails. */
  tails: Map<string, Set<V>> | null = null;

  /** Whether no pattern ends here or continues without another node. */
  get isEmpty(): boolean {
    return !this.values && !this.rest && !this.tails;
  }

  /** Adds a value for the pattern that continues this way. Returns whether the value is new. */
  add(value: V, { tail, hasRest }: Pattern): boolean {
    const values = hasRest
      ? this.rest ??= new Set()
      : tail === null
      ? this.values ??= new Set()
      : this.#valuesOf(keyOf(tail));
    return values.size < values.add(value).size;
  }

  #valuesOf(key: string): Set<V> {
    this.tails ??= new Map();
    let values = this.tails.get(key);
    if (!values) this.tails.set(key, values = new Set());
    return values;
  }

  /** Removes a value. Returns whether it was present. */
  delete(value: V, { tail, hasRest }: Pattern): boolean {
    const key = tail === null ? "" : keyOf(tail);
    const values = hasRest ? this.rest : tail === null ? this.values : this.tails?.get(key);
    if (!values?.delete(value)) return false;
    if (values.size > 0) return true;
    if (hasRest) this.rest = null;
    else if (tail === null) this.values = null;
    else this.tails!.delete(key);
    if (this.tails?.size === 0) this.tails = null;
    return true;
  }

  /** Number of children. */
  get size(): number {
    return (this.any ? 1 : 0) + (this.plain?.size ?? 0);
  }

  /** Returns the child whose label starts with a token. */
  below(token: string): Node<V> | null {
    return token === ANY ? this.any : this.plain?.get(keyOf(token)) ?? null;
  }

  /** Adds a child, or replaces the one whose label starts with the same token. */
  attach(node: Node<V>, label: string): void {
    node.label = label;
    node.length = label.split(".").length;
    const first = firstToken(label);
    if (first === ANY) this.any = node;
    else (this.plain ??= new Map()).set(keyOf(first), node);
  }

  /** Removes a child. */
  detach(node: Node<V>): void {
    if (this.any === node) this.any = null;
    else this.plain!.delete(keyOf(firstToken(node.label)));
    if (this.plain?.size === 0) this.plain = null;
  }
}

/** Values by pattern. All patterns must be valid (see `faultOfPattern()`). */
export class PatternTrie<V> {
  readonly #root = new Node<V>();
  #size = 0;

  /** Number of pairs of a pattern and a value. */
  get size(): number {
    return this.#size;
  }

  /** Adds `value` for a pattern. Adding it again changes nothing. */
  add(pattern: string, value: V): void {
    const parsed = parse(pattern);
    const node = parsed.path === null ? this.#root : this.#reach(parsed.path);
    if (node.add(value, parsed)) this.#size++;
  }

  /** Returns the node to which the tokens lead. Creates it if it does not exist. */
  #reach(path: string): Node<V> {
    let node = this.#root;
    for (let left = path;;) {
      let child = node.below(firstToken(left));
      if (!child) {
        child = new Node();
        node.attach(child, left);
        return child;
      }
      const common = commonLength(child.label, left);
      if (common < child.label.length) child = split(node, child, common);
      if (common === left.length) return child;
      left = left.slice(common + 1);
      node = child;
    }
  }

  /** Removes `value` from a pattern. Does nothing if it is not present. */
  delete(pattern: string, value: V): void {
    const parsed = parse(pattern);
    const nodes = [this.#root];
    for (let left = parsed.path; left !== null;) {
      const node = nodes.at(-1)!.below(firstToken(left));
      if (!node || commonLength(node.label, left) < node.label.length) return;
      nodes.push(node);
      left = node.label.length === left.length ? null : left.slice(node.label.length + 1);
    }
    if (!nodes.at(-1)!.delete(value, parsed)) return;
    this.#size--;
    // An empty node is removed. The node above may then have a single child and no pattern of its
    // own.
    for (let i = nodes.length - 1; i > 0; i--) tidy(nodes[i - 1]!, nodes[i]!);
  }

  /** Returns the values of all patterns that match a name, once for each pattern. */
  find(name: string): V[] {
    const found: V[] = [];
    if (this.#size === 0) return found;
    const starts = startsOf(name);
    const count = starts.length - 1;
    /** The keys of the name's tokens, and of its tails from each token on, computed as needed. */
    const keys: (string | undefined)[] = Array(count);
    const tailKeys: (string | undefined)[] = Array(count);
    const nodes = [this.#root];
    const depths = [0]; // number of the name's tokens that lead to each node
    while (nodes.length > 0) {
      const { any, plain, rest, tails } = nodes.pop()!;
      const depth = depths.pop()!;
      if (rest) { for (const value of rest) found.push(value); }
      if (tails) {
        const values = tails.get(tailKeys[depth] ??= keyOf(name.slice(starts[depth])));
        if (values) { for (const value of values) found.push(value); }
      }
      let child = any;
      if (plain) {
        const key = keys[depth] ??= keyOf(name.slice(starts[depth], starts[depth + 1]! - 1));
        const other = plain.get(key);
        if (other) {
          if (!child) child = other;
          else visit(other, depth);
        }
      }
      if (child) visit(child, depth);
    }
    return found;

    /** Visits a node whose first token matches the name's token at `depth`. */
    function visit(node: Node<V>, depth: number): void {
      const end = depth + node.length;
      if (end > count || node.length > 1 && !follows(node.label, name, starts, depth)) return;
      if (end < count) {
        nodes.push(node);
        depths.push(end);
      } else if (node.values) {
        for (const value of node.values) found.push(value);
      }
    }
  }
}

/** A parsed pattern. */
interface Pattern {
  /**
   * The tokens that have nodes: those before REST, or those up to the last ANY. `null` if there are
   * none.
   */
  readonly path: string | null;
  /** The tokens after the last ANY, or `null` if there are none. */
  readonly tail: string | null;
  /** Whether the pattern ends in REST. */
  readonly hasRest: boolean;
}

function parse(pattern: string): Pattern {
  if (pattern === REST) return { path: null, tail: null, hasRest: true };
  if (pattern.endsWith(`.${REST}`)) {
    return { path: pattern.slice(0, -1 - REST.length), tail: null, hasRest: true };
  }
  // With a dot at both ends, every token has a dot on each side.
  const end = `.${pattern}.`.lastIndexOf(`.${ANY}.`) + ANY.length;
  if (end < ANY.length) return { path: null, tail: pattern, hasRest: false };
  if (end === pattern.length) return { path: pattern, tail: null, hasRest: false };
  return { path: pattern.slice(0, end), tail: pattern.slice(end + 1), hasRest: false };
}

/**
 * Inserts a node between a node and its child. The first `length` characters of the child's label
 * lead to the new node.
 */
function split<V>(node: Node<V>, child: Node<V>, length: number): Node<V> {
  const { label } = child;
  const between = new Node<V>();
  node.attach(between, label.slice(0, length));
  between.attach(child, label.slice(length + 1));
  return between;
}

/** Removes a node if no pattern ends at it and it has at most one child. */
function tidy<V>(above: Node<V>, node: Node<V>): void {
  if (!node.isEmpty || node.size > 1) return;
  const child = node.any ?? node.plain?.values().next().value;
  if (child) above.attach(child, `${node.label}.${child.label}`);
  else above.detach(node);
}

/** Returns the first token of a text. */
function firstToken(text: string): string {
  const end = text.indexOf(".");
  return end < 0 ? text : text.slice(0, end);
}

/** Returns the offset of each token of a name, and the offset of a hypothetical next one. */
function startsOf(name: string): number[] {
  const starts = [0];
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) === DOT) starts.push(i + 1);
  starts.push(name.length + 1);
  return starts;
}

/**
 * Returns the length of the whole tokens that both texts start with. Their first tokens must be
 * equal.
 */
function commonLength(one: string, two: string): number {
  let length = 0;
  for (let i = 0;; i++) {
    const ends = isEnd(one, i);
    if (ends !== isEnd(two, i)) return length;
    if (ends) length = i;
    if (i >= one.length || i >= two.length) return length;
    if (one.charCodeAt(i) !== two.charCodeAt(i)) return length;
  }
}

/**
 * Returns whether the tokens of a label match those of a name from token number `depth` on. The
 * name must have enough tokens, and the first one is known to match.
 *
 * @param starts The offsets of the name's tokens.
 */
function follows(label: string, name: string, starts: readonly number[], depth: number): boolean {
  for (let i = label.indexOf(".") + 1; i > 0;) {
    let at = starts[++depth]!;
    if (isToken(label, i, ANY)) i++;
    else {
      const end = starts[depth + 1]! - 1;
      for (; !isEnd(label, i); i++, at++) {
        if (at === end || label.charCodeAt(i) !== name.charCodeAt(at)) return false;
      }
      if (at < end) return false;
    }
    if (i === label.length) return true;
    i++;
  }
  return true;
}

/** Returns whether a token ends before `i`. */
function isEnd(text: string, i: number): boolean {
  return i >= text.length || text.charCodeAt(i) === DOT;
}

/** Returns whether the token at `i` is `wildcard`. */
function isToken(text: string, i: number, wildcard: string): boolean {
  return text[i] === wildcard && isEnd(text, i + 1);
}
