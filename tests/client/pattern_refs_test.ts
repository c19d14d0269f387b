import { assertEquals } from "@std/assert/equals";
import { PatternRefs } from "../../client/pattern_refs.ts";
import { NO_QUEUE } from "../../protocol/names.ts";

const [ada, bob] = [{}, {}];

/** What is held, by queue. */
function patternsOf(refs: PatternRefs): [queue: string, patterns: string[]][] {
  return Array.from(refs, ([queue, patterns]) => [queue, [...patterns.keys()]]);
}

Deno.test("PatternRefs.release() gives what nobody holds any more", () => {
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

Deno.test("PatternRefs.ownedBy() gives what one of them holds", () => {
  const refs = new PatternRefs();
  refs.add(["a", "b"], "q", ada);
  refs.add(["b"], "q", bob);
  assertEquals(refs.ownedBy(ada, ["b", "a", "c"], "q"), ["b", "a"]);
  assertEquals([refs.ownedBy(bob, ["a", "b"], "q"), refs.ownedBy(ada, ["a"], "p")], [["b"], []]);
});

Deno.test("PatternRefs tells what all is wanted of from what a share is", () => {
  const refs = new PatternRefs();
  refs.add(["a.*"], NO_QUEUE, ada);
  refs.add(["b.>"], "q", ada);
  assertEquals(["a.x", "b.x", "c"].map((name) => refs.matches(name)), [true, true, false]);
  assertEquals(["a.x", "b.x", "c"].map((name) => refs.matchesWithoutQueue(name)), [
    true,
    false,
    false,
  ]);
  assertEquals(new PatternRefs().matchesWithoutQueue("a.x"), false);
});
