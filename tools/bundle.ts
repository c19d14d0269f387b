/**
 * Makes `web/client_bundle.ts`: the client for pages, in one minified module.
 *
 * Run it with `deno task bundle` after a change to the client. It needs npm, for Deno's bundler and
 * for terser.
 *
 * @module
 */

import { gzipSync } from "node:zlib";
import { minify } from "terser";
import { CLIENT, hashSources, readSources } from "./bundle/sources.ts";

const ROOT = new URL("../", import.meta.url);
const TARGET = new URL("web/client_bundle.ts", ROOT);

/** Bundles the sources, with the stand-ins in their places. */
async function bundle(): Promise<string> {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const map: Record<string, string> = {};
  for (const [name, target] of Object.entries<string>(imports)) {
    map[name] = target;
    if (target.startsWith("jsr:")) map[`${name}/`] = `jsr:/${target.slice("jsr:".length)}/`;
  }
  for (const [name, target] of Object.entries(CLIENT.standIns)) {
    map[name.startsWith("@") ? name : `./${name}`] = `./${target}`;
  }
  const path = new URL(`.import_map-${crypto.randomUUID()}.json`, ROOT);
  await Deno.writeTextFile(path, JSON.stringify({ imports: map }));
  try {
    const args = ["bundle", "--quiet", "--platform=browser", "--minify"];
    const command = new Deno.Command(Deno.execPath(), {
      args: [...args, "--import-map", path.pathname, ...CLIENT.entries],
      cwd: ROOT,
      stderr: "inherit",
    });
    const { code, stdout } = await command.output();
    if (code !== 0) throw new Error("Cannot bundle the client");
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(path);
  }
}

/** A field, an accessor or a method of a class. */
const MEMBER =
  /^ {2}(?:(?:readonly|declare|override|async|get|set) )*([a-z]\w+)[!?]?(?:[(:;]| =|<)/gmi;

/** A name, and a text that could be one. */
const NAME = /\w+/g;
const QUOTED = /["'`](\w+)["'`]/g;

/**
 * Returns the names of members of our own classes that no other code uses. Those that `web.ts`
 * documents and those in the files about the wire are not among them, and neither are those that
 * also occur as texts.
 */
async function privateNames(code: string): Promise<string[]> {
  const sources = await readSources(CLIENT);
  const command = new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", "web.ts"],
    cwd: ROOT,
  });
  const { stdout } = await command.output();
  const kept = new Set<string>();
  JSON.parse(new TextDecoder().decode(stdout), (key, value) => {
    if (key === "name") kept.add(value);
    return value;
  });
  for (const [, name] of code.matchAll(QUOTED)) kept.add(name!);
  for (const [path, text] of sources) {
    if (path.startsWith("protocol/")) { for (const [name] of text.matchAll(NAME)) kept.add(name); }
  }
  const members = [...sources.values()].flatMap((text) => Array.from(text.matchAll(MEMBER)));
  return members.map(([, name]) => name!).filter((name) => !kept.has(name));
}

/** Minifies the output of the bundler further. */
async function shrink(code: string): Promise<string> {
  const names = await privateNames(code);
  const { code: shrunk } = await minify(code, {
    module: true,
    ecma: 2020,
    compress: {
      passes: 3,
      hoist_funs: true,
      pure_getters: true,
      unsafe_arrows: true,
      unsafe_methods: true,
    },
    mangle: { properties: { keep_quoted: true, regex: new RegExp(`^(${names.join("|")})$`) } },
    format: { comments: false },
  });
  return shrunk!;
}

if (import.meta.main) {
  const code = await shrink(await bundle());
  const text = `/**
 * The client for pages, made by \`deno task bundle\` of the sources with this hash:
 * ${await hashSources(CLIENT)}
 *
 * @module
 */

/** The JavaScript module \`client.js\`. */
export const CLIENT_BUNDLE: string = ${JSON.stringify(code)};
`;
  await Deno.writeTextFile(TARGET, text);
  const zipped = gzipSync(code, { level: 9 }).length;
  console.log(`${code.length} bytes, ${zipped} of them with gzip`);
}
