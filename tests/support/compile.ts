/** Runs the compiler on programs as users write them, and reads what it says, and where. */

import { assertEquals } from "@std/assert/equals";
import config from "../../deno.json" with { type: "json" };
import { TempFolder } from "./folder.ts";

const ROOT = new URL("../../", import.meta.url);

/**
 * Options of the compiler: those of this repository, which are as strict as can be, or those of a
 * program that sets none.
 */
export type Strictness = "strict" | "default";

/** What the compiler says of a program: in which lines it finds errors, and what they say. */
export type Errors = [line: number, message: string][];

/** What the compiler says of a program. */
export async function compile(program: string, strictness?: Strictness): Promise<Errors> {
  return (await compileAll({ program }, strictness)).program!;
}

/** What the compiler says of each of several programs, which takes hardly longer than for one. */
export async function compileAll(
  programs: Record<string, string>,
  strictness: Strictness = "strict",
): Promise<Record<string, Errors>> {
  using folder = new TempFolder();
  const names = Object.keys(programs);
  for (const name of names) await Deno.writeTextFile(`${folder.path}/${name}.ts`, programs[name]!);
  await Deno.writeTextFile(`${folder.path}/imports.json`, JSON.stringify({ imports: imports() }));
  const options = strictness === "strict"
    ? ["--config=deno.json"]
    : ["--no-config", "--vendor", "--no-lock", `--import-map=${folder.path}/imports.json`];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", ...options, ...names.map((name) => `${folder.path}/${name}.ts`)],
    cwd: ROOT, // where the vendored modules are
    env: { NO_COLOR: "1" },
  }).output();
  // deno-lint-ignore no-control-regex
  const text = new TextDecoder().decode(stderr).replaceAll(/\x1b\[[\d;]*m/g, "");
  const found = [...text.matchAll(/\[ERROR\]: (.*?)\n\s+at \S+\/(\w+)\.ts:(\d+):/gs)];
  if (!success && found.length === 0) throw new Error(text);
  const errors: Record<string, Errors> = {};
  for (const name of names) errors[name] = [];
  for (const [, message, name, line] of found) errors[name!]?.push([Number(line), message!]);
  return errors;
}

/** Where a program without a configuration finds this package, and what it needs. */
function imports(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [entry, path] of Object.entries(config.exports)) {
    found[config.name + entry.slice(1)] = new URL(path, ROOT).href;
  }
  for (const [name, where] of Object.entries(config.imports)) {
    found[name] = where;
    found[`${name}/`] = `${where.replace(/^(jsr|npm):/, "$1:/")}/`;
  }
  return found;
}

/**
 * Asserts that the compiler found errors in those lines of `program` that end in `// wrong: ` and a
 * text, and in no others, and that what it says of each has that text.
 */
export function assertVerdict(program: string, errors: Errors): void {
  const wrong = program.split("\n").flatMap((text, i) => {
    const says = / \/\/ wrong: (.*)$/.exec(text)?.[1];
    return says === undefined ? [] : [[i + 1, says] as const];
  });
  const texts = new Map(wrong);
  const shown = errors.map(([line, message]) => {
    const says = texts.get(line);
    return [line, says !== undefined && message.includes(says) ? says : message] as const;
  });
  assertEquals(shown, wrong);
}
