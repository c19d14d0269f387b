import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertNotEquals } from "@std/assert/not-equals";
import { assertRejects } from "@std/assert/rejects";
import { loadLast, saveLast } from "../../history/last_file.ts";
import { LogError } from "../../history/log_check.ts";
import { repairLog, type RepairStep } from "../../history/repair_log.ts";
import { add, makeLog, numbersIn, open, range, survey } from "../support/log_folder.ts";
import { MemoryFile, MemoryFolder } from "../support/memory_folder.ts";
import { randomsFrom } from "../support/random.ts";
import { size } from "../support/size.ts";

const segmentsOf = (folder: MemoryFolder) =>
  [...folder.files.keys()].filter((name) => /^\d+\.ndjson$/.test(name)).sort();

const bytesOf = (folder: MemoryFolder, name: string) => folder.files.get(name)!.bytes;

/** Returns a folder with copies of the same files. */
function copyOf(folder: MemoryFolder): MemoryFolder {
  const copy = new MemoryFolder();
  for (const [name, { bytes }] of folder.files) {
    copy.files.set(name, Object.assign(new MemoryFile(), { bytes: bytes.slice() }));
  }
  return copy;
}

async function repair(folder: MemoryFolder): Promise<RepairStep[]> {
  const steps: RepairStep[] = [];
  for await (const step of repairLog(folder)) {
    if (typeof step !== "string") assert(folder.isOpen); // so that no relay takes it
    steps.push(step);
  }
  assertEquals(folder.isOpen, false);
  return steps;
}

/** Checks that a log is whole, and that a relay can go on with it. Returns the numbers in it. */
async function checkRepaired(folder: MemoryFolder): Promise<number[]> {
  const { found, isClosed, events, missing, last, first } = await survey(folder);
  assertEquals([found, isClosed], [[], true]);
  assertEquals(events + missing, last - first + 1);
  assertEquals(await repair(folder), []);
  const { log, findings } = await open(folder, { keepBytes: 2 ** 40 });
  assertEquals(findings, { tornBytes: 0, damagedBytes: 0, unreadable: [], isClosed: true });
  const numbers = await numbersIn(log);
  assertEquals(numbers.length, events);
  await add(log, log.head + 1, log.head + 5);
  await log.close();
  assertEquals((await survey(folder)).found, []);
  return numbers;
}

/** Returns the bytes that were put aside, as text. */
const putAside = (folder: MemoryFolder) =>
  [...folder.files.keys()].filter((name) => name.endsWith(".damaged"))
    .map((name) => new TextDecoder().decode(bytesOf(folder, name))).join("");

Deno.test("repairLog() changes nothing in a log that is whole", async () => {
  const folder = new MemoryFolder();
  const log = await makeLog(folder);
  await saveLast(folder, log, [">"]);
  const before = copyOf(folder);
  assertEquals(await repair(folder), []);
  for (const [name, { bytes }] of before.files) assertEquals(bytesOf(folder, name), bytes, name);
  assertEquals(folder.files.size, before.files.size);
});

Deno.test("repairLog() leaves out what is damaged, keeps it elsewhere, and notes what is missing", async () => {
  const original = new MemoryFolder();
  const log = await makeLog(original);
  await saveLast(original, log, [">"]);
  const names = [...original.files.keys()];
  const random = randomsFrom(9);
  for (let round = 0; round < size(150, 3000); round++) {
    const folder = copyOf(original);
    const lost = new Set<number>();
    const flips = 1 + random(4);
    for (let i = 0; i < flips; i++) {
      const bytes = bytesOf(folder, names[random(names.length)]!);
      const at = random(2) === 0 ? random(bytes.length) : random(400);
      bytes[at]! ^= 1 << random(8);
    }
    for (const { from, to } of (await survey(folder)).found) {
      if (from !== null) { for (const i of range(from, to ?? 180)) lost.add(i); }
    }
    const steps = await repair(folder);
    const numbers = await checkRepaired(folder);
    assertEquals(numbers, range(1, 180).filter((i) => !lost.has(i)), `round ${round}`);
    const aside = putAside(folder); // A flipped bit may be in the number of an event.
    const unknown = [...lost].filter((i) => !aside.includes(`"i":${i},`));
    assertLessOrEqual(unknown.length, flips, steps.join("\n"));
  }
});

Deno.test("repairLog() cuts a torn end off, at each of its bytes, and begins an epoch that goes on", async () => {
  const original = new MemoryFolder();
  const { log } = await open(original);
  await add(log, 1, 5);
  const whole = [...original.files.values()][0]!.bytes.length;
  await add(log, 6, 10);
  const crashed = original.crash();
  await log.close();
  const [name] = segmentsOf(crashed);
  const bytes = bytesOf(crashed, name!);
  for (let end = whole; end <= bytes.length; end++) {
    const folder = copyOf(crashed);
    folder.files.get(name!)!.bytes = bytes.slice(0, end);
    await repair(folder);
    const head = end === bytes.length ? 10 : 5;
    assertEquals(await checkRepaired(folder), range(1, head));
    const { log: next } = await open(folder);
    assertNotEquals(next.epoch, log.epoch);
    assertEquals(next.throughOf(log.epoch), head);
    await next.close();
    const cut = end === bytes.length ? "" : new TextDecoder().decode(bytes.slice(whole, end));
    assertEquals(putAside(folder), cut);
  }
});

Deno.test("repairLog() notes the events of a file that is missing", async () => {
  const folder = new MemoryFolder();
  await makeLog(folder);
  const [, second, third] = segmentsOf(folder) as [string, string, string];
  const [from, to] = [Number(second.slice(0, 20)), Number(third.slice(0, 20)) - 1];
  folder.files.delete(second);
  await repair(folder);
  const { missing } = await survey(folder);
  assertEquals(missing, to - from + 1);
  assertEquals(
    await checkRepaired(folder),
    [...range(1, from - 1), ...range(to + 1, 180)],
  );
  assertEquals(putAside(folder), "");
});

Deno.test("repairLog() keeps the events of a file whose first line is damaged, and finds its epoch", async () => {
  const original = new MemoryFolder();
  let { log } = await open(original);
  let folder = original;
  const epochs = [log.epoch];
  for (let i = 1; i < 4; i++) { // four files, each of an epoch of its own
    await add(log, log.head + 1, log.head + 5);
    folder = folder.crash();
    await log.close();
    ({ log } = await open(folder));
    epochs.push(log.epoch);
  }
  await add(log, log.head + 1, log.head + 5);
  await log.close();
  const segments = segmentsOf(folder);
  for (const broken of [[0], [1], [2], [3], [1, 2], [0, 1, 2], [2, 3], [0, 1, 2, 3]]) {
    const damaged = copyOf(folder);
    for (const i of broken) bytesOf(damaged, segments[i]!)[30]! ^= 1;
    await repair(damaged);
    const { epoch, before } = await survey(damaged);
    assertEquals(await checkRepaired(damaged), range(1, 20), `${broken}`);
    const known = epochs.map((each) => before.find(({ epoch }) => epoch === each)?.offset);
    const isLast = broken.includes(3);
    assertEquals(epoch === epochs[3], !isLast);
    if (!isLast) assertEquals(known, [5, 10, 15, undefined]);
    // Of the last one, it is unknown how it goes on with others.
    if (broken.length === 1 && isLast) assertEquals(known, [5, 10, 15, undefined]);
  }
});

Deno.test("repairLog() puts a file aside in which nothing can be read, without taking another's name", async () => {
  const folder = new MemoryFolder();
  await makeLog(folder);
  const last = segmentsOf(folder).at(-1)!;
  const begins = Number(last.slice(0, 20));
  for (const suffix of ["", ".2", ".3"]) {
    bytesOf(folder, last).fill(0x20);
    const { length } = bytesOf(folder, last);
    await repair(folder);
    assertEquals(bytesOf(folder, `${last}${suffix}.damaged`).length, length);
    assertEquals((await survey(folder)).last, begins - 1);
  }
  assertEquals((await checkRepaired(folder)).length, begins - 1);
});

Deno.test("repairLog() keeps the last events of names that can be read, wherever they are", async () => {
  const folder = new MemoryFolder();
  const patterns = [">"];
  const { log } = await open(folder);
  for (let i = 1; i <= 2000; i += 5) await add(log, i, i + 4, 1000);
  await saveLast(folder, log, patterns);
  await log.close();
  const whole = bytesOf(folder, "last.ndjson");
  const valuesOf = async () => {
    const { log } = await open(folder);
    const values = await loadLast(folder, log, patterns);
    await log.close();
    return Array.from(values, ({ name, offset }) => [name, offset]);
  };
  const expected = [["e.0", 1998], ["e.1", 1999], ["e.2", 2000]];
  assertEquals(await valuesOf(), expected);
  for (
    const change of [
      (bytes: Uint8Array) => bytes[20]! ^= 1, // its first line
      (bytes: Uint8Array) => bytes[500]! ^= 1,
      (bytes: Uint8Array) => bytes[bytes.length - 3]! ^= 1, // its last line
    ]
  ) {
    const bytes = whole.slice();
    change(bytes);
    folder.files.get("last.ndjson")!.bytes = bytes;
    assertEquals((await survey(folder)).faults > 0, true);
    await repair(folder);
    const { found } = await survey(folder);
    assertEquals(found, []);
    assertEquals(await valuesOf(), expected);
    if (!folder.files.has("last.ndjson")) folder.files.set("last.ndjson", new MemoryFile());
  }
});

Deno.test("repairLog() loses nothing if it fails in the middle", async () => {
  const original = new MemoryFolder();
  await makeLog(original);
  const segments = segmentsOf(original);
  for (const name of segments) bytesOf(original, name)[700]! ^= 1;
  for (let failing = 1; failing < 8; failing++) {
    const folder = copyOf(original);
    let creates = 0;
    folder.fault = (operation) => operation === "create" && ++creates === failing ? "full" : null;
    await repair(folder).catch(() => folder.close());
    folder.fault = () => null;
    await repair(folder);
    assertEquals((await checkRepaired(folder)).length, 180 - 5 * segments.length);
    const aside = putAside(folder);
    for (const name of segments) assert(aside.includes(`"i":${Number(name.slice(0, 20)) + 1},`));
  }
});

Deno.test("repairLog() refuses a log in use, and what is no log, and changes nothing", async () => {
  const folder = new MemoryFolder();
  const refused = async (why: string) => {
    const { message } = await assertRejects(() => Array.fromAsync(repairLog(folder)), LogError);
    assertEquals(message, why);
  };
  await refused("it contains no history; name the folder of --history");
  assertEquals(folder.files.size, 0);
  await makeLog(folder);
  bytesOf(folder, segmentsOf(folder)[0]!)[700]! ^= 1;
  const before = copyOf(folder);
  folder.isOpen = true;
  await refused("a relay uses it; stop the relay first");
  for (const [name, { bytes }] of before.files) assertEquals(bytesOf(folder, name), bytes, name);
});
