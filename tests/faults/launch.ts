/**
 * Starts a program of this project as a process: by Deno, and on request through another command,
 * which puts it into a network namespace or limits its files.
 *
 * @module
 */

/** The folder of the project. */
export const ROOT = `${import.meta.dirname}/../..`;

/** How a program is started. */
export interface LaunchOptions {
  /** A command that runs the command that follows it, in its own place. */
  readonly through?: readonly string[];
  /** Flags of Deno. */
  readonly flags?: readonly string[];
}

/** The command that runs `program`, and its arguments. */
export function launch(
  program: string,
  args: readonly string[],
  { through = [], flags = ["-A"] }: LaunchOptions = {},
): [command: string, args: string[]] {
  const all = [
    ...through,
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-prompt",
    "--no-check",
    ...flags,
    `${ROOT}/${program}`,
    ...args,
  ];
  return [all[0]!, all.slice(1)];
}

/** Runs a command in a shell after `setting`, such as `ulimit -n 64`. */
export function afterShell(setting: string): string[] {
  return ["sh", "-c", `${setting}; exec "$@"`, "sh"];
}
