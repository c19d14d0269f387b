// Replays of a log that fails, is damaged, or loses events.

import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { KeptBlock, NO_SENDER } from "../../history/kept_block.ts";
import { LastValues } from "../../history/last_values.ts";
import { Producers } from "../../history/producers.ts";
import { MemoryLog } from "../../history/memory_log.ts";
import { checkHistoryOptions } from "../../history/options.ts";
import type { LineConnection } from "../../net/line_connection.ts";
import { CatchUp } from "../../relay/catch_up.ts";
import { PastRead } from "../../relay/past_read.ts";
import { type Replay, type Wish, wishFrom } from "../../relay/replay.ts";
import { ReplayScheduler } from "../../relay/replay_scheduler.ts";
import { ReplaySource } from "../../relay/replay_source.ts";
import { Router } from "../../relay/router.ts";
import type { Subscriber } from "../../relay/subscription_table.ts";
import { utf8 } from "../support/bytes.ts";
import { FakeRecipient } from "../support/routes.ts";
import { until } from "../support/waiting.ts";

/** A client that notes why it was closed. */
class FakeClient extends FakeRecipient {
  /** The reasons and details. */
  readonly closed: string[] = [];
  hasLeft = false;

  flush(): Promise<void> {
    return this.hasLeft ? Promise.reject(new Error("the client has left")) : Promise.resolve();
  }

  close(reason: string, detail: string): void {
    this.open = false;
    this.closed.push(`${reason}: ${detail}`);
  }
}

const UNREADABLE = ["overloaded: the history cannot be read"];

interface Fixture {
  readonly log: MemoryLog;
  readonly lastValues: LastValues;
  readonly source: ReplaySource;
  /** What the relay was told of the log. */
  readonly faults: readonly string[];
  readonly scheduler: ReplayScheduler;
  join(): { readonly client: Subscriber<LineConnection>; readonly fake: FakeClient };
}

/** Opens a log of `count` events `a`. */
function open(count: number): Fixture {
  const rules = checkHistoryOptions({});
  const log = new MemoryLog(rules);
  append(log, count);
  const lastValues = new LastValues();
  const keeper = { log, lastValues, rules, producers: new Producers(), keepsSenders: false };
  const faults: string[] = [];
  const source = new ReplaySource(keeper, 8_388_608, (fault) => faults.push(fault));
  const router = new Router<LineConnection>({
    echo: true,
    subscribeFirst: true,
    maxBatchDelay: 0,
    maxPendingBytes: 8_388_608,
    onQueued: () => {},
    hasHistory: true,
  });
  let lastId = 0;
  return {
    log,
    lastValues,
    source,
    faults,
    scheduler: new ReplayScheduler(() => source.clear()),
    join() {
      const fake = new FakeClient(++lastId);
      return { client: router.open(fake as unknown as LineConnection), fake };
    },
  };
}

function append(log: MemoryLog, count: number): void {
  const lines = utf8('{"event":"a"}\n'.repeat(count));
  log.append(lines, 0, lines.length, count, NO_SENDER, 0);
}

/** Takes steps until the replay has ended. */
async function finish(replay: Replay): Promise<void> {
  for (let steps = 0; steps < 1000; steps++) {
    const need = replay.step();
    if (need === "nothing") return;
    if (need instanceof Promise) await need;
  }
  throw new Error("the replay does not end");
}

const offsetsIn = ({ text }: FakeClient): number[] =>
  Array.from(text.matchAll(/\{"offset":(\d+),/g), ([, offset]) => Number(offset));

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Reports an error for an offset that the log does not have. */
function guard(log: MemoryLog): void {
  const read = log.read.bind(log);
  log.read = (offset) => {
    assertLessOrEqual(offset, log.head);
    return read(offset);
  };
}

Deno.test("A client whose read fails is closed, and another one goes on", async () => {
  const { log, source, scheduler, join } = open(100);
  const [one, two] = [join(), join()];
  const read = log.read.bind(log);
  let isFirst = true;
  log.read = (offset) => {
    if (!isFirst) return read(offset);
    isFirst = false;
    return Promise.reject(new Error("the disk has failed")) as unknown as KeptBlock;
  };
  for (const { client } of [one, two]) {
    const replay = new CatchUp(client, source, () => {});
    replay.follow(wishFrom("s", ["a"], 0));
    scheduler.start(replay);
  }
  await until(() => one.fake.closed.length > 0 && two.fake.text.includes('"live"'));
  scheduler.stop();
  assertEquals(one.fake.closed, UNREADABLE);
  assertEquals(two.fake.closed, []);
});

Deno.test("PastRead ends with the last event of a log that has lost its last events", async () => {
  const { log, source, join } = open(5000);
  const { client, fake } = join();
  guard(log);
  const read = new PastRead(client, source, "h", () => {});
  read.ask(wishFrom("h", ["a"], 0));
  fake.pendingBytes = 1_000_000;
  assertStrictEquals(read.step(), "room");
  log.head = 3000;
  fake.pendingBytes = 0;
  await finish(read);
  assertEquals(offsetsIn(fake), range(1, 3000));
  assertMatch(fake.text, /\{"control":"end","id":"h","offset":3000\}\n$/);
});

Deno.test("A search goes on from the last event of a log that has lost its last events", async () => {
  const { log, source, join } = open(5000);
  const { client, fake } = join();
  guard(log);
  const read = new PastRead(client, source, "h", () => {});
  read.ask(read.wishLast("h", ["a"], 5, () => {}));
  log.head = 3000;
  await finish(read);
  assertEquals(offsetsIn(fake), range(2996, 3000));
});

Deno.test("A replay of last events ends if the log has lost them", async () => {
  const { log, lastValues, source, join } = open(5000);
  const line = utf8('{"event":"a"}\n');
  for (const offset of [1, 4000, 5000]) {
    lastValues.set({ name: `a${offset}`, offset, line, sender: 7 });
  }
  const { client, fake } = join();
  guard(log);
  const read = new PastRead(client, source, "h", () => {});
  read.ask(read.wishValues("h", [">"]));
  log.head = 3000;
  await finish(read);
  assertEquals(offsetsIn(fake)[0], 1);
  assertMatch(fake.text, /\{"control":"end","id":"h","offset":3000\}\n$/);
});

/** Returns a block of `count` events `a`. */
function blockOf(first: number, count: number): KeptBlock {
  const lines = utf8('{"event":"a"}\n'.repeat(count));
  const block = new KeptBlock(first, new Uint8Array(lines.length));
  block.add(lines, 0, lines.length, count, NO_SENDER);
  return block;
}

/** Divides the events of a log into blocks of 1000 on a disk. Returns the offsets of all reads. */
function onDisk(log: MemoryLog, readable: (first: number) => number = () => 1000): number[] {
  const asked: number[] = [];
  log.read = (offset) => {
    asked.push(offset);
    const first = offset - (offset - 1) % 1000;
    return Promise.resolve(blockOf(first, readable(first))) as unknown as KeptBlock;
  };
  return asked;
}

Deno.test("A replay tells the gap of a block that ends too early, and sends what follows", async () => {
  const { log, source, faults, join } = open(5000);
  const asked = onDisk(log, (first) => first === 2001 ? 128 : 1000);
  const { client, fake } = join();
  const read = new PastRead(client, source, "h", () => {});
  read.ask(wishFrom("h", ["a"], 0));
  await finish(read);
  assertEquals(offsetsIn(fake), [...range(1, 2128), ...range(3001, 5000)]);
  assertEquals(fake.text.match(/\{"control":"gap".*\}/g), [
    '{"control":"gap","id":"h","from":2129,"to":3000,"reason":"evicted"}',
  ]);
  assertLess(asked.length, 30);
  const again = new PastRead(client, source, "i", () => {});
  again.ask(wishFrom("i", ["a"], 2500));
  await finish(again);
  assertEquals(faults, ["the events 2129 to 3000 are damaged or missing, and left out"]);
});

Deno.test("A replay tells the gap up to the end if nothing is readable after it", async () => {
  const { log, source, join } = open(3000);
  onDisk(log, (first) => first === 2001 ? 128 : 1000);
  const { client, fake } = join();
  const catchUp = new CatchUp(client, source, () => {});
  catchUp.stamp();
  catchUp.follow(wishFrom("s", ["a"], 1990));
  await finish(catchUp);
  assertEquals(offsetsIn(fake), range(1991, 2128));
  assertMatch(
    fake.text,
    /"from":2129,"to":3000,.*\n\{"control":"live","id":"s","offset":3000\}\n$/,
  );
});

Deno.test("A search ends at a damaged part, which comes first in the answer", async () => {
  const { log, source, join } = open(5000);
  onDisk(log, (first) => first === 4001 ? 500 : 1000);
  const { client, fake } = join();
  append(log, 1000);
  const read = new PastRead(client, source, "h", () => {});
  read.ask(read.wishLast("h", ["a"], 2000, () => {}));
  await finish(read);
  assertEquals(offsetsIn(fake), range(5001, 6000));
  assertMatch(
    fake.text,
    /^\{"control":"gap","id":"h","from":5000,"to":5000,"reason":"evicted"\}\n/,
  );
});

Deno.test("A replay reads each block of the disk once, in however many pieces it sends it", async () => {
  const { source, log, join } = open(20_000);
  const asked: number[] = [];
  log.read = (offset) => {
    asked.push(offset);
    const block = offset <= 10_000 ? blockOf(1, 10_000) : blockOf(10_001, 10_000);
    return Promise.resolve(block) as unknown as KeptBlock;
  };
  const { client, fake } = join();
  const read = new PastRead(client, source, "h", () => {});
  read.ask(wishFrom("h", ["a"], 0));
  await finish(read);
  assertEquals(offsetsIn(fake), range(1, 20_000));
  assertEquals(asked, [1, 10_001]);
});

Deno.test("A replay uses no block of memory that the log has dropped since", () => {
  const { source, log, join } = open(0);
  const { client, fake } = join();
  append(log, 2000);
  const read = new PastRead(client, source, "h", () => {});
  read.ask(read.wishLast("h", ["a"], 1, () => {}));
  assertStrictEquals(read.step(), "step"); // It has looked at a part of the block.
  const block = blockOf(1, 2000);
  let reads = 0;
  log.read = () => {
    reads++;
    return block;
  };
  while (read.step() !== "nothing");
  assertGreater(reads, 1);
  assertEquals(offsetsIn(fake), [2000]);
});

/** A client that catches up, with its number of wishes. */
class CountingCatchUp extends CatchUp {
  get wishCount(): number {
    return this.wishes.length;
  }

  get all(): readonly Wish[] {
    return this.wishes;
  }
}

Deno.test("CatchUp.wait() adds no wish for no pattern, and one for many of the same moment", () => {
  const { log, source, join } = open(2000);
  const { client, fake } = join();
  const catchUp = new CountingCatchUp(client, source, () => {});
  catchUp.stamp();
  catchUp.follow(wishFrom("s", ["none"], 0));
  for (let i = 0; i < 1000; i++) catchUp.wait([]);
  for (let i = 0; i < 1000; i++) catchUp.wait([`a.${i}`]);
  assertStrictEquals(catchUp.wishCount, 2);
  append(log, 10);
  catchUp.wait(["a"]);
  assertStrictEquals(catchUp.wishCount, 3);
  append(log, 10);
  catchUp.unfollow(["a.1"]);
  while (catchUp.step() !== "nothing");
  assertEquals(offsetsIn(fake), range(2011, 2020));
});

Deno.test("A replay has room for any number of wishes", () => {
  const { log, source, join } = open(10);
  const { client, fake } = join();
  const catchUp = new CountingCatchUp(client, source, () => {});
  catchUp.stamp();
  catchUp.follow(wishFrom("s", ["a"], 0));
  const wishes = catchUp.all as Wish[];
  for (let i = 0; i < 150_000; i++) wishes.push(wishFrom(null, ["b"], log.head));
  while (catchUp.step() !== "nothing");
  assertEquals(offsetsIn(fake), range(1, 10));
});
