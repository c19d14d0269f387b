/**
 * Errors and notes about patterns and names that were typed.
 *
 * @module
 */

import { ANY, faultOfPattern, REST } from "../protocol/pattern.ts";
import { quote } from "../protocol/printable.ts";
import { UsageError } from "./errors.ts";
import { shellWord } from "./hints.ts";

/**
 * Returns a note about a pattern that probably means something else, or `null`. An example is a
 * shell pattern, in which `*` may be part of a word.
 *
 * @throws {UsageError} If the pattern is invalid.
 */
export function patternNote(pattern: string): string | null {
  const fault = faultOfPattern(pattern);
  if (fault) throw new UsageError(`${quote(pattern)} is not a name or pattern: ${fault}`);
  const foreign = adviseOnForeign(pattern);
  if (foreign) return foreign;
  const wildcards = [ANY, REST];
  const tokens = pattern.split(".").filter((token) => !wildcards.includes(token));
  const sign = wildcards.find((sign) => tokens.some((token) => token.includes(sign)));
  if (sign === undefined) return null;
  const rule = `${sign} is part of a name; it is a wildcard only as a whole token, such as`;
  return `Note: in ${quote(pattern)}, ${rule} ${quote(`chat.${sign}`)}`;
}

/** Returns a note about a pattern with the wildcards of MQTT or AMQP, or `null`. */
function adviseOnForeign(pattern: string): string | null {
  const tokens = pattern.split(/[./]/);
  if (!tokens.some((token) => token === "#" || token === "+")) return null;
  const meant = tokens.map((token) => token === "#" ? REST : token === "+" ? ANY : token).join(".");
  const example = faultOfPattern(meant) ? "chat.>" : meant;
  return `Note: ${
    quote(pattern)
  } is the name of one event; * matches one token between dots, and > ` +
    `at the end matches the rest, such as ${quote(example)}`;
}

/**
 * Returns a note about a pattern of an option that may be repeated, if it probably means something
 * else, or `null`. Nobody sees in time that it keeps nothing.
 *
 * @param flag The option, such as `--keep`.
 */
export function keepNote(flag: string, pattern: string): string | null {
  const note = (text: string) => `Note: ${flag}: in ${quote(pattern)}, ${text}`;
  const words = pattern.split(/[,\s]+/).filter((word) => word !== "");
  if (words.length > 1) {
    const each = words.map((word) => `${flag} ${shellWord(word)}`).join(" ");
    return note(`a comma or space is part of a name; for several patterns, write ${each}`);
  }
  if (words[0] !== pattern) return note("a comma or space is part of a name");
  const other = patternNote(pattern);
  if (other) return other.replace("Note: ", `Note: ${flag}: `);
  if (!pattern.split(".").includes("")) return null;
  return note("a token is empty, so it matches only names with an empty one there");
}

/** Returns a note about the name of an event to send that looks like a pattern, or `null`. */
export function nameNote(name: string): string | null {
  if (!name.split(".").some((token) => token === ANY || token === REST)) return null;
  return `Note: ${quote(name)} is the name of one event; wildcards only work in patterns`;
}
