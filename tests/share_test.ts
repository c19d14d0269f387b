import { assertEquals } from "@std/assert/equals";
import { Share } from "../share.ts";
import { utf8 } from "./support/bytes.ts";

const decoder = new TextDecoder();

Deno.test("Share.take() joins the pieces in order, and leaves nothing", () => {
  const share = new Share();
  const [one, two] = [utf8("abcdef"), utf8("uvwxyz")];
  share.add(one, 0, 2);
  share.add(one, 2, 3);
  share.add(two, 0, 1);
  share.add(one, 3, 4);
  share.add(one, 5, 6);
  assertEquals(share.size, 6);
  assertEquals(decoder.decode(share.take()), "abcudf");
  assertEquals(share.size, 0);
  share.add(two, 1, 2);
  assertEquals(decoder.decode(share.take()), "v");
});

Deno.test("Share.take() gives a whole block as it is, and most of one without a copy", () => {
  const share = new Share();
  const block = utf8("abcdefgh");
  share.add(block, 0, 4);
  share.add(block, 4, 8);
  assertEquals(share.take() === block, true);
  share.add(block, 1, 7);
  assertEquals(share.take().buffer === block.buffer, true);
});

Deno.test("Share.take() copies a small part of a block, which would hold all of it in memory", () => {
  const share = new Share();
  const block = utf8("abcdefgh");
  share.add(block, 1, 3);
  const taken = share.take();
  assertEquals([decoder.decode(taken), taken.buffer.byteLength], ["bc", 2]);
});
