/**
 * Makes the standard library importable where npm can be reached and JSR cannot.
 *
 * Every task depends on this one. It first asks Deno to load each standard module that the
 * project imports: where `vendor/` or the network can serve them, there is nothing to do. Otherwise it
 * fills `vendor/` from {@link FALLBACK}, the same library compiled to JavaScript, laid out as Deno
 * lays out a vendored JSR package. That package carries no types, so each module gets a
 * declaration in which everything is `any`; where JSR answers, the real types apply.
 *
 * Run it with `deno task setup`. It must not import anything itself.
 *
 * @module
 */

/** Kept by Óscar Otero, a maintainer of Deno projects; it mirrors each release of the library. */
const FALLBACK = { name: "deno-std", version: "1.4.0" };

/** How long Deno may take to answer whether JSR can be reached, in milliseconds. */
const PROBE_TIMEOUT = 60_000;

/** How long it is silent until it says what it waits for, in milliseconds. */
const PATIENCE = 1000;

const root = new URL("../", import.meta.url);
const decoder = new TextDecoder();

/** One JSR import of `deno.json`: `jsr:@std/cli@^1.0.6` is the package `cli`, version `1.0.6`. */
interface StdPackage {
  name: string;
  version: string;
}

async function readPackages(): Promise<StdPackage[]> {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  return Object.values<string>(config.imports)
    .map((specifier) => /^jsr:@std\/([\w-]+)@\^?([\d.]+)$/.exec(specifier))
    .filter((match) => match !== null)
    .map(([, name, version]) => ({ name: name!, version: version! }));
}

async function deno(args: string[], cwd: URL | string): Promise<Deno.CommandOutput> {
  const signal = AbortSignal.timeout(PROBE_TIMEOUT);
  return await new Deno.Command(Deno.execPath(), { args, cwd, signal }).output();
}

/** The specifiers of the standard library that the project's own modules import. */
async function readSpecifiers(): Promise<Set<string>> {
  const specifiers = new Set<string>();
  for await (const path of modulesIn("./")) {
    const text = await Deno.readTextFile(new URL(path, root));
    for (const [, specifier] of text.matchAll(/from "(@std\/[\w/-]+)"/g)) {
      specifiers.add(specifier!);
    }
  }
  return specifiers;
}

/** The modules in a folder, and in those in it, but not what others have made. */
async function* modulesIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    if (name === "vendor" || name === "node_modules" || name.startsWith(".")) continue;
    if (isDirectory) yield* modulesIn(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield `${folder}${name}`;
  }
}

/** Whether Deno can load what the project imports, as things stand. */
async function canLoad(specifiers: Set<string>): Promise<boolean> {
  // A file that was cut short may load, but exports nothing.
  const source = [...specifiers].map((specifier) =>
    `if (Object.keys(await import("${specifier}")).length === 0) throw new Error("empty");`
  ).join("");
  const timer = setTimeout(() => {
    console.error(`Waiting for JSR, for the standard library: ${PROBE_TIMEOUT / 1000} s at most`);
  }, PATIENCE);
  try {
    const { success } = await deno(["eval", "--quiet", source], root);
    return success;
  } finally {
    clearTimeout(timer);
  }
}

/** Installs the fallback package from npm into `folder` and returns its location. */
async function download(folder: string): Promise<string> {
  const { name, version } = FALLBACK;
  await Deno.writeTextFile(
    `${folder}/package.json`,
    JSON.stringify({ dependencies: { [name]: version } }),
  );
  const { success, stderr } = await deno(["install", "--quiet", "--node-modules-dir=auto"], folder);
  if (!success) {
    throw new Error(
      `Cannot get the standard library: JSR does not answer, and npm:${name}@${version} cannot be ` +
        `installed: ${decoder.decode(stderr).trim()}`,
    );
  }
  return await Deno.realPath(`${folder}/node_modules/${name}`);
}

/** The folders of the library that the package `name` needs: its own, then what that imports. */
async function foldersOf(library: string, name: string): Promise<string[]> {
  const folders = [name.replaceAll("-", "_")];
  for (const folder of folders) {
    for await (const { name: file } of Deno.readDir(`${library}/${folder}`)) {
      if (!file.endsWith(".js")) continue;
      const text = await Deno.readTextFile(`${library}/${folder}/${file}`);
      for (const [, other] of text.matchAll(/from "\.\.\/(\w+)\//g)) {
        if (!folders.includes(other!)) folders.push(other!);
      }
    }
  }
  return folders;
}

/**
 * A declaration file in which every export of the module at `path` is `any`, or `null` for the few
 * modules that need a data file which the fallback package does not ship.
 */
async function declarationsOf(path: string): Promise<string | null> {
  try {
    const names = Object.keys(await import(`file:///${path.replaceAll("\\", "/")}`));
    return names.map((name) =>
      `export const ${name}: any;\nexport type ${name}<A = any, B = any> = any;\n`
    ).join("") + "export {};\n";
  } catch {
    return null;
  }
}

async function vendor(library: string, { name, version }: StdPackage): Promise<void> {
  const target = new URL(`vendor/jsr.io/@std/${name}/`, root);
  const exports: Record<string, string> = {};
  const manifest: Record<string, { size: number; checksum: string }> = {};

  async function write(path: string, text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    manifest[`/${path}`] = { size: bytes.length, checksum: `sha256-${digest.toHex()}` };
    await Deno.writeFile(new URL(`${version}/${path}`, target), bytes);
  }

  const folders = await foldersOf(library, name);
  for (const folder of folders) {
    await Deno.mkdir(new URL(`${version}/${folder}/`, target), { recursive: true });
    for await (const { name: file } of Deno.readDir(`${library}/${folder}`)) {
      if (!file.endsWith(".js")) continue;
      const path = `${library}/${folder}/${file}`;
      const types = file.replace(/\.js$/, ".d.ts");
      const declarations = await declarationsOf(path);
      if (declarations === null) continue;
      await write(`${folder}/${types}`, declarations);
      await write(
        `${folder}/${file}`,
        `// @ts-self-types="./${types}"\n${await Deno.readTextFile(path)}`,
      );
      if (folder === folders[0] && !file.startsWith("_")) {
        const entry = file === "mod.js" ? "." : `./${file.slice(0, -3).replaceAll("_", "-")}`;
        exports[entry] = `./${folder}/${file}`;
      }
    }
  }
  await Deno.writeTextFile(
    new URL(`${version}_meta.json`, target),
    JSON.stringify({ exports, manifest }),
  );
  await Deno.writeTextFile(
    new URL("meta.json", target),
    JSON.stringify({ scope: "std", name, latest: version, versions: { [version]: {} } }),
  );
}

/** Makes the library importable, and says so where that takes more than to look. */
async function setUp(): Promise<void> {
  const specifiers = await readSpecifiers();
  if (await canLoad(specifiers)) return;
  console.error("JSR does not answer, which is no trouble: npm has the standard library, too");
  const folder = await Deno.makeTempDir();
  try {
    const library = await download(folder);
    for (const each of await readPackages()) await vendor(library, each);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  if (!await canLoad(specifiers)) {
    throw new Error("Cannot load the standard library from vendor/: delete vendor/ and try again");
  }
  console.error(
    `vendor/ now holds it, from npm:${FALLBACK.name}@${FALLBACK.version}, without its types; ` +
      "everything runs as usual",
  );
}

if (import.meta.main) {
  try {
    await setUp();
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
