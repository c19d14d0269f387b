import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { DiskFolder } from "../../history/log_folder.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { TempFolder } from "../support/folder.ts";

Deno.test("A folder whose disk has no room for a new file is as before", async () => {
  using temp = new TempFolder();
  const folder = new DiskFolder(temp.path);
  (await folder.create("a", [utf8("old")])).close();
  function* parts(): Generator<Uint8Array> {
    yield new Uint8Array(100_000);
    throw new Error("ENOSPC");
  }
  for (const name of ["a", "b"]) {
    await assertRejects(() => folder.create(name, parts()), Error, "ENOSPC");
    assertEquals(await folder.list(), ["a"]);
  }
  assertEquals(textOf(await Deno.readFile(`${temp.path}/a`)), "old");
});
