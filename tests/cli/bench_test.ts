import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { formatAddress } from "../../protocol/address.ts";
import { type TestRelay, testRelay } from "../../testing.ts";
import { Command } from "../support/command.ts";
import { Peer } from "../support/peer.ts";

function bench({ address }: TestRelay, ...args: string[]): Command {
  return new Command(["bench", formatAddress(address), ...args]);
}

Deno.test("bench shows throughput, and that nothing was lost", async () => {
  await using relay = testRelay();
  await using command = bench(relay, "--events", "1000", "--subscribers", "2");
  const { code, stdout, stderr } = await command.end();
  assertEquals(stderr, "");
  assertEquals(code, 0);
  assertMatch(stdout, /^1,000 events of 128 bytes, from 1 publisher to 2 subscribers\n/);
  assertMatch(stdout, /^received +2,000 +[\d,]+ +\S+ \w*B\/s +[\d.]+ m?s$/m);
  assertMatch(stdout, /^Nothing was lost: 2,000 events arrived, all in order$/m);
  assertMatch(stdout, /^Latency needs --rate/m);
});

Deno.test("bench --rate shows latencies, and --json prints all of it for programs", async () => {
  await using relay = testRelay();
  await using command = bench(relay, "--events", "100", "--rate", "1000", "--json");
  const { code, stdout } = await command.end();
  const { mode, events, received, lost, faults, latencyMs } = JSON.parse(stdout);
  assertEquals({ code, mode, events, received, lost, faults }, {
    code: 0,
    mode: "events",
    events: 100,
    received: 100,
    lost: 0,
    faults: [],
  });
  const { count, p50, p90, p99, p999, max } = latencyMs;
  assertEquals(count, 100);
  assertEquals([p50, p90, p99, p999, max].toSorted((a, b) => a - b), [p50, p90, p99, p999, max]);
});

Deno.test("bench --requests shows round trips", async () => {
  await using relay = testRelay();
  await using command = bench(relay, "--requests", "--events", "200", "--parallel", "4");
  const { code, stdout } = await command.end();
  assertEquals(code, 0);
  assertMatch(stdout, /^200 requests of 128 bytes, 4 at a time, from 1 requester to 1 responder\n/);
  assertMatch(stdout, /^Every request was answered$/m);
  assertMatch(stdout, /^p50 .* p90 .* p99 .* p99\.9 .* max /m);
});

Deno.test("bench reports losses, and exits with 1", async () => {
  const relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  await using command = bench(relay, "--events", "10000000");
  await peer.sees("bench.");
  const closing = relay.close();
  peer.close();
  const { code, stdout } = await command.end();
  assertEquals(code, 1);
  assertMatch(stdout, /^Not sent: [\d,]+ of 10,000,000$/m);
  assertMatch(stdout, /^(Lost: [\d,]+ of|Nothing was lost:) [\d,]+/m);
  assertMatch(stdout, /^Subscriber 1 was disconnected: shutdown$/m);
  await closing;
});

Deno.test("bench names the error, with a hint", async () => {
  const cases: [args: string[], code: number, complaint: RegExp][] = [
    [["x"], 2, /^error: Unknown argument "x"; ebsockets bench --help/],
    [["--parallel", "2"], 2, /^error: --parallel needs --requests; /],
    [["--size", "10"], 2, /^error: --size must be an integer from 96 to 1048576, not "10"; /],
    [["127.0.0.1:1"], 1, /^error: Cannot connect to 127\.0\.0\.1:1: /],
  ];
  await Promise.all(cases.map(async ([args, code, complaint]) => {
    await using command = new Command(["bench", ...args]);
    const outcome = await command.end();
    assertEquals(outcome.stdout, "", args.join(" "));
    assertEquals(outcome.code, code, args.join(" "));
    assertMatch(outcome.stderr, complaint);
  }));
});
