/**
 * The list of commands. Each module is loaded only on demand, so that a command starts quickly.
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

/** The command that runs if no command is named. */
export const DEFAULT_COMMAND = "relay";

/** The `help` command. */
const help = defineCommand({
  name: "help",
  summary: "Show all commands, or the help of one command",
  about: "Show all commands, or the help of one command.",
  usage: "[COMMAND]",
  examples: ["ebsockets help pub"],
  groups: [],
  hints: () => COMMAND_NAMES,
  exits: { 0: "The help was shown" },
  notes: "",
  async run({ words }) {
    checkWords(words, 1);
    if (words[0] !== undefined) return await (await loadCommand(words[0])).run(["--help"]);
    const { formatOverview } = await import("./help.ts");
    await print(formatOverview(await loadCommands()));
    return 0;
  },
});

/** The loader of each command, in the order of the help. */
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

/** The names of all commands, {@link DEFAULT_COMMAND} first. */
export const COMMAND_NAMES: readonly string[] = [...LOADERS.keys()];

/** Resolves to all commands, {@link DEFAULT_COMMAND} first. */
export async function loadCommands(): Promise<readonly [Command, ...Command[]]> {
  const [first, ...others] = await Promise.all(COMMAND_NAMES.map(loadCommand));
  return [first!, ...others];
}

/**
 * Resolves to the command with this name.
 *
 * @throws {UsageError} If there is no such command. The message names the most similar command, or
 * the option to use instead.
 */
export async function loadCommand(name: string): Promise<Command> {
  const load = LOADERS.get(name);
  if (load) return await load();
  const hint = isPlace(name) || adviseOnPlace(name) !== null
    ? `: ${LISTENING_ADVICE}`
    : suggestion(name, COMMAND_NAMES);
  throw new UsageError(`Unknown command ${quote(name)}${hint}`);
}
