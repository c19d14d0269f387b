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

Deno.test("A large new file goes to the disk in parts", async () => {
  using temp = new TempFolder();
  const { prototype } = Deno.FsFile;
  const { syncData } = prototype;
  let syncs = 0;
  prototype.syncData = function () {
    syncs++;
    return syncData.call(this);
  };
  try {
    const parts = Array<Uint8Array>(10).fill(new Uint8Array(1_048_576));
    (await new DiskFolder(temp.path).create("a", parts)).close();
  } finally {
    prototype.syncData = syncData;
  }
  assertEquals(syncs, 3);
});
