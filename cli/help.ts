/**
 * The layout of the help, generated from the descriptions of commands.
 *
 * @module
 */

import {
  type CommandInfo,
  type Flag,
  type Group,
  oneOf,
  placeholderOf,
  spellings,
} from "./flags.ts";
import { wrap } from "./layout.ts";
import { INSTALL, PROGRAM, RUN } from "./program.ts";

/** The title of the examples. */
const EXAMPLES = `For example (${PROGRAM} is ${RUN}):`;

/** The exit codes that all commands share. */
const EXITS = { 2: "Usage error" };

/** Times with each unit. */
const TIMES = "500ms, 30s, 10m, 1h, 7d.";

/** The longest line of the help, in characters: the default width of a terminal. */
const WIDTH = 80;

/** The last column at which the text of an option may begin. */
const MAX_COLUMN = 26;

/** Returns the help of one command. */
export function formatHelp(command: CommandInfo): string {
  const { name, about, usage } = command;
  return paragraphs(
    fill(about),
    `Usage: ${line(PROGRAM, name, usage)}`,
    ...formatDetails(command),
  );
}

/** Returns the list of all commands, and the options of the first one, which runs by default. */
export function formatOverview(commands: readonly [CommandInfo, ...CommandInfo[]]): string {
  const { about, usage } = commands[0];
  const column = Math.max(...commands.map(({ name }) => name.length)) + 4;
  const list = commands.map(({ name, summary }) => `${`  ${name}`.padEnd(column)}${summary}`);
  return paragraphs(
    fill(about),
    `Usage: ${line(PROGRAM, usage)}\n       ${PROGRAM} COMMAND [arguments]`,
    ["Commands (COMMAND --help for details):", ...list].join("\n"),
    ...formatDetails(commands[0]),
    `To install: ${INSTALL}`,
  );
}

/** Returns the parts after the usage line. Those that a beginner needs come first. */
function formatDetails({ examples, groups, exits, notes }: CommandInfo): string[] {
  return [
    [EXAMPLES, ...examples.map((example) => `  ${example}`)].join("\n"),
    ...formatGroups(groups),
    formatTimes(groups),
    formatExits({ ...exits, ...EXITS }),
    fill(notes),
  ];
}

/** Returns how times are written, if any option takes one. */
function formatTimes(groups: readonly Group[]): string {
  const times = groups.flatMap(({ flags }) => flags).filter(({ kind }) => kind === "duration");
  const values = [...new Set(times.map(placeholderOf))];
  return values.length === 0 ? "" : fill(`${oneOf(values)} may also have a unit: ${TIMES}`);
}

/** Returns the exit codes and their meanings. */
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

/** Returns each group as a paragraph. Groups with the same title are joined. */
function formatGroups(groups: readonly Group[]): string[] {
  const byTitle = Map.groupBy(groups, ({ title }) => title);
  const terms = groups.flatMap(({ flags }) => flags).map((flag) => termOf(flag).length);
  const column = Math.min(MAX_COLUMN, Math.max(...terms) + 5);
  return [...byTitle].map(([title, members]) => {
    const lines = members.flatMap(({ flags }) => flags)
      .map((flag) => formatTerm(`  ${termOf(flag)}`, flag.text, column));
    return [`${title}:`, ...lines].join("\n");
  });
}

/** Returns an option with the placeholder of its value: `--port PORT`. */
function termOf(flag: Flag): string {
  return line(spellings(flag).join(", "), placeholderOf(flag));
}

/** Returns a term and its text, which begins at `column`. */
function formatTerm(term: string, text: string, column: number): string {
  const lines = wrap(text.split(" "), WIDTH - column);
  const isLong = term.length > column - 2;
  const first = isLong ? `${term}\n${" ".repeat(column)}` : term.padEnd(column);
  return first + lines.join(`\n${" ".repeat(column)}`);
}

/**
 * Returns the text with its lines refilled to the full width. Lines that begin with a space stay
 * unchanged.
 */
function fill(text: string): string {
  const paragraphs: string[] = [];
  const flows = (text: string | undefined) => text !== undefined && /^\S/.test(text);
  for (const each of text.split("\n")) {
    if (flows(each) && flows(paragraphs.at(-1))) paragraphs.push(`${paragraphs.pop()} ${each}`);
    else paragraphs.push(each);
  }
  return paragraphs.flatMap((each) => flows(each) ? wrap(each.split(" "), WIDTH) : each).join("\n");
}
