import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { NO_SENDER } from "../../history/kept_block.ts";
import { openLog } from "../../history/open_log.ts";
import type { EventLog } from "../../history/log.ts";
import { checkHistoryOptions, type HistoryOptions } from "../../history/options.ts";
import { type Producer, Producers } from "../../history/producers.ts";
import type { ProducerAnswer, ProducerClaim } from "../../protocol/producer.ts";
import { surveyLog } from "../../history/survey_log.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { quietSink } from "../support/log_sink.ts";
import { MemoryFolder } from "../support/memory_folder.ts";
import { randomsFrom } from "../support/random.ts";
import { until } from "../support/waiting.ts";

let attempts = 0;

/** What a client says that connects again. */
const claimOf = (id: string, sent = 0, settled = 0) => {
  return { id, sent, settled, attempt: ++attempts, last: 0 };
};

/** Returns the producer of a client that connects again. */
const connect = (producers: Producers, id: string) => producers.connect(claimOf(id))!;

/** What a history says to a producer that names an epoch: one that it goes on with, and that of now. */
function answerOf(
  { hasForgotten }: Producers,
  producer: Producer,
  claim: ProducerClaim,
  isContinued: boolean,
  isPresent: boolean,
): ProducerAnswer {
  const log = { epoch: isPresent ? "e" : "later", throughOf: () => isContinued ? 0 : undefined };
  return producer.answer({ ...claim, epoch: "e" }, log, hasForgotten);
}

/** A table with a producer, of which so many events were taken. */
function withTaken(taken: number): { producers: Producers; producer: Producer } {
  const producers = new Producers();
  const producer = connect(producers, "p");
  producers.take(producer, taken);
  return { producers, producer };
}

Deno.test("Producers answers how many events it has taken, as far as that can be told", () => {
  const UNKNOWN = { taken: null, exact: false };
  const claim = (sent: number, settled: number) => claimOf("p", sent, settled);
  const { producers, producer } = withTaken(10);
  assertEquals(answerOf(producers, producer, claim(12, 8), true, true), { taken: 10, exact: true });
  // What is settled has been taken, or is never sent again.
  assertEquals(answerOf(producers, producer, claim(14, 12), true, true), {
    taken: 12,
    exact: true,
  });
  producer.isExact = false;
  assertEquals(answerOf(producers, producer, claim(14, 12), true, true), {
    taken: 12,
    exact: false,
  });
  assertEquals(answerOf(producers, producer, claim(14, 14), true, true), {
    taken: 14,
    exact: true,
  });
  // The client speaks of another log.
  assertEquals(answerOf(producers, producer, claim(20, 15), false, false), UNKNOWN);
  // The answer was lost, and the client asks again.
  assertEquals(answerOf(producers, producer, claim(20, 15), true, true), UNKNOWN);
  assertEquals(answerOf(producers, producer, claim(20, 20), true, true), {
    taken: 20,
    exact: true,
  });
  producers.take(producer, 5);
  producer.fault();
  producers.take(producer, 5);
  assertEquals(answerOf(producers, producer, claim(31, 24), true, true), UNKNOWN);
  assertEquals(producer.taken, 31);
  assertEquals(answerOf(producers, producer, claim(40, 31), true, true), {
    taken: 31,
    exact: true,
  });
  // It has sent fewer than were taken: it is not the same client.
  assertEquals(answerOf(producers, producer, claim(30, 29), true, true), UNKNOWN);
  // Those that were taken before are not forgotten by that.
  assertEquals(answerOf(producers, producer, claim(32, 30), true, true), UNKNOWN);
});

Deno.test("Producers has taken nothing of one that it does not know, unless it has forgotten some", () => {
  const producers = new Producers(2);
  const answer = (id: string, isContinued: boolean, isPresent: boolean) => {
    const claim = claimOf(id, 5, 0);
    return answerOf(producers, producers.connect(claim)!, claim, isContinued, isPresent);
  };
  assertEquals(answer("a", true, true), { taken: 0, exact: true });
  assertEquals(answer("b", true, false), { taken: 0, exact: false });
  assertEquals(answer("c", false, false), { taken: null, exact: false });
  for (const id of ["d", "e", "f"]) producers.take(connect(producers, id), 1);
  assert(producers.hasForgotten);
  assertEquals(answer("g", true, true), { taken: null, exact: false });
  assertEquals(answer("a", true, true), { taken: 0, exact: true }); // It is known.
});

Deno.test("Producers knows those for a restart that have come last, and others while the relay runs", () => {
  const producers = new Producers(2);
  const [a, b, c] = ["a", "b", "c"].map((id) => connect(producers, id));
  for (const producer of [a!, b!]) {
    producers.take(producer, 3);
    producers.disconnect(producer);
  }
  assertEquals(connect(producers, "a"), a); // now the latest
  producers.take(c!, 1);
  assertEquals([...producers], [a, c]);
  const claim = claimOf("b", 5, 2);
  assertEquals(producers.connect(claim), b);
  assertEquals(answerOf(producers, b!, claim, true, true), { taken: 3, exact: true });
  producers.take(connect(producers, "d"), 1);
  assertEquals([...producers].map(({ id }) => id), ["c", "d"]);
  producers.take(a!, 1);
  assertEquals([...producers].map(({ id }) => id), ["d", "a"]);
  assertEquals(a!.taken, 4);
});

Deno.test("Producers ignores a client that has connected again since", () => {
  const producers = new Producers();
  const [early, late] = [claimOf("p"), claimOf("p", 3, 3)];
  const producer = producers.connect(late)!;
  answerOf(producers, producer, late, true, true);
  assertEquals(producers.connect(early), null);
  producers.disconnect(producer);
  assertEquals(producers.connect(early), null);
  assertEquals(producer.taken, 3);
});

Deno.test("Producers does not vouch for events that could not be kept", () => {
  const { producers, producer } = withTaken(10);
  producer.offset = 7;
  producers.fail(6);
  assertEquals([producer.faulted, producer.offset], [10, 6]);
  producers.take(producer, 2);
  producers.fail(6);
  assertEquals(producer.faulted, 10);
});

// On disk

const line = (text: string) => `{"event":"${text}"}\n`;

function open(folder: MemoryFolder, options: HistoryOptions = {}) {
  return openLog(folder, checkHistoryOptions({ folder: "memory", ...options }));
}

/** Adds events of a producer, which have been taken. */
function add(log: EventLog, producers: Producers, id: string, count: number, padding = 0): void {
  const producer = connect(producers, id);
  let text = "";
  for (let i = 1; i <= count; i++) {
    text += line(`${id}.${producer.taken + i}${"x".repeat(padding)}`);
  }
  producers.take(producer, count);
  const bytes = utf8(text);
  log.append(bytes, 0, bytes.length, count, NO_SENDER, performance.now());
  log.count(producer, count, producer.taken);
}

/** Returns the number of the last event of each producer in the log. */
async function lastOf(log: EventLog): Promise<Map<string, number>> {
  const last = new Map<string, number>();
  for (let offset = log.first; offset <= log.head;) {
    const block = await log.read(offset);
    for (const text of textOf(block.bytes).split("\n").slice(0, -1)) {
      const [id, n] = JSON.parse(text).event.replace(/x+$/, "").split(".");
      last.set(id, Number(n));
    }
    offset = block.last + 1;
  }
  return last;
}

const takenOf = (producers: Producers) =>
  new Map(Array.from(producers, ({ id, taken }) => [id, taken]));

async function synced(log: EventLog): Promise<void> {
  await until(() => log.synced === log.added);
}

Deno.test("DiskLog counts of each producer what it has, wherever a crash cuts its end", async () => {
  const folder = new MemoryFolder();
  const { log, producers } = await open(folder);
  for (const id of ["a", "b", "a"]) add(log, producers, id, 3);
  await synced(log);
  const [file] = [...folder.files.values()];
  const before = file!.synced;
  for (const id of ["b", "c", "b"]) add(log, producers, id, 2);
  await synced(log);
  const added = file!.bytes.length - before;
  file!.synced = before;
  for (let kept = 0; kept <= added; kept++) {
    const { log: next, producers: found } = await open(folder.crash(() => kept));
    assertEquals(takenOf(found), await lastOf(next), `${kept} bytes`);
    assert([...found].every(({ isExact }) => !isExact));
    await next.close();
  }
  await log.close();
});

Deno.test("DiskLog counts of each producer what it has, after random events, ends and crashes", async () => {
  const random = randomsFrom(7);
  let folder = new MemoryFolder();
  let { log, producers } = await open(folder, { keepBytes: 1_048_576 });
  /** What each has in the log, also of events that are dropped since. */
  const all = new Map<string, number>();
  for (let round = 0; round < 120; round++) {
    for (let i = random(20); i > 0; i--) {
      add(log, producers, `p${random(8)}`, 1 + random(9), random(2000));
    }
    if (random(2) === 0) await synced(log);
    const isCrash = random(2) === 0;
    if (isCrash) folder = folder.crash((unsynced) => random(unsynced + 1));
    else await log.close();
    if (isCrash) await log.close();
    ({ log, producers } = await open(folder, { keepBytes: 1_048_576 }));
    for (const [id, n] of await lastOf(log)) all.set(id, n);
    const taken = takenOf(producers);
    for (const [id, n] of await lastOf(log)) {
      assertEquals(taken.get(id), n, `${id}, round ${round}`);
    }
    for (const [id, n] of taken) {
      if (!isCrash) assertEquals(n, all.get(id), `${id}, round ${round}`);
    }
  }
  assert(log.first > 1000); // The oldest events have been dropped.
  await log.close();
});

Deno.test("DiskLog that ends in order also counts the events that it does not keep", async () => {
  const folder = new MemoryFolder();
  const { log, producers } = await open(folder);
  add(log, producers, "a", 3);
  add(log, producers, "b", 3);
  const [a, b] = [...producers];
  producers.take(a!, 2);
  b!.isExact = false; // as after a crash, before its client has come back
  await log.close();
  const { log: next, producers: found } = await open(folder);
  assertEquals(Array.from(found, ({ id, taken, isExact }) => [id, taken, isExact]), [
    ["b", 3, false],
    ["a", 5, true],
  ]);
  // The end is no longer there, so after a crash only the log counts.
  const { log: third, producers: after } = await open(folder.crash());
  assertEquals(takenOf(after), new Map([["a", 3], ["b", 3]]));
  assert([...after].every(({ isExact }) => !isExact));
  await Promise.all([next.close(), third.close()]);
});

Deno.test("DiskLog names producers in each segment, also in one without events", async () => {
  const folder = new MemoryFolder();
  const { log, producers } = await open(folder, { keepBytes: 1_048_576 });
  add(log, producers, "early", 5);
  for (let i = 0; i < 3000; i++) add(log, producers, "late", 1, 1000);
  await synced(log);
  assert(log.first > 5);
  await log.close();
  const last = [...folder.files.keys()].sort().at(-1)!;
  for (const isEmpty of [false, true]) {
    const crashed = folder.crash();
    if (isEmpty) { // as a crash leaves it before the first event
      const file = crashed.files.get(last)!;
      const events = textOf(file.bytes).indexOf('"events":1');
      const start = textOf(file.bytes).lastIndexOf("\n", events) + 1;
      file.bytes = file.bytes.slice(0, start);
    }
    const { log: next, producers: found } = await open(crashed, { keepBytes: 1_048_576 });
    assertEquals(takenOf(found).get("early"), 5);
    assertEquals(takenOf(found).get("late"), (await lastOf(next)).get("late"));
    add(next, found, "late", 1);
    await next.close();
    assertEquals(await Array.fromAsync(surveyLog(crashed, true)), []);
  }
});

Deno.test("DiskLog remembers that it has forgotten producers", async () => {
  const folder = new MemoryFolder();
  // Files of 64 KiB have room for 256.
  const { log, producers } = await open(folder, { keepBytes: 1_048_576 });
  for (let i = 0; i < 300; i++) add(log, producers, `p${i}`, 1);
  await synced(log);
  const { log: next, producers: found } = await open(folder.crash(), { keepBytes: 1_048_576 });
  assertEquals(found.size, 256);
  assert(found.hasForgotten);
  await Promise.all([log.close(), next.close()]);
});

Deno.test("DiskLog has room for the longest counts in each file, and drops IDs that are too long", async () => {
  for (const [pad, known] of [["x", 256], ["\x01", 0]] as const) { // the latter as of an earlier relay
    const folder = new MemoryFolder();
    const { log, producers } = await open(folder, { keepBytes: 1_048_576 });
    for (let i = 0; i < 256; i++) {
      const id = pad.repeat(61) + `${i}`.padStart(3, "0");
      const producer = connect(producers, id);
      producer.taken = producer.faulted = 2 ** 52;
      add(log, producers, id, 1);
    }
    await synced(log);
    await log.close();
    const { log: next, producers: found } = await open(folder, { keepBytes: 1_048_576 });
    assertEquals(found.size, known);
    const files = folder.files.size;
    for (let i = 0; i < 50; i++) {
      add(next, found, "p", 1);
      await synced(next);
    }
    assertLessOrEqual(folder.files.size, files + 1);
    await next.close();
  }
});

Deno.test("DiskLog whose disk fails does not count what it could not keep", async () => {
  const folder = new MemoryFolder();
  const { log, producers } = await open(folder);
  add(log, producers, "a", 3);
  await synced(log);
  const mended = Promise.withResolvers<void>();
  log.watch({
    ...quietSink,
    onBroken: () => producers.fail(log.synced),
    onMended: () => mended.resolve(),
  });
  folder.fault = () => "the disk is full";
  add(log, producers, "a", 2);
  await until(() => log.isBroken);
  folder.fault = () => null;
  await mended.promise;
  const [a] = [...producers];
  assertEquals([a!.taken, a!.faulted], [5, 5]);
  const { log: next, producers: found } = await open(folder.crash());
  const again = [...found].find(({ id }) => id === "a")!;
  assertEquals(again.faulted, 5);
  const claim = claimOf("a", 5, 3);
  assertEquals(answerOf(found, again, claim, true, false), { taken: null, exact: false });
  await Promise.all([log.close(), next.close()]);
});

Deno.test("DiskLog that is damaged cannot tell of producers that it does not know", async () => {
  const folder = new MemoryFolder();
  const { log, producers } = await open(folder);
  for (const id of ["a", "b", "c"]) {
    add(log, producers, id, 1);
    await synced(log);
  }
  await log.close();
  const [file] = [...folder.files.values()];
  file!.bytes[textOf(file!.bytes).indexOf("b.1")]! ^= 1;
  const { log: next, producers: found } = await open(folder);
  assertEquals(takenOf(found), new Map([["a", 1], ["c", 1], ["b", 1]]));
  assert(found.hasForgotten);
  await next.close();
});
