/**
 * Describes the place of a measurement: processor, Deno, commit.
 *
 * @module
 */

const decoder = new TextDecoder();

/** `AMD EPYC, 2 CPUs, x86_64-unknown-linux-gnu, Deno 2.9.6`. */
export async function describeMachine(): Promise<string> {
  const count = navigator.hardwareConcurrency;
  return [
    await readCpuModel(),
    count === 1 ? "1 CPU" : `${count} CPUs`,
    Deno.build.target,
    `Deno ${Deno.version.deno}`,
  ].filter(Boolean).join(", ");
}

/** The commit that is checked out in `folder`, `9db2e8d (dirty)` if it is not all that is there. */
export async function describeCommit(folder: string): Promise<string> {
  const commit = await git(folder, "rev-parse", "--short", "HEAD");
  if (commit === null) return "n/a";
  return await git(folder, "status", "--porcelain") === "" ? commit : `${commit} (dirty)`;
}

/** The model, or an empty string where the system does not tell. */
async function readCpuModel(): Promise<string> {
  if (Deno.build.os !== "linux") return "";
  const text = await Deno.readTextFile("/proc/cpuinfo");
  return /^model name\s*:\s*(.+)$/m.exec(text)?.[1] ?? "";
}

/** What a git command prints, or `null` when it fails. */
async function git(folder: string, ...args: string[]): Promise<string | null> {
  try {
    const { success, stdout } = await new Deno.Command("git", {
      args,
      cwd: folder,
      stderr: "null",
      signal: AbortSignal.timeout(10_000),
    }).output();
    return success ? decoder.decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
