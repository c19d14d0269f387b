import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { BlockCursor } from "../../history/block_cursor.ts";
import { KeptBlock, NO_SENDER } from "../../history/kept_block.ts";
import type { EventLog } from "../../history/log.ts";
import { utf8 } from "../support/bytes.ts";
import { randomsFrom } from "../support/random.ts";
import { size } from "../support/size.ts";

/** Returns a block of `count` events. */
function blockOf(first: number, count: number): KeptBlock {
  const lines = utf8('{"event":"a"}\n'.repeat(count));
  const block = new KeptBlock(first, new Uint8Array(lines.length));
  block.add(lines, 0, lines.length, count, NO_SENDER);
  return block;
}

/** A log of blocks on a disk, of which some end too early. */
class FakeLog {
  epoch = "e1";
  head = 0;
  /** The offsets that were asked for. */
  readonly asked: number[] = [];
  /** Each block as it can be read, or `null`, and the offset of its last event. */
  readonly #blocks: { readonly last: number; readonly block: KeptBlock | null }[] = [];

  /** Adds `count` events, of which only the first ones can be read. */
  add(count: number, readable = count): void {
    const block = readable > 0 ? blockOf(this.head + 1, readable) : null;
    this.#blocks.push({ last: this.head += count, block });
  }

  read(offset: number): Promise<KeptBlock> {
    assertGreaterOrEqual(offset, 1);
    assertLessOrEqual(offset, this.head);
    this.asked.push(offset);
    const found = this.#blocks.find(({ last, block }) => last >= offset && block !== null);
    return found ? Promise.resolve(found.block!) : Promise.reject(new Error("the disk has failed"));
  }
}

function cursorOf(log: FakeLog): BlockCursor {
  return new BlockCursor(log as unknown as EventLog);
}

async function found(cursor: BlockCursor, offset: number): Promise<KeptBlock | number> {
  for (;;) {
    const result = cursor.at(offset);
    if (!(result instanceof Promise)) return result;
    await result;
  }
}

Deno.test("BlockCursor.at() reads a block once, as long as its events are asked for", async () => {
  const log = new FakeLog();
  log.add(3000);
  log.add(100);
  const cursor = cursorOf(log);
  for (let offset = 1; offset <= log.head; offset++) {
    const block = await found(cursor, offset);
    assert(block instanceof KeptBlock && block.first <= offset && offset <= block.last);
  }
  assertEquals(log.asked, [1, 3001]);
});

Deno.test("BlockCursor.at() reads a block again if the log goes on in a new epoch", async () => {
  const log = new FakeLog();
  log.add(10);
  const cursor = cursorOf(log);
  await found(cursor, 1);
  log.epoch = "e2";
  assert(cursor.at(2) instanceof Promise);
});

Deno.test("BlockCursor.at() keeps no block that is in memory", () => {
  const log = { epoch: "e1", head: 10, read: () => blockOf(1, 10) };
  const cursor = new BlockCursor(log as unknown as EventLog);
  assertNotStrictEquals(cursor.at(1), cursor.at(1));
});

Deno.test("BlockCursor.at() rejects if the log cannot be read, and tries again", async () => {
  const log = new FakeLog();
  log.add(10, 0);
  const cursor = cursorOf(log);
  await assertRejects(() => Promise.resolve(cursor.at(1)), Error, "the disk has failed");
  log.add(10);
  assertStrictEquals(await found(cursor, 1), 10);
});

Deno.test("BlockCursor.at() finds the end of a damaged part with few reads", async () => {
  const log = new FakeLog();
  log.add(4000, 1000);
  log.add(10);
  const cursor = cursorOf(log);
  assertStrictEquals(await found(cursor, 1001), 4000);
  assertLessOrEqual(log.asked.length, 30);
  const { length } = log.asked;
  assertStrictEquals(await found(cursor, 3000), 4000);
  assertStrictEquals(log.asked.length, length);
});

Deno.test("BlockCursor.at() finds each readable event, whatever is damaged, from both sides", async () => {
  for (let seed = 1; seed <= size(200, 10_000); seed++) {
    const random = randomsFrom(seed);
    const log = new FakeLog();
    const readable = new Set<number>();
    const add = (count: number, left: number) => {
      for (let i = 1; i <= left; i++) readable.add(log.head + i);
      log.add(count, left);
    };
    for (let i = 0; i < 10; i++) {
      const count = 1 + random(random(3) === 0 ? 300 : 5);
      add(count, random(2) === 0 ? count : random(count + 1));
    }
    const last = 1 + random(9);
    add(last, 1 + random(last));
    const cursor = cursorOf(log);
    const forwards: number[] = [];
    for (let offset = 1; offset <= log.head;) {
      const result = await found(cursor, offset);
      if (typeof result === "number") {
        assertGreaterOrEqual(result, offset);
        offset = result + 1;
      } else forwards.push(offset++);
    }
    assertEquals(forwards, [...readable]);
    for (let offset = log.head; offset > 0; offset--) {
      assertStrictEquals(await found(cursor, offset) instanceof KeptBlock, readable.has(offset));
    }
  }
});
