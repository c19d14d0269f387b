/**
 * Owns what the command says about patterns: what is wrong with one, and what is not meant by one. Must
 * not know what they are for.
 *
 * @module
 */

import { ANY, faultOfPattern, REST } from "../pattern.ts";
import { quote } from "../printable.ts";
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
  const wildcards = [ANY, REST];
  const tokens = pattern.split(".").filter((token) => !wildcards.includes(token));
  const sign = wildcards.find((sign) => tokens.some((token) => token.includes(sign)));
  if (sign === undefined) return null;
  const rule = `${sign} is part of a name; it is a wildcard only as a token by itself, as in`;
  return `Note: in ${quote(pattern)}, ${rule} ${quote(`chat.${sign}`)}`;
}
