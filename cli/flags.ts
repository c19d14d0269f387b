/**
 * Owns the options of a command as data, and how arguments become their values. Must not know what
 * any of them means.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { quote } from "../protocol/printable.ts";
import { UsageError } from "./errors.ts";
import { suggestion } from "./did_you_mean.ts";

interface AnyFlag {
  /** Its name, without the dashes. */
  readonly name: string;
  /** What it does, for people. */
  readonly text: string;
}

/** An option without a value. */
export interface Switch extends AnyFlag {
  readonly kind: "switch";
  /** The letter that says the same. */
  readonly short?: string;
  /** Whether it is on unless `--no-NAME` switches it off, which is then what help tells. */
  readonly negated?: true;
}

/** An option with a text. A shell completes the names of files where that is what it is. */
export interface TextFlag extends AnyFlag {
  readonly kind: "text" | "file";
  /** What help calls the value. */
  readonly value: string;
}

/** An option with an integer from `least` to `most`. */
export interface IntegerFlag extends AnyFlag {
  readonly kind: "integer";
  /** What help calls the value. */
  readonly value: string;
  readonly least: number;
  /** Without it, any that is exact. */
  readonly most?: number;
}

/** An option with a number from `least` to `most`, whole or not: how long something may take. */
export interface DurationFlag extends AnyFlag {
  readonly kind: "duration";
  /** What help calls the value. */
  readonly value: string;
  readonly least: number;
  readonly most: number;
}

/** An option with one of a few values. */
export interface ChoiceFlag extends AnyFlag {
  readonly kind: "choice";
  readonly choices: readonly string[];
}

/** An option of a command. */
export type Flag = Switch | TextFlag | IntegerFlag | DurationFlag | ChoiceFlag;

/** Options that belong together. */
export interface Group {
  /** What help says above them. */
  readonly title: string;
  readonly flags: readonly Flag[];
  /** What to say of options that other programs have, by their names without dashes. */
  readonly instead?: Readonly<Record<string, string>>;
}

/** The options in `groups`. */
export type FlagOf<G extends readonly Group[]> = G[number]["flags"][number];

/** What an option is worth; one that was not given is `undefined`, unless it is a switch. */
export type ValueOf<F extends Flag> = F extends Switch ? boolean
  : F extends IntegerFlag | DurationFlag ? number | undefined
  : F extends ChoiceFlag ? F["choices"][number] | undefined
  : string | undefined;

/** The values of options, by name. */
export type ValuesOf<F extends Flag> = { readonly [Each in F as Each["name"]]: ValueOf<Each> };

/** What arguments say. */
export interface Arguments<F extends Flag> {
  /** The values of the options. */
  readonly values: ValuesOf<F>;
  /** The arguments that are no options, in order. */
  readonly words: readonly string[];
  /** How many of the words stood before `--`. Only they may be something other than a name. */
  readonly wordsBeforeDashes: number;
}

/** What `parseArgs()` gives: of every option all values, since one given twice is a mistake. */
interface Parsed {
  readonly [name: string]: readonly unknown[];
  readonly _: readonly string[];
  readonly "--": readonly string[];
}

/**
 * What `args` say, by the options that there are, and what is to be said of others `instead`.
 *
 * @throws {UsageError} If they make no sense; the message names the option.
 */
export function parseFlags<F extends Flag>(
  args: readonly string[],
  flags: readonly F[],
  instead: Readonly<Record<string, string>> = {},
): Arguments<F> {
  let unknown: UsageError | null = null;
  const valued = flags.filter(({ kind }) => kind !== "switch").map(({ name }) => name);
  const switches = flags.filter(({ kind }) => kind === "switch").map(({ name }) => name);
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
 * The arguments with every switch as `--name=true` or `--name=false`: of `--name true`, which
 * `parseArgs()` would take together, the second is a word of its own. A negative number becomes one with
 * the option before it, of which it would otherwise not be the value.
 */
function spellOut(args: readonly string[], flags: readonly Flag[]): string[] {
  const spelled = new Map<string, string>();
  for (const flag of flags) {
    if (flag.kind !== "switch") continue;
    spelled.set(`--${flag.name}`, `--${flag.name}=true`);
    if (flag.short !== undefined) spelled.set(`-${flag.short}`, `--${flag.name}=true`);
    if (flag.negated) spelled.set(`--no-${flag.name}`, `--${flag.name}=false`);
  }
  const numbers = flags.filter(({ kind }) => kind === "integer" || kind === "duration")
    .map(({ name }) => `--${name}`);
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const result: string[] = [];
  for (const arg of args.slice(0, end)) {
    const name = /^(--[^=]+)=/s.exec(arg)?.[1];
    if (name !== undefined && spelled.has(name)) throw new UsageError(`${name} takes no value`);
    if (/^-\d/.test(arg) && numbers.includes(result.at(-1) ?? "")) {
      result.push(`${result.pop()}=${arg}`);
    } else result.push(spelled.get(arg) ?? arg);
  }
  return [...result, ...args.slice(end)];
}

function toValue(flag: Flag, given: readonly unknown[]): unknown {
  const { kind, name } = flag;
  if (given.length > 1) throw new UsageError(`--${name} is given ${given.length} times`);
  if (kind === "switch") return given[0] ?? flag.negated ?? false;
  const text = given[0] as string | undefined;
  if (text === undefined) return undefined;
  if (text === "") throw new UsageError(`--${name} needs a value`);
  if (kind === "integer") return toInteger(flag, text);
  if (kind === "duration") return toDuration(flag, text);
  if (kind === "choice" && !flag.choices.includes(text)) {
    throw new UsageError(`--${name} must be ${oneOf(flag.choices)}, not ${quote(text)}`);
  }
  return text;
}

function toInteger(flag: IntegerFlag, text: string): number {
  const { name, least, most = Number.MAX_SAFE_INTEGER } = flag;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const range = flag.most === undefined ? `of at least ${least}` : `from ${least} to ${most}`;
  throw new UsageError(`--${name} must be an integer ${range}, not ${quote(text)}`);
}

function toDuration({ name, least, most }: DurationFlag, text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(`--${name} must be a number from ${least} to ${most}, not ${quote(text)}`);
}

/** The words as a person lists them: `text, json or quiet`. */
export function oneOf(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** Does not show a value, which may be a secret. */
function unknownOption(
  arg: string,
  key: string,
  flags: readonly Flag[],
  instead: Readonly<Record<string, string>>,
): UsageError {
  const name = arg.startsWith("--") ? arg.replace(/=.*/s, "") : `-${key}`;
  if (Object.hasOwn(instead, key)) {
    return new UsageError(`Unknown option ${quote(name)}: ${instead[key]}`);
  }
  const names = flags.flatMap((flag) => spellings(flag)).filter((each) => each.startsWith("--"));
  return new UsageError(`Unknown option ${quote(name)}${suggestion(name, names)}`);
}

/** How an option can be written, the way that help tells first. */
export function spellings(flag: Flag): string[] {
  if (flag.kind !== "switch") return [`--${flag.name}`];
  if (flag.negated) return [`--no-${flag.name}`];
  return [...(flag.short === undefined ? [] : [`-${flag.short}`]), `--${flag.name}`];
}

/**
 * Makes sure that there are no more than `most` words.
 *
 * @throws {UsageError} If there are; the message names the first that is too many.
 */
export function checkWords(words: readonly string[], most: number): void {
  const surplus = words[most];
  if (surplus !== undefined) throw new UsageError(`Unknown argument ${quote(surplus)}`);
}

/** What a shell can offer for a word: files, or these. */
export type WordHints = "files" | readonly string[];

/** What people and shells are told of a command. */
export interface CommandInfo {
  /** The word that asks for it. */
  readonly name: string;
  /** What it does, in one line, for the list of commands. */
  readonly summary: string;
  /** What help says first. */
  readonly about: string;
  /** The words that it takes, such as `[HOST:PORT] NAME [KEY=VALUE...]`. */
  readonly usage: string;
  /** What to type to try it, where the program is called as in `program.ts`. */
  readonly examples: readonly string[];
  /** Its options. */
  readonly groups: readonly Group[];
  /** When it ends with which exit code, beside 2, which is the same for all. */
  readonly exits: Readonly<Record<number, string>>;
  /** What help says last, such as permissions. */
  readonly notes: string;
  /** What a shell offers for its words. */
  readonly hints?: WordHints | (() => WordHints);
}
