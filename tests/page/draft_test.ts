import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { readAttributes } from "../../page/draft.ts";
import { countShown, search } from "../../page/search.ts";

Deno.test("readAttributes() reads an object, and no text as no attributes", () => {
  assertEquals(readAttributes(" \n"), { attributes: {}, fault: "" });
  const text = '{\n "a": [1, null, -0, 1e3, 0.1, 9007199254740992, "12345678901234567890"]\n}\n';
  assertEquals(readAttributes(text), { attributes: JSON.parse(text), fault: "" });
});

Deno.test("readAttributes() tells what is wrong", () => {
  assertMatch(readAttributes('{"a":').fault, /^This is not JSON: ./);
  for (const text of ["1.0", "null", "[]", '"a"']) {
    assertMatch(readAttributes(text).fault, /^Attributes are an object/, text);
  }
});

Deno.test("readAttributes() does not let a number be rounded without a word", () => {
  for (const number of ["12345678901234567890", "-9007199254740993", "1e400"]) {
    const { attributes, fault } = readAttributes(`{"a":[{"b":${number}}]}`);
    assertStrictEquals(fault, `A browser would round the number ${number}; write it as text`);
    assertStrictEquals(attributes, null);
  }
});

Deno.test("search() finds a text within any text of an item, in lower or upper case", () => {
  const items = [["c1", "Chat.*"], ["c2", "game.>"], ["c12", ""]];
  const found = (wanted: string) => search(items, wanted, (item) => item).map(([id]) => id);
  assertEquals(found(" C1 "), ["c1", "c12"]);
  assertEquals(found("chat"), ["c1"]);
  assertEquals(found(" "), ["c1", "c2", "c12"]);
});

Deno.test("countShown() tells how many there are in all", () => {
  assertStrictEquals(countShown(12, 12), "12");
  assertStrictEquals(countShown(100, 5000), "100 of 5,000");
});
