import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { setColorEnabled } from "@std/fmt/colors";
import { takeSnapshot } from "../../protocol/snapshot.ts";
import { formatTop } from "../../cli/top_view.ts";
import { widthOf } from "../../cli/layout.ts";
import type { RelayReport } from "../../protocol/report.ts";
import { clientReport, historyStats, relayReport } from "../support/report.ts";

setColorEnabled(false);

const unlimited = { columns: Infinity, rows: Infinity };

/** A relay with so many clients and names, a second after it had none. */
function busy(clients: number, names: number): [before: RelayReport, after: RelayReport] {
  const numbers = Array.from({ length: clients }, (_, i) => i + 1);
  const figures = { rssBytes: 60_000_000, loopDelayMaxMs: 3, loopDelayMeanMs: 0.1 };
  return [
    relayReport({ ...figures, uptimeMs: 59_000 }),
    relayReport({
      ...figures,
      uptimeMs: 60_000,
      clients,
      clientsTotal: 12,
      eventsIn: 1234,
      eventsOut: 3456,
      bytesIn: 140_000,
      bytesOut: 410_000,
      eventsUnheard: 7,
      pendingBytes: 4096,
      largestPendingBytes: 1024,
    }, {
      clients: numbers.map((id) =>
        clientReport({ id, address: ["127.0.0.1", 50_000 + id], eventsIn: 1000 - id, bytesIn: id })
      ),
      names: Array.from({ length: names }, (_, i) => ({
        name: `name.${i}`,
        events: 100 - i,
        ...(i === 0 && { hearers: 3 }),
      })),
      watchedMs: 1000,
    }),
  ];
}

Deno.test("formatTop() shows the relay, its clients and its names", () => {
  const lines = formatTop(takeSnapshot(...busy(2, 2)), "Relay", unlimited);
  assertEquals(lines, [
    "Relay",
    "up 1m   2 clients of 12   memory 57.2 MiB   loop late 100 µs, at most 3 ms",
    "in 1.2K/s, 137 KiB/s   out 3.5K/s, 400 KiB/s   no recipient 7/s",
    "waiting 4 KiB, at most 1 KiB for one",
    "",
    "CLIENT  ADDRESS             IN  OUT  BYTES IN  BYTES OUT  WAITING  PATTERNS",
    "c1      127.0.0.1:50001  999/s  0/s     1 B/s      0 B/s      0 B  all events",
    "c2      127.0.0.1:50002  998/s  0/s     2 B/s      0 B/s      0 B  all events",
    "",
    "NAME    EVENTS  HEARS",
    "name.0   100/s      3",
    "name.1    99/s      -",
  ]);
});

Deno.test("formatTop() shows closes by a fault, and refusals", () => {
  const none = relayReport().relay;
  const report = relayReport({
    closes: { ...none.closes, eof: 5, "slow-consumer": 2, reset: 1, ...{ "\x1b[2J": 3 } },
    refusals: { ...none.refusals, unauthorized: 3, "too-many-clients": 1 },
  });
  const line = formatTop(takeSnapshot(null, report), "Relay", unlimited)[3]!;
  assertMatch(line, / {3}closed: 1 reset, 2 slow-consumer, 3 \\u001b\[2J {3}refused: 4$/);
});

Deno.test("formatTop() shows the subscriptions of each client", () => {
  const clients = [
    clientReport({ id: 1 }),
    clientReport({ id: 2, subscriptionCount: 0 }),
    clientReport({ id: 3, subscriptionCount: 5, subscriptions: [{ pattern: "a.*", queue: "q" }] }),
  ];
  const lines = formatTop(
    takeSnapshot(null, relayReport({}, { clients })),
    "Relay",
    unlimited,
  );
  const patterns = lines.slice(6, 9).map((line) => line.split("  ").at(-1));
  assertEquals(patterns, ["all events", "none", "a.* [q], and 4 more"]);
});

Deno.test("formatTop() shows no rate that is not known", () => {
  const lines = formatTop(takeSnapshot(null, busy(1, 1)[1]), "Relay", unlimited);
  assertEquals(lines[2], "in -, -   out -, -   no recipient -");
  assertMatch(lines[6]!, /^c1 .* - +- +- +- +0 B/);
});

Deno.test("formatTop() fits any screen, and counts the rows that it leaves out", () => {
  for (const columns of [20, 40, 80, 200]) {
    for (const rows of [1, 3, 8, 12, 24, 50]) {
      const size = { columns, rows };
      const lines = formatTop(takeSnapshot(...busy(90, 70)), "Relay", size);
      assertLessOrEqual(lines.length, rows, `${lines.length} of ${rows} rows`);
      assert(lines.every((line) => widthOf(line) <= columns), lines.join("\n"));
    }
  }
  const lines = formatTop(takeSnapshot(...busy(90, 70)), "Relay", { columns: 80, rows: 24 });
  assertEquals(lines.length, 24);
  const rest = lines.filter((line) => /^and \d+ more$/.test(line));
  assertEquals(rest, ["and 80 more", "and 66 more"]);
});

Deno.test("formatTop() uses the rows that clients leave for names", () => {
  const lines = formatTop(takeSnapshot(...busy(1, 70)), "Relay", { columns: 80, rows: 24 });
  assertEquals(lines.filter((line) => line.startsWith("name.")).length, 14);
});

Deno.test("formatTop() escapes text of a peer that could disturb the terminal", () => {
  const evil = "\x1b[2J\u202e\n";
  const report = relayReport({}, {
    clients: [clientReport({
      address: [`/${evil}`, 0],
      subscriptionCount: 1,
      subscriptions: [{ pattern: evil, queue: evil }],
    })],
    names: [{ name: evil, events: 1 }],
  });
  const text = formatTop(takeSnapshot(null, report), evil, unlimited).join("");
  // deno-lint-ignore no-control-regex
  assertNotMatch(text, /[\x00-\x1f\x7f-\x9f\u202e]/);
});

Deno.test("formatTop() shows all figures of the relay in 40 columns", () => {
  const size = { columns: 40, rows: 24 };
  const lines = formatTop(takeSnapshot(...busy(2, 2)), "Relay", size);
  assertEquals(lines.slice(0, 12), [
    "Relay",
    "up 1m   2 clients of 12",
    "memory 57.2 MiB",
    "loop late 100 µs, at most 3 ms",
    "in 1.2K/s, 137 KiB/s",
    "out 3.5K/s, 400 KiB/s   no recipient 7/s",
    "waiting 4 KiB, at most 1 KiB for one",
    "",
    "CLIENT     IN  OUT  WAITING  PATTERNS",
    "c1      999/s  0/s      0 B  all events",
    "c2      998/s  0/s      0 B  all events",
    "",
  ]);
});

Deno.test("formatTop() shows the history of a relay", () => {
  const history = historyStats({
    first: 5,
    offset: 1204,
    events: 1200,
    bytes: 204_800,
    evicted: 4,
  });
  const shown = (more: object) => {
    const report = relayReport({ history: { ...history, ...more } });
    return formatTop(takeSnapshot(null, report), "Relay", unlimited)[4];
  };
  assertEquals(shown({}), "keeps 1,200 events, 200 KiB   offset 5 to 1,204   4 dropped");
  assertEquals(
    shown({ evicted: 0, names: 1, namesRefused: 2, catchingUp: 3 }),
    "keeps 1,200 events, 200 KiB   offset 5 to 1,204   last events of 1 name   " +
      "no room for 2 last events   3 clients catching up",
  );
  assertEquals(
    shown({ isBroken: true, evicted: 0 }),
    "events are not kept at the moment   keeps 1,200 events, 200 KiB   offset 5 to 1,204",
  );
  assertEquals(shown({ first: 1205, events: 0, bytes: 0 }), "keeps 0 events, 0 B   4 dropped");
});
