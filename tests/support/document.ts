/**
 * The programs in a document: the fence after each `<!-- NAME -->` is written to a folder, with the
 * test's port in place of 7982, and run.
 *
 * @module
 */

import { Command } from "./command.ts";
import { TempFolder } from "./folder.ts";
import { Program } from "./process.ts";

const ROOT = `${import.meta.dirname}/../..`;

const PROGRAM = /<!-- (\S+\.(?:ts|mjs|py|sh)) -->\n\n```\w+(?: ignore)?\n(.*?)```/gs;

/** A document with its programs in a temporary folder, which is removed on disposal. */
export class Document implements Disposable {
  readonly #folder = new TempFolder();
  readonly #port: number;

  private constructor(port: number) {
    this.#port = port;
  }

  /** Opens the document at `path` within the package, for programs that use `port`. */
  static async open(path: string, port: number): Promise<Document> {
    const document = new Document(port);
    const text = await Deno.readTextFile(`${ROOT}/${path}`);
    for (const [, name, source] of text.matchAll(PROGRAM)) {
      await Deno.writeTextFile(document.#pathOf(name!), source!.replaceAll("7982", `${port}`));
    }
    return document;
  }

  #pathOf(name: string): string {
    return `${this.#folder.path}/${name}`;
  }

  /** The names of the programs in TypeScript. */
  get programs(): string[] {
    return [...Deno.readDirSync(this.#folder.path)].map(({ name }) => name)
      .filter((name) => name.endsWith(".ts")).sort();
  }

  /**
   * Runs the program `name` with access to the address `net`, and without a type check, which is
   * that of {@link check}.
   */
  run(name: string, args: string[] = [], net = `127.0.0.1:${this.#port}`): Program {
    const path = this.#pathOf(name);
    if (name.endsWith(".py")) return new Program("python3", [path, ...args]);
    if (name.endsWith(".mjs")) return new Program("node", [path, ...args]);
    if (name.endsWith(".sh")) return new Program("sh", [path, ...args]);
    const flags = ["--no-check", `--config=${ROOT}/deno.json`, `--allow-net=${net}`];
    return new Command(args, flags, path);
  }

  /** Runs the program `name` in its folder, where it may read and write all files, or these. */
  runThere(name: string, files = "."): Program {
    const flags = ["--no-check", "--quiet", `--config=${ROOT}/deno.json`, "--allow-net=127.0.0.1"];
    const args = [
      "run",
      ...flags,
      `--allow-read=${files}`,
      `--allow-write=${files}`,
      this.#pathOf(name),
    ];
    return new Program(Deno.execPath(), args, { cwd: this.#folder.path });
  }

  /**
   * Type-checks all programs in TypeScript of several documents, which takes hardly longer than for
   * one. Returns the errors in each document, by the order of the documents.
   */
  static async check(documents: readonly Document[]): Promise<string[][]> {
    const paths = documents.flatMap((document) =>
      document.programs.map((name) => document.#pathOf(name))
    );
    const args = ["check", "--quiet", `--config=${ROOT}/deno.json`, ...paths];
    await using program = new Program(Deno.execPath(), args);
    const { code, stderr } = await program.end();
    const errors = stderr.match(/TS\d+ .*?\n\s+at file:\S+/gs) ?? [];
    if (code !== 0 && errors.length === 0) throw new Error(stderr);
    return documents.map((document) =>
      errors.filter((error) => error.includes(document.#folder.path))
    );
  }

  /** Runs the tests in the program `name`. */
  test(name: string, ...permissions: string[]): Program {
    const flags = ["--quiet", "--no-prompt", `--config=${ROOT}/deno.json`, "--allow-net=127.0.0.1"];
    flags.push(...permissions);
    return new Program(Deno.execPath(), ["test", ...flags, this.#pathOf(name)]);
  }

  /** Changes the source of the program `name`. */
  async change(name: string, change: (source: string) => string): Promise<void> {
    const path = this.#pathOf(name);
    await Deno.writeTextFile(path, change(await Deno.readTextFile(path)));
  }

  /** Removes the folder. */
  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
