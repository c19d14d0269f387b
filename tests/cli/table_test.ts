import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { formatTable, widthOf } from "../../cli/layout.ts";

const columns = [
  { title: "name", shrinks: true },
  { title: "events/s", kind: "number" },
  { title: "note", shrinks: true },
] as const;

Deno.test("formatTable() aligns text on the left and numbers on the right", () => {
  assertEquals(
    formatTable(columns, [["chat.message", "1.2 k", "busy"], ["日本", "7", ""]], 80),
    [
      "name          events/s  note",
      "chat.message     1.2 k  busy",
      "日本                 7",
    ],
  );
});

Deno.test("formatTable() cuts the widest of the columns that shrink until all fit", () => {
  assertEquals(
    formatTable(columns, [["chat.message.of.everybody", "1.2 k", "a note"]], 30),
    ["name          events/s  note", "chat.messag…     1.2 k  a note"],
  );
});

Deno.test("formatTable() cuts lines where nothing shrinks any more", () => {
  assertEquals(
    formatTable(columns, [["chat.message", "1.2 k", "a note"]], 16),
    ["name    events/…", "chat.…     1.2 …"],
  );
});

Deno.test("formatTable() without rows has its titles", () => {
  assertEquals(formatTable(columns, [], 80), ["name  events/s  note"]);
});

Deno.test("formatTable() fits into any width", () => {
  const cell = fc.string({ unit: "grapheme" });
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell, cell)), fc.nat(100), (rows, width) => {
      return formatTable(columns, rows, width).every((line) => widthOf(line) <= width);
    }),
  );
});

Deno.test("formatTable() leaves columns out where cutting others is not enough", () => {
  const columns = [
    { title: "NAME" },
    { title: "WHERE", shrinks: true, dropOrder: 2 },
    { title: "IN", dropOrder: 1 },
    { title: "OUT", dropOrder: 1 },
    { title: "WHAT", shrinks: true },
  ];
  const rows = [["c1", "127.0.0.1:50001", "12", "345", "everything"]];
  const titles = (width: number) => formatTable(columns, rows, width)[0]!.split(/ +/);
  assertEquals(titles(80), ["NAME", "WHERE", "IN", "OUT", "WHAT"]);
  assertEquals(titles(29), ["NAME", "WHERE", "IN", "OUT", "WHAT"]);
  assertEquals(titles(28), ["NAME", "WHERE", "WHAT"]);
  assertEquals(titles(20), ["NAME", "WHERE", "WHAT"]);
  assertEquals(titles(19), ["NAME", "WHAT"]);
  assertEquals(formatTable(columns, rows, 12)[1], "c1    every…");
  assertEquals(formatTable(columns, rows, 5), ["NAME…", "c1  …"]);
});
