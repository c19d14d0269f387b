import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import { MemberDiff } from "../../server/member_diff.ts";
import { Piece } from "../../net/piece.ts";
import { blockOf, textOf } from "../support/bytes.ts";

/** A piece that is all of a block. */
function pieceOf(text: string, events: number): Piece {
  return new Piece(blockOf(text), 0, text.length, events);
}

Deno.test("MemberDiff.apply() removes and inserts slices, and counts their events", () => {
  const step = fc.record({
    kind: fc.constantFrom("all", "others", "alone", "cut"),
    length: fc.constantFrom(1, 10, 600, 5000),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
    const diff = new MemberDiff();
    let [shared, expected, events] = ["", "", 0];
    const pieces: Piece[] = [];
    const cut = () => {
      const before = pieces.reduce((sum, piece) => sum + piece.length, 0);
      const counted = pieces.reduce((sum, piece) => sum + piece.events, 0);
      if (before < shared.length) pieces.push(pieceOf(shared.slice(before), events - counted));
    };
    steps.forEach(({ kind, length }, i) => {
      if (kind === "cut") return cut();
      const line = `${i}${"x".repeat(length)}\n`;
      const at = { bytes: shared.length, events };
      if (kind !== "others") expected += line;
      if (kind === "alone") return diff.insert(at, blockOf(line), 0, line.length);
      shared += line;
      events++;
      if (kind === "others") diff.skip(at, { bytes: shared.length, events });
    });
    cut();
    const own = diff.apply(pieces);
    assertEquals(textOf(concat(own.map(({ bytes }) => bytes))), expected);
    const lines = steps.filter(({ kind }) => kind === "all" || kind === "alone").length;
    assertEquals(own.reduce((sum, { events }) => sum + events, 0), lines);
    for (const { bytes, events } of own) {
      assertEquals(bytes.filter((byte) => byte === 0x0a).length, events);
    }
  }));
});

Deno.test("MemberDiff.apply() copies short pieces into one, and shares long ones", () => {
  const diff = new MemberDiff();
  const long = "x".repeat(999) + "\n";
  const all = pieceOf(`a\nb\nc\n${long}d\ne\n`, 6);
  diff.skip({ bytes: 0, events: 0 }, { bytes: 2, events: 1 });
  diff.skip({ bytes: 2, events: 1 }, { bytes: 4, events: 2 });
  diff.insert({ bytes: 6, events: 3 }, blockOf("u\n"), 0, 2);
  diff.insert({ bytes: 6, events: 3 }, blockOf("v\n"), 0, 2);
  diff.insert({ bytes: 1006, events: 4 }, blockOf("w\n"), 0, 2);
  diff.insert({ bytes: 1008, events: 5 }, blockOf("x\n"), 0, 2);
  const own = diff.apply([all]);
  assertEquals(own.map(({ bytes }) => textOf(bytes)), ["c\nu\nv\n", long, "w\nd\nx\ne\n"]);
  assertEquals(own.map(({ events }) => events), [3, 1, 4]);
  const [before, between, after] = own;
  assertStrictEquals(between!.block, all.block);
  assertEquals([before, after].map((piece) => piece!.block.bytes.buffer.byteLength), [6, 8]);
});

Deno.test("MemberDiff.apply() returns the shared slices unchanged if nothing differs", () => {
  const [one, two] = [pieceOf("x".repeat(600), 1), pieceOf("y".repeat(600), 1)];
  const diff = new MemberDiff();
  diff.insert({ bytes: 600, events: 1 }, blockOf("z\n"), 0, 2);
  const own = diff.apply([one, two]);
  assertEquals(own.length, 3);
  assertStrictEquals(own[0], one);
  assertStrictEquals(own[2], two);
});
