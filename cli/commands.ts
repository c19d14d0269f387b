/**
 * Owns the list of commands. Must not know what they do.
 *
 * @module
 */

import { quote } from "../printable.ts";
import type { Command } from "./command.ts";
import { UsageError } from "./errors.ts";
import { suggestion } from "./nearest.ts";
import { relay } from "./relay.ts";

/** All commands, in the order in which help lists them. */
export const COMMANDS: readonly Command[] = [relay];

/**
 * The command of this name.
 *
 * @throws {UsageError} If there is none.
 */
export function findCommand(name: string): Command {
  const command = COMMANDS.find((command) => command.name === name);
  if (command) return command;
  const names = [...COMMANDS.map(({ name }) => name), "help"];
  throw new UsageError(`Unknown command ${quote(name)}${suggestion(name, names)}`);
}
