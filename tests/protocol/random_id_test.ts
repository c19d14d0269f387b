import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { randomId } from "../../protocol/random_id.ts";

Deno.test("randomId() returns the requested number of characters", () => {
  assertMatch(randomId(4), /^[\w-]{8}$/);
  assertEquals(randomId(0), "");
  assertEquals(randomId(1).length, 2);
});

Deno.test("randomId() never returns the same twice, and uses all characters in all places", () => {
  const ids = Array.from({ length: 20_000 }, () => randomId(4));
  assertEquals(new Set(ids).size, ids.length);
  for (let i = 0; i < 8; i++) assertEquals(new Set(ids.map((id) => id[i])).size, 64);
});
