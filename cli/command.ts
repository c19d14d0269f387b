/**
 * The definition of a command: one description that yields its dispatch, help and completions.
 *
 * @module
 */

import {
  type Arguments,
  type CommandInfo,
  flag,
  type FlagOf,
  type Group,
  parseFlags,
} from "./flags.ts";
import { print } from "./stdio.ts";

/** A command. */
export interface Command extends CommandInfo {
  /**
   * Runs the command. Resolves to the exit code. Rejects with a `UsageError` if `args` are invalid.
   */
  run(args: readonly string[]): Promise<number>;
}

/** The definition of a command, as written in its module. */
export interface CommandDefinition<G extends readonly Group[]> extends CommandInfo {
  readonly groups: G;
  /** Runs the command. Resolves to the exit code. */
  run(args: Arguments<FlagOf<G>>): Promise<number>;
}

/** The options that every command has. */
const HELP_GROUP = {
  title: "Other",
  flags: [flag.switch("help", "Show this help", { short: "h" })],
} as const satisfies Group;

/** Returns the command for a definition, with `--help` added. */
export function defineCommand<const G extends readonly Group[]>(
  definition: CommandDefinition<G>,
): Command {
  const groups: readonly Group[] = [...definition.groups, HELP_GROUP];
  const instead = Object.assign({}, ...groups.map(({ instead }) => instead));
  const command: Command = {
    ...definition,
    groups,
    async run(args) {
      const parsed = parseFlags(args, groups.flatMap(({ flags }) => flags), instead);
      if (!parsed.values.help) return await definition.run(parsed as Arguments<FlagOf<G>>);
      const { formatHelp } = await import("./help.ts");
      await print(formatHelp(command));
      return 0;
    },
  };
  return command;
}
