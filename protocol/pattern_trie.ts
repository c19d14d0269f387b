/**
 * Maps the name of an event to the values of all patterns that match it. A radix tree over the
 * tokens of the patterns holds each pattern up to its last wildcard. The rest is looked up in one
 * piece, and so is a pattern without wildcards.
 *
 * Tokens without another branch share one node. A pattern therefore adds at most two nodes, however
 * many tokens it has. A look-up visits each node at most once and compares each with the name once.
 * It is as deep as the name, which has at most 256 tokens. Below wildcards, it visits at most one
 * node for each shape of a pattern's beginning (see `shapeOf()` in `relay/subscriptions.ts`).
 *
 * @module
 */

import { DOT } from "./ascii.ts";
import { ANY, REST } from "./pattern.ts";
import { keyOf } from "./text_map.ts";

/** The end of a pattern that ends at a node. */
const HERE = "";

class Node<V> {
  /** The tokens that lead from the parent to this node, separated by dots. None of them is REST. */
  label = "";
  /** Number of tokens in `label`. */
  length = 0;
  /** The child whose label starts with ANY. */
  any: Node<V> | null = null;
  /** The other children, by the keys of the first tokens of their labels. */
  plain: Map<string, Node<V>> | null = null;
  /** Values of the patterns that go on without another node, by the ends of the patterns. */
  ends: Map<string, Set<V>> | null = null;

  /** Adds a value. Returns whether it is new. */
  add(value: V, end: string): boolean {
    this.ends ??= new Map();
    let values = this.ends.get(end);
    if (!values) this.ends.set(end, values = new Set());
    return values.size < values.add(value).size;
  }

  /** Removes a value. Returns whether it was present. */
  delete(value: V, end: string): boolean {
    const values = this.ends?.get(end);
    if (!values?.delete(value)) return false;
    if (values.size === 0) this.ends!.delete(end);
    if (this.ends!.size === 0) this.ends = null;
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
  /** Number of pairs of a pattern and a value. */
  size = 0;
  readonly #root = new Node<V>();

  /** Adds `value` for a pattern. Adding it again changes nothing. */
  add(pattern: string, value: V): void {
    const { path, end } = parse(pattern);
    const node = path === null ? this.#root : this.#reach(path);
    if (node.add(value, end)) this.size++;
  }

  /** Returns the node to which the tokens lead. Creates it if it does not exist. */
  #reach(path: string): Node<V> {
    let node = this.#root;
    for (;;) {
      let child = node.below(firstToken(path));
      if (!child) {
        child = new Node();
        node.attach(child, path);
        return child;
      }
      const common = commonLength(child.label, path);
      if (common < child.label.length) child = split(node, child, common);
      if (common === path.length) return child;
      path = path.slice(common + 1);
      node = child;
    }
  }

  /** Removes `value` from a pattern. Does nothing if it is not present. */
  delete(pattern: string, value: V): void {
    const { path: start, end } = parse(pattern);
    let path = start;
    const nodes = [this.#root];
    while (path !== null) {
      const node = nodes.at(-1)!.below(firstToken(path));
      if (!node || commonLength(node.label, path) < node.label.length) return;
      nodes.push(node);
      path = node.label.length === path.length ? null : path.slice(node.label.length + 1);
    }
    if (!nodes.at(-1)!.delete(value, end)) return;
    this.size--;
    // An empty node is removed. The node above may then have a single child and no pattern of its
    // own.
    for (let i = nodes.length - 1; i > 0; i--) tidy(nodes[i - 1]!, nodes[i]!);
  }

  /** Returns the values of all patterns that match a name, once for each pattern. */
  find(name: string): V[] {
    const found: V[] = [];
    if (this.size === 0) return found;
    const starts = startsOf(name);
    const count = starts.length - 1;
    /** The keys of the name's tokens, and of its tails from each token on, computed as needed. */
    const keys: (string | undefined)[] = Array(count);
    const tailKeys: (string | undefined)[] = Array(count);
    visit(this.#root, 0);
    return found;

    /** Collects the values at and below a node to which the first `depth` tokens lead. */
    function visit({ any, plain, ends }: Node<V>, depth: number): void {
      if (depth === count) return collect(ends?.get(HERE));
      if (ends) {
        collect(ends.get(REST));
        collect(ends.get(tailKeys[depth] ??= keyOf(name.slice(starts[depth]))));
      }
      if (any) enter(any, depth);
      if (plain) {
        const key = keys[depth] ??= keyOf(name.slice(starts[depth], starts[depth + 1]! - 1));
        const child = plain.get(key);
        if (child) enter(child, depth);
      }
    }

    /** Visits a child whose first token matches the name's token at `depth`. */
    function enter(child: Node<V>, depth: number): void {
      const end = depth + child.length;
      if (end > count || child.length > 1 && !follows(child.label, name, starts, depth)) return;
      visit(child, end);
    }

    function collect(values: Iterable<V> = []): void {
      for (const value of values) found.push(value);
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
  /** REST, the key of the tokens after the last ANY, or HERE if there are none. */
  readonly end: string;
}

function parse(pattern: string): Pattern {
  if (pattern === REST) return { path: null, end: REST };
  if (pattern.endsWith(`.${REST}`)) return { path: pattern.slice(0, -1 - REST.length), end: REST };
  // With a dot at both ends, every token has a dot on each side.
  const length = `.${pattern}.`.lastIndexOf(`.${ANY}.`) + ANY.length;
  if (length < ANY.length) return { path: null, end: keyOf(pattern) };
  if (length === pattern.length) return { path: pattern, end: HERE };
  return { path: pattern.slice(0, length), end: keyOf(pattern.slice(length + 1)) };
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
  if (node.ends || node.size > 1) return;
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
function commonLength(a: string, b: string): number {
  let length = 0;
  for (let i = 0;; i++) {
    const ends = isEnd(a, i);
    if (ends !== isEnd(b, i)) return length;
    if (ends) length = i;
    if (i >= a.length || i >= b.length) return length;
    if (a.charCodeAt(i) !== b.charCodeAt(i)) return length;
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
