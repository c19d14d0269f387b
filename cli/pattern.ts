/**
 * Owns what the command says about patterns: what is wrong with one, and what is not meant by one. Must
 * not know what they are for.
 *
 * @module
 */

import { ANY, faultOfPattern, REST } from "../protocol/pattern.ts";
import { quote } from "../protocol/printable.ts";
import { UsageError } from "./errors.ts";

/**
 * What to say of a pattern that was typed, if anything: it may look like one of a shell, in which `*` is
 * part of a word.
 *
 * @throws {UsageError} If it is none.
 */
export function adviseOnPattern(pattern: string): string | null {
  const fault = faultOfPattern(pattern);
  if (fault) throw new UsageError(`${quote(pattern)} is no name or pattern: ${fault}`);
  const foreign = adviseOnForeign(pattern);
  if (foreign) return foreign;
  const wildcards = [ANY, REST];
  const tokens = pattern.split(".").filter((token) => !wildcards.includes(token));
  const sign = wildcards.find((sign) => tokens.some((token) => token.includes(sign)));
  if (sign === undefined) return null;
  const rule = `${sign} is part of a name; it is a wildcard only as a token by itself, as in`;
  return `Note: in ${quote(pattern)}, ${rule} ${quote(`chat.${sign}`)}`;
}

/** What to say of a pattern with the wildcards of MQTT and AMQP, if it is one. */
function adviseOnForeign(pattern: string): string | null {
  const tokens = pattern.split(/[./]/);
  if (!tokens.some((token) => token === "#" || token === "+")) return null;
  const meant = tokens.map((token) => token === "#" ? REST : token === "+" ? ANY : token).join(".");
  const example = faultOfPattern(meant) ? "chat.>" : meant;
  return `Note: ${
    quote(pattern)
  } is the name of one event; * stands for one token between dots, and > ` +
    `at the end for all the rest, as in ${quote(example)}`;
}

/** What to say of the name of an event that is to be sent, if it looks like a pattern. */
export function adviseOnName(name: string): string | null {
  if (!name.split(".").some((token) => token === ANY || token === REST)) return null;
  return `Note: ${quote(name)} is the name of one event: wildcards are for those who listen`;
}
