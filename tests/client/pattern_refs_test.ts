import { assertEquals } from "@std/assert/equals";
import { PatternRefs } from "../../client/pattern_refs.ts";
import { NO_QUEUE } from "../../protocol/routing.ts";

const [ada, bob] = [{}, {}];

/** What is held, by queue. */
function patternsOf(holders: PatternRefs): [queue: string, patterns: string[]][] {
  return Array.from(holders, ([queue, patterns]) => [queue, [...patterns.keys()]]);
}

Deno.test("PatternRefs.letGo() gives what nobody holds any more", () => {
  const holders = new PatternRefs();
  holders.hold(["a", "b"], NO_QUEUE, ada);
  holders.hold(["b", "c"], NO_QUEUE, bob);
  holders.hold(["a"], "q", bob);
  holders.hold([], "nothing", bob);
  assertEquals(patternsOf(holders), [["", ["a", "b", "c"]], ["q", ["a"]]]);
  assertEquals(holders.letGo(["a", "b", "c", "d"], NO_QUEUE, ada), ["a"]);
  assertEquals(holders.letGo(["a"], "q", ada), []);
  assertEquals(holders.letGo(["b", "b"], NO_QUEUE, bob), ["b"]);
  assertEquals(holders.letGo(["a"], "q", bob), ["a"]);
  assertEquals(patternsOf(holders), [["", ["c"]]]);
});

Deno.test("PatternRefs.held() gives what one of them holds", () => {
  const holders = new PatternRefs();
  holders.hold(["a", "b"], "q", ada);
  holders.hold(["b"], "q", bob);
  assertEquals(holders.held(["b", "a", "c"], "q", ada), ["b", "a"]);
  assertEquals([holders.held(["a", "b"], "q", bob), holders.held(["a"], "p", ada)], [["b"], []]);
});

Deno.test("PatternRefs tells what all is wanted of from what a share is", () => {
  const holders = new PatternRefs();
  holders.hold(["a.*"], NO_QUEUE, ada);
  holders.hold(["b.>"], "q", ada);
  assertEquals(["a.x", "b.x", "c"].map((name) => holders.wants(name)), [true, true, false]);
  assertEquals(["a.x", "b.x", "c"].map((name) => holders.wantsAll(name)), [true, false, false]);
  assertEquals(new PatternRefs().wantsAll("a.x"), false);
});
