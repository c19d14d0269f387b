/**
 * The options of a command as data, and the parser that turns arguments into their values.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { quote } from "../protocol/printable.ts";
import { UsageError } from "./errors.ts";
import { type IntegerRange, type TimeRange, toInteger, toTime } from "./numbers.ts";

/** The number of letters per allowed mistake in a misspelled word. */
const LETTERS_PER_MISTAKE = 3;

interface AnyFlag<N extends string = string> {
  /** The name, without dashes. */
  readonly name: N;
  /** The description for the help. */
  readonly text: string;
}

/** An option without a value. */
export interface Switch<N extends string = string> extends AnyFlag<N> {
  readonly kind: "switch";
  /** The one-letter form. */
  readonly short?: string;
  /**
   * Whether the switch is on by default, and `--no-NAME` turns it off. The help then shows that
   * form.
   */
  readonly negated?: true;
}

/** An option that `--NAME` turns on and `--no-NAME` off. Without either, its command decides. */
export interface Toggle<N extends string = string> extends AnyFlag<N> {
  readonly kind: "toggle";
}

/** An option with a text. For a `file`, a shell completes file names. */
export interface TextFlag<N extends string = string> extends AnyFlag<N> {
  readonly kind: "text" | "file";
  /** The placeholder of the value in the help. */
  readonly value: string;
}

/** An option with a text that may be given several times. */
export interface ListFlag<N extends string = string> extends AnyFlag<N> {
  readonly kind: "list";
  /** The placeholder of a value in the help. */
  readonly value: string;
}

/** An option with an integer. */
export interface IntegerFlag<N extends string = string> extends AnyFlag<N>, IntegerRange {
  readonly kind: "integer";
}

/** An option with a time. */
export interface DurationFlag<N extends string = string> extends AnyFlag<N>, TimeRange {
  readonly kind: "duration";
}

/** An option with one of a few values. */
export interface ChoiceFlag<N extends string = string, C extends string = string>
  extends AnyFlag<N> {
  readonly kind: "choice";
  readonly choices: readonly C[];
}

/** An option of a command. */
export type Flag =
  | Switch
  | Toggle
  | TextFlag
  | ListFlag
  | IntegerFlag
  | DurationFlag
  | ChoiceFlag;

/** Creates options by their kind. */
export const flag = {
  /** Returns an option without a value. */
  switch<N extends string>(
    name: N,
    text: string,
    options: Pick<Switch, "short" | "negated"> = {},
  ): Switch<N> {
    return { kind: "switch", name, text, ...options };
  },

  /** Returns an option that can be turned on and off. */
  toggle<N extends string>(name: N, text: string): Toggle<N> {
    return { kind: "toggle", name, text };
  },

  /** Returns an option with a text. */
  text<N extends string>(name: N, value: string, text: string): TextFlag<N> {
    return { kind: "text", name, value, text };
  },

  /** Returns an option with a text that may be given several times. */
  list<N extends string>(name: N, value: string, text: string): ListFlag<N> {
    return { kind: "list", name, value, text };
  },

  /** Returns an option with the name of a file. */
  file<N extends string>(name: N, text: string, value = "FILE"): TextFlag<N> {
    return { kind: "file", name, value, text };
  },

  /** Returns an option with an integer: by default, any from 1. */
  integer<N extends string>(
    name: N,
    text: string,
    options: Partial<IntegerRange> = {},
  ): IntegerFlag<N> {
    return { kind: "integer", name, text, value: "N", min: 1, ...options };
  },

  /** Returns an option with a time: by default, in milliseconds, from 1. */
  duration<N extends string>(
    name: N,
    text: string,
    options: Partial<TimeRange> = {},
  ): DurationFlag<N> {
    return { kind: "duration", name, text, value: "MS", min: 1, max: MAX_TIMER_MS, ...options };
  },

  /** Returns an option with one of a few values. */
  choice<N extends string, C extends string>(
    name: N,
    choices: readonly C[],
    text: string,
  ): ChoiceFlag<N, C> {
    return { kind: "choice", name, choices, text };
  },
};

/** A group of related options. */
export interface Group {
  /** The title above the group in the help. */
  readonly title: string;
  readonly flags: readonly Flag[];
  /** Hints, each with the options of other programs that it replaces: `host port`. */
  readonly instead?: Readonly<Record<string, string>>;
}

/** The options in `groups`. */
export type FlagOf<G extends readonly Group[]> = G[number]["flags"][number];

/**
 * The type of an option's value. An option that is not given is `undefined`, unless it is a switch
 * or a list.
 */
export type ValueOf<F extends Flag> = F extends Switch ? boolean
  : F extends Toggle ? boolean | undefined
  : F extends ListFlag ? readonly string[]
  : F extends IntegerFlag | DurationFlag ? number | undefined
  : F extends ChoiceFlag ? F["choices"][number] | undefined
  : string | undefined;

/** The values of options, by name. */
export type ValuesOf<F extends Flag> = { readonly [Each in F as Each["name"]]: ValueOf<Each> };

/** The parsed arguments. */
export interface Arguments<F extends Flag> {
  /** The values of the options. */
  readonly values: ValuesOf<F>;
  /** The positional arguments, in order. */
  readonly words: readonly string[];
  /** The number of positional arguments before `--`. Those after it are always names. */
  readonly wordsBeforeDashes: number;
}

/**
 * The result of `parseArgs()`. Each option has all its values, so that a repeated option can be
 * reported.
 */
interface Parsed {
  readonly [name: string]: readonly unknown[];
  readonly _: readonly string[];
  readonly "--": readonly string[];
}

/**
 * Parses arguments. Returns the values of the options and the positional arguments.
 *
 * @param instead Hints, each with the options of other programs that it replaces.
 *
 * @throws {UsageError} If the arguments are invalid. The message names the option.
 */
export function parseFlags<F extends Flag>(
  args: readonly string[],
  flags: readonly F[],
  instead: Readonly<Record<string, string>> = {},
): Arguments<F> {
  let unknown: UsageError | null = null;
  const valued = flags.filter(takesValue).map(({ name }) => name);
  const switches = flags.filter((flag) => !takesValue(flag)).map(({ name }) => name);
  const parsed = parseArgs(spellOut(args, flags), {
    string: ["_", ...valued],
    boolean: switches,
    collect: [...valued, ...switches],
    "--": true,
    unknown(arg: string, key?: string) {
      if (key !== undefined) unknown ??= unknownOption(arg, key, flags, instead);
      return key === undefined;
    },
  }) as unknown as Parsed;
  const values: Record<string, unknown> = {};
  for (const flag of flags) values[flag.name] = toValue(flag, parsed[flag.name]!);
  if (unknown !== null) throw unknown;
  return {
    values: values as ValuesOf<F>,
    words: [...parsed._, ...parsed["--"]],
    wordsBeforeDashes: parsed._.length,
  };
}

/**
 * Returns the arguments with every switch as `--name=true` or `--name=false`. Otherwise
 * `parseArgs()` would read `--name true` as a value instead of a positional argument. A negative
 * number or time is joined to the option before it, which would otherwise not get it as its value.
 */
function spellOut(args: readonly string[], flags: readonly Flag[]): string[] {
  const spelled = new Map<string, string>();
  for (const flag of flags) {
    if (flag.kind !== "switch" && flag.kind !== "toggle") continue;
    const { short, negated } = flag.kind === "toggle" ? { short: undefined, negated: true } : flag;
    spelled.set(`--${flag.name}`, `--${flag.name}=true`);
    if (short !== undefined) spelled.set(`-${short}`, `--${flag.name}=true`);
    if (negated) spelled.set(`--no-${flag.name}`, `--${flag.name}=false`);
  }
  const valued = flags.filter(takesValue).map(({ name }) => `--${name}`);
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const result: string[] = [];
  for (const arg of args.slice(0, end)) {
    const name = /^(--[^=]+)=/s.exec(arg)?.[1];
    if (name !== undefined && spelled.has(name)) throw new UsageError(`${name} takes no value`);
    if (/^-\d/.test(arg) && valued.includes(result.at(-1) ?? "")) {
      result.push(`${result.pop()}=${arg}`);
    } else result.push(spelled.get(arg) ?? arg);
  }
  return [...result, ...args.slice(end)];
}

function toValue(flag: Flag, given: readonly unknown[]): unknown {
  const { kind, name } = flag;
  if (kind === "list") return given.map((text) => checkText(flag, text as string));
  if (new Set(given).size > 1 && kind === "toggle") {
    throw new UsageError(`--${name} and --no-${name} exclude each other`);
  }
  if (given.length > 1) throw new UsageError(`--${name} is given more than once`);
  if (kind === "switch") return given[0] ?? flag.negated ?? false;
  if (kind === "toggle") return given[0];
  const text = given[0] as string | undefined;
  if (text === undefined) return undefined;
  checkText(flag, text);
  if (kind === "integer") return toInteger(name, text, flag);
  if (kind === "duration") return toTime(name, text, flag);
  if (kind === "choice" && !flag.choices.includes(text)) {
    throw new UsageError(`--${name} must be ${oneOf(flag.choices)}, not ${quote(text)}`);
  }
  return text;
}

function checkText(flag: Flag, text: string): string {
  if (text === "") throw new UsageError(`--${flag.name} needs a value: ${placeholderOf(flag)}`);
  return text;
}

/** Returns the placeholder of an option's value. Empty for an option without one. */
export function placeholderOf(flag: Flag): string {
  if (flag.kind === "switch" || flag.kind === "toggle") return "";
  return flag.kind === "choice" ? flag.choices.join("|") : flag.value;
}

/** Returns the words as a list for a person: `text, json or quiet`. */
export function oneOf(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/**
 * Returns the error for an unknown option. It does not contain the value, which may be a secret.
 */
function unknownOption(
  arg: string,
  key: string,
  flags: readonly Flag[],
  instead: Readonly<Record<string, string>>,
): UsageError {
  const name = arg.startsWith("--") ? arg.replace(/=.*/s, "") : `-${key}`;
  const hint = Object.keys(instead).find((hint) => instead[hint]!.split(" ").includes(key));
  if (hint !== undefined) return new UsageError(`Unknown option ${quote(name)}: ${hint}`);
  const names = flags.flatMap((flag) => spellings(flag)).filter((each) => each.startsWith("--"));
  return new UsageError(`Unknown option ${quote(name)}${suggestion(name, names)}`);
}

/**
 * Returns ` (did you mean …?)`, or an empty text if no word is similar. A word that begins with one
 * of `words` also matches: `publish` suggests `pub`.
 */
export function suggestion(word: string, words: readonly string[]): string {
  const closest: string = closestString(word, words);
  const maxMistakes = Math.ceil(word.length / LETTERS_PER_MISTAKE);
  const letters = (text: string) => [...text].sort().join();
  const isSimilar = levenshteinDistance(word, closest) <= maxMistakes ||
    letters(word) === letters(closest);
  const meant = isSimilar ? closest : words.find((other) => word.startsWith(other));
  return meant === undefined ? "" : ` (did you mean ${meant}?)`;
}

/** Returns whether an option has a value. */
export function takesValue({ kind }: Flag): boolean {
  return kind !== "switch" && kind !== "toggle";
}

/** Returns the forms of an option, in the order of the help. */
export function spellings(flag: Flag): string[] {
  if (flag.kind === "toggle") return [`--${flag.name}`, `--no-${flag.name}`];
  if (flag.kind !== "switch") return [`--${flag.name}`];
  if (flag.negated) return [`--no-${flag.name}`];
  return [...(flag.short === undefined ? [] : [`-${flag.short}`]), `--${flag.name}`];
}

/**
 * Throws if there are more than `max` positional arguments.
 *
 * @throws {UsageError} The message names the first surplus argument.
 */
export function checkWords(words: readonly string[], max: number): void {
  const surplus = words[max];
  if (surplus !== undefined) throw new UsageError(`Unknown argument ${quote(surplus)}`);
}

/** The completions of an argument: files, or these words. */
export type WordHints = "files" | readonly string[];

/** The description of a command, for the help and the completions. */
export interface CommandInfo {
  /** The name of the command. */
  readonly name: string;
  /** A one-line summary, for the list of commands. */
  readonly summary: string;
  /** The first paragraph of the help. */
  readonly about: string;
  /** The arguments, such as `[HOST:PORT] NAME [KEY=VALUE...]`. */
  readonly usage: string;
  /** Example command lines. They call the program by its name in `program.ts`. */
  readonly examples: readonly string[];
  /** Its options. */
  readonly groups: readonly Group[];
  /** The meaning of each exit code except 2, which is the same for all commands. */
  readonly exits: Readonly<Record<number, string>>;
  /** The last part of the help, such as permissions. */
  readonly notes: string;
  /** The completions of its positional arguments. */
  readonly hints?: WordHints | (() => WordHints);
}
