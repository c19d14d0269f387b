import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertMatch } from "@std/assert/match";
import { formatAddress } from "../../protocol/address.ts";
import { type TestRelay, testRelay } from "../../testing.ts";
import { Command } from "../support/command.ts";
import { Peer } from "../support/peer.ts";
import { pause } from "../support/waiting.ts";

async function top({ address }: TestRelay, ...args: string[]) {
  await using command = new Command(["top", formatAddress(address), ...args]);
  return await command.end();
}

Deno.test("top where no terminal is prints a snapshot, and ends", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  await peer.send('{"control":"subscribe","events":["a.*"],"queue":"\\u001b[31m","id":"s"}\n');
  await peer.sees('"id":"s"');
  const { code, stdout, stderr } = await top(relay, "--interval", "100");
  assertEquals(stderr, "");
  assertEquals(code, 0);
  assertMatch(stdout, /^Relay at 127\.0\.0\.1:\d+\nup \d+s {3}2 clients of 2 {3}memory /);
  assertMatch(stdout, /^c1 +127\.0\.0\.1:\d+ .* a\.\* \[\\u001b\[31m\]$/m);
  assertMatch(stdout, /^c2 +127\.0\.0\.1:\d+ .* none$/m);
  assertMatch(stdout, /^NAME +EVENTS +HEARS$/m);
});

Deno.test("top --json prints the figures of the interval as one line", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  const snapshot = top(relay, "--json", "--interval", "1000");
  // Whenever the interval begins and ends, there are events in it.
  let isOver = false;
  const sending = (async () => {
    while (!isOver) {
      await peer.send('{"event":"tick\x9b"}\n');
      await pause(20);
    }
  })();
  const { code, stdout } = await snapshot;
  isOver = true;
  await sending;
  const { intervalMs, relay: figures, clients, names } = JSON.parse(stdout);
  assertFalse(stdout.trimEnd().includes("\n"));
  assertEquals(code, 0);
  assertFalse(stdout.includes("\x9b"));
  assertGreaterOrEqual(intervalMs, 1000);
  assertGreater(figures.eventsInPerSecond, 0);
  assertEquals(clients[0].id, "c1");
  assertEquals(names[0].name, "tick\x9b");
  assertGreater(names[0].eventsPerSecond, 0);
});

Deno.test("top names the error, with a hint", async () => {
  await using silent = testRelay({ inspect: false });
  const cases: [args: string[], code: number, complaint: RegExp][] = [
    [["x"], 2, /^error: Unknown argument "x"; ebsockets top --help/],
    [["--interval", "1"], 2, /^error: --interval must be a time from 100ms to /],
    [["127.0.0.1:1"], 1, /^error: Cannot connect to 127\.0\.0\.1:1: /],
    [
      [formatAddress(silent.address)],
      1,
      /^error: The relay at \S+ does not report its state: it was started with --no-inspect\n$/,
    ],
  ];
  await Promise.all(cases.map(async ([args, code, complaint]) => {
    await using command = new Command(["top", ...args]);
    const outcome = await command.end();
    assertEquals(outcome.stdout, "", args.join(" "));
    assertEquals(outcome.code, code, args.join(" "));
    assertMatch(outcome.stderr, complaint);
  }));
});
