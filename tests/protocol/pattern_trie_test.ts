import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import fc from "fast-check";
import { faultOfPattern, matches } from "../../protocol/pattern.ts";
import { PatternTrie } from "../../protocol/pattern_trie.ts";
import { assertNoDearer } from "../support/collisions.ts";

/** Names and patterns of few tokens, so that many match, and many share a beginning. */
const token = fc.constantFrom("a", "b", "ab", "", "*", ">", "**");
const dotted = fc.array(token, { minLength: 1, maxLength: 6 }).map((tokens) => tokens.join("."));
const name = dotted.filter((text) => text !== "");
const pattern = dotted.filter((text) => faultOfPattern(text) === "");

/** An index of patterns, each with itself as its value. */
function indexOf(patterns: readonly string[]): PatternTrie<string> {
  const index = new PatternTrie<string>();
  for (const each of patterns) index.add(each, each);
  return index;
}

Deno.test("PatternTrie.find() returns the values of all matching patterns, and no others", () => {
  const index = indexOf(["a", "a.b", "a.*", "a.>", "*.b", ">", "a.b.c", "*", ".b", "a..b", "a."]);
  const table: [name: string, found: string[]][] = [
    ["a", ["*", ">", "a"]],
    ["a.b", ["*.b", ">", "a.*", "a.>", "a.b"]],
    ["a.b.c", [">", "a.>", "a.b.c"]],
    ["b", ["*", ">"]],
    [".b", ["*.b", ".b", ">"]],
    ["a..b", [">", "a..b", "a.>"]],
    ["a.", [">", "a.", "a.*", "a.>"]],
    ["ab", ["*", ">"]],
  ];
  for (const [name, found] of table) assertEquals(index.find(name).sort(), found, name);
});

Deno.test("PatternTrie.find() treats wildcards in a name as plain text", () => {
  const index = indexOf(["*", ">", "a.*", "a.>"]);
  assertEquals(index.find("*").sort(), ["*", ">"]);
  assertEquals(index.find(">").sort(), ["*", ">"]);
  assertEquals(index.find("a.>.b").sort(), [">", "a.>"]);
});

Deno.test("PatternTrie keeps several values for a pattern, and each once", () => {
  const index = new PatternTrie<number>();
  index.add("a.*", 1);
  index.add("a.*", 2);
  index.add("a.*", 2);
  index.add("a.b", 1);
  assertEquals(index.size, 3);
  assertEquals(index.find("a.b").sort(), [1, 1, 2]);
  index.delete("a.*", 1);
  index.delete("a.*", 1);
  index.delete("a.c", 1);
  index.delete("a", 1);
  index.delete("a.b.c", 1);
  assertEquals(index.size, 2);
  assertEquals(index.find("a.b").sort(), [1, 2]);
});

Deno.test("PatternTrie finds the same as a comparison with every pattern, after random changes", () => {
  const step = fc.tuple(fc.boolean(), pattern);
  const steps = fc.array(step, { maxLength: 40 });
  fc.assert(fc.property(steps, fc.array(name, { maxLength: 20 }), (steps, names) => {
    const index = new PatternTrie<string>();
    const kept = new Set<string>();
    for (const [isAdded, pattern] of steps) {
      if (isAdded) {
        index.add(pattern, pattern);
        kept.add(pattern);
      } else {
        index.delete(pattern, pattern);
        kept.delete(pattern);
      }
      assertEquals(index.size, kept.size);
    }
    for (const name of names) {
      const expected = [...kept].filter((pattern) => matches(pattern, name));
      assertEquals(index.find(name).sort(), expected.sort(), name);
    }
    for (const pattern of kept) index.delete(pattern, pattern);
    assertEquals(index.size, 0);
    for (const name of names) assertEquals(index.find(name).length, 0);
  }));
});

Deno.test("PatternTrie stands a hundred thousand patterns that branch at every token", () => {
  const index = new PatternTrie<number>();
  for (let i = 0; i < 100_000; i++) {
    const bits = i.toString(2).padStart(17, "0");
    index.add([...bits].map((bit) => bit === "0" ? "a" : "*").join(".") + ".a".repeat(100), i);
  }
  assertEquals(index.find("a.".repeat(116) + "b").length, 0);
  assertEquals(index.find("a.".repeat(116) + "a").length, 100_000);
  assertEquals(index.find("a.".repeat(200)).length, 0);
});

Deno.test("PatternTrie is as fast with tokens that look like integers", () => {
  let isWrong = false;
  assertNoDearer(10_000, (tokens) => {
    const index = new PatternTrie<number>();
    tokens.forEach((token, i) => index.add(`a.${token}.b`, i));
    tokens.forEach((token, i) => isWrong ||= index.find(`a.${token}.b`)[0] !== i);
    tokens.forEach((token, i) => index.delete(`a.${token}.b`, i));
  });
  assertFalse(isWrong);
});
