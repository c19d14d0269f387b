/**
 * The `completions` command, which prints a completion script for a shell.
 *
 * @module
 */

import type { CommandInfo } from "./flags.ts";
import { quote } from "../protocol/printable.ts";
import { type Command, defineCommand } from "./command.ts";
import { completionScript, SHELLS } from "./completion_scripts.ts";
import { UsageError } from "./errors.ts";
import { checkWords, oneOf } from "./flags.ts";
import { print } from "./output.ts";
import { INSTALL, PROGRAM } from "./program.ts";

/**
 * Returns the `completions` command for the commands that `load` resolves to. The first one runs by
 * default.
 */
export function completionsCommand(load: () => Promise<readonly CommandInfo[]>): Command {
  return defineCommand({
    name: "completions",
    summary: "Print a script that completes commands and options in a shell",
    about: "Print a script that completes commands, options and their values in a shell.",
    usage: "[options] bash|zsh|fish",
    hints: SHELLS,
    examples: [`source <(${PROGRAM} completions bash)`, `${PROGRAM} completions zsh --name eb`],
    groups: [{
      title: "Options",
      flags: [{
        kind: "text",
        name: "name",
        value: "NAME",
        text: `Name under which the command is installed (default ${PROGRAM})`,
      }],
    }],
    exits: { 0: "The script was printed" },
    notes: `Install the command under that name first, then add one of these to the start-up file:
  ${INSTALL}
  source <(${PROGRAM} completions bash)     # ~/.bashrc
  source <(${PROGRAM} completions zsh)      # ~/.zshrc, after compinit
  ${PROGRAM} completions fish | source      # ~/.config/fish/config.fish`,
    async run({ values: { name = PROGRAM }, words }) {
      const [shell] = words;
      checkWords(words, 1);
      const known = SHELLS.find((each) => each === shell);
      if (known === undefined) {
        const given = shell === undefined ? "" : `, not ${quote(shell)}`;
        throw new UsageError(`The shell must be ${oneOf(SHELLS)}${given}`);
      }
      if (!/^[\w.-]+$/.test(name)) {
        throw new UsageError(`--name must be the name of a command, not ${quote(name)}`);
      }
      await print(completionScript(known, name, await load()));
      return 0;
    },
  });
}
