/**
 * Owns what a command is: one description, from which its dispatch, its help and its completions come.
 * Must not know which commands there are.
 *
 * @module
 */

import type { CommandInfo } from "./flags.ts";
import type { Arguments, FlagOf, Group } from "./flags.ts";
import { parseFlags } from "./flags.ts";
import { print } from "./output.ts";

/** A command. */
export interface Command extends CommandInfo {
  /** Does it. Resolves to the exit code. Throws a `UsageError` if `args` make no sense. */
  run(args: readonly string[]): Promise<number>;
}

/** What a module says of its command. */
export interface CommandDefinition<G extends readonly Group[]> extends CommandInfo {
  readonly groups: G;
  /** Does it. Resolves to the exit code. */
  run(args: Arguments<FlagOf<G>>): Promise<number>;
}

/** What every command has. */
const HELP_GROUP = {
  title: "Other",
  flags: [{ kind: "switch", name: "help", short: "h", text: "Show this help" }],
} as const satisfies Group;

/** The command that a module defines, with `--help`. */
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
