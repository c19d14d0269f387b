import { crc32 } from "node:zlib";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertRejects } from "@std/assert/rejects";
import { saveLast } from "../../history/last_file.ts";
import { LogError } from "../../history/log_check.ts";
import { encodeSegmentHead } from "../../history/segment_format.ts";
import { utf8 } from "../support/bytes.ts";
import { add, makeLog, open, survey } from "../support/log_folder.ts";
import { MemoryFile, MemoryFolder } from "../support/memory_folder.ts";
import { randomsFrom } from "../support/random.ts";
import { size } from "../support/size.ts";

const fileOf = (bytes: Uint8Array) => Object.assign(new MemoryFile(), { bytes });

/** The names of the files with events. */
const segmentsOf = (folder: MemoryFolder) =>
  [...folder.files.keys()].filter((name) => /^\d+\.ndjson$/.test(name)).sort();

Deno.test("surveyLog() says what is in a log that is whole", async () => {
  const folder = new MemoryFolder();
  const log = await makeLog(folder);
  await saveLast(folder, log, ["e.1", "e.2"]);
  const before = new Map([...folder.files].map(([name, { bytes }]) => [name, bytes.slice()]));
  const { oldest, newest, bytes, found, ...rest } = await survey(folder);
  assertEquals(found, []);
  const segments = segmentsOf(folder);
  assertEquals(bytes, segments.reduce((sum, name) => sum + before.get(name)!.length, 0));
  assertEquals(newest! >= oldest! && newest! <= Date.now(), true);
  assertEquals(rest, {
    epoch: log.epoch,
    before: [],
    first: 1,
    last: 180,
    events: 180,
    missing: 0,
    files: segments.length,
    isInUse: false,
    isClosed: true,
    faults: 0,
    damagedBytes: 0,
    names: ["e.0", "e.1", "e.2"].map((name) => ({ name, events: 60 })),
    otherNames: 0,
    uncounted: 0,
    lastValues: { names: 2, bytes: rest.lastValues!.bytes, offset: 180 },
    putAside: [],
  });
  assertGreater(segments.length, 2);
  for (const [name, { bytes }] of folder.files) assertEquals(bytes, before.get(name), name);
});

Deno.test("surveyLog() finds every flipped bit", async () => {
  const folder = new MemoryFolder();
  const log = await makeLog(folder);
  await saveLast(folder, log, [">"]);
  const random = randomsFrom(3);
  const names = [...folder.files.keys()];
  for (let round = 0; round < size(300, 5000); round++) {
    const name = names[random(names.length)]!;
    const { bytes } = folder.files.get(name)!;
    // Every other one is in a line about a segment or a block.
    const at = random(2) === 0 ? random(bytes.length) : random(400);
    const bit = 1 << random(8);
    bytes[at]! ^= bit;
    const { found, faults, events } = await survey(folder);
    assertEquals(found.length, faults);
    assertGreater(faults, 0, `bit ${bit} at ${at} of ${name}`);
    for (const { file } of found) assertEquals(file, name);
    if (name !== "last.ndjson" && found[0]!.to! >= found[0]!.from!) assertEquals(events, 175);
    bytes[at]! ^= bit;
  }
});

Deno.test("surveyLog() names the file and the events of a fault", async () => {
  const folder = new MemoryFolder();
  const log = await makeLog(folder);
  const [first, second, third] = segmentsOf(folder) as [string, string, string];
  const begins = (name: string) => Number(name.slice(0, 20));
  const bytesOf = (name: string) => folder.files.get(name)!.bytes;
  const faultsWith = async (change: () => void) => {
    const before = new Map(folder.files);
    change();
    const { found } = await survey(folder);
    folder.files.clear();
    for (const [name, file] of before) folder.files.set(name, file);
    return found;
  };
  const replace = (name: string, bytes: Uint8Array) => folder.files.set(name, fileOf(bytes));
  const flip = (name: string, at: number) => {
    const bytes = bytesOf(name).slice();
    bytes[at]! ^= 1;
    replace(name, bytes);
  };
  const last = begins(second) - 1;

  assertEquals(await faultsWith(() => folder.files.delete(second)), [{
    file: first,
    from: begins(second),
    to: begins(third) - 1,
    text: `missing: the next file begins with event ${begins(third)}`,
  }]);
  assertEquals(await faultsWith(() => flip(first, 700)), [
    { file: first, from: 1, to: 5, text: "damaged bytes" },
  ]);
  assertEquals(await faultsWith(() => flip(first, bytesOf(first).length - 3)), [
    { file: first, from: last - 4, to: last, text: "damaged bytes" },
  ]);
  assertEquals(await faultsWith(() => flip(second, 20)), [
    { file: second, from: last + 1, to: last, text: "its first line is damaged" },
  ]);
  assertEquals(await faultsWith(() => replace(first, bytesOf(first).slice(0, -1))), [
    { file: first, from: last - 4, to: last, text: "damaged bytes" },
  ]);
  assertEquals(await faultsWith(() => replace(third, bytesOf(third).slice(0, -1))), [
    { file: third, from: 181, to: null, text: "damaged bytes" },
  ]);
  assertEquals(await faultsWith(() => replace(second, bytesOf(first))), [
    {
      file: second,
      from: last + 1,
      to: begins(third) - 1,
      text: "its first line says that it begins with event 1, " +
        "a block with offsets that events before it have",
    },
  ]);
  const other = { version: 1, epoch: "other", first: begins(third), before: [] };
  const { length } = encodeSegmentHead({ ...other, epoch: log.epoch });
  const strange = () =>
    replace(third, new Uint8Array([...encodeSegmentHead(other), ...bytesOf(third).slice(length)]));
  assertEquals(await faultsWith(strange), [{
    file: third,
    from: null,
    to: null,
    text: `epoch other does not go on with ${log.epoch}, that of the file before`,
  }]);
});

Deno.test("surveyLog() ignores what a relay is writing, and nothing else", async () => {
  const folder = new MemoryFolder();
  const { log } = await open(folder);
  await add(log, 1, 5);
  await add(log, 6, 10);
  const file = [...folder.files.values()][0]!;
  const whole = file.bytes;
  for (let cut = 1; cut < 100; cut++) {
    file.bytes = whole.slice(0, -cut);
    assertObjectMatch(await survey(folder), { faults: 0, last: 5, isInUse: true, isClosed: false });
  }
  folder.isOpen = false;
  assertObjectMatch(await survey(folder), {
    faults: 1,
    found: [{ from: 6, to: null, text: "damaged bytes" }],
    isInUse: false,
  });
  folder.isOpen = true;
  file.bytes = whole.slice();
  file.bytes[200]! ^= 1;
  assertObjectMatch(await survey(folder), { faults: 1, found: [{ from: 1, to: 5 }] });
  file.bytes = whole;
  await log.close();
  assertObjectMatch(await survey(folder), { faults: 0, last: 10, isInUse: false, isClosed: true });
});

Deno.test("surveyLog() goes on with the next file if a relay drops one meanwhile", async () => {
  const folder = new MemoryFolder();
  await makeLog(folder);
  const segments = segmentsOf(folder);
  const begins = Number(segments[2]!.slice(0, 20));
  const file = folder.file.bind(folder);
  let isFirst = true;
  let opened = 0;
  folder.file = (name) => {
    if (++opened === segments.length + 2 && isFirst) { // the second one, after the first lines
      isFirst = false;
      for (const dropped of segments.slice(0, 2)) folder.files.delete(dropped);
    }
    return file(name);
  };
  const expected = { faults: 0, first: begins, last: 180, events: 180 - begins + 1 };
  assertObjectMatch(await survey(folder), expected);
  assertEquals(isFirst, false);
});

Deno.test("surveyLog() follows the epochs of a log that was damaged and cut", async () => {
  let folder = new MemoryFolder();
  const epochs: string[] = [];
  for (let i = 0; i < 70; i++) { // more than a segment knows
    const { log } = await open(folder);
    epochs.push(log.epoch);
    if (i % 3 !== 1) await add(log, log.head + 1, log.head + 5);
    folder = folder.crash();
    await log.close();
  }
  const { found, epoch, before, isClosed, last } = await survey(folder);
  assertEquals([found, epoch, isClosed, last], [[], epochs.at(-1)!, false, 235]);
  // The first ones without an event are left out.
  const expected = epochs.slice(0, -1).filter((_, i) => i % 3 !== 1 || i > 13);
  assertEquals(before.map(({ epoch }) => epoch), expected);
});

Deno.test("surveyLog() refuses what is no log, and says what to do", async () => {
  const folder = new MemoryFolder();
  const refused = async (why: string) => {
    const { message } = await assertRejects(() => survey(folder), LogError);
    assertEquals(message, why);
  };
  await refused("it contains no history; name the folder of --history");
  await makeLog(folder);
  folder.files.set("notes.txt", fileOf(utf8("hi")));
  await refused("it contains notes.txt, which is no file of a history; move that away");
  folder.files.delete("notes.txt");
  const name = segmentsOf(folder)[1]!;
  const text = encodeNewer(Number(name.slice(0, 20)));
  folder.files.set(name, fileOf(text));
  await refused(`${name} has version 2, this one knows version 1; use a newer ebsockets`);
});

/** Returns the first line of a segment of a later version. */
function encodeNewer(first: number): Uint8Array {
  const original = encodeSegmentHead({ version: 1, epoch: "e", first, before: [] });
  const text = new TextDecoder().decode(original).replace('"version":1', '"version":2');
  const covered = text.slice(0, text.indexOf(',"crc32"'));
  return utf8(`${covered},"crc32":"${crc32(covered).toString(16).padStart(8, "0")}"}\n`);
}
