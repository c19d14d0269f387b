/**
 * Owns which words of a command line are the relay, the name of an event and its attributes, and what to
 * say of words that are meant for something else. Must not know how they become an event.
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

/** What to say of options that other programs have for the words of an event. */
export const EVENT_INSTEAD: Readonly<Record<string, string>> = Object.fromEntries(
  ["topic", "t", "subject", "name", "event", "message", "m", "data", "d", "payload"].map((name) => [
    name,
    "the NAME of the event and its KEY=TEXT are words, such as message content=hi",
  ]),
);

/** What the words are. */
export interface EventWords {
  /** The relay. */
  readonly target: Target;
  /** The name of the event. */
  readonly name: string;
  /** Its attributes, as words. */
  readonly members: readonly string[];
}

/**
 * The words of the command `command`, which needs `what`.
 *
 * @throws {UsageError} If one is missing, or stands where another belongs. After `--` a word is what its
 * place says, whatever it looks like.
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
      ? `: ${quote(place)} is the relay, unless -- stands before it`
      : "";
    throw new UsageError(`${command} needs ${what}${hint}`);
  }
  if (at < wordsBeforeDashes) checkName(command, name, place);
  return { target, name, members };
}

/** Makes sure that a word is not a name by accident. */
function checkName(command: string, name: string, place: string | null): void {
  const asIt = "-- before it makes it the NAME";
  if (name.startsWith("{")) {
    const how = command === "pub"
      ? `lines of JSON come from standard input, as in ${PROGRAM} pub - < FILE`
      : `write ${PROGRAM} ${command} NAME KEY=TEXT`;
    throw new UsageError(`${quote(name)} stands where the NAME belongs; ${how}; ${asIt}`);
  }
  if (!name.includes("=")) return;
  throw new UsageError(
    place !== null && couldBeName(place)
      ? `${quote(place)} is taken for the relay, and ${quote(name)} for the NAME; ` +
        `-- makes the first the NAME: ${PROGRAM} ${command} -- ${place} ${shellWord(name)}`
      : `${quote(name)} stands where the NAME belongs, as in ${PROGRAM} ${command} message ` +
        `content=hi; ${asIt}`,
  );
}
