import { assertEquals } from "@std/assert/equals";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { concat } from "@std/bytes/concat";
import type { Piece } from "../../net/piece.ts";
import { SliceList, SliceListCache } from "../../server/slice_list.ts";
import { blockOf, textOf } from "../support/bytes.ts";

function textsOf(pieces: readonly Piece[]): string[] {
  return pieces.map(({ bytes }) => textOf(bytes));
}

Deno.test("SliceList.take() joins short pieces in order, and leaves nothing", () => {
  const share = new SliceList();
  const [one, two] = [blockOf("abcdef"), blockOf("uvwxyz")];
  share.add(one, 0, 2, 1);
  share.add(one, 2, 3, 1);
  share.add(two, 0, 1, 1);
  share.add(one, 3, 4, 1);
  share.add(one, 5, 6, 3);
  assertEquals(share.size, 6);
  const [piece, ...others] = share.take();
  assertEquals(textOf(piece!.bytes), "abcudf");
  assertEquals(piece!.events, 7);
  assertEquals(others, []);
  assertEquals(share.size, 0);
  assertEquals(share.take(), []);
  share.add(two, 1, 2, 1);
  assertEquals(textsOf(share.take()), ["v"]);
});

Deno.test("SliceList.take() returns a whole block as it is", () => {
  const share = new SliceList();
  const block = blockOf("abcdefgh");
  share.add(block, 0, 4, 1);
  share.add(block, 4, 8, 1);
  const [piece] = share.take();
  assertStrictEquals(piece!.block, block);
  assertEquals(piece!.events, 2);
});

Deno.test("SliceList.take() copies a short part of a block, so that it does not keep the whole in memory", () => {
  const share = new SliceList();
  const block = blockOf("x".repeat(10_000));
  share.add(block, 1, 3, 1);
  const [piece] = share.take();
  assertEquals(piece!.length, 2);
  assertEquals(piece!.bytes.buffer.byteLength, 2);
});

Deno.test("SliceList.take() leaves long parts of blocks where they are, in the order of all", () => {
  const share = new SliceList();
  const [one, two] = [blockOf("a".repeat(20_000)), blockOf("b".repeat(5000) + "c".repeat(5000))];
  share.add(two, 5000, 5010, 1);
  share.add(one, 10, 5010, 2);
  share.add(one, 6000, 6001, 1);
  share.add(two, 0, 1, 1);
  share.add(two, 9998, 10_000, 1);
  share.add(two, 0, 5000, 1);
  share.add(one, 0, 1, 1);
  const pieces = share.take();
  assertEquals(pieces.map(({ length, events }) => [length, events]), [
    [10, 1],
    [5000, 2],
    [4, 3],
    [5000, 1],
    [1, 1],
  ]);
  const text = "c".repeat(10) + "a".repeat(5001) + "bcc" + "b".repeat(5000) + "a";
  assertEquals(textOf(concat(pieces.map(({ bytes }) => bytes))), text);
  assertStrictEquals(pieces[1]!.block, one);
  assertStrictEquals(pieces[3]!.block, two);
});

Deno.test("SliceList.take() returns the pieces of the last list if the slices are the same", () => {
  const memo = new SliceListCache();
  const block = blockOf("abcdefgh");
  const take = (...bounds: number[]) => {
    const share = new SliceList();
    for (const at of bounds) share.add(block, at, at + 1, 1);
    return share.take(memo);
  };
  const pieces = take(0, 2);
  assertStrictEquals(take(0, 2), pieces);
  assertEquals(textsOf(take(0, 3)), ["ad"]);
  assertEquals(textsOf(take(0, 2)), ["ac"]);
  const last = take(0, 2);
  memo.clear();
  assertNotStrictEquals(take(0, 2), last);
});
