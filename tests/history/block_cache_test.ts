import { assertStrictEquals } from "@std/assert";
import { BlockCache } from "../../history/block_cache.ts";
import { KeptBlock } from "../../history/kept_block.ts";

function blockOf(first: number, bytes: number): Promise<KeptBlock> {
  return Promise.resolve(new KeptBlock(first, new Uint8Array(bytes)));
}

Deno.test("BlockCache.get() returns a block that is being read, and one that has been", async () => {
  const cache = new BlockCache(10);
  const block = blockOf(1, 10);
  cache.add(1, block);
  assertStrictEquals(cache.get(1), block);
  await block;
  assertStrictEquals(cache.get(1), block);
  assertStrictEquals(cache.get(2), undefined);
});

Deno.test("BlockCache forgets the oldest blocks if all are too many bytes", async () => {
  const cache = new BlockCache(100);
  const [first, second, third] = [blockOf(1, 40), blockOf(2, 40), blockOf(3, 40)];
  cache.add(1, first);
  cache.add(2, second);
  cache.add(3, third);
  await third;
  assertStrictEquals(cache.get(1), undefined);
  assertStrictEquals(cache.get(2), second);
  assertStrictEquals(cache.get(3), third);
});

Deno.test("BlockCache forgets no blocks that are still being read, since that frees nothing", async () => {
  const cache = new BlockCache(100);
  const reading = Promise.withResolvers<KeptBlock>().promise;
  const [second, third] = [blockOf(2, 60), blockOf(3, 60)];
  cache.add(1, reading);
  cache.add(2, second);
  cache.add(3, third);
  await third;
  assertStrictEquals(cache.get(1), reading);
  assertStrictEquals(cache.get(2), undefined);
  assertStrictEquals(cache.get(3), third);
});

Deno.test("BlockCache keeps the latest block, however long it is", async () => {
  const cache = new BlockCache(100);
  const block = blockOf(2, 1000);
  cache.add(1, blockOf(1, 40));
  cache.add(2, block);
  await block;
  assertStrictEquals(cache.get(1), undefined);
  assertStrictEquals(cache.get(2), block);
});

Deno.test("BlockCache forgets a block that could not be read, or is another one", async () => {
  const cache = new BlockCache(100);
  cache.add(1, Promise.reject(new Error("Cannot read")));
  cache.add(2, blockOf(3, 40));
  await blockOf(4, 40);
  assertStrictEquals(cache.get(1), undefined);
  assertStrictEquals(cache.get(2), undefined);
});

Deno.test("BlockCache.clear() forgets blocks that are still being read", async () => {
  const cache = new BlockCache(100);
  cache.add(1, blockOf(1, 90));
  cache.clear();
  const block = blockOf(2, 60);
  cache.add(2, block);
  await block;
  assertStrictEquals(cache.get(1), undefined);
  assertStrictEquals(cache.get(2), block); // so the first one does not count
});
