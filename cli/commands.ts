/**
 * Owns the list of commands, and loads those that are asked for: a program in a shell is to begin at
 * once. Must not know what they do.
 *
 * @module
 */

import { quote } from "../protocol/printable.ts";
import { type Command, defineCommand } from "./command.ts";
import { UsageError } from "./errors.ts";
import { checkWords } from "./flags.ts";
import { suggestion } from "./did_you_mean.ts";
import { print } from "./output.ts";
import { adviseOnPlace, isPlace, LISTENING_ADVICE } from "./target.ts";

/** The command that runs where none is named. */
export const DEFAULT_COMMAND = "relay";

/** The command that tells of the others. */
const help = defineCommand({
  name: "help",
  summary: "Show what there is, or what one command can do",
  about: "Show what there is, or what one command can do.",
  usage: "[COMMAND]",
  examples: ["ebsockets help pub"],
  groups: [],
  hints: () => COMMAND_NAMES,
  exits: { 0: "It has been shown" },
  notes: "",
  async run({ words }) {
    checkWords(words, 1);
    if (words[0] !== undefined) return await (await loadCommand(words[0])).run(["--help"]);
    const { formatOverview } = await import("./help.ts");
    await print(formatOverview(await loadCommands()));
    return 0;
  },
});

/** How each command is loaded, in the order in which help lists them. */
const LOADERS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  [DEFAULT_COMMAND, async () => (await import("./relay.ts")).relay],
  ["sub", async () => (await import("./sub.ts")).sub],
  ["pub", async () => (await import("./pub.ts")).pub],
  ["req", async () => (await import("./req.ts")).req],
  ["serve", async () => (await import("./serve.ts")).serve],
  ["top", async () => (await import("./top.ts")).top],
  ["bench", async () => (await import("./bench.ts")).bench],
  ["check", async () => (await import("./check.ts")).check],
  ["completions", async () => (await import("./completions.ts")).completionsCommand(loadCommands)],
  ["help", () => Promise.resolve(help)],
]);

/** What the commands are called, {@link DEFAULT_COMMAND} first. */
export const COMMAND_NAMES: readonly string[] = [...LOADERS.keys()];

/** All commands, {@link DEFAULT_COMMAND} first. */
export async function loadCommands(): Promise<readonly [Command, ...Command[]]> {
  const [first, ...others] = await Promise.all(COMMAND_NAMES.map(loadCommand));
  return [first!, ...others];
}

/**
 * The command of this name.
 *
 * @throws {UsageError} If there is none; the message names the one that is most like it, or what does it.
 */
export async function loadCommand(name: string): Promise<Command> {
  const load = LOADERS.get(name);
  if (load) return await load();
  const hint = isPlace(name) || adviseOnPlace(name) !== null
    ? `: ${LISTENING_ADVICE}`
    : suggestion(name, COMMAND_NAMES);
  throw new UsageError(`Unknown command ${quote(name)}${hint}`);
}
