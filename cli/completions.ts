/**
 * The `completions` command, which prints a completion script for bash, zsh or fish, generated from
 * the descriptions of commands.
 *
 * @module
 */

import { quote } from "../protocol/printable.ts";
import { type Command, defineCommand } from "./command.ts";
import { UsageError } from "./errors.ts";
import {
  checkWords,
  type CommandInfo,
  type Flag,
  flag,
  oneOf,
  spellings,
  takesValue,
  type WordHints,
} from "./flags.ts";
import { print } from "./stdio.ts";
import { INSTALL, PROGRAM } from "./program.ts";

/** The shells with a completion script. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** A shell with a completion script. */
export type Shell = typeof SHELLS[number];

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
      flags: [
        flag.text("name", "NAME", `Name under which the command is installed (default ${PROGRAM})`),
      ],
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

/**
 * Returns the script with which a shell completes `program`.
 *
 * @param commands The commands to complete; the first one runs if none is named.
 */
export function completionScript(
  shell: Shell,
  program: string,
  commands: readonly CommandInfo[],
): string {
  const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };
  return scripts[shell](program, commands);
}

/** Returns the name of the shell function for the program. */
function functionName(program: string): string {
  return `_${program.replaceAll(/\W/g, "_")}`;
}

function flagsOf({ groups }: CommandInfo): readonly Flag[] {
  return groups.flatMap(({ flags }) => flags);
}

/** Returns the possible positional arguments of a command. */
function wordsOf({ hints }: CommandInfo): WordHints | undefined {
  return typeof hints === "function" ? hints() : hints;
}

/** Returns the possible values of an option: files, a list, or `undefined` if unknown. */
function hintsOf(flag: Flag): WordHints | undefined {
  if (flag.kind === "file") return "files";
  return flag.kind === "choice" ? flag.choices : undefined;
}

// bash, from 3.2 (the version of macOS)

function bashScript(program: string, commands: readonly CommandInfo[]): string {
  const name = functionName(program);
  const names = commands.map((command) => command.name);
  return `# bash completions for ${program}; source this file.
${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local command=${names[0]} options="" words="" files="" IFS=$'\\n'
  # To bash, "=" is a word of its own.
  if [[ $current == "=" ]]; then current=""; fi
  if [[ $previous == "=" ]]; then previous="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  if [[ $COMP_CWORD -gt 1 && \${COMP_WORDS[1]} != -* ]]; then command="\${COMP_WORDS[1]}"; fi
  COMPREPLY=()
  case "$command" in
${commands.map(bashWords).join("\n")}
  esac
  if [[ $COMP_CWORD -eq 1 ]]; then words=${bashList(names)}; fi
  if [[ $current == -* ]]; then words="$options" files=""; fi
  case "$command $previous" in
${commands.flatMap(bashValues).join("\n")}
  esac
  if [[ $files ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$current"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -F ${name} ${program}`;
}

function bashWords(command: CommandInfo): string {
  const options = bashList(flagsOf(command).flatMap((flag) => spellings(flag)));
  return `    ${command.name}) options=${options} ${bashHints(wordsOf(command))} ;;`;
}

/** Returns the cases that complete the value of an option. */
function bashValues(command: CommandInfo): string[] {
  const valued = flagsOf(command).filter(takesValue);
  const byHints = Map.groupBy(valued, (flag) => bashHints(hintsOf(flag)));
  return [...byHints].map(([hints, flags]) => {
    const patterns = flags.map((flag) => `"${command.name} --${flag.name}"`).join("|");
    return `    ${patterns}) ${hints} ;;`;
  });
}

function bashHints(hints: WordHints = []): string {
  return hints === "files" ? "words= files=1" : `words=${bashList(hints)} files=`;
}

/** Returns a list of words as `compgen` expects it. */
function bashList(words: readonly string[]): string {
  return `$'${words.join("\\n")}'`;
}

// zsh

function zshScript(program: string, commands: readonly CommandInfo[]): string {
  const name = functionName(program);
  const [byDefault] = commands;
  return `#compdef ${program}
# zsh completions for ${program}; source this file after compinit.
${name}() {
  local -a commands=(
${commands.map((command) => `    ${quoteZsh(`${command.name}:${command.summary}`)}`).join("\n")}
  )
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe command commands
    return
  fi
  local command=${byDefault!.name}
  if [[ $words[2] != -* ]]; then
    command=$words[2]
    shift words
    (( CURRENT-- ))
  fi
  case $command in
${commands.map(zshCommand).join("\n")}
  esac
}
compdef ${name} ${program}`;
}

function zshCommand(command: CommandInfo): string {
  const options = flagsOf(command).flatMap(zshOptions).map((each) => `      ${quoteZsh(each)}`);
  const words = `*: :${zshAction(wordsOf(command))}`;
  const lines = ["_arguments", ...options, `      ${quoteZsh(words)}`].join(" \\\n");
  return `    ${command.name})\n      ${lines} ;;`;
}

/** Returns the forms of an option as `_arguments` expects them. */
function zshOptions(flag: Flag): string[] {
  const text = flag.text.replaceAll(/[[\]\\:]/g, "\\$&");
  const names = spellings(flag);
  if (takesValue(flag)) return [`--${flag.name}=[${text}]:value:${zshAction(hintsOf(flag))}`];
  const shown = flag.kind === "toggle" ? names : names.slice(-1);
  return shown.map((name) => `(${names.join(" ")})${name}[${text}]`);
}

function zshAction(hints: WordHints | undefined): string {
  if (hints === undefined) return "";
  return hints === "files" ? "_files" : `(${hints.join(" ")})`;
}

function quoteZsh(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// fish

function fishScript(program: string, commands: readonly CommandInfo[]): string {
  const others = commands.slice(1).map(({ name }) => name).join(" ");
  const offers = commands.map(({ name, summary }) =>
    `complete -c ${program} -n __fish_use_subcommand -f -a ${name} -d ${quoteFish(summary)}`
  );
  const details = commands.flatMap((command, index) => {
    const seen = "__fish_seen_subcommand_from";
    // The first command also runs if none is named.
    const condition = index === 0 ? `not ${seen} ${others}` : `${seen} ${command.name}`;
    return fishCommand(program, command, condition);
  });
  return [`# fish completions for ${program}; source this file.`, ...offers, ...details].join("\n");
}

function fishCommand(program: string, command: CommandInfo, condition: string): string[] {
  const start = `complete -c ${program} -n ${quoteFish(condition)}`;
  const hints = wordsOf(command);
  const words = hints === "files"
    ? `${start} -F`
    : `${start} -f${hints === undefined ? "" : ` -a ${quoteFish(hints.join(" "))}`}`;
  return [words, ...flagsOf(command).flatMap(fishOptions).map((each) => `${start} ${each}`)];
}

function fishOptions(flag: Flag): string[] {
  const text = `-d ${quoteFish(flag.text)}`;
  const names = spellings(flag).map((name) => name.slice(2));
  const name = names.at(-1)!;
  if (flag.kind === "toggle") return names.map((each) => `-l ${each} ${text}`);
  if (flag.kind === "switch") {
    return [`${flag.short === undefined ? "" : `-s ${flag.short} `}-l ${name} ${text}`];
  }
  const hints = hintsOf(flag);
  const value = hints === "files"
    ? "-r -F"
    : `-x${hints === undefined ? "" : ` -a ${quoteFish(hints.join(" "))}`}`;
  return [`-l ${name} ${value} ${text}`];
}

function quoteFish(text: string): string {
  return `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
}
