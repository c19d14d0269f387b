import { assertEquals } from "@std/assert/equals";
import { Segment } from "../../history/segment.ts";
import { encodeBlock, encodeProducers, encodeSegmentHead } from "../../history/segment_format.ts";
import { utf8 } from "../support/bytes.ts";
import { MemoryFolder } from "../support/memory_folder.ts";

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
