/**
 * Installs this clone as a command, for `deno task install`.
 *
 * `deno install --global` does not look for `deno.json`, so it must be told where the standard library is:
 * by that file, or where JSR could not be reached, by a map of what `setup.ts` has put into `vendor/`.
 *
 * @module
 */

import { PROGRAM } from "../cli/program.ts";
import config from "../deno.json" with { type: "json" };

const root = new URL("../", import.meta.url);
const library = new URL("vendor/jsr.io/@std/", root);

/** The modules in `vendor/` by their specifiers; `null` where Deno itself has filled that, or nobody. */
async function readVendored(): Promise<Record<string, string> | null> {
  const imports: Record<string, string> = {};
  try {
    for await (const { name } of Deno.readDir(library)) {
      const { latest } = await readJson(`${name}/meta.json`);
      const { exports } = await readJson(`${name}/${latest}_meta.json`);
      for (const [entry, path] of Object.entries<string>(exports)) {
        if (!path.endsWith(".js")) return null; // Only the library that is compiled needs no more.
        const folder = new URL(`${name}/${latest}/`, library);
        imports[`@std/${name}${entry.slice(1)}`] = new URL(path, folder).href;
      }
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  return imports;
}

/** The packages of npm by their names, and by the names of the modules in them. */
function packages(): Record<string, string> {
  const imports: Record<string, string> = {};
  for (const [name, where] of Object.entries(config.imports)) {
    if (!where.startsWith("npm:")) continue;
    imports[name] = where;
    imports[`${name}/`] = `${where.replace("npm:", "npm:/")}/`;
  }
  return imports;
}

async function readJson(path: string) {
  return JSON.parse(await Deno.readTextFile(new URL(path, library)));
}

if (Deno.args.length > 0) {
  console.error(
    `error: deno task install takes no arguments, got ${Deno.args.join(" ")}; ` +
      "set DENO_INSTALL_ROOT to install elsewhere than in ~/.deno",
  );
  Deno.exit(2);
}
const vendored = await readVendored();
const imports = vendored && { ...packages(), ...vendored };
const map = new URL("vendor/import_map.json", root);
if (imports) await Deno.writeTextFile(map, JSON.stringify({ imports }));
const where = imports ? ["--no-config", "--import-map", map.href] : ["--config", "deno.json"];
const command = new Deno.Command(Deno.execPath(), {
  args: ["install", "--global", "--allow-all", "--force", "--name", PROGRAM, ...where, "mod.ts"],
  cwd: root,
});
Deno.exitCode = (await command.spawn().status).code;
