import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { ReadBuffers } from "../../net/byte_budget.ts";
import { LineSplitter } from "../../protocol/line_splitter.ts";

/** A megabyte of buffers, and how often an excess was told. */
function setUp() {
  let told = 0;
  const buffers = new ReadBuffers(1_000_000, () => void told++);
  const splitters: LineSplitter[] = [];
  const add = () => {
    const splitter = new LineSplitter({}, buffers);
    splitters.push(splitter);
    return splitter;
  };
  return { buffers, add, splitters, told: () => told };
}

/** Reads `count` bytes, as much at once as there is space, of lines of ten bytes or of one line. */
function read(splitter: LineSplitter, count: number, text: "lines" | "a line"): void {
  for (let left = count; left > 0;) {
    const space = splitter.space();
    const length = Math.min(space.length, left);
    space.fill(0x78, 0, length);
    if (text === "lines") { for (let i = 9; i < length; i += 10) space[i] = 0x0a; }
    splitter.fill(length);
    left -= length;
  }
}

Deno.test("ReadBuffers counts buffers until they are dropped", () => {
  const { buffers, add } = setUp();
  const [one, two] = [add(), add()];
  read(one, 10, "lines");
  assertEquals(buffers.bytes, 0); // which every buffer has
  read(two, 100_000, "a line");
  assertGreaterOrEqual(buffers.bytes, 99_000);
  assertLess(buffers.bytes, 300_000);
  one.drop();
  two.drop();
  two.drop();
  assertEquals(buffers.bytes, 0);
  assertEquals(two.unfinishedBytes, 0);
});

Deno.test("ReadBuffers takes little more than long lines need", () => {
  const { buffers, add } = setUp();
  read(add(), 1_000_000, "a line");
  assertLess(buffers.bytes, 1_500_000);
});

Deno.test("ReadBuffers gives busy peers at most half of the bound, and each peer some of it", () => {
  const { buffers, add, splitters, told } = setUp();
  for (let i = 0; i < 100; i++) add();
  for (let i = 0; i < 3; i++) for (const each of splitters) read(each, 500_000, "lines");
  assertLessOrEqual(buffers.bytes, 500_000);
  assertEquals(told(), 0);
  assert(splitters.every((each) => each.space().length >= 2000));
});

Deno.test("ReadBuffers reports once a turn that unfinished lines exceed the bound", async () => {
  const { add, told } = setUp();
  for (let i = 0; i < 8; i++) read(add(), 200_000, "a line");
  await null;
  assertEquals(told(), 1);
});
