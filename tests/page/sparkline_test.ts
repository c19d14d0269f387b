import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { History, HISTORY_MS, type Point } from "../../page/history.ts";
import { sparklineOf } from "../../page/sparkline.ts";
import { takeSnapshot } from "../../protocol/snapshot.ts";
import { relayReport } from "../support/report.ts";

const NOW = 1_000_000;

Deno.test("sparklineOf() puts the present at the right, and the largest value at the top", () => {
  const points: Point[] = [[NOW - HISTORY_MS, 0], [NOW - HISTORY_MS / 2, 10], [NOW, 5]];
  assertEquals(sparklineOf(points, NOW), {
    line: "M0 39L150 1L300 20",
    area: "M0 40L0 39L150 1L300 20L300 40Z",
    max: 10,
  });
});

Deno.test("sparklineOf() has a gap where a value is unknown", () => {
  const points: Point[] = [[NOW - 3000, 4], [NOW - 2000, null], [NOW - 1000, 4], [NOW, 4]];
  assertEquals(sparklineOf(points, NOW), {
    line: "M297 1M299 1L300 1",
    area: "M297 40L297 1L297 40ZM299 40L299 1L300 1L300 40Z",
    max: 4,
  });
});

Deno.test("sparklineOf() of nothing, and of zeros, is no line and a flat one", () => {
  assertEquals(sparklineOf([], NOW), { line: "", area: "", max: 0 });
  assertStrictEquals(sparklineOf([[NOW - 1000, 0], [NOW, 0]], NOW).line, "M299 39L300 39");
});

Deno.test("History keeps the figures of the last five minutes", () => {
  const history = new History();
  const snapshot = (clients: number) => takeSnapshot(null, relayReport({ clients }));
  history.addGap(0);
  assertEquals(history.points("clients"), []);
  for (let at = 0; at <= 400_000; at += 1000) history.add(at, snapshot(at / 1000));
  history.addGap(401_000);
  const points = history.points("clients");
  assertEquals(points[0], [101_000, 101]);
  assertEquals(points.slice(-2), [[400_000, 400], [401_000, null]]);
  assertEquals(history.points("eventsIn").at(-2), [400_000, null]);
});
