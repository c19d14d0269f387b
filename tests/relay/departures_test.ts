import { assertEquals } from "@std/assert/equals";
import { Departures } from "../../relay/departures.ts";

const CLIENT = { id: 7, address: ["127.0.0.1", 5] } as const;

Deno.test("Departures.latest() has the last 200, the last one first", () => {
  const departures = new Departures();
  assertEquals(departures.latest(), []);
  for (let id = 1; id <= 1000; id++) {
    departures.add({ ...CLIENT, id }, { reason: "eof", detail: "" }, 10 * id);
    const expected = Array.from({ length: Math.min(id, 200) }, (_, i) => id - i);
    assertEquals(departures.latest().map((each) => each.id), expected);
  }
  const last = { ...CLIENT, id: 1000, reason: "eof", detail: "", uptimeMs: 10_000 } as const;
  assertEquals(departures.latest()[0], last);
});

Deno.test("Departures.add() shortens what a peer has said, and keeps its text well-formed", () => {
  const departures = new Departures();
  const details = ["x".repeat(500), `${"x".repeat(119)}😀`, "y".repeat(120)];
  for (const detail of details) departures.add(CLIENT, { reason: "shutdown", detail }, 1);
  assertEquals(departures.latest().map(({ detail }) => detail), [
    "y".repeat(120),
    `${"x".repeat(119)}\ufffd`,
    "x".repeat(120),
  ]);
});
