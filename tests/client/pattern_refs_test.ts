import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { PatternRefs } from "../../client/pattern_refs.ts";
import { NO_QUEUE } from "../../protocol/names.ts";

const [ada, bob] = [{}, {}];

/** What is held, by queue. */
function patternsOf(refs: PatternRefs): [queue: string, patterns: string[]][] {
  return Array.from(refs, ([queue, patterns]) => [queue, [...patterns.keys()]]);
}

Deno.test("PatternRefs.release() returns the patterns without an owner", () => {
  const refs = new PatternRefs();
  refs.add(["a", "b"], NO_QUEUE, ada);
  refs.add(["b", "c"], NO_QUEUE, bob);
  refs.add(["a"], "q", bob);
  refs.add([], "nothing", bob);
  assertEquals(patternsOf(refs), [["", ["a", "b", "c"]], ["q", ["a"]]]);
  assertEquals(refs.release(["a", "b", "c", "d"], NO_QUEUE, ada), ["a"]);
  assertEquals(refs.release(["a"], "q", ada), []);
  assertEquals(refs.release(["b", "b"], NO_QUEUE, bob), ["b"]);
  assertEquals(refs.release(["a"], "q", bob), ["a"]);
  assertEquals(patternsOf(refs), [["", ["c"]]]);
});

Deno.test("PatternRefs.ownedBy() returns the patterns of one owner", () => {
  const refs = new PatternRefs();
  refs.add(["a", "b"], "q", ada);
  refs.add(["b"], "q", bob);
  assertEquals(refs.ownedBy(ada, ["b", "a", "c"], "q"), ["b", "a"]);
  assertEquals(refs.ownedBy(bob, ["a", "b"], "q"), ["b"]);
  assertEquals(refs.ownedBy(ada, ["a"], "p"), []);
});

Deno.test("PatternRefs keeps queues and plain patterns apart", () => {
  const refs = new PatternRefs();
  refs.add(["a.*"], NO_QUEUE, ada);
  refs.add(["b.>"], "q", ada);
  assertEquals(["a.x", "b.x", "c"].map((name) => refs.matches(name)), [true, true, false]);
  assertEquals(["a.x", "b.x", "c"].map((name) => refs.matchesWithoutQueue(name)), [
    true,
    false,
    false,
  ]);
  assertFalse(new PatternRefs().matchesWithoutQueue("a.x"));
});
