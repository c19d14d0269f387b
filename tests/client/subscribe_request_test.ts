import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  checkPattern,
  describe,
  split,
  SubscribeLine,
  UNSUBSCRIBE,
} from "../../client/subscribe_request.ts";
import { textOf } from "../support/bytes.ts";

Deno.test("checkPattern() returns a pattern, and throws with the fault of an invalid one", () => {
  for (const pattern of ["a", "a.*", ">", ">x.y", "a..b", "*.>"]) {
    assertEquals(checkPattern(pattern), pattern);
  }
  assertThrows(() => checkPattern("x.>.y"), RangeError, 'Invalid pattern "x.>.y": ">" stands for');
  assertThrows(() => checkPattern("é".repeat(128)), RangeError, "got 256");
  assertThrows(() => checkPattern(null as unknown as string), TypeError, "Invalid pattern");
});

Deno.test("split() makes as few parts as lines of 65,536 bytes can carry, and loses nothing", () => {
  assertEquals(split([], "", Infinity), [[]]);
  assertEquals(split(["a", "b"], "", Infinity), [["a", "b"]]);
  const patterns = Array.from({ length: 2000 }, (_, i) => `${"\u0001\u2028".repeat(i % 40)}${i}`);
  for (const queue of ["", "\u0001".repeat(255)]) {
    for (const most of [3000, 8192, 65_536]) {
      const parts = split(patterns, queue, most === 65_536 ? Infinity : most);
      assertEquals(parts.flat(), patterns);
      const lengths = parts.map((part) => {
        const id = "x".repeat(12);
        return new SubscribeLine(id, UNSUBSCRIBE, part, queue, [], () => {}).bytes.length - 1;
      });
      assert(lengths.every((length) => length <= most), `${lengths}`);
      assert(lengths.slice(0, -1).every((length) => length > most - 700), `${lengths}`);
    }
  }
});

Deno.test("split() puts a pattern that is too long for any line into its own", () => {
  assertEquals(split(["a", "b".repeat(100), "c"], "", 100), [["a"], ["b".repeat(100)], ["c"]]);
});

Deno.test("SubscribeLine has the bytes that a relay reads", () => {
  const request = new SubscribeLine("s1", UNSUBSCRIBE, ["a.*"], "", [], () => {});
  const line = '{"control":"unsubscribe","events":["a.*"],"id":"s1"}\n';
  assertEquals(textOf(request.bytes), line);
  assertEquals(request.errorPrefix, 'Cannot unsubscribe from "a.*"');
});

Deno.test("describe() is short however many patterns there are", () => {
  assertEquals(describe([]), "nothing");
  assertEquals(describe(["a"]), '"a"');
  assertEquals(describe(["a.\x1b", "b", "c"]), '"a.\\u001b" and 2 more');
});
