/**
 * Makes text from a peer safe to show.
 *
 * @module
 */

/** The longest quotation of a peer's text in an error or a log line, in characters. */
export const MAX_QUOTE = 80;

/**
 * The characters that must not reach a terminal: control characters (C0, DEL and C1), separators
 * that some programs take for a line end, and marks that change the direction of text (Unicode
 * Technical Report 36, section 2.6, "Bidirectional text spoofing").
 */
// deno-lint-ignore no-control-regex
const UNSAFE = /[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/**
 * Returns `text` with each character that could disturb a terminal or a log replaced by an escape.
 */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => {
    if (char === "\n") return "\\n";
    if (char === "\r") return "\\r";
    if (char === "\t") return "\\t";
    return escapeUnit(char);
  });
}

/** Returns the escape of a UTF-16 code unit in JSON. */
export function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Returns `text` in double quotes, printable, and cut after {@link MAX_QUOTE} characters. */
export function quote(text: string): string {
  return `"${shorten(text)}"`;
}

/** Returns a printable text of limited length. */
function shorten(text: string): string {
  const cut = text.length > MAX_QUOTE ? `${text.slice(0, MAX_QUOTE)}…` : text;
  return printable(cut.toWellFormed());
}

/**
 * Returns `value` in the form that errors show: a string in quotes, an object as JSON if it has a
 * JSON form, otherwise the name of its class. The result is the same on every runtime.
 */
export function inspect(value: unknown): string {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "bigint":
      return `${value}n`;
    case "function":
      return `[Function: ${value.name || "anonymous"}]`;
    case "object":
      return value === null ? "null" : inspectObject(value);
    default:
      return Object.is(value, -0) ? "-0" : String(value);
  }
}

function inspectObject(value: object): string {
  const { name = "Object" } = value.constructor ?? {};
  const kind = name === "Object" || name === "Array" ? "" : `${name} `;
  try {
    return kind + shorten(JSON.stringify(value));
  } catch {
    return `[object ${name}]`; // a cycle, a bigint, or a toJSON() that throws
  }
}
