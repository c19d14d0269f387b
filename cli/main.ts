/**
 * The list of commands. Selects the one to run, and returns its exit code.
 *
 * Each command's module is loaded only on demand, so that a command starts quickly.
 *
 * @module
 */

import { EbsocketError } from "../errors.ts";
import { printable, quote } from "../protocol/printable.ts";
import { type Command, defineCommand } from "./command.ts";
import { StartError, UsageError } from "./errors.ts";
import { checkWords, suggestion } from "./flags.ts";
import { PROGRAM } from "./program.ts";
import { Interrupted } from "./signals.ts";
import { flushErr, OutputClosed, print, printErr } from "./stdio.ts";
import { addressHint, isPlace, LISTEN_HINT } from "./target.ts";

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
  ["log", async () => (await import("./log_command.ts")).log],
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
  const hint = isPlace(name) || addressHint(name) !== null
    ? `: ${LISTEN_HINT}`
    : suggestion(name, COMMAND_NAMES);
  throw new UsageError(`Unknown command ${quote(name)}${hint}`);
}

/**
 * Runs the command that the first argument names, or the relay if that is an option or missing.
 * Resolves to the exit code.
 *
 * @param args The arguments of the command line.
 */
export async function main(args: string[]): Promise<number> {
  const [first = "", ...others] = args;
  const isNamed = args.length > 0 && !first.startsWith("-");
  try {
    if (first === "--help" || first === "-h") return await (await loadCommand("help")).run([]);
    const command = await loadCommand(isNamed ? first : DEFAULT_COMMAND);
    return await command.run(isNamed ? others : args);
  } catch (error) {
    if (error instanceof UsageError) {
      printErr(`error: ${error.message}; ${helpHint(isNamed ? first : null)}`);
      return 2;
    }
    if (error instanceof OutputClosed) return 0;
    if (error instanceof Interrupted) return error.exitCode;
    if (!(error instanceof StartError || error instanceof EbsocketError)) throw error;
    printErr(`error: ${printable(error.message)}`);
    return 1;
  } finally {
    await flushErr();
  }
}

/** Returns the hint at the help, for a command line that named this command. */
function helpHint(name: string | null): string {
  if (name === null) return `${PROGRAM} --help shows the options`;
  return COMMAND_NAMES.includes(name)
    ? `${PROGRAM} ${name} --help shows the options`
    : `${PROGRAM} --help lists the commands`;
}
