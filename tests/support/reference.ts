/**
 * A second opinion about lines and patterns: the rules of `PROTOCOL.md`, written for clearness
 * only, on top of `TextDecoder` and a recursive parser that keeps what `JSON.parse` drops
 * (repeated keys). It uses nothing of the modules that it judges.
 *
 * @module
 */

/** A JSON value, with every member of an object in the order in which it was written. */
export type Tree =
  | { type: "object"; members: [key: string, value: Tree][] }
  | { type: "array"; items: Tree[] }
  | { type: "string"; value: string }
  | { type: "number"; value: number }
  | { type: "literal"; value: boolean | null };

/** What the reference makes of a line. */
export interface Verdict {
  kind: "event" | "control" | "empty" | "invalid";
  /** The faults that may be reported for an invalid line. */
  faults: string[];
}

const MAX_DEPTH = 64;
const PROTOCOL_KEYS = [
  "event",
  "__dict__",
  "control",
  "id",
  "reply_to",
  "from",
  "to",
  "seq",
  "ack",
];
const ESCAPES = new Map([
  ['"', '"'],
  ["\\", "\\"],
  ["/", "/"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);

/** Judges one line, given without its `\n`. */
export function judge(line: Uint8Array): Verdict {
  if (line.length === 0 || line.length === 1 && line[0] === 0x0d) {
    return { kind: "empty", faults: [] };
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line);
  } catch {
    // The line ends where the first fault is found, which may be another one.
    return invalid("bad-utf8", "bad-json", "too-deep");
  }
  let tree: Tree;
  try {
    tree = parseTree(text);
  } catch {
    return invalid("bad-json", "too-deep");
  }
  if (depthOf(tree) > MAX_DEPTH) return invalid("too-deep");
  return kindOf(tree) ?? invalid("bad-event");
}

function invalid(...faults: string[]): Verdict {
  return { kind: "invalid", faults };
}

/** What a line is whose JSON is `tree`, or `null` if it has the wrong shape. */
function kindOf(tree: Tree): Verdict | null {
  if (tree.type !== "object") return null;
  const found = new Map<string, Tree>();
  for (const [key, value] of tree.members) {
    if (!PROTOCOL_KEYS.includes(key)) continue;
    if (found.has(key)) return null;
    found.set(key, value);
  }
  const attributes = found.get("__dict__");
  if (attributes && attributes.type !== "object") return null;
  const event = found.get("event");
  const control = found.get("control");
  const name = event ?? control;
  if (!name || event && control) return null;
  if (!isAbsentOrName(name)) return null;
  if (event && !ENVELOPE_STRINGS.every((key) => isAbsentOrName(found.get(key)))) return null;
  return { kind: event ? "event" : "control", faults: [] };
}

/** The keys of an event whose values must be as a name is. */
const ENVELOPE_STRINGS = ["id", "reply_to", "to", "ack"];

function isAbsentOrName(tree: Tree | undefined): boolean {
  if (!tree) return true;
  if (tree.type !== "string") return false;
  const length = utf8Length(tree.value);
  return length >= 1 && length <= 255;
}

/** The length of `text` in UTF-8; a lone surrogate counts as U+FFFD, which replaces it. */
function utf8Length(text: string): number {
  let length = 0;
  for (const char of text) {
    const code = char.codePointAt(0)!;
    length += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return length;
}

/** How many objects and arrays are inside one another. */
export function depthOf(tree: Tree): number {
  if (tree.type === "object") {
    return 1 + Math.max(0, ...tree.members.map(([, value]) => depthOf(value)));
  }
  if (tree.type === "array") return 1 + Math.max(0, ...tree.items.map(depthOf));
  return 0;
}

/** The value that `JSON.parse` gives for what `tree` was made from. */
export function valueOf(tree: Tree): unknown {
  if (tree.type === "object") {
    return Object.fromEntries(tree.members.map(([key, value]) => [key, valueOf(value)]));
  }
  return tree.type === "array" ? tree.items.map(valueOf) : tree.value;
}

/** Parses JSON by RFC 8259; throws a `SyntaxError` for anything else. */
export function parseTree(text: string): Tree {
  let at = 0;

  function fail(): never {
    throw new SyntaxError(`No JSON at ${at} of ${JSON.stringify(text)}`);
  }
  function skip(): void {
    while (at < text.length && " \t\n\r".includes(text[at]!)) at++;
  }
  function accept(char: string): boolean {
    if (text[at] !== char) return false;
    at++;
    return true;
  }
  function expect(char: string): void {
    if (!accept(char)) fail();
  }

  function value(): Tree {
    if (accept("{")) return object();
    if (accept("[")) return array();
    if (accept('"')) return { type: "string", value: string() };
    for (const [word, literal] of [["true", true], ["false", false], ["null", null]] as const) {
      if (!text.startsWith(word, at)) continue;
      at += word.length;
      return { type: "literal", value: literal };
    }
    return number();
  }

  function object(): Tree {
    const members: [string, Tree][] = [];
    skip();
    if (accept("}")) return { type: "object", members };
    do {
      skip();
      expect('"');
      const key = string();
      skip();
      expect(":");
      skip();
      members.push([key, value()]);
      skip();
    } while (accept(","));
    expect("}");
    return { type: "object", members };
  }

  function array(): Tree {
    const items: Tree[] = [];
    skip();
    if (accept("]")) return { type: "array", items };
    do {
      skip();
      items.push(value());
      skip();
    } while (accept(","));
    expect("]");
    return { type: "array", items };
  }

  function string(): string {
    let content = "";
    while (!accept('"')) {
      const char = text[at];
      if (char === undefined || char < " ") fail();
      at++;
      content += char === "\\" ? escape() : char;
    }
    return content;
  }

  function escape(): string {
    if (accept("u")) {
      const digits = text.slice(at, at + 4);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) fail();
      at += 4;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const char = ESCAPES.get(text[at] ?? "") ?? fail();
    at++;
    return char;
  }

  function number(): Tree {
    const pattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;
    pattern.lastIndex = at;
    const [digits] = pattern.exec(text) ?? fail();
    at += digits.length;
    return { type: "number", value: Number(digits) };
  }

  skip();
  const tree = value();
  skip();
  if (at < text.length) fail();
  return tree;
}

/** Whether a pattern matches a name, by the words of the protocol. */
export function covers(pattern: string, name: string): boolean {
  const wanted = pattern.split(".");
  const tokens = name.split(".");
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === ">" && i === wanted.length - 1) return i < tokens.length;
    if (i >= tokens.length || wanted[i] !== "*" && wanted[i] !== tokens[i]) return false;
  }
  return wanted.length === tokens.length;
}
