/**
 * Owns how help looks, made from the descriptions of commands. Must not know what they do.
 *
 * @module
 */

import type { CommandInfo } from "./flags.ts";
import { type Flag, type Group, spellings } from "./flags.ts";
import { INSTALL, PROGRAM, RUN } from "./program.ts";

/** What people are shown first, under this. */
const EXAMPLES = `For example (${PROGRAM} is ${RUN}):`;

/** When any command ends so. */
const EXITS = { 2: "The command line makes no sense" };

/** The longest line of help, in characters: what a terminal shows that nobody has made larger. */
const WIDTH = 80;

/** Where the text of a line begins at the latest, in characters. */
const MAX_COLUMN = 26;

/** What one command is told about: all that its description says. */
export function formatHelp(command: CommandInfo): string {
  const { name, about, usage } = command;
  return paragraphs(
    fill(about),
    `Usage: ${line(PROGRAM, name, usage)}`,
    ...formatDetails(command),
  );
}

/** What there is: all commands, and the options of the first, which runs where none is named. */
export function formatOverview(commands: readonly [CommandInfo, ...CommandInfo[]]): string {
  const { about, usage } = commands[0];
  const column = Math.max(...commands.map(({ name }) => name.length)) + 4;
  const list = commands.map(({ name, summary }) => `${`  ${name}`.padEnd(column)}${summary}`);
  return paragraphs(
    fill(about),
    `Usage: ${line(PROGRAM, usage)}\n       ${PROGRAM} COMMAND [arguments]`,
    ["Commands, of which COMMAND --help tells more:", ...list].join("\n"),
    ...formatDetails(commands[0]),
    `To install it: ${INSTALL}`,
  );
}

/** What there is to tell beside how a command is run; what a beginner needs comes first. */
function formatDetails({ examples, groups, exits, notes }: CommandInfo): string[] {
  return [
    [EXAMPLES, ...examples.map((example) => `  ${example}`)].join("\n"),
    ...formatGroups(groups),
    formatExits({ ...exits, ...EXITS }),
    fill(notes),
  ];
}

/** The exit codes, each with when a command ends with it. */
function formatExits(exits: Readonly<Record<number, string>>): string {
  const lines = Object.entries(exits).map(([code, when]) => formatTerm(`  ${code}`, when, 7));
  return ["Exit code:", ...lines].join("\n");
}

function paragraphs(...texts: string[]): string {
  return texts.filter((text) => text !== "").join("\n\n");
}

function line(...words: string[]): string {
  return words.filter((word) => word !== "").join(" ");
}

/** Each group as a paragraph; those of the same title are one. */
function formatGroups(groups: readonly Group[]): string[] {
  const byTitle = Map.groupBy(groups, ({ title }) => title);
  const terms = groups.flatMap(({ flags }) => flags).map((flag) => termOf(flag).length);
  const column = Math.min(MAX_COLUMN, Math.max(...terms) + 5);
  return [...byTitle].map(([title, members]) =>
    [`${title}:`, ...members.flatMap(({ flags }) => flags).map((flag) => formatFlag(flag, column))]
      .join("\n")
  );
}

/** An option with what its value is called: `--port PORT`. */
function termOf(flag: Flag): string {
  const names = spellings(flag).join(", ");
  if (flag.kind === "switch") return names;
  return `${names} ${flag.kind === "choice" ? flag.choices.join("|") : flag.value}`;
}

function formatFlag(flag: Flag, column: number): string {
  return formatTerm(`  ${termOf(flag)}`, flag.text, column);
}

/** A term, and what is said of it from `column` on. */
function formatTerm(term: string, text: string, column: number): string {
  const lines = wrap(text, WIDTH - column);
  const isLong = term.length > column - 2;
  const first = isLong ? `${term}\n${" ".repeat(column)}` : term.padEnd(column);
  return first + lines.join(`\n${" ".repeat(column)}`);
}

/** The text with its lines as long as they may be. Those that begin with a space stay as they are. */
function fill(text: string): string {
  const paragraphs: string[] = [];
  const flows = (text: string | undefined) => text !== undefined && /^\S/.test(text);
  for (const each of text.split("\n")) {
    if (flows(each) && flows(paragraphs.at(-1))) paragraphs.push(`${paragraphs.pop()} ${each}`);
    else paragraphs.push(each);
  }
  return paragraphs.flatMap((each) => flows(each) ? wrap(each, WIDTH) : each).join("\n");
}

/** The text in lines of at most `width` characters. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let current = "";
  for (const word of text.split(" ")) {
    if (current !== "" && current.length + 1 + word.length > width) {
      lines.push(current);
      current = word;
    } else {
      current = line(current, word);
    }
  }
  return [...lines, current];
}
