/**
 * Selects the command to run, and returns its exit code.
 *
 * @module
 */

import { COMMAND_NAMES, DEFAULT_COMMAND, loadCommand } from "./commands.ts";
import { StartError, UsageError } from "./errors.ts";
import { PROGRAM } from "./program.ts";
import { OutputClosed } from "./output.ts";
import { Interrupted } from "./signals.ts";
import { allTold, tell } from "./stdio.ts";
import { EbsocketError } from "../errors.ts";
import { printable } from "../protocol/printable.ts";

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
      tell(`error: ${error.message}; ${hintFor(isNamed ? first : null)}`);
      return 2;
    }
    if (error instanceof OutputClosed) return 0;
    if (error instanceof Interrupted) return error.exitCode;
    if (!(error instanceof StartError || error instanceof EbsocketError)) throw error;
    tell(`error: ${printable(error.message)}`);
    return 1;
  } finally {
    await allTold();
  }
}

/** Returns the hint at the help, for a command line that named this command. */
function hintFor(name: string | null): string {
  if (name === null) return `${PROGRAM} --help shows the options`;
  return COMMAND_NAMES.includes(name)
    ? `${PROGRAM} ${name} --help shows the options`
    : `${PROGRAM} --help lists the commands`;
}
