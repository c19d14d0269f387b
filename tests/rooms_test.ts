// Imports run in one direction, between files and between rooms, and the rooms that any runtime could
// run name neither Deno nor Node.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import config from "../deno.json" with { type: "json" };
import {
  codeOf,
  readSources,
  roomOf,
  type Source,
  specifiersOf,
  withoutComments,
} from "./support/source.ts";

const PROTOCOL = ["errors.ts", "protocol/"];
const NET = [...PROTOCOL, "net/"];
const SERVER = [...NET, "server/", "server.ts"];
const ROOMS = [...NET, "schema/", "web/", "server/", "history/", "client/", "relay/"];
const DOORS = [
  "client.ts",
  "define.ts",
  "event.ts",
  "framing.ts",
  "relay.ts",
  "server.ts",
  "system.ts",
  "web.ts",
];

/** The rooms that each room may import from. A file at the top is a room by itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  "errors.ts": [],
  "protocol/": ["errors.ts"],
  "schema/": PROTOCOL,
  "net/": PROTOCOL,
  "web/": NET,
  "server/": [...NET, "web/"],
  "client/": [...NET, "schema/"],
  "page/": [...PROTOCOL, "client.ts"],
  "cluster/": [...NET, "server/", "history/"],
  "history/": PROTOCOL,
  "relay/": [...NET, "schema/", "web/", "server/", "cluster/", "history/"],
  "event.ts": PROTOCOL,
  "framing.ts": PROTOCOL,
  "define.ts": [...PROTOCOL, "schema/"],
  "server.ts": [...NET, "web/", "server/"],
  "client.ts": [...NET, "schema/", "client/"],
  "system.ts": [...SERVER, "schema/"],
  "relay.ts": [...SERVER, "schema/", "web/", "cluster/", "history/", "relay/"],
  "web.ts": [...NET, "schema/", "client/"],
  "testing.ts": [...ROOMS, ...DOORS],
  "cli/": [...ROOMS, "cluster/", ...DOORS],
  "mod.ts": [...ROOMS, ...DOORS, "cli/"],
};

/** The rooms whose files name neither Deno nor Node. */
const PORTABLE = ["protocol/", "schema/", "client/", "relay/", "page/"];

/** The rooms that are published only as a part of another one: `page/` as `web/page_bundle.ts`. */
const BUNDLED = ["page/"];

const sources = await readSources();
const architecture = (await Deno.readTextFile(new URL("../ARCHITECTURE.md", import.meta.url)))
  .replaceAll("\r\n", "\n");

/** The imports between files, and those between rooms. */
const files = new Map(sources.map(({ path, imports }) => [path, new Set(imports)]));
const rooms = new Map<string, Set<string>>();
for (const { room, imports } of sources) {
  const used = rooms.get(room) ?? new Set();
  rooms.set(room, used);
  for (const path of imports) if (roomOf(path) !== room) used.add(roomOf(path));
}

/** Returns one circle of a graph as the names on it, the first repeated at the end; `[]` if none. */
function circleOf(graph: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (node: string): string[] => {
    if (way.includes(node)) return [...way.slice(way.indexOf(node)), node];
    if (done.has(node)) return [];
    way.push(node);
    for (const next of graph.get(node) ?? []) {
      const circle = visit(next);
      if (circle.length > 0) return circle;
    }
    way.pop();
    done.add(node);
    return [];
  };
  for (const node of graph.keys()) {
    const circle = visit(node);
    if (circle.length > 0) return circle;
  }
  return [];
}

Deno.test("imports of files form no circle", () => {
  assertEquals(circleOf(files), []);
  const unknown = sources.flatMap(({ path, imports }) =>
    imports.filter((each) => !files.has(each)).map((each) => `${path} imports ${each}`)
  );
  assertEquals(unknown, []);
});

Deno.test("deno.json publishes every room but those that are bundled", () => {
  const published: string[] = config.publish.include;
  const folders = [...rooms.keys()].filter((room) => room.endsWith("/"));
  assertEquals(folders.filter((room) => !published.includes(`${room}*.ts`)), BUNDLED);
});

Deno.test("imports of rooms form no circle", () => {
  assertEquals(circleOf(rooms), []);
  assertEquals(circleOf(new Map([["a", new Set(["b"])], ["b", new Set(["a"])]])), ["a", "b", "a"]);
});

Deno.test("each room imports only from the rooms that it may", () => {
  assertEquals([...rooms.keys()].sort(), Object.keys(ALLOWED).sort());
  const wrong = sources.flatMap(({ path, room, imports }) =>
    imports.filter((each) => roomOf(each) !== room && !ALLOWED[room]!.includes(roomOf(each)))
      .map((each) => `${path} imports ${each}`)
  );
  assertEquals(wrong, []);
});

Deno.test("ARCHITECTURE.md draws the rooms so that each import points to a lower row", () => {
  const [, picture = ""] = /```\n([^]*?)```/.exec(architecture) ?? [];
  const drawn = picture.trim().split("\n").map((row) => row.trim().split(/ +/));
  assertEquals(drawn.flat().sort(), [...rooms.keys()].sort());
  const rowOf = new Map(drawn.flatMap((row, i) => row.map((room) => [room, i] as const)));
  const upwards = [...rooms].flatMap(([room, used]) =>
    [...used].filter((each) => rowOf.get(each)! <= rowOf.get(room)!)
      .map((each) => `${room} imports ${each}`)
  );
  assertEquals(upwards, []);
});

Deno.test("ARCHITECTURE.md lists the rooms that each folder may import from", () => {
  const listed = Array.from(
    architecture.matchAll(/^\| `([a-z]+\/)` +\|[^|]+\| (`[^|]+`) +\|$/gm),
    ([, room, cell]) => [room!, Array.from(cell!.matchAll(/`([^`]+)`/g), ([, each]) => each!)],
  );
  const folders = Object.keys(ALLOWED).filter((room) => room.endsWith("/") && room !== "cli/");
  const expected = folders.map((room) => [room, ALLOWED[room]!.toSorted()]);
  const found = listed.map(([room, allowed]) => [room, (allowed as string[]).toSorted()]);
  assertEquals(Object.fromEntries(found), Object.fromEntries(expected));
});

Deno.test("ARCHITECTURE.md names every room, and only files that exist", async () => {
  const named = new Set(
    Array.from(architecture.matchAll(/`([\w./-]+\/|[\w./-]+\.(?:ts|md))`/g), ([, path]) => path!),
  );
  const folders = [...rooms.keys()].filter((room) => room.endsWith("/"));
  assertEquals(folders.filter((room) => !named.has(room)), []);
  const missing = await Promise.all([...named].map(async (path) => {
    const isThere = await Deno.stat(new URL(`../${path}`, import.meta.url)).then(
      () => true,
      () => false,
    );
    return isThere ? [] : [path];
  }));
  assertEquals(missing.flat(), []);
});

/** Whether a file names Deno in its code, or a module of Node in an import. */
function namesRuntime({ code, specifiers }: Pick<Source, "code" | "specifiers">): boolean {
  return /\bDeno\b/.test(code) || specifiers.some((each) => each.startsWith("node:"));
}

Deno.test("protocol/, schema/, client/, relay/ and page/ name neither Deno nor node:", () => {
  const found = sources.filter((each) => PORTABLE.includes(each.room) && namesRuntime(each))
    .map(({ path }) => path);
  assertEquals(found, []);
});

Deno.test("web.ts imports no file that names Deno or node:", () => {
  const reached = new Set(["web.ts"]);
  for (const path of reached) for (const each of files.get(path) ?? []) reached.add(each);
  assert(reached.has("client/web_connection.ts"));
  const found = sources.filter((each) => reached.has(each.path) && namesRuntime(each))
    .map(({ path }) => path);
  assertEquals(found, []);
});

Deno.test("a name of the runtime counts in code, and not in comments and strings", () => {
  const names = (text: string): boolean =>
    namesRuntime({ code: codeOf(text), specifiers: specifiersOf(text) });
  const runtime = [
    "Deno.exit();",
    "const show = (x: unknown) => `${Deno.inspect(x)}`;",
    "`a ${{ b: `${1}` }} c ${Deno.pid}`",
    'if (/["`]/.test(x)) Deno.exit();',
    'import { connect } from "node:tls";',
    'import {\n  connect,\n} from "node:tls";',
    'export * from "node:fs";',
    'import "node:fs";',
    'const fs = await import("node:fs");',
    "/* a */ Deno.exit(); // b",
    'const half = a / 2; Deno.exit(); const quarter = "/";',
  ];
  assertEquals(runtime.filter((text) => !names(text)), []);
  const others = [
    "// Deno.exit()",
    "/** `Deno.exit()`\n * Deno */",
    '"Deno.exit()"',
    "'it\\'s Deno'",
    "`Deno ${pid} Deno`",
    "`a ${{ b: `Deno` }} Deno`",
    "/Deno/.test(x)",
    'x.split(/[/"]Deno/)',
    "const hint = 'import \"node:fs\"';",
    "isDenoNode",
    'Symbol.for("Deno.customInspect")',
  ];
  assertEquals(others.filter(names), []);
  assert(sources.some(({ code }) => /\bDeno\.listen\b/.test(code)));
});

Deno.test("withoutComments() keeps strings, templates and regular expressions", () => {
  const code = 'const a = `b ${c + `d`} /* e */`; const f = "// g", h = /[/*]/;';
  assertEquals(withoutComments(`${code}// i`), `${code} `);
});

interface ModuleInfo {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly code?: { readonly specifier?: string };
    readonly isDynamic?: boolean;
  }[];
}

/** Returns the files of this package that are loaded together with one of them. */
async function loadedWith(path: string): Promise<string[]> {
  const root = new URL("../", import.meta.url);
  const command = new Deno.Command(Deno.execPath(), { args: ["info", "--json", path], cwd: root });
  const { modules } = JSON.parse(new TextDecoder().decode((await command.output()).stdout));
  const found = new Map((modules as ModuleInfo[]).map((each) => [each.specifier, each]));
  const loaded = new Set([new URL(path, root).href]);
  for (const specifier of loaded) {
    for (const { code, isDynamic } of found.get(specifier)?.dependencies ?? []) {
      if (code?.specifier && !isDynamic) loaded.add(code.specifier);
    }
  }
  return Array.from(loaded, (each) => each.slice(root.href.length));
}

Deno.test("servers, systems and relays load nothing for browsers but the check of the option", async () => {
  const forBrowsers = /^web\/|websocket|frame|http|upgrade|event_stream|newcomers/;
  for (const door of ["server.ts", "system.ts", "relay.ts"]) {
    const loaded = await loadedWith(door);
    assert(loaded.includes("net/line_connection.ts"), door);
    assertEquals(loaded.filter((path) => forBrowsers.test(path)), ["web/options.ts"], door);
  }
});

Deno.test("a relay loads nothing for a history but the check of the option", async () => {
  const loaded = await loadedWith("relay.ts");
  const forHistory = loaded.filter((path) => /^history\/|^relay\/(history|replay)/.test(path));
  assertEquals(forHistory, ["history/options.ts"]);
});
