import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { formatAddress } from "../../protocol/address.ts";
import { type TestRelay, testRelay } from "../../testing.ts";
import { Command } from "../support/command.ts";
import { Peer } from "../support/peer.ts";

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
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^Relay at 127\.0\.0\.1:\d+\nup \d+s {3}2 clients of 2 {3}memory /);
  assertMatch(stdout, /^c1 +127\.0\.0\.1:\d+ .* a\.\* \[\\u001b\[31m\]$/m);
  assertMatch(stdout, /^c2 +127\.0\.0\.1:\d+ .* none$/m);
  assertMatch(stdout, /^NAME +EVENTS$/m);
});

Deno.test("top --json prints what happened in the interval as one line", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  const snapshot = top(relay, "--json", "--interval", "1000");
  // Whenever the interval begins and ends, there are events in it.
  let isOver = false;
  const sending = (async () => {
    while (!isOver) {
      await peer.send('{"event":"tick\x9b"}\n');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  const { code, stdout } = await snapshot;
  isOver = true;
  await sending;
  const { intervalMs, relay: figures, clients, names } = JSON.parse(stdout);
  assertEquals([code, stdout.trimEnd().includes("\n")], [0, false]);
  assertEquals(stdout.includes("\x9b"), false);
  assertEquals(intervalMs >= 1000, true);
  assertEquals(figures.eventsInPerSecond > 0, true);
  assertEquals(clients[0].id, "c1");
  assertEquals([names[0].name, names[0].eventsPerSecond > 0], ["tick\x9b", true]);
});

Deno.test("top says what is wrong, and what to do", async () => {
  await using silent = testRelay({ inspect: false });
  const cases: [args: string[], code: number, complaint: RegExp][] = [
    [["x"], 2, /^error: Unknown argument "x"; ebsockets top --help/],
    [["--interval", "1"], 2, /^error: --interval must be a number from 100 to /],
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
    assertEquals([outcome.code, outcome.stdout], [code, ""], args.join(" "));
    assertMatch(outcome.stderr, complaint);
  }));
});
