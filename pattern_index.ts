/**
 * Owns the step from the name of an event to everything whose pattern matches it: a radix tree over
 * the tokens of the patterns. Must not know what the patterns are kept for.
 *
 * Tokens that no other pattern branches off from share one node, so that there are at most two nodes
 * for each pattern, however many tokens it has. A look-up visits each node once at most, and compares
 * each with the name once; it loops, so that no pattern overflows a stack.
 *
 * @module
 */

import { ANY, REST } from "./pattern.ts";

const DOT = 0x2e;

class Node<V> {
  /** The tokens that lead here from the node above, with dots between them. */
  label: string;
  /** The nodes below, by the first token of their labels. */
  readonly children = new Map<string, Node<V>>();
  /** What is kept for the pattern that ends here. */
  readonly values = new Set<V>();

  constructor(label: string) {
    this.label = label;
  }
}

/** Values by pattern. Takes patterns without a fault, see `faultOfPattern()`. */
export class PatternIndex<V> {
  readonly #root = new Node<V>("");
  #size = 0;

  /** How many pairs of a pattern and a value there are. */
  get size(): number {
    return this.#size;
  }

  /** Keeps `value` for a pattern; a second time changes nothing. */
  add(pattern: string, value: V): void {
    const { values } = this.#reach(pattern);
    const before = values.size;
    this.#size += values.add(value).size - before;
  }

  /** The node of a pattern, made if it is not there. */
  #reach(pattern: string): Node<V> {
    let node = this.#root;
    for (let rest = pattern;;) {
      const first = firstToken(rest);
      let child = node.children.get(first);
      if (!child) {
        child = new Node(rest);
        node.children.set(first, child);
        return child;
      }
      const common = commonLength(child.label, rest);
      if (common < child.label.length) child = split(node, child, common);
      if (common === rest.length) return child;
      rest = rest.slice(common + 1);
      node = child;
    }
  }

  /** Keeps `value` for a pattern no longer. What is not there is ignored. */
  delete(pattern: string, value: V): void {
    const path = [this.#root];
    for (let rest = pattern;;) {
      const node = path.at(-1)!.children.get(firstToken(rest));
      if (!node || commonLength(node.label, rest) < node.label.length) return;
      path.push(node);
      if (node.label.length === rest.length) break;
      rest = rest.slice(node.label.length + 1);
    }
    if (!path.at(-1)!.values.delete(value)) return;
    this.#size--;
    // A node that has become empty goes; the one above may then have one way on, and no end.
    for (let i = path.length - 1; i > 0; i--) tidy(path[i - 1]!, path[i]!);
  }

  /** All values whose patterns match a name. */
  find(name: string): Set<V> {
    const found = new Set<V>();
    if (this.#size === 0) return found;
    const nodes = [this.#root];
    const positions = [0];
    while (nodes.length > 0) {
      const { children } = nodes.pop()!;
      const start = positions.pop()!;
      const first = firstToken(name, start);
      const ways = [children.get(ANY), children.get(REST)];
      if (first !== ANY && first !== REST) ways.push(children.get(first));
      for (const child of ways) {
        if (!child) continue;
        const end = follow(child.label, name, start);
        if (end > name.length) child.values.forEach((value) => found.add(value));
        else if (end > 0 && child.children.size > 0) {
          nodes.push(child);
          positions.push(end);
        }
      }
    }
    return found;
  }
}

/** Puts a node between two, to which the first `length` characters of the lower one's label lead. */
function split<V>(node: Node<V>, child: Node<V>, length: number): Node<V> {
  const between = new Node<V>(child.label.slice(0, length));
  node.children.set(firstToken(child.label), between);
  child.label = child.label.slice(length + 1);
  between.children.set(firstToken(child.label), child);
  return between;
}

/** Removes a node at which no pattern ends and from which at most one way leads on. */
function tidy<V>(above: Node<V>, node: Node<V>): void {
  if (node.values.size > 0 || node.children.size > 1) return;
  above.children.delete(firstToken(node.label));
  for (const child of node.children.values()) {
    child.label = `${node.label}.${child.label}`;
    above.children.set(firstToken(child.label), child);
  }
}

/** The token that begins at `start`. */
function firstToken(text: string, start = 0): string {
  const end = text.indexOf(".", start);
  return end < 0 ? text.slice(start) : text.slice(start, end);
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
 * Where the first token of `name` begins that is left when those from `start` on have been compared
 * with a label: behind the end of the name if none is left, -1 if they do not match.
 */
function follow(label: string, name: string, start: number): number {
  for (let i = 0;;) {
    if (start > name.length) return -1;
    if (isToken(label, i, REST)) return name.length + 1;
    if (isToken(label, i, ANY)) {
      i++;
      while (!isEnd(name, start)) start++;
    } else {
      for (; !isEnd(label, i); i++, start++) {
        if (isEnd(name, start) || label.charCodeAt(i) !== name.charCodeAt(start)) return -1;
      }
      if (!isEnd(name, start)) return -1;
    }
    start++;
    if (i === label.length) return start;
    i++;
  }
}

/** Whether a token ends before `i`. */
function isEnd(text: string, i: number): boolean {
  return i >= text.length || text.charCodeAt(i) === DOT;
}

/** Whether the token at `i` is `wildcard`. */
function isToken(text: string, i: number, wildcard: string): boolean {
  return text[i] === wildcard && isEnd(text, i + 1);
}
