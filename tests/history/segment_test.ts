import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { Segment } from "../../history/segment.ts";
import { encodeBlock, encodeProducers, encodeSegmentHead } from "../../history/segment_format.ts";
import { utf8 } from "../support/bytes.ts";
import { Clock } from "../support/clock.ts";
import { MemoryFolder } from "../support/memory_folder.ts";
import { turn } from "../support/turns.ts";

const HEAD = { version: 1, epoch: "e", first: 1, before: [] };
const LINE = encodeSegmentHead(HEAD);

/** Makes a file of blocks of one event each, and returns where each block begins. */
async function makeFile(
  folder: MemoryFolder,
  { count, padding, producers }: { count: number; padding: number; producers?: Uint8Array },
) {
  const head = producers && encodeBlock({ first: 1, events: 0, bytes: 0, at: 1 }, [], producers);
  const file = await folder.create("s", head ? [LINE, head] : [LINE]);
  const starts: number[] = [];
  for (let i = 1; i <= count; i++) {
    starts.push(file.size);
    const line = utf8(`{"event":"a","__dict__":{"i":${i},"p":"${"x".repeat(padding)}"}}\n`);
    const block = encodeBlock({ first: i, events: 1, bytes: line.length, at: 1000 * i }, [line]);
    await file.append(block);
  }
  return { starts, bytes: folder.files.get("s")!.bytes };
}

/** A file as a log sees it that has just been opened. */
const segmentOf = (folder: MemoryFolder) =>
  new Segment(folder, "s", HEAD, LINE.length, folder.files.get("s")!.bytes.length);

/** Returns the offsets of the events that can be read. */
async function offsetsIn(segment: Segment): Promise<number[]> {
  const offsets: number[] = [];
  for (let next = 1;;) {
    const block = await segment.read(next);
    if (!block) return offsets;
    for (let offset = Math.max(next, block.first); offset <= block.last; offset++) {
      offsets.push(offset);
    }
    next = Math.max(next, block.last + 1);
  }
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

Deno.test("Segment finds all events that are whole, whichever one is damaged after it was read", async () => {
  for (let damaged = 1; damaged <= 20; damaged++) {
    const folder = new MemoryFolder();
    const { starts, bytes } = await makeFile(folder, { count: 20, padding: 9000 });
    const segment = segmentOf(folder);
    assertEquals(await offsetsIn(segment), upTo(20));
    bytes[starts[damaged - 1]! + 200]! ^= 1;
    const whole = upTo(20).filter((offset) => offset !== damaged);
    assertEquals(await offsetsIn(segment), whole, `${damaged}`);
  }
});

Deno.test("Segment finds its first event after more producers than are read at once", async () => {
  const folder = new MemoryFolder();
  const counts = upTo(4000).map((i) => ({ id: `producer ${i}`, taken: i, faulted: 0 }));
  await makeFile(folder, { count: 3, padding: 9, producers: encodeProducers(counts, false) });
  const block = await segmentOf(folder).read(0); // as after damage at the end of the file before
  assertEquals([block?.first, block?.last], [1, 3]);
});

/** Returns how often files are opened during an operation. */
async function opensOf(folder: MemoryFolder, operation: () => Promise<unknown>): Promise<number> {
  const open = folder.file;
  let opens = 0;
  folder.file = (name) => {
    opens++;
    return open.call(folder, name);
  };
  await operation();
  folder.file = open;
  return opens;
}

Deno.test("Segment finds the first event that may have been written at a time, or later", async () => {
  const folder = new MemoryFolder();
  const { starts, bytes } = await makeFile(folder, { count: 20, padding: 9000 });
  const segment = segmentOf(folder);
  for (let i = 1; i <= 20; i++) {
    assertEquals(await segment.offsetAt(1000 * i), i);
    assertEquals(await segment.offsetAt(1000 * i - 999), i);
  }
  assertEquals(await segment.offsetAt(20_001), null);
  // Nothing is read again for another time in the same part of the file.
  assertEquals(await opensOf(folder, () => segment.offsetAt(20_000)), 0);
  bytes[starts[0]! + 200]! ^= 1;
  assertEquals(await segment.offsetAt(3000), 1); // An earlier one is all right, a later one is not.
});

Deno.test("Segment lets others have their turns while it looks through a file and reads it", async () => {
  const folder = new MemoryFolder(); // of which a read takes no turn
  await makeFile(folder, { count: 300, padding: 9 });
  using _ = new Clock(1e6); // No slice is long enough for two blocks.
  const segment = segmentOf(folder);
  for (const what of ["look and read", "read"]) {
    let turns = 0;
    let isRead = false;
    const count = () => {
      turns++;
      if (!isRead) setTimeout(count, 0);
    };
    count();
    assertEquals((await segment.read(1))?.count, 300);
    isRead = true;
    await turn(); // so that the last timer fires
    assertGreater(turns, 30, what);
  }
});

Deno.test("Segment remembers where events are in 512 files, those that were used last", async () => {
  const folder = new MemoryFolder();
  await makeFile(folder, { count: 3, padding: 9 });
  const segments = Array.from({ length: 513 }, () => segmentOf(folder));
  for (const segment of segments) await segment.read(1);
  assertEquals(await opensOf(folder, () => segments[1]!.read(1)), 1);
  assertEquals(await opensOf(folder, () => segments[0]!.read(1)), 2); // which looks through it again
  assertEquals(await opensOf(folder, () => segments[1]!.read(1)), 1);
  assertEquals(await opensOf(folder, () => segments[2]!.read(1)), 2);
});
