/**
 * What some tests need and no test installs: other people's programs and packages. A test is skipped
 * where something is missing, and its name says what.
 *
 * npm packages are taken from the folder `node_modules` in the folder that the environment variable
 * `EBSOCKETS_TEST_MODULES` names, so that no test depends on what npm has today.
 *
 * @module
 */

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { canRun } from "./process.ts";

/** Something that a test needs. */
export interface Need {
  /** Its name, for the name of a test that is skipped. */
  readonly name: string;
  /** Whether it is here. */
  readonly isMet: boolean;
}

/** A program on the path. `args` make it print its version or so, and end with success. */
export function program(name: string, args = ["--version"]): Need {
  return { name, isMet: canRun(name, args) };
}

/** A package of npm in the folder for those, or a program in such a package. */
export class NpmPackage implements Need {
  readonly name: string;
  readonly isMet: boolean;
  readonly #package: string;
  readonly #folder = Deno.env.get("EBSOCKETS_TEST_MODULES");

  constructor(name: string) {
    this.name = `npm package ${name}`;
    this.#package = name;
    this.isMet = this.#folder !== undefined && exists(`${this.#modules}/${name}/package.json`);
  }

  get #modules(): string {
    return `${this.#folder}/node_modules`;
  }

  /** The path of the program that the package installs under its own name. */
  get program(): string {
    return `${this.#modules}/.bin/${this.#package}`;
  }

  /** Loads the package. */
  // deno-lint-ignore no-explicit-any -- The package is not there for the type checker.
  load(): any {
    return createRequire(pathToFileURL(`${this.#folder}/`))(this.#package);
  }
}

/** A module of Python. Debian's Python has Debian's modules, and need not be the first on the path. */
export class PythonModule implements Need {
  readonly name: string;
  readonly isMet: boolean;
  /** The command for a Python that has the module. */
  readonly python: string;

  constructor(module: string) {
    this.name = `Python module ${module}`;
    const pythons = ["python3", "/usr/bin/python3"];
    const found = pythons.find((python) => canRun(python, ["-c", `import ${module}`]));
    this.isMet = found !== undefined;
    this.python = found ?? "python3";
  }
}

/** A test that needs something. */
export function needingTest(
  name: string,
  needs: readonly Need[],
  fn: (t: Deno.TestContext) => Promise<void>,
): void {
  const missing = needs.filter(({ isMet }) => !isMet).map((need) => need.name);
  const ignore = missing.length > 0;
  Deno.test({ name: ignore ? `${name} (skipped: no ${missing.join(", no ")})` : name, ignore, fn });
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
