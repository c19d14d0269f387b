import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { pathToFileURL } from "node:url";
import { StartError } from "../../cli/errors.ts";
import { loadDefinitions } from "../../cli/schema.ts";
import { TempFolder } from "../support/folder.ts";

const DEFINE = new URL("../../schema/definitions.ts", import.meta.url).href;

/** Another copy of the library: to Deno, a module with another URL is another module. */
const SOURCE = `
import { defineEvents } from "${DEFINE}?another-copy";
const move = { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } };
`;

/** A folder with one file in it, which is gone afterwards. */
async function withFile(
  name: string,
  text: string,
  test: (path: string) => Promise<void>,
): Promise<void> {
  using folder = new TempFolder();
  await Deno.writeTextFile(`${folder.path}/${name}`, text);
  await test(`${folder.path}/${name}`);
}

Deno.test("loadDefinitions() uses the default export, or the one called events", async () => {
  for (
    const line of [
      "export default defineEvents({ move })",
      "export const events = defineEvents({ move })",
    ]
  ) {
    await withFile("game events #1.js", `${SOURCE}${line};`, async (path) => {
      for (const where of [path, pathToFileURL(path).href]) {
        const { names, check } = await loadDefinitions(where);
        assertEquals(names, ["move"]);
        assertEquals(check("move", { x: 1 }), { value: { x: 1 } });
      }
    });
  }
});

Deno.test("loadDefinitions() loads TypeScript from a path in the working directory", async () => {
  await withFile("game.ts", `${SOURCE}export default defineEvents({ move });`, async (path) => {
    const up = Deno.cwd().split("/").slice(1).map(() => "..").join("/");
    if (Deno.build.os === "windows") return; // There the two may be on different drives.
    const { names } = await loadDefinitions(`${up}${path}`);
    assertEquals(names, ["move"]);
  });
});

Deno.test("loadDefinitions() explains how names of a deno.json are found", async () => {
  await withFile("game.ts", 'import "no-such-name"; export default 1;', async (path) => {
    const { message } = await assertRejects(() => loadDefinitions(path), StartError);
    assertMatch(message, /"no-such-name" not /);
    assertMatch(message, /run deno run -A --config deno\.json jsr:@ebsockets\/relay$/);
  });
});

Deno.test("loadDefinitions() looks at events where the default is something else", async () => {
  const text = `${SOURCE}export const events = defineEvents({ move }); export default 1;`;
  await withFile("game.js", text, async (path) => {
    assertEquals((await loadDefinitions(path)).names, ["move"]);
  });
});

Deno.test("loadDefinitions() lists the exports of a module without definitions", async () => {
  const cases = [
    ["", "it exports nothing"],
    ["export default 1; export const chat = {};", "its export default is something else"],
    ["export const events = { move: 1 };", "its export events is something else"],
    ["export const chat = {};", "it exports chat"],
  ];
  for (const [text, found] of cases) {
    await withFile("game.js", text!, async (path) => {
      const { message } = await assertRejects(() => loadDefinitions(path), StartError);
      assertEquals(
        message,
        `Cannot use the schema in ${path}: expected the result of defineEvents() as its export ` +
          `"default" or "events", but ${found}`,
      );
    });
  }
});

Deno.test("loadDefinitions() names the cause in one line if a module cannot be loaded", async () => {
  const cases: [text: string, why: RegExp][] = [
    ["export default (;", /SyntaxError/],
    ['throw new Error("boom\\nbang");', /boom/],
    ['throw "\\x1bbang";', /\\u001bbang/],
    ['import "./not_there.js";', /not found/i],
    [`${SOURCE}export default defineEvents({ move: 1 });`, /Invalid schema of event "move"/],
  ];
  for (const [text, why] of cases) {
    await withFile("game.js", text, async (path) => {
      const error = await assertRejects(() => loadDefinitions(path), StartError);
      assert(error.message.startsWith(`Cannot load the schema from ${path}: `));
      assertMatch(error.message, why);
      assertEquals(error.message.split("\n").length, 1);
      assert("cause" in error);
    });
  }
  await assertRejects(() => loadDefinitions("/not/there.ts"), StartError, "not found");
  await assertRejects(() => loadDefinitions("https://127.0.0.1:1/x.ts"), StartError, "failed");
});
