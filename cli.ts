/**
 * Owns which command runs, and what its exit code is. Must not know what any of them does.
 *
 * @module
 */

import type { Command } from "./cli/command.ts";
import { COMMANDS, findCommand } from "./cli/commands.ts";
import { StartError, UsageError } from "./cli/errors.ts";
import { checkWords } from "./cli/flags.ts";
import { formatOverview } from "./cli/help.ts";
import { OutputClosed } from "./cli/output.ts";
import { relay } from "./cli/relay.ts";
import { Interrupted } from "./cli/signals.ts";
import { EbsocketError } from "./errors.ts";
import { printable } from "./printable.ts";

/**
 * Runs what `args` ask for: the command that the first of them names, or the relay if that is an
 * option. Resolves to the exit code.
 */
export async function main(args: string[]): Promise<number> {
  const [first = "", ...others] = args;
  const isNamed = args.length > 0 && !first.startsWith("-");
  try {
    if (first === "help") return await help(others);
    if (first === "--help" || first === "-h") return overview();
    return await (isNamed ? findCommand(first) : relay).run(isNamed ? others : args);
  } catch (error) {
    if (error instanceof UsageError) {
      const command = COMMANDS.find(({ name }) => name === first);
      console.error(`error: ${error.message}; ${formatHint(command)} shows the options`);
      return 2;
    }
    if (error instanceof OutputClosed) return 0;
    if (error instanceof Interrupted) return error.exitCode;
    if (!(error instanceof StartError || error instanceof EbsocketError)) throw error;
    console.error(`error: ${printable(error.message)}`);
    return 1;
  }
}

function formatHint(command: Command | undefined): string {
  return command ? `${command.name} --help` : "--help";
}

/** What there is, or about one command. */
async function help(names: readonly string[]): Promise<number> {
  checkWords(names, 1);
  return names.length === 0 ? overview() : await findCommand(names[0]!).run(["--help"]);
}

function overview(): number {
  console.log(formatOverview(COMMANDS, relay));
  return 0;
}
