/**
 * Splits positional arguments into the relay, the event name and the attributes, and reports
 * misplaced ones.
 *
 * @module
 */

import { quote } from "../protocol/printable.ts";
import { shellWord } from "./hints.ts";
import { type ConnectionFlag, readTarget, type Target } from "./connect.ts";
import { UsageError } from "./errors.ts";
import { adviseOnMember } from "./event_args.ts";
import type { Arguments } from "./flags.ts";
import { couldBeName, isPlace } from "./target.ts";
import { PROGRAM } from "./program.ts";

/** The hints for options that other programs have for the parts of an event. */
export const EVENT_INSTEAD: Readonly<Record<string, string>> = Object.fromEntries(
  ["topic", "t", "subject", "name", "event", "message", "m", "data", "d", "payload"].map((name) => [
    name,
    "the event is NAME and KEY=TEXT without an option, such as message content=hi",
  ]),
);

/** The positional arguments of an event. */
export interface EventWords {
  /** The relay. */
  readonly target: Target;
  /** The name of the event. */
  readonly name: string;
  /** Its attributes, as arguments. */
  readonly members: readonly string[];
}

/**
 * Returns the positional arguments of the command `command`, which needs `what`. After `--`, only
 * the position of an argument decides its meaning.
 *
 * @throws {UsageError} If an argument is missing or misplaced.
 */
export function readEventWords(
  command: string,
  what: string,
  args: Arguments<ConnectionFlag>,
): EventWords {
  const { words, wordsBeforeDashes } = args;
  const place = wordsBeforeDashes > 0 && isPlace(words[0]!) ? words[0]! : null;
  const at = place === null ? 0 : 1;
  for (const word of words.slice(at + 1, wordsBeforeDashes)) {
    if (isPlace(word) && couldBeName(word)) throw new UsageError(adviseOnMember(word));
  }
  const [target, [name, ...members]] = readTarget(args);
  if (name === undefined) {
    const hint = place !== null && couldBeName(place)
      ? `: ${quote(place)} is the relay, unless it follows --`
      : "";
    throw new UsageError(`${command} needs ${what}${hint}`);
  }
  if (at < wordsBeforeDashes) checkName(command, name, place);
  return { target, name, members };
}

/** Throws a `UsageError` if an argument is probably not meant as a name. */
function checkName(command: string, name: string, place: string | null): void {
  const asIt = "if it is the NAME, put -- before it";
  if (name.startsWith("{")) {
    const how = command === "pub"
      ? `to send lines of JSON, use ${PROGRAM} pub - < FILE`
      : `use ${PROGRAM} ${command} NAME KEY=TEXT`;
    throw new UsageError(`${quote(name)} is in the place of the NAME; ${how}; ${asIt}`);
  }
  if (!name.includes("=")) return;
  throw new UsageError(
    place !== null && couldBeName(place)
      ? `${quote(place)} is read as the relay, and ${quote(name)} as the NAME; ` +
        `if the first is the NAME, use ${PROGRAM} ${command} -- ${place} ${shellWord(name)}`
      : `${quote(name)} is in the place of the NAME; use ${PROGRAM} ${command} message ` +
        `content=hi; ${asIt}`,
  );
}
