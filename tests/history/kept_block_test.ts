import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { extract, findLast } from "../../history/extract.ts";
import { KeptBlock, NO_SENDER } from "../../history/kept_block.ts";
import { NameFilter } from "../../history/name_filter.ts";
import { NOTHING } from "../../protocol/utf8.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { covers } from "../support/reference.ts";

Deno.test("KeptBlock finds the lines of a name, however many names there are", () => {
  const names = Array.from({ length: 1000 }, (_, i) => `${"ab"[i % 2]}.${i % 3 === 0 ? i : i % 7}`);
  const all = [...names, ...names.toReversed()];
  const lines = utf8(all.map((name) => `{"event":"${name}"}\n`).join(""));
  const block = new KeptBlock(1, new Uint8Array(lines.length));
  block.add(lines, 0, lines.length, all.length, NO_SENDER);
  for (const pattern of ["a.*", "b.999", "a.0", "*.4", "none"]) {
    const choice = { filter: new NameFilter([pattern]), excluded: NO_SENDER };
    const form = { hasOffset: true, member: NOTHING };
    const found: number[] = [];
    for (let to = 0; to < all.length;) {
      const part = extract(block, to + 1, all.length, choice, form, Infinity);
      for (const [, offset] of textOf(part.bytes).matchAll(/"offset":(\d+)/g)) {
        found.push(Number(offset));
      }
      to = part.to;
    }
    const expected = all.flatMap((name, i) => covers(pattern, name) ? [i + 1] : []);
    assertEquals(found, expected);
    const last = findLast(block, all.length, choice, 2);
    assertEquals([last.count, last.offset], [Math.min(2, expected.length), expected.at(-2)]);
  }
});

Deno.test("KeptBlock does not take events without a sender for those of the sender before", () => {
  const lines = utf8('{"event":"a"}\n');
  const block = new KeptBlock(1, new Uint8Array(5 * lines.length));
  const senders = [NO_SENDER, 7, NO_SENDER, 7, 8];
  for (const sender of senders) block.add(lines, 0, lines.length, 1, sender);
  assertEquals(senders.map((_, i) => block.senderOf(i)), senders);
  assertEquals([7, 8, 9, NO_SENDER].map((each) => block.hasSender(each)), [
    true,
    true,
    false,
    false,
  ]);
});

Deno.test("KeptBlock needs hardly any memory for names of which each comes once", async () => {
  const code = `
    import { KeptBlock } from "${import.meta.resolve("../../history/kept_block.ts")}";
    const used = () => { gc(); return Deno.memoryUsage().heapUsed; };
    const blocks = [];
    let before;
    for (let i = 0; i < 120; i++) {
      if (i === 20) { // V8 has compiled and dropped by then what it does the first time.
        blocks.length = 0;
        before = used();
      }
      let text = "";
      for (let k = 0; k < 5000; k++) text += '{"event":"s.' + (100_000 * i + k) + '"}\\n';
      const lines = new TextEncoder().encode(text);
      const block = new KeptBlock(1, lines);
      block.add(lines, 0, lines.length, 5000, 0);
      block.index(5000);
      for (let k = 0; k < 5000; k++) block.nameOf(k);
      block.close();
      blocks.push(block);
    }
    console.log((used() - before) / 500_000, blocks.length);
  `;
  const args = ["eval", "--quiet", "--no-check", "--v8-flags=--expose-gc", code];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
  const [perName, blocks] = textOf(stdout).trim().split(" ").map(Number);
  assertEquals(blocks, 100);
  assertGreater(perName!, 0);
  assertLess(perName!, 20);
});

Deno.test("KeptBlock covers offsets of no event, as in the log of a cluster", () => {
  const lines = utf8('{"event":"a"}\n{"event":"b"}\n{"event":"c"}\n');
  const size = lines.length / 3;
  const block = new KeptBlock(100, new Uint8Array(lines.length));
  block.add(lines, 0, size, 1, NO_SENDER, 105);
  block.add(lines, size, 3 * size, 2, NO_SENDER, 118);
  block.cover(130);
  assertEquals([block.first, block.last, block.count], [100, 130, 3]);
  assertEquals([0, 1, 2].map((line) => block.offsetOf(line)), [105, 118, 119]);
  const lineFrom = (offset: number) => block.lineFrom(offset);
  assertEquals([90, 100, 105, 106, 117, 118, 119, 120, 131].map(lineFrom), [
    ...[0, 0, 0, 1, 1, 1, 2, 3, 3],
  ]);
  const choice = { filter: new NameFilter([">"]), excluded: NO_SENDER };
  const form = { hasOffset: true, member: NOTHING };
  const read = (from: number, to: number) => {
    const part = extract(block, from, to, choice, form, Infinity);
    const offsets = [...textOf(part.bytes).matchAll(/"offset":(\d+)/g)].map(([, each]) => each);
    return [offsets.join(), part.to];
  };
  assertEquals(read(100, 130), ["105,118,119", 130]);
  assertEquals(read(106, 118), ["118", 118]);
  assertEquals(read(106, 110), ["", 110]);
  assertEquals(read(120, 130), ["", 130]);
  assertEquals(extract(block, 100, 130, choice, form, 1).to, 117);
  assertEquals(findLast(block, 130, choice, 2), { count: 2, offset: 118 });
  assertEquals(findLast(block, 117, choice, 2), { count: 1, offset: 105 });
});
