import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { hashBytes, hashText } from "../../protocol/seeded_hash.ts";
import { utf8 } from "../support/bytes.ts";

Deno.test("hashBytes() depends on the bytes from start to end, and on nothing else", () => {
  const bytes = utf8("abc abc");
  assertEquals(hashBytes(bytes, 0, 3), hashBytes(bytes, 4, 7));
  assertNotStrictEquals(hashBytes(bytes, 0, 3), hashBytes(bytes, 0, 4));
});

Deno.test("hashBytes() and hashText() hardly ever collide on names that are alike", () => {
  const names = Array.from({ length: 20_000 }, (_, i) => `topic.${i}`);
  const hashes = names.map((name) => hashBytes(utf8(name), 0, name.length));
  assertGreater(new Set(hashes).size, 19_990);
  assert(hashes.every((hash) => hash >= 0 && hash < 2 ** 30));
  assertGreater(new Set(names.map((name) => hashText(name))).size, 19_990);
  assertNotStrictEquals(hashText("a", 1), hashText("a", 2));
});
