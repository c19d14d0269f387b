import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import fc from "fast-check";
import { keyOf, TextMap, TextSet } from "../../protocol/text_map.ts";
import { assertNoDearer } from "../support/collisions.ts";

/** Texts that look like integers, and such as begin as keys do, and others. */
const text = fc.oneof(
  fc.constantFrom("0", "1", "2048", "4096", "00", "", ".", ".0", "..0", "__proto__", "a"),
  fc.string({ maxLength: 3 }),
);

Deno.test("TextMap behaves as a Map for any texts", () => {
  const step = fc.tuple(fc.constantFrom("set", "delete", "clear", "copy"), text, fc.nat(9));
  fc.assert(fc.property(fc.array(step), (steps) => {
    let map = new TextMap<number>();
    const model = new Map<string, number>();
    for (const [what, text, value] of steps) {
      if (what === "set") {
        map.set(text, value);
        model.set(text, value);
      } else if (what === "delete") assertEquals(map.delete(text), model.delete(text));
      else if (what === "copy") {
        const before = map;
        map = new TextMap(before);
        before.clear();
      } else {
        map.clear();
        model.clear();
      }
      assertEquals(map.size, model.size);
      assertEquals(map.get(text), model.get(text));
      assertEquals(map.has(text), model.has(text));
    }
    assertEquals([...map], [...model]);
  }));
});

Deno.test("TextSet behaves as a Set for any texts", () => {
  const texts = fc.array(text);
  fc.assert(fc.property(texts, texts, texts, (added, deleted, others) => {
    const set = new TextSet();
    const model = new Set<string>();
    for (const text of added) {
      assertEquals(set.add(text), !model.has(text));
      model.add(text);
    }
    const copy = new TextSet(set);
    for (const text of deleted) {
      assertEquals(set.delete(text), model.delete(text));
      assertFalse(set.has(text));
    }
    assertEquals([...set], [...model]);
    assertEquals(set.size, model.size);
    assertEquals([...copy], [...new Set(added)]);
    const other = new TextSet();
    for (const text of others) other.add(text);
    assertEquals([...set.without(other)], [...model.difference(new Set(others))]);
  }));
});

Deno.test("TextMap and TextSet are as fast with texts that look like integers", () => {
  const map = new TextMap<number>();
  const set = new TextSet(["a", "b"]);
  map.set("a", 1);
  let found = false;
  assertNoDearer(20_000, (texts) => {
    for (const text of texts) found ||= map.has(text) || set.has(text);
  });
  assertFalse(found);
});

Deno.test("keyOf() returns keys that do not collide for texts that look like integers", () => {
  let isWrong = false;
  assertNoDearer(20_000, (texts) => {
    const map = new Map(texts.map((text) => [keyOf(text), text]));
    for (const text of texts) isWrong ||= map.get(keyOf(text)) !== text;
  });
  assertFalse(isWrong);
});
