import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { StartError } from "../../cli/errors.ts";
import { loadEvents } from "../../cli/schema.ts";

const DEFINE = new URL("../../define.ts", import.meta.url).href;

/** A module that defines `tick`, whose `n` must be a number. */
const SOURCE = `import { defineEvents } from "${DEFINE}";
const validate = (value) =>
  typeof value.n === "number" ? { value } : { issues: [{ path: ["n"], message: "No number" }] };
const tick = { "~standard": { version: 1, vendor: "test", validate } };
`;

Deno.test("loadEvents() takes what a module exports by default, or as events", async () => {
  const folder = await Deno.makeTempDir();
  for (const [i, how] of ["export default", "export const events ="].entries()) {
    const file = `${folder}/a #?% ${i}.ts`;
    await Deno.writeTextFile(file, `${SOURCE}${how} defineEvents({ tick });`);
    const events = await loadEvents(file);
    assertEquals(events.names, ["tick"]);
    assertEquals(events.check("tick", {}).issues, ["n: No number"]);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("loadEvents() says what is wrong with a file", async () => {
  const folder = await Deno.makeTempDir();
  const cases: [source: string | null, complaint: string][] = [
    [null, "there is no such file"],
    [
      "export const other = 1;",
      'it must export what defineEvents() gives, by default or as "events"',
    ],
    ["export default { check: 1 };", "it must export what defineEvents() gives"],
    ["export default {", "Expected"],
    ['throw new Error("Not today\\x1b")', "Not today\\u001b"],
  ];
  for (const [i, [source, complaint]] of cases.entries()) {
    const file = `${folder}/${i}.js`;
    if (source !== null) await Deno.writeTextFile(file, source);
    const { message } = await assertRejects(() => loadEvents(file), StartError);
    assertEquals(message.includes(file) && message.includes(complaint), true, message);
  }
  await Deno.remove(folder, { recursive: true });
});
