import { assertEquals } from "@std/assert/equals";
import { KeptBlock, NO_SENDER } from "../../history/kept_block.ts";
import { NameCounts } from "../../history/name_counts.ts";
import { utf8 } from "../support/bytes.ts";

function blockOf(names: readonly string[]): KeptBlock {
  const bytes = utf8(names.map((name) => `{"event":"${name}"}\n`).join(""));
  const block = new KeptBlock(1, new Uint8Array(bytes.length));
  block.add(bytes, 0, bytes.length, names.length, NO_SENDER);
  return block;
}

Deno.test("NameCounts counts the events of each name, also of more than a block keeps as texts", () => {
  const counts = new NameCounts();
  const names = Array.from({ length: 900 }, (_, i) => `n.${i % 300}`);
  counts.add(blockOf([...names, "n.7", "n.7", "n.8"]));
  counts.add(blockOf(["n.8"]));
  assertEquals([counts.size, counts.others], [300, 0]);
  assertEquals(counts.top(3), [
    { name: "n.7", events: 5 },
    { name: "n.8", events: 5 },
    { name: "n.0", events: 3 },
  ]);
});

Deno.test("NameCounts keeps the most frequent names, and the sum of the others", () => {
  const counts = new NameCounts(10);
  for (let i = 0; i < 100; i++) counts.add(blockOf(["often", "often", `rare.${i}`]));
  assertEquals(counts.top(1), [{ name: "often", events: 200 }]);
  assertEquals(counts.size < 20, true);
  const counted = counts.top(20).reduce((sum, { events }) => sum + events, 0);
  assertEquals(counted + counts.others, 300);
});
