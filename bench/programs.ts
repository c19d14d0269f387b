/**
 * The programs of this machine: their output, and the compilation of one from C.
 *
 * @module
 */

/** What to do to have a compiler here. */
export const INSTALL_COMPILER = "apt-get install gcc libc6-dev";

/** Makes `folder/NAME` from `NAME.c`; the version of the compiler, or `null` if that is not possible. */
export async function compile(folder: string, name: string): Promise<string | null> {
  const source = `${import.meta.dirname}/${name}.c`;
  const built = await output("cc", "-O2", "-o", `${folder}/${name}`, source);
  return built === null ? null : (await output("cc", "--version"))?.split("\n")[0] ?? null;
}

/** What a command prints, or `null` if it is not here or prints nothing and fails. */
export async function output(program: string, ...args: string[]): Promise<string | null> {
  try {
    const command = new Deno.Command(program, { args, signal: AbortSignal.timeout(120_000) });
    const { success, stdout } = await command.output();
    const text = new TextDecoder().decode(stdout);
    return success || text !== "" ? text : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
