/**
 * Owns the list of commands. Must not know what they do.
 *
 * @module
 */

import { quote } from "../printable.ts";
import { bench } from "./bench.ts";
import { check } from "./check.ts";
import { type Command, defineCommand } from "./command.ts";
import { completionsCommand } from "./completions.ts";
import { UsageError } from "./errors.ts";
import { checkWords } from "./flags.ts";
import { formatOverview } from "./help.ts";
import { suggestion } from "./nearest.ts";
import { print } from "./output.ts";
import { pub } from "./pub.ts";
import { relay } from "./relay.ts";
import { req } from "./req.ts";
import { serve } from "./serve.ts";
import { sub } from "./sub.ts";
import { top } from "./top.ts";

/** The command that tells of the others. */
const help = defineCommand({
  name: "help",
  summary: "Show what there is, or what one command can do",
  about: "Show what there is, or what one command can do.",
  usage: "[COMMAND]",
  groups: [],
  hints: () => COMMANDS.map(({ name }) => name),
  notes: "",
  async run({ words }) {
    checkWords(words, 1);
    if (words[0] !== undefined) return await findCommand(words[0]).run(["--help"]);
    await print(formatOverview(COMMANDS));
    return 0;
  },
});

/** All commands, in the order in which help lists them; the first runs where none is named. */
export const COMMANDS: readonly [Command, ...Command[]] = [
  relay,
  sub,
  pub,
  req,
  serve,
  top,
  bench,
  check,
  completionsCommand(() => COMMANDS),
  help,
];

/**
 * The command of this name.
 *
 * @throws {UsageError} If there is none.
 */
export function findCommand(name: string): Command {
  const command = COMMANDS.find((command) => command.name === name);
  if (command) return command;
  const names = COMMANDS.map(({ name }) => name);
  throw new UsageError(`Unknown command ${quote(name)}${suggestion(name, names)}`);
}
