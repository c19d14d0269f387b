import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { readText } from "../../cli/credentials.ts";
import { explainReadError, StartError } from "../../cli/errors.ts";

Deno.test("readText() returns the text of a file, or throws with the cause", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "content\n");
  assertEquals(await readText(file, "the token"), "content\n");
  await Deno.writeFile(file, new Uint8Array([0xff]));
  const { message } = await assertRejects(() => readText(file, "the token"), StartError);
  assertEquals(message, `Cannot read the token from ${file}: it is not UTF-8 text`);
  await Deno.remove(file);
  await assertRejects(() => readText(file, "the token"), StartError, "no such file");
});

Deno.test("explainReadError() adds a hint where there is one", () => {
  const { IsADirectory, NotFound, NotCapable, PermissionDenied } = Deno.errors;
  const cases: [error: unknown, why: string][] = [
    [new NotFound(), "no such file"],
    [new NotCapable(), "Deno does not permit it; run it with -A or --allow-read=a\\nb"],
    [new PermissionDenied(), "the system does not permit it"],
    [new IsADirectory(), "it is a directory"],
    [new Error("\x1b"), "\\u001b"],
    ["text", "text"],
  ];
  for (const [error, why] of cases) assertEquals(explainReadError(error, "a\nb"), why);
});
