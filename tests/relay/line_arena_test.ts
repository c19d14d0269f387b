import { assertEquals } from "@std/assert/equals";
import { memberBytes } from "../../protocol/envelope.ts";
import { LineArena } from "../../relay/ingress.ts";
import { textOf, utf8 } from "../support/bytes.ts";

const FROM = memberBytes("from", "c3");
const NOTHING = new Uint8Array(0);

/** The line that `sheet` has written last. */
function lastOf({ block, start, end }: LineArena): string {
  return textOf(block.bytes.subarray(start, end));
}

Deno.test("LineArena.write() puts members in front and leaves the rest as it is", () => {
  const arena = new LineArena();
  const text = utf8('\t {"event" : "{a}" }');
  arena.write(text, 0, text.length, FROM, 0);
  assertEquals(lastOf(arena), '\t {"from":"c3","event" : "{a}" }\n');
  arena.write(text, 0, text.length, NOTHING, 0);
  assertEquals(lastOf(arena), '\t {"event" : "{a}" }\n');
  arena.write(text, 2, text.length, FROM, 0);
  assertEquals(lastOf(arena), '{"from":"c3","event" : "{a}" }\n');
});

Deno.test("LineArena.write() puts the lines of a block one after another", () => {
  const arena = new LineArena();
  const text = utf8(`{"event":"a","x":"${"x".repeat(60)}"}`);
  const lines = 1000;
  const written: Uint8Array[] = [];
  for (let i = 0; i < lines; i++) {
    const end = arena.end;
    const { bytes } = arena.block;
    arena.write(text, 0, text.length, FROM, (lines - i - 1) * (text.length + 1));
    if (bytes === arena.block.bytes) assertEquals(arena.start, end);
    if (written.at(-1) !== arena.block.bytes) written.push(arena.block.bytes);
  }
  const size = lines * (text.length + FROM.length + 1);
  assertEquals(written.length, Math.ceil(size / 65_536));
});

Deno.test("LineArena never changes written bytes", () => {
  const arena = new LineArena();
  const seen: [Uint8Array, number, number, string][] = [];
  for (let i = 0; i < 300; i++) {
    if (i % 100 === 99) arena.reset();
    const text = utf8(`{"event":"e${i}","x":"${"x".repeat(i % 7 * 100)}"}`);
    arena.write(text, 0, text.length, FROM, i % 3 * 50);
    seen.push([arena.block.bytes, arena.start, arena.end, lastOf(arena)]);
  }
  for (const [bytes, start, end, line] of seen) {
    assertEquals(textOf(bytes.subarray(start, end)), line);
  }
});

Deno.test("LineArena.write() reserves memory for a line and for the likely rest of its block", () => {
  const arena = new LineArena();
  const long = utf8(`{"event":"${"x".repeat(200_000)}"}`);
  arena.write(long, 0, long.length, NOTHING, 1_000_000);
  assertEquals(arena.block.bytes.length, long.length + 1);
  arena.reset();
  arena.write(utf8("{}"), 0, 2, NOTHING, 0);
  assertEquals(arena.block.bytes.length, 3);
});
