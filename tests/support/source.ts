/**
 * Reads the sources of this package: its files, their imports, and their code without comments and
 * strings.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url);

/** Folders that hold no part of the published library or command. */
const OUTSIDE = /^(tests|bench|tools|examples|guides|docs|vendor|node_modules|coverage|soak|\..*)$/;

/** One source file. */
export interface Source {
  /** The path relative to the repository, with `/`. */
  readonly path: string;
  /** The room of the file: `net/` for a file in a folder, its own name for a file at the top. */
  readonly room: string;
  /** The specifiers of its imports and re-exports, as written; dynamic and type imports included. */
  readonly specifiers: readonly string[];
  /** The paths of the repository's own `.ts` files that it imports. */
  readonly imports: readonly string[];
  /** The code, with each comment and each string replaced by a space. */
  readonly code: string;
}

/** Reads all sources of the library and the command, in the order of their paths. */
export async function readSources(): Promise<Source[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(ROOT)) {
    if (!isDirectory) paths.push(name);
    else if (!OUTSIDE.test(name)) {
      for await (const file of Deno.readDir(new URL(`${name}/`, ROOT))) {
        paths.push(`${name}/${file.name}`);
      }
    }
  }
  const sources = paths.filter((path) => path.endsWith(".ts")).sort();
  return await Promise.all(sources.map(async (path) => {
    const text = await Deno.readTextFile(new URL(path, ROOT));
    const specifiers = specifiersOf(text);
    const imports = specifiers.filter((each) => each.startsWith(".") && each.endsWith(".ts"))
      .map((each) => new URL(each, `file:///${path}`).pathname.slice(1));
    return { path, room: roomOf(path), specifiers, imports, code: codeOf(text) };
  }));
}

/** Returns the room of the file at `path`. */
export function roomOf(path: string): string {
  const slash = path.indexOf("/");
  return slash < 0 ? path : path.slice(0, slash + 1);
}

/** Returns the specifiers of all imports and re-exports in `text`. */
export function specifiersOf(text: string): string[] {
  const code = rewrite(text, ({ kind, source }) => kind === "other" ? source : " ");
  const found = code.matchAll(
    /(?:^\s*(?:import|export)\s(?:[^;"']*?\sfrom\s*)?|\bimport\s*\(\s*)(["'])([^"'\n]+)\1/gm,
  );
  return Array.from(found, ([, , specifier]) => specifier!);
}

/**
 * A comment, a string, a template without its substitutions, or a regular expression. The last is
 * recognised by the token before it, which cannot end an operand.
 */
const TOKEN = new RegExp(
  [
    String.raw`(?<comment>\/\/.*|\/\*[^]*?\*\/)`,
    String.raw`(?<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')`,
    String
      .raw`(?<regexp>(?<=(?:^|[(,=:[!&|?{};+>]|\breturn)\s*)\/(?![*\/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^\/\\\n[])+\/[a-z]*)`,
    String.raw`(?<template>[\x60])`,
  ].join("|"),
  "gm",
);

/** Returns `text` with each comment replaced by a space. */
export function withoutComments(text: string): string {
  return rewrite(text, ({ kind, source }) => kind === "comment" ? " " : source);
}

/** Returns `text` with each comment and each string replaced by a space. */
export function codeOf(text: string): string {
  return rewrite(text, () => " ");
}

/** A token that is not code: a comment, a part of a template, or a string or a regular expression. */
interface Token {
  readonly kind: "comment" | "template" | "other";
  readonly source: string;
}

/** Replaces the tokens of `text`; code in the substitutions of a template stays code. */
function rewrite(text: string, replace: (token: Token) => string): string {
  let result = "";
  /** For each template that is open, how many braces are open in its substitution. */
  const braces: number[] = [];
  const plain = /[{}]/y;
  for (let at = 0; at < text.length;) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    const end = match ? match.index : text.length;
    // Code up to the next token; a brace may end the substitution of a template.
    let resumed = false;
    for (; at < end; at++) {
      plain.lastIndex = at;
      const brace = braces.length > 0 ? plain.exec(text)?.[0] : undefined;
      if (brace === "{") braces[braces.length - 1]!++;
      if (brace === "}" && braces[braces.length - 1]!-- === 0) {
        braces.pop();
        const start = at;
        at = skipTemplate(text, at + 1, braces);
        result += replace({ kind: "template", source: text.slice(start, at) });
        resumed = true;
        break;
      }
      result += text[at];
    }
    if (resumed || !match) continue;
    const { comment, template } = match.groups!;
    at = template ? skipTemplate(text, end + 1, braces) : end + match[0].length;
    const kind = comment ? "comment" : template ? "template" : "other";
    result += replace({ kind, source: text.slice(end, at) });
  }
  return result;
}

/** Skips template text from `at` to its end or its next substitution, which it notes in `braces`. */
function skipTemplate(text: string, at: number, braces: number[]): number {
  for (; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === "`") return at + 1;
    else if (text.startsWith("${", at)) {
      braces.push(0);
      return at + 2;
    }
  }
  return at;
}
