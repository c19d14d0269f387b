/**
 * The common parts of the commands in this folder: exit codes, the end by Ctrl+C, and the check of
 * flags.
 *
 * @module
 */

/** A command line that makes no sense. */
export class UsageError extends Error {}

/** A command. */
export interface BenchCommand<Plan> {
  /** What `--help` prints. */
  readonly help: string;
  /** The plan that `args` make, or `null` if they ask for help. */
  parse(args: string[]): Plan | null;
  /** Does it, until `signal`. */
  run(plan: Plan, args: string[], signal: AbortSignal): Promise<void>;
}

/** Runs a command. Resolves to its exit code. */
export async function runCommand<Plan>(
  { help, parse, run }: BenchCommand<Plan>,
  args: string[],
): Promise<number> {
  try {
    const plan = parse(args);
    if (plan === null) console.log(help.trimEnd());
    else await run(plan, args, onInterrupt());
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`error: ${error.message}; --help shows the options`);
      return 2;
    }
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}

/** Aborts when the user has had enough, so that no process is left running. */
function onInterrupt(): AbortSignal {
  const controller = new AbortController();
  const interrupt = () => controller.abort(new Error("Interrupted"));
  Deno.addSignalListener("SIGINT", interrupt);
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", interrupt);
  return controller.signal;
}

/** What `parseArgs()` calls for what it does not know. */
export function refuseUnknown(arg: string, key?: string): never {
  throw new UsageError(`Unknown ${key === undefined ? "argument" : "option"} ${quote(arg)}`);
}

/** The integer from 1 to `most` that `text` is. */
export function toInteger(flag: string, text: string, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= most) return value;
  throw new UsageError(`${flag} must be an integer from 1 to ${most}, not ${quote(text)}`);
}

/** Those of `all` that `text` names, in their order; all of them without a text. */
export function toChoice<T extends { readonly name: string }>(
  flag: string,
  text: string | undefined,
  all: readonly T[],
): T[] {
  if (text === undefined) return [...all];
  const names = text.split(",");
  const unknown = names.find((name) => !all.some((each) => each.name === name));
  if (unknown === undefined) return all.filter(({ name }) => names.includes(name));
  const known = all.map(({ name }) => name).join(", ");
  throw new UsageError(`${flag} must be some of ${known}, not ${quote(unknown)}`);
}

/** The folder that `path` leads to. */
export function toFolder(flag: string, path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    throw new UsageError(`${flag} must be a folder that is there, not ${quote(path)}`);
  }
}

function quote(text: string): string {
  return JSON.stringify(text);
}
