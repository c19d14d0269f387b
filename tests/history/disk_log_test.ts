import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLess } from "@std/assert/less";
import { assertNotEquals } from "@std/assert/not-equals";
import { assertRejects } from "@std/assert/rejects";
import { crc32 } from "node:zlib";
import { NO_SENDER } from "../../history/kept_block.ts";
import type { EventLog } from "../../history/log.ts";
import { DiskFolder } from "../../history/log_folder.ts";
import { openLog } from "../../history/open_log.ts";
import { checkHistoryOptions, type HistoryOptions } from "../../history/options.ts";
import { decodeSegmentHead } from "../../history/segment_format.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { Clock } from "../support/clock.ts";
import { TempFolder } from "../support/folder.ts";
import { quietSink } from "../support/log_sink.ts";
import { MemoryFile, MemoryFolder } from "../support/memory_folder.ts";
import { randomsFrom } from "../support/random.ts";
import { size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";

function open(folder: MemoryFolder | DiskFolder, options: HistoryOptions = {}) {
  return openLog(folder, checkHistoryOptions({ folder: "memory", ...options }));
}

/** The line of an event. */
const line = (i: number, padding = 0) =>
  `{"event":"e","__dict__":{"i":${i}${padding > 0 ? `,"p":"${"x".repeat(padding)}"` : ""}}}\n`;

/** Adds events with these numbers in one go. Returns the offset of the first. */
function add(log: EventLog, from: number, to = from, padding = 0): number {
  let text = "";
  for (let i = from; i <= to; i++) text += line(i, padding);
  const bytes = utf8(text);
  return log.append(bytes, 0, bytes.length, to - from + 1, NO_SENDER, performance.now());
}

/** Looks at the disk as often as is done in so many seconds. */
function lookAt(log: EventLog, seconds: number): void {
  for (let i = 0; i < seconds; i++) log.checkDisk();
}

async function synced(log: EventLog): Promise<void> {
  await until(() => log.synced === log.head);
}

/** Returns the number of each event from an offset on, by its offset. */
async function numbersOf(log: EventLog, from = log.first): Promise<Map<number, number>> {
  const numbers = new Map<number, number>();
  for (let offset = from; offset <= log.head;) {
    const block = await log.read(offset);
    const lines = textOf(block.bytes).split("\n").slice(0, -1);
    assertEquals(lines.length, block.count);
    for (const [k, text] of lines.entries()) {
      if (block.first + k >= from) numbers.set(block.first + k, JSON.parse(text).__dict__.i);
    }
    assert(block.last >= offset);
    offset = block.last + 1;
  }
  return numbers;
}

/** The numbers from 1 on, each at the offset of the same value. */
const upTo = (count: number, first = 1) =>
  new Map(Array.from({ length: count - first + 1 }, (_, i) => [first + i, first + i]));

Deno.test("DiskLog has everything after it was closed and opened again, under the same epoch", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  for (let i = 1; i <= 50; i++) assertEquals(add(log, i), i);
  await log.close();
  assertEquals(folder.isOpen, false);
  const { log: next, findings } = await open(folder);
  assertEquals(findings, { tornBytes: 0, damagedBytes: 0, unreadable: [], isClosed: true });
  assertEquals([next.epoch, next.first, next.head, next.synced], [log.epoch, 1, 50, 50]);
  assertEquals(add(next, 51, 60), 51);
  assertEquals(await numbersOf(next), upTo(60));
  await next.close();
  const { log: third } = await open(folder);
  assertEquals([third.epoch, third.head], [log.epoch, 60]);
  assertEquals(await numbersOf(third), upTo(60));
  await third.close();
});

Deno.test("DiskLog writes what comes during a sync together, and says when it is on the disk", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  const { syncs } = folder;
  let release = () => {};
  folder.onSync = () => new Promise((resolve) => release = resolve);
  const seen: number[] = [];
  log.watch({ ...quietSink, onSynced: () => seen.push(log.synced) });
  add(log, 1);
  await until(() => folder.files.values().next().value!.bytes.length > 150);
  for (let i = 2; i <= 100; i++) add(log, i);
  assertEquals([log.head, log.synced], [100, 0]);
  release();
  await until(() => seen.length === 1);
  folder.onSync = () => Promise.resolve();
  await until(() => {
    release();
    return seen.length === 2;
  });
  assertEquals(seen, [1, 100]);
  assertEquals(folder.syncs, syncs + 2);
  await log.close();
});

Deno.test("DiskLog with sync always lets clients receive what is on the disk, and nothing else", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder, { sync: "always" });
  let release = () => {};
  folder.onSync = () => new Promise((resolve) => release = resolve);
  assertEquals(add(log, 1, 3), 1);
  await until(() => folder.files.values().next().value!.bytes.length > 150);
  assertEquals(add(log, 4), 4);
  assertEquals([log.head, log.synced, log.added], [0, 0, 4]);
  assertEquals(await log.since(performance.now() + 1000), 1);
  release();
  await until(() => log.synced === 3);
  assertEquals([log.head, log.added, log.throughOf(log.epoch)], [3, 4, 3]);
  await until(() => {
    release();
    return log.synced === 4;
  });
  folder.onSync = () => Promise.resolve();
  await log.close();
  const { log: next, findings } = await open(folder, { sync: "always" });
  assertEquals([next.epoch, next.head, findings.isClosed], [log.epoch, 4, true]);
  await next.close();
});

Deno.test("DiskLog has all that was synced when the end is cut anywhere, and begins an epoch that goes on", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  add(log, 1, 20);
  await synced(log);
  const [file] = [...folder.files.values()];
  const before = file!.synced;
  add(log, 21, 30);
  await synced(log);
  const whole = file!.bytes.length;
  file!.synced = before;
  for (let kept = 0; kept <= whole - before; kept++) {
    const crashed = folder.crash(() => kept);
    const { log: next, findings } = await open(crashed);
    const head = kept === whole - before ? 30 : 20;
    assertEquals(next.head, head, `${kept} bytes`);
    assertNotEquals(next.epoch, log.epoch);
    assertEquals(next.throughOf(log.epoch), head);
    assertEquals(findings.tornBytes, head === 30 ? 0 : kept);
    assertEquals(add(next, head + 1), head + 1);
    assertEquals(await numbersOf(next), upTo(head + 1));
    await next.close();
    const { log: third } = await open(crashed);
    assertEquals([third.epoch, third.throughOf(log.epoch)], [next.epoch, head]);
    await third.close();
  }
  await log.close();
});

Deno.test("DiskLog never gives a wrong event, whichever bit was flipped, and the others stay readable", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  for (let i = 1; i <= 100; i += 5) {
    add(log, i, i + 4);
    await synced(log);
  }
  await log.close();
  const [name] = [...folder.files.keys()];
  const { bytes } = folder.files.get(name!)!;
  const random = randomsFrom(5);
  for (let round = 0; round < size(1000, 10_000); round++) {
    const damaged = folder.crash();
    const file = damaged.files.get(name!)!;
    file.bytes = bytes.slice();
    const at = random(bytes.length);
    file.bytes[at]! ^= 1 << random(8);
    file.synced = file.bytes.length;
    const { log: next, findings } = await open(damaged);
    const found = await numbersOf(next);
    for (const [offset, number] of found) assertEquals(offset, number, `bit at ${at}`);
    const isNoticed = findings.damagedBytes + findings.tornBytes > 0 || !findings.isClosed ||
      findings.unreadable.length > 0;
    assert(isNoticed, `bit at ${at}`);
    if (findings.unreadable.length === 0) assertGreaterOrEqual(found.size, 90);
    assertNotEquals(next.epoch, log.epoch);
    await next.close();
  }
});

Deno.test("DiskLog drops the oldest segments when they are too many bytes", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder, { keepBytes: 5_000_000 });
  let next = 1;
  while (log.first < 5000) {
    add(log, next, next + 99, 1000);
    next += 100;
    await synced(log);
    assertLess(next, 20_000);
  }
  assertLess(log.bytes, 5_500_000);
  assertGreaterOrEqual(log.bytes, 4_000_000);
  assertEquals(await numbersOf(log), upTo(next - 1, log.first));
  const { first, epoch } = log;
  await log.close();
  const { log: again } = await open(folder, { keepBytes: 5_000_000 });
  assertEquals([again.first, again.head, again.epoch], [first, next - 1, epoch]);
  assertEquals(await numbersOf(again), upTo(next - 1, first));
  await again.close();
});

Deno.test("DiskLog goes on in a new epoch after the disk has failed, with all that was synced", async () => {
  for (const operation of ["append", "sync"] as const) {
    const folder = new MemoryFolder();
    const { log } = await open(folder);
    const news: string[] = [];
    log.watch({
      ...quietSink,
      onBroken: (fault) => news.push(fault),
      onMended: () => news.push("mended"),
    });
    add(log, 1, 10);
    await synced(log);
    const { epoch } = log;
    folder.fault = (each) => each === operation || each === "create" ? "no space" : null;
    add(log, 11, 20);
    await until(() => log.isBroken);
    assertEquals([log.synced, news], [10, ["cannot write to memory: no space"]]);
    folder.fault = () => null;
    await until(() => !log.isBroken);
    assertEquals(news.at(-1), "mended");
    assertNotEquals(log.epoch, epoch);
    assertEquals([log.head, log.throughOf(epoch)], [10, 10]);
    assertEquals(add(log, 11, 12), 11);
    await log.close();
    const { log: next } = await open(folder);
    assertEquals(await numbersOf(next), upTo(12));
    assertEquals([next.epoch, next.throughOf(epoch)], [log.epoch, 10]);
    await next.close();
  }
});

Deno.test("DiskLog keeps what follows events that became too old while the disk took none", async () => {
  using clock = new Clock();
  const folder = new MemoryFolder();
  const { log } = await open(folder, { keepAge: 60_000 });
  add(log, 1, 10);
  await synced(log);
  folder.fault = () => "no space";
  add(log, 11, 1000);
  await until(() => log.isBroken);
  clock.advance(120_000);
  // The time at which events were written is that of the system.
  const now = Date.now;
  Date.now = () => now() + 120_000;
  try {
    log.expire(performance.now());
    await until(() => log.first > 1);
  } finally {
    Date.now = now;
  }
  assertEquals([log.first, log.head, log.events], [11, 1000, 990]);
  folder.fault = () => null;
  await until(() => !log.isBroken);
  assertEquals([log.first, log.head, log.events, log.evicted], [11, 10, 0, 10]);
  add(log, 11, 30);
  await synced(log);
  assertEquals([log.first, log.events], [11, 20]);
  assertEquals(await numbersOf(log), upTo(30, 11));
  await log.close();
});

Deno.test("DiskLog keeps a line that is longer than what stays in memory, and all that come with it", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  const faults: string[] = [];
  log.watch({
    ...quietSink,
    onBroken: (fault) => faults.push(fault),
  });
  let release = () => {};
  folder.onSync = () => new Promise((resolve) => release = resolve);
  add(log, 1, 2);
  add(log, 3, 3, 34_000_000);
  add(log, 4, 5);
  assertEquals(await numbersOf(log), upTo(5)); // Clients read events before the disk has them.
  folder.onSync = () => Promise.resolve();
  await until(() => {
    release();
    return log.synced === 5 || faults.length > 0;
  });
  assertEquals(faults, []);
  assertEquals(await numbersOf(log), upTo(5));
  await log.close();
  const { log: next } = await open(folder);
  assertEquals(await numbersOf(next), upTo(5));
  await next.close();
});

/** Attempts to keep events again, which are made when a test says so, until it is disposed of. */
class Retries implements Disposable {
  readonly #setTimeout = globalThis.setTimeout;
  #attempt: (() => void) | null = null;
  /** How long each attempt would have waited, in milliseconds. */
  readonly waits: number[] = [];

  constructor() {
    globalThis.setTimeout = ((callback: () => void, ms = 0) => {
      if (ms < 1000) return this.#setTimeout.call(globalThis, callback, ms);
      this.#attempt = callback;
      this.waits.push(ms);
      return 0;
    }) as typeof setTimeout;
  }

  /** Makes the attempt. */
  async next(): Promise<void> {
    await until(() => this.#attempt !== null);
    const attempt = this.#attempt!;
    this.#attempt = null;
    attempt();
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
  }
}

/** Notes what a log tells, but for what it has kept. */
function newsOf(log: EventLog, onReopen: () => Promise<void> = () => Promise.resolve()): string[] {
  const news: string[] = [];
  log.watch({
    ...quietSink,
    onReopen,
    onBroken: (fault) => news.push(fault),
    onMended: () => news.push("mended"),
  });
  return news;
}

Deno.test("DiskLog goes on only when the disk has room for more than the start of a file", async () => {
  using retries = new Retries();
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  const news = newsOf(log);
  const { epoch } = log;
  folder.capacity = 200_000;
  let count = 0;
  let bytes = 0;
  while (!log.isBroken) {
    ({ bytes } = folder);
    add(log, ++count, count, 15_000);
    await until(() => log.isBroken || log.synced === count);
  }
  for (let k = 0; k < 3; k++) {
    await retries.next();
    await until(() => retries.waits.length === k + 2);
    assertEquals([log.isBroken, log.epoch, news], [true, epoch, [
      "cannot write to memory: no space",
    ]]);
    assertEquals(folder.bytes, bytes); // The trial is removed again.
  }
  folder.capacity = 2_000_000;
  await retries.next();
  await until(() => !log.isBroken);
  assertEquals(retries.waits, [1000, 1000, 1000, 1000]);
  assertEquals([news, log.throughOf(epoch)], [
    ["cannot write to memory: no space", "mended"],
    count - 1,
  ]);
  add(log, count);
  await synced(log);
  assertEquals(await numbersOf(log), upTo(count));
  await log.close();
});

Deno.test("DiskLog waits longer after each failure, until the disk has taken some MiB", async () => {
  using retries = new Retries();
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  const fail = async () => {
    folder.fault = (operation) => operation === "append" ? "no space" : null;
    add(log, 1);
    await until(() => log.isBroken);
    folder.fault = () => null;
    await retries.next();
    await until(() => !log.isBroken);
  };
  for (let k = 0; k < 8; k++) await fail();
  assertEquals(retries.waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  add(log, 1, 4, 1_100_000);
  await synced(log);
  await fail();
  assertEquals(retries.waits.at(-1), 1000);
  await log.close();
});

Deno.test("DiskLog begins one epoch for each failure, however many attempts it takes", async () => {
  using retries = new Retries();
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  let isReadable = false;
  const news = newsOf(log, () => isReadable ? Promise.resolve() : Promise.reject(new Error("EIO")));
  add(log, 1, 10);
  await synced(log);
  const { epoch } = log;
  folder.fault = () => "no space";
  add(log, 11);
  await until(() => log.isBroken);
  folder.fault = () => null;
  for (let k = 0; k < 3; k++) {
    await retries.next();
    await until(() => retries.waits.length === k + 2);
    assertEquals([log.epoch, log.throughOf(epoch)], [epoch, 10]);
  }
  isReadable = true;
  await retries.next();
  await until(() => !log.isBroken);
  assertEquals([news, log.throughOf(epoch)], [["cannot write to memory: no space", "mended"], 10]);
  await log.close();
  const [, last] = [...folder.files.values()];
  const found = decodeSegmentHead(last!.bytes);
  assertEquals(found?.head.before, [{ epoch, offset: 10 }]);
});

Deno.test("DiskLog knows the epochs of its events after any number of crashes without one", async () => {
  let folder = new MemoryFolder();
  const epochs: string[] = [];
  for (let i = 1; i <= 3; i++) {
    const { log } = await open(folder);
    epochs.push(log.epoch);
    add(log, i);
    await synced(log);
    folder = folder.crash();
    await log.close();
  }
  let latest = "";
  for (let k = 0; k < 70; k++) {
    const { log } = await open(folder);
    assertEquals(epochs.map((epoch) => log.throughOf(epoch)), [1, 2, 3]);
    if (latest) assertEquals(log.throughOf(latest), 3);
    latest = log.epoch;
    folder = folder.crash();
    await log.close();
  }
});

Deno.test("DiskLog lets senders wait while the disk is slow", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  let release = () => {};
  folder.onSync = () => new Promise((resolve) => release = resolve);
  for (let i = 0; !log.isFull; i++) add(log, i * 100 + 1, i * 100 + 100, 1000);
  let hasRoom = false;
  const waiting = log.whenRoom().then(() => hasRoom = true);
  assertEquals(hasRoom, false);
  folder.onSync = () => Promise.resolve();
  await until(() => {
    release();
    return hasRoom;
  });
  await waiting;
  await log.close();
});

Deno.test("DiskLog with sync always gives up a disk that takes nothing, and keeps nothing that clients had without it", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder, { sync: "always" });
  const { epoch } = log;
  let release = () => {};
  folder.onSync = () => new Promise((resolve) => release = resolve);
  add(log, 1, 3);
  lookAt(log, 6);
  assertEquals(log.isBroken, true);
  folder.onSync = () => Promise.resolve();
  release();
  await until(() => !log.isBroken);
  assertNotEquals(log.epoch, epoch);
  assertEquals([log.head, log.synced, log.added, log.throughOf(epoch)], [0, 0, 0, 0]);
  assertEquals(add(log, 4), 1);
  await until(() => log.head === 1);
  await log.close();
  const { log: next } = await open(folder);
  assertEquals(await numbersOf(next), new Map([[1, 4]]));
  await next.close();
});

Deno.test("DiskLog says of a disk that takes nothing that events wait for it, and keeps them once it works", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  const news: string[] = [];
  log.watch({
    ...quietSink,
    onFault: (fault) => news.push(fault),
    onBroken: (fault) => news.push(`broken: ${fault}`),
  });
  let release = () => {};
  folder.onSync = () => new Promise((resolve) => release = resolve);
  lookAt(log, 100); // It has nothing to do.
  add(log, 1, 3);
  lookAt(log, 5);
  assertEquals(news, []);
  lookAt(log, 7);
  assertEquals(news.splice(0), ["the disk has taken nothing for 5 s, and events wait for it"]);
  folder.onSync = () => Promise.resolve();
  release();
  await synced(log);
  assertEquals(news.splice(0), ["the disk works again, after 12 s"]);
  // It is given up where senders would have to wait for it.
  folder.onSync = () => new Promise((resolve) => release = resolve);
  for (let i = 0; !log.isFull; i++) add(log, i * 100 + 4, i * 100 + 103, 1000);
  const waiting = log.whenRoom();
  lookAt(log, 5);
  assertEquals(log.isBroken, false);
  lookAt(log, 1);
  await waiting;
  assertEquals(news, ["broken: cannot write to memory: the disk has taken nothing for 5 s"]);
  folder.onSync = () => Promise.resolve();
  release();
  await log.close();
});

Deno.test("DiskLog writes on while it saves what is needed of old files, and does not give up the disk", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder, { sync: "always", keepBytes: 1_048_576 });
  const saves: { through: number; progress: () => void; end: () => void }[] = [];
  log.watch({
    ...quietSink,
    onSegment: (progress) =>
      new Promise((end) => saves.push({ through: log.synced, progress, end })),
  });
  let count = 0;
  const addSome = () => {
    add(log, count + 1, count + 50, 1000);
    return count += 50;
  };
  for (let i = 0; i < 2; i++) {
    const last = addSome();
    await until(() => log.synced === last);
  }
  assertEquals(saves.map(({ through }) => through), [50]);
  // The next file waits until older ones are dropped.
  const last = addSome();
  await pause(10);
  assertEquals([saves.length, log.synced], [1, 100]);
  for (let i = 0; i < 3; i++) {
    lookAt(log, 5);
    saves[0]!.progress();
  }
  lookAt(log, 5);
  assertEquals(log.isBroken, false);
  saves[0]!.end();
  await until(() => log.synced === last);
  assertEquals(saves.map(({ through }) => through), [50, 100]);
  const closing = log.close();
  saves[1]!.end();
  await closing;
  assertEquals(await numbersOf(log), upTo(150));
});

Deno.test("DiskLog drops no file before what is needed of it is saved, and none if that fails", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder, { keepBytes: 1_048_576 });
  const news: string[] = [];
  let saving = Promise.resolve();
  log.watch({
    ...quietSink,
    onSegment: () => saving,
    onBroken: (fault) => news.push(fault),
    onMended: () => news.push("mended"),
  });
  let count = 0;
  const addSome = () => add(log, count + 1, count += 50, 1000);
  while (log.oldest === 1) {
    addSome();
    await synced(log);
  }
  const { oldest } = log;
  const { promise, reject } = Promise.withResolvers<void>();
  saving = promise;
  for (let i = 0; i < 5; i++) addSome(); // Each of them fills most of a file.
  await pause(10);
  assertEquals(log.oldest, oldest);
  reject(new Error("no room"));
  await until(() => news.length === 2);
  assertEquals([news, log.oldest], [["cannot write to memory: no room", "mended"], oldest]);
  await log.close();
});

Deno.test("DiskLog finds the events of the last so many milliseconds", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  add(log, 1, 10);
  await synced(log);
  await new Promise((resolve) => setTimeout(resolve, 60));
  const then = performance.now();
  add(log, 11, 20);
  await synced(log);
  assertEquals(await log.since(then - 20), 11);
  assertEquals(await log.since(0), 1);
  assertEquals(await log.since(performance.now() + 1000), 21);
  await log.close();
});

Deno.test("DiskLog has what a list has, whatever is added, closed, or lost in a crash", async () => {
  for (let seed = 1; seed <= size(10, 200); seed++) {
    const random = randomsFrom(seed);
    let folder = new MemoryFolder();
    let { log } = await open(folder);
    const model = new Map<number, number>();
    const epochs = new Map<string, number>();
    let number = 0;
    for (let step = 0; step < 60; step++) {
      const what = random(12);
      if (what < 8) {
        const count = 1 + random(30);
        const offset = add(log, number + 1, number + count, random(300));
        for (let i = 0; i < count; i++) model.set(offset + i, ++number);
        if (random(3) === 0) await synced(log);
      } else if (what < 10) {
        assertEquals(await numbersOf(log), model);
      } else if (what === 10) {
        await log.close();
        ({ log } = await open(folder));
        assertEquals(await numbersOf(log), model);
      } else {
        const { synced, epoch, head } = log;
        folder = folder.crash((unsynced) => random(unsynced + 1));
        await log.close();
        ({ log } = await open(folder));
        assert(log.head >= synced && log.head <= head);
        for (const offset of [...model.keys()]) if (offset > log.head) model.delete(offset);
        epochs.set(epoch, log.head);
        for (const [each, through] of epochs) {
          assertEquals(log.throughOf(each), through, `seed ${seed}`);
        }
        assertEquals(await numbersOf(log), model, `seed ${seed}`);
      }
    }
    await log.close();
  }
});

Deno.test("A folder that cannot be a log is refused, with words that say why", async () => {
  using temp = new TempFolder();
  const folder = () => new DiskFolder(`${temp.path}/log`);
  const { log } = await open(folder());
  await assertRejects(() => open(folder()), Error, "another relay does so");
  add(log, 1, 3);
  await log.close();
  const { log: again } = await open(folder());
  assertEquals(await numbersOf(again), upTo(3));
  await again.close();
  const [name] = [...Deno.readDirSync(`${temp.path}/log`)].map(({ name }) => name)
    .filter((name) => name.endsWith(".ndjson"));
  const path = `${temp.path}/log/${name}`;
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  await Deno.writeTextFile(`${temp.path}/log/notes.txt`, "hi");
  await assertRejects(() => open(folder()), Error, "it contains notes.txt; name an empty folder");
  await Deno.remove(`${temp.path}/log/notes.txt`);
  for (const file of [path, `${path}/log`]) {
    const why = `Cannot keep the history in ${file}: it, or a part of its path, is no folder`;
    await assertRejects(() => open(new DiskFolder(file)), Error, why);
  }
});

for (const name of ["notes.txt", "report.tmp", "film.damaged"]) {
  Deno.test(`A folder with the file ${name} of others is refused, and left as it is`, async () => {
    using temp = new TempFolder();
    await Deno.writeTextFile(`${temp.path}/${name}`, "hi");
    await assertRejects(() => open(new DiskFolder(temp.path)), Error, `it contains ${name}; name`);
    assertEquals([...Deno.readDirSync(temp.path)].map(({ name }) => name), [name]);
  });
}

Deno.test("A log of a newer version is refused, and left as it is", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  await log.close();
  const [damaged] = [...folder.files.values()];
  damaged!.bytes[20]! ^= 1;
  const head = '{"control":"segment","version":2,"epoch":"e","first":9,"before":[]';
  const sum = crc32(head).toString(16).padStart(8, "0");
  await folder.create("00000000000000000009.ndjson", [utf8(`${head},"crc32":"${sum}"}\n`)]);
  await folder.create("00000000000000000010.ndjson.tmp", []);
  const names = [...folder.files.keys()];
  await assertRejects(() => open(folder), Error, "has version 2, this relay knows version 1");
  assertEquals([...folder.files.keys()], names);
  assertEquals(folder.isOpen, false);
});

Deno.test("No offset names two events, even after a crash right after a start in order", async () => {
  const folder = new MemoryFolder();
  const { log: first } = await open(folder);
  add(first, 1, 2);
  await first.close();
  const { log } = await open(folder);
  add(log, 3); // A client receives it, but the disk does not.
  const crashed = folder.crash();
  const { log: next } = await open(crashed);
  assertNotEquals(next.epoch, first.epoch);
  assertEquals([next.head, next.throughOf(first.epoch)], [2, 2]);
  await log.close();
  await next.close();
});

Deno.test("A segment whose first line is damaged is put aside, and not replaced", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  add(log, 1, 100);
  await log.close();
  const [name] = [...folder.files.keys()];
  const { bytes } = folder.files.get(name!)!;
  bytes[20]! ^= 1;
  const { log: next, findings } = await open(folder);
  assertEquals(findings.unreadable, [`${name}.damaged`]);
  assertEquals(folder.files.get(`${name}.damaged`)?.bytes.length, bytes.length);
  add(next, 1);
  await next.close();
  const { findings: later } = await open(folder);
  assertEquals(later.unreadable, []);
});

Deno.test("DiskLog keeps what it has after a crash, however little it may keep", async () => {
  let folder = new MemoryFolder();
  const options = { keepBytes: 1_048_576 };
  let { log } = await open(folder, options);
  add(log, 1, 500, 1000);
  await synced(log);
  for (let i = 0; i < 3; i++) {
    folder = folder.crash();
    const before = log;
    ({ log } = await open(folder, options));
    await before.close();
    assertEquals([log.first, log.head], [1, 500]);
  }
  add(log, 501, 5000, 1000);
  await synced(log);
  assertGreaterOrEqual(log.head - log.first, 700);
  await log.close();
});

Deno.test("DiskLog ends when nothing is being read any more", async () => {
  const folder = new MemoryFolder();
  const { log: before } = await open(folder);
  add(before, 1, 3);
  await before.close();
  const { log } = await open(folder);
  const { promise: mayRead, resolve: release } = Promise.withResolvers<void>();
  const openFile = folder.file.bind(folder);
  folder.file = async (name) => {
    const file = await openFile(name);
    const read = file.read.bind(file);
    file.read = (...place) => mayRead.then(() => read(...place));
    return file;
  };
  const reads = Promise.all([log.read(1), log.since(performance.now() - 60_000)]);
  let hasEnded = false;
  const closing = log.close().then(() => hasEnded = true);
  await pause(5);
  assertEquals(hasEnded, false);
  release();
  const [block] = await reads;
  assertEquals([block.first, block.count], [1, 3]);
  await closing;
});

Deno.test("DiskLog answers reads while its disk fails, and ends in order meanwhile", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  add(log, 1, 10);
  await synced(log);
  folder.fault = () => "no space";
  add(log, 11, 20);
  await until(() => log.isBroken);
  await new Promise((resolve) => setTimeout(resolve, 1100)); // until it has tried again
  assertEquals(log.head, 20);
  assertEquals((await numbersOf(log)).size, 20);
  folder.fault = () => null;
  await log.close();
  const files = folder.files.size;
  await new Promise((resolve) => setTimeout(resolve, 1100));
  assertEquals(folder.files.size, files); // It writes nothing after its end.
});

Deno.test("DiskFolder says whether a relay uses it, and keeps no relay out", async () => {
  using temp = new TempFolder();
  const folder = new DiskFolder(temp.path, true);
  assertEquals(await folder.isInUse(), false);
  assertEquals([...Deno.readDirSync(temp.path)], []);
  const { log } = await open(new DiskFolder(temp.path));
  assertEquals(await folder.isInUse(), true);
  await log.close();
  assertEquals(await folder.isInUse(), false);
  // Who asks shares the lock for a moment.
  const shared = await Deno.open(`${temp.path}/lock`);
  await shared.lock(false);
  const opening = open(new DiskFolder(temp.path));
  await new Promise((resolve) => setTimeout(resolve, 10));
  shared.close();
  const { log: next } = await opening;
  await next.close();
});

Deno.test("A relay removes no unfinished file of others", async () => {
  const folder = new MemoryFolder();
  folder.files.set("notes.txt.tmp", new MemoryFile());
  await assertRejects(() => open(folder), Error, "it contains notes.txt.tmp");
  assertEquals(folder.files.size, 1);
});

Deno.test("A file that is put aside takes the place of no other", async () => {
  const folder = new MemoryFolder();
  const damaged: string[] = [];
  for (const aside of [".damaged", ".2.damaged", ".3.damaged"]) {
    const { log } = await open(folder);
    add(log, 1, 10);
    await log.close();
    const name = [...folder.files.keys()].find((name) => name.endsWith(".ndjson"))!;
    folder.files.get(name)!.bytes[20]! ^= 1;
    damaged.push(name + aside);
    const { log: next, findings } = await open(folder);
    assertEquals(findings.unreadable, damaged.slice(-1));
    await next.close();
  }
  for (const name of damaged) assertGreaterOrEqual(folder.files.get(name)!.bytes.length, 300);
});

Deno.test("DiskLog finds events by their age, also after a file whose first block is damaged", async () => {
  const folder = new MemoryFolder();
  const options = { keepBytes: 1_048_576 };
  const { log } = await open(folder, options);
  for (let i = 1; i <= 180; i += 5) {
    add(log, i, i + 4, 1000);
    await synced(log);
  }
  await log.close();
  const names = [...folder.files.keys()].sort();
  assertEquals(names.length, 3);
  folder.files.get(names[1]!)!.bytes[700]! ^= 1;
  const { log: next } = await open(folder, options);
  assertEquals(await next.since(performance.now() + 60_000), 181);
  assertEquals(await next.since(performance.now() - 3_600_000), 1);
  await next.close();
});

Deno.test("DiskLog finds events by their age while it drops files", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder, { keepBytes: 1_048_576 });
  const now = Date.now;
  let count = 0;
  /** Adds an event of about half a file. */
  const addHalf = async () => {
    add(log, ++count, count, 30_000);
    await synced(log);
  };
  /** Asks, and adds events until a file is dropped before it can be opened. */
  const sinceWhileDropping = async (time: number): Promise<number> => {
    const openFile = folder.file.bind(folder);
    const { promise: mayOpen, resolve } = Promise.withResolvers<void>();
    folder.file = (name) => mayOpen.then(() => openFile(name));
    const found = log.since(time);
    const { first } = log;
    while (log.first === first) await addHalf();
    folder.file = openFile;
    resolve();
    return await found;
  };
  while (count < 10) await addHalf();
  try {
    Date.now = () => now() + 60_000;
    const young = count + 1; // It begins a file.
    while (folder.files.size < 16) await addHalf();
    assertEquals(await sinceWhileDropping(performance.now() - 30_000), young);
    assertEquals(await sinceWhileDropping(performance.now() - 3_600_000), log.first);
  } finally {
    Date.now = now;
  }
  await log.close();
});

Deno.test("DiskLog drops what is too old after the clock was a year ahead, also after a restart", async () => {
  using clock = new Clock();
  const folder = new MemoryFolder();
  const options = { keepAge: 60_000, keepBytes: 1_048_576 };
  const { log } = await open(folder, options);
  add(log, 1, 5);
  await synced(log);
  const now = Date.now;
  try {
    Date.now = () => now() + 365 * 86_400_000;
    add(log, 6);
    await synced(log);
  } finally {
    Date.now = now;
  }
  add(log, 7, 10);
  await synced(log);
  clock.advance(120_000);
  add(log, 11, 20);
  await synced(log);
  await log.expire(performance.now());
  assertEquals([log.first, log.events], [11, 10]);
  while (folder.files.size < 3) {
    add(log, log.head + 1, log.head + 1, 20_000);
    await synced(log);
  }
  await log.close();
  const { log: next } = await open(folder, options);
  const { head } = next;
  await next.expire(performance.now());
  assertEquals(next.first, 1); // They may be young, as far as it can know.
  clock.advance(120_000);
  await next.expire(performance.now());
  assertLess(next.events, 4); // Those of the last file are left.
  add(next, head + 1, head + 3);
  await synced(next);
  clock.advance(120_000);
  add(next, head + 4, head + 5);
  await synced(next);
  await next.expire(performance.now());
  assertEquals([next.first, next.events], [head + 4, 2]);
  await next.close();
});
