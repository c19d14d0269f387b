import { concat } from "@std/bytes/concat";
import { assertEquals } from "@std/assert/equals";
import { encodeBlock } from "../../history/segment_format.ts";
import { scanSegment } from "../../history/segment_scan.ts";
import { utf8 } from "../support/bytes.ts";
import { MemoryFile, MemoryFolder } from "../support/memory_folder.ts";

const READ_BYTES = 1_048_576;

async function scan(...parts: Uint8Array[]) {
  const folder = new MemoryFolder();
  folder.files.set("a", Object.assign(new MemoryFile(), { bytes: concat(parts) }));
  const found = await Array.fromAsync(scanSegment(await folder.file("a"), 0));
  return found.map(({ kind, position, end }) => [kind, position, end]);
}

const LINES = utf8('{"event":"a"}\n');
const BLOCK = encodeBlock({ first: 1, events: 1, bytes: LINES.length, at: 1 }, [LINES]);

Deno.test("scanSegment() finds a block after damage, wherever a read ends", async () => {
  for (let length = READ_BYTES - BLOCK.length - 2; length <= READ_BYTES + 2; length++) {
    const damage = new Uint8Array(length).fill(0x20);
    damage[length - 1] = 0x0a;
    assertEquals(await scan(damage, BLOCK), [
      ["damage", 0, length],
      ["block", length, length + BLOCK.length],
    ], `${length}`);
  }
});

Deno.test("scanSegment() finds blocks after heads that claim more bytes than there are", async () => {
  const head = { first: 1, events: 1, bytes: Number.MAX_SAFE_INTEGER, at: 1 };
  const damage = concat([utf8("x\n"), encodeBlock(head, []), encodeBlock(head, [])]);
  assertEquals(await scan(BLOCK, damage, BLOCK), [
    ["block", 0, BLOCK.length],
    ["damage", BLOCK.length, BLOCK.length + damage.length],
    ["block", BLOCK.length + damage.length, 2 * BLOCK.length + damage.length],
  ]);
});
