/**
 * Owns the step from the name of an event to everything whose pattern matches it: a radix tree over
 * the tokens of the patterns, up to the last wildcard of each. What comes behind that is looked up in one
 * piece, and so is a pattern without wildcards. Must not know what the patterns are kept for.
 *
 * Tokens that no other pattern branches off from share one node, so that there are at most two nodes
 * for each pattern, however many tokens it has. A look-up visits each node once at most, and compares
 * each with the name once; it loops, so that no pattern overflows a stack. Of the nodes that lie behind
 * a wildcard it visits at most one for each shape of a pattern's beginning, see `shapes.ts`.
 *
 * @module
 */

import { ANY, REST } from "../protocol/pattern.ts";
import { keyOf } from "../protocol/text_map.ts";

const DOT = 0x2e;

class Node<V> {
  /** The tokens that lead here from the node above, with dots between them. None of them is REST. */
  label = "";
  /** How many tokens they are. */
  length = 0;
  /** The node below whose label begins with ANY. */
  any: Node<V> | null = null;
  /** The other nodes below, by the keys of the first tokens of their labels. */
  plain: Map<string, Node<V>> | null = null;
  /** What is kept for the pattern that ends here. */
  values: Set<V> | null = null;
  /** What is kept for the pattern that goes on with REST. */
  rest: Set<V> | null = null;
  /** What is kept for patterns that go on without another wildcard, by the keys of how they do. */
  tails: Map<string, Set<V>> | null = null;

  /** Whether no pattern ends here or goes on without another node. */
  get isEmpty(): boolean {
    return !this.values && !this.rest && !this.tails;
  }

  /** Keeps a value for the pattern that goes on so; whether it was not kept before. */
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

  /** Keeps it no longer; whether it was kept. */
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

  /** How many nodes are right below. */
  get size(): number {
    return (this.any ? 1 : 0) + (this.plain?.size ?? 0);
  }

  /** The node below whose label begins with a token. */
  below(token: string): Node<V> | null {
    return token === ANY ? this.any : this.plain?.get(keyOf(token)) ?? null;
  }

  /** Puts a node below, in place of one whose label begins with the same token. */
  attach(node: Node<V>, label: string): void {
    node.label = label;
    node.length = label.split(".").length;
    const first = firstToken(label);
    if (first === ANY) this.any = node;
    else (this.plain ??= new Map()).set(keyOf(first), node);
  }

  /** Takes a node out. */
  detach(node: Node<V>): void {
    if (this.any === node) this.any = null;
    else this.plain!.delete(keyOf(firstToken(node.label)));
    if (this.plain?.size === 0) this.plain = null;
  }
}

/** Values by pattern. Takes patterns without a fault, see `faultOfPattern()`. */
export class PatternTrie<V> {
  readonly #root = new Node<V>();
  #size = 0;

  /** How many pairs of a pattern and a value there are. */
  get size(): number {
    return this.#size;
  }

  /** Keeps `value` for a pattern; a second time changes nothing. */
  add(pattern: string, value: V): void {
    const parsed = parse(pattern);
    const node = parsed.path === null ? this.#root : this.#reach(parsed.path);
    if (node.add(value, parsed)) this.#size++;
  }

  /** The node to which these tokens lead, made if it is not there. */
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

  /** Keeps `value` for a pattern no longer. What is not there is ignored. */
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
    // A node that has become empty goes; the one above may then have one way on, and no end.
    for (let i = nodes.length - 1; i > 0; i--) tidy(nodes[i - 1]!, nodes[i]!);
  }

  /** The values whose patterns match a name: each once for every pattern that does. */
  find(name: string): V[] {
    const found: V[] = [];
    if (this.#size === 0) return found;
    const starts = startsOf(name);
    const count = starts.length - 1;
    /** The keys of each token of the name, and of all from it on, as far as they were needed. */
    const keys: (string | undefined)[] = Array(count);
    const tailKeys: (string | undefined)[] = Array(count);
    const nodes = [this.#root];
    const depths = [0]; // how many tokens of the name lead to each
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

    /** Looks at a node whose first token is that of the name at `depth`. */
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

/** A pattern, taken apart. */
interface Pattern {
  /** The tokens to which nodes lead: those before REST, or up to the last ANY; `null` if there are none. */
  readonly path: string | null;
  /** The tokens behind the last ANY, `null` if there are none. */
  readonly tail: string | null;
  /** Whether it ends in REST. */
  readonly hasRest: boolean;
}

function parse(pattern: string): Pattern {
  if (pattern === REST) return { path: null, tail: null, hasRest: true };
  if (pattern.endsWith(`.${REST}`)) {
    return { path: pattern.slice(0, -1 - REST.length), tail: null, hasRest: true };
  }
  // With a dot at both ends, every token has one on both sides.
  const end = `.${pattern}.`.lastIndexOf(`.${ANY}.`) + ANY.length;
  if (end < ANY.length) return { path: null, tail: pattern, hasRest: false };
  if (end === pattern.length) return { path: pattern, tail: null, hasRest: false };
  return { path: pattern.slice(0, end), tail: pattern.slice(end + 1), hasRest: false };
}

/** Puts a node between two, to which the first `length` characters of the lower one's label lead. */
function split<V>(node: Node<V>, child: Node<V>, length: number): Node<V> {
  const { label } = child;
  const between = new Node<V>();
  node.attach(between, label.slice(0, length));
  between.attach(child, label.slice(length + 1));
  return between;
}

/** Removes a node at which no pattern ends and from which at most one way leads on. */
function tidy<V>(above: Node<V>, node: Node<V>): void {
  if (!node.isEmpty || node.size > 1) return;
  const child = node.any ?? node.plain?.values().next().value;
  if (child) above.attach(child, `${node.label}.${child.label}`);
  else above.detach(node);
}

/** The token with which a text begins. */
function firstToken(text: string): string {
  const end = text.indexOf(".");
  return end < 0 ? text : text.slice(0, end);
}

/** Where each token of a name begins, and where one more would. */
function startsOf(name: string): number[] {
  const starts = [0];
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) === DOT) starts.push(i + 1);
  starts.push(name.length + 1);
  return starts;
}

/** The length of the whole tokens with which both texts begin; the first tokens must be equal. */
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
 * Whether the tokens of a label match those of a name, which begin at `starts`, from token number
 * `depth` on. The name has as many, and the first is known to match.
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

/** Whether a token ends before `i`. */
function isEnd(text: string, i: number): boolean {
  return i >= text.length || text.charCodeAt(i) === DOT;
}

/** Whether the token at `i` is `wildcard`. */
function isToken(text: string, i: number, wildcard: string): boolean {
  return text[i] === wildcard && isEnd(text, i + 1);
}
