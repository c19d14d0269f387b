import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { reportEvents, reportRequests } from "../../cli/bench_report.ts";
import { Histogram } from "../../cli/histogram.ts";
import { widthOf } from "../../cli/layout.ts";

const load = { events: 100_000, size: 127, publishers: 1, subscribers: 2, rate: null };
const result = {
  sent: 100_000,
  sendMs: 500,
  expected: 200_000,
  received: 200_000,
  misplaced: 0,
  receiveMs: 1000,
  latency: null,
  faults: [],
};

function histogramOf(values: number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

Deno.test("reportEvents() shows throughput both ways, and the reason for no latency", () => {
  const { lines, isGood } = reportEvents(load, result, 80);
  assertEquals(lines, [
    "100,000 events of 127 bytes, from 1 publisher to 2 subscribers",
    "",
    "           events  per second       bytes    took",
    "sent      100,000     200,000  24.4 MiB/s  500 ms",
    "received  200,000     200,000  24.4 MiB/s     1 s",
    "",
    "Nothing was lost: 200,000 events arrived, all in order",
    "",
    "Latency needs --rate; at full speed it only reflects the length of the queues",
  ]);
  assert(isGood);
});

Deno.test("reportEvents() shows losses and errors", () => {
  const bad = {
    ...result,
    sent: 99_999,
    expected: 199_998,
    received: 199_988,
    misplaced: 3,
    faults: ["Subscriber 1 was disconnected: slow-consumer"],
  };
  const { lines, json, isGood } = reportEvents(load, bad, 80);
  assertEquals(lines.slice(6, 10), [
    "Not sent: 1 of 100,000",
    "Lost: 10 of 199,998",
    "Out of order or duplicate: 3",
    "Subscriber 1 was disconnected: slow-consumer",
  ]);
  assertEquals(json.unsent, 1);
  assertEquals(json.lost, 10);
  assertEquals(json.misplaced, 3);
  assertEquals(json.faults, bad.faults);
  assertFalse(isGood);
});

Deno.test("reportEvents() is not content when something was not sent", () => {
  const { isGood } = reportEvents(load, { ...result, sent: 0, expected: 0, received: 0 }, 80);
  assertFalse(isGood);
});

Deno.test("reportEvents() shows the latencies of a steady rate, in lines that fit", () => {
  const paced = { ...result, latency: histogramOf([0.1, 0.2, 0.2, 30]) };
  const { lines, json } = reportEvents({ ...load, rate: 1000 }, paced, 60);
  assertEquals(
    lines[0],
    "100,000 events of 127 bytes, from 1 publisher to 2 subscribers, 1,000 a second",
  );
  const start = lines.findIndex((line) => line.startsWith("Latency"));
  assertEquals(lines.slice(start, start + 2), [
    "Latency, from when each event was due:",
    "p50 200 µs  p90 30 ms  p99 30 ms  p99.9 30 ms  max 30 ms",
  ]);
  assert(lines.slice(start + 3).every((line) => widthOf(line) <= 60));
  assertEquals((json.latencyMs as { count: number }).count, 4);
});

Deno.test("reportRequests() shows replies, round trips and missing replies", () => {
  const options = { ...load, parallel: 4 };
  const good = {
    requests: 100_000,
    answered: 100_000,
    elapsedMs: 2000,
    latency: histogramOf([1]),
    faults: [],
  };
  const report = reportRequests(options, good, 80);
  assertEquals(report.lines.slice(0, 5), [
    "100,000 requests of 127 bytes, 4 at a time, from 1 requester to 2 responders",
    "",
    "50,000 answers a second, in 2 s",
    "Every request was answered",
    "",
  ]);
  assert(report.isGood);
  const bad = reportRequests(options, { ...good, answered: 0, latency: histogramOf([]) }, 80);
  assertEquals(bad.lines[3], "Not answered: 100,000 of 100,000");
  assertFalse(bad.isGood);
  assertStrictEquals(bad.json.latencyMs, null);
});
