import { assertEquals } from "@std/assert/equals";
import { hashBytes, hashText } from "../../protocol/seeded_hash.ts";
import { utf8 } from "../support/bytes.ts";

Deno.test("hashBytes() depends on the bytes from start to end, and on nothing else", () => {
  const bytes = utf8("abc abc");
  assertEquals(hashBytes(bytes, 0, 3), hashBytes(bytes, 4, 7));
  assertEquals(hashBytes(bytes, 0, 3) === hashBytes(bytes, 0, 4), false);
});

Deno.test("hashBytes() and hashText() hardly ever collide on names that are alike", () => {
  const names = Array.from({ length: 20_000 }, (_, i) => `topic.${i}`);
  const hashes = names.map((name) => hashBytes(utf8(name), 0, name.length));
  assertEquals(new Set(hashes).size > 19_990, true);
  assertEquals(hashes.every((hash) => hash >= 0 && hash < 2 ** 30), true);
  assertEquals(new Set(names.map((name) => hashText(name))).size > 19_990, true);
  assertEquals(hashText("a", 1) === hashText("a", 2), false);
});
