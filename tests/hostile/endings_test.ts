/** Peers that shut down half of the connection, or break off with a reset, in every state. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { utf8 } from "../support/bytes.ts";
import { Peer } from "../support/peer.ts";
import { newRelay } from "../support/relay.ts";
import { until } from "../support/waiting.ts";
import { Resetter } from "./reset.ts";
import { size } from "../support/size.ts";
import { addressOf, Target } from "./target.ts";

const HELLO = '{"control":"hello","version":1}\n';
const EVENT = '{"event":"mine"}\n';

/** More than all socket buffers between two ends take, so that some of it waits in the relay. */
const BIG = `{"event":"big","__dict__":{"text":"${"x".repeat(1_000_000)}"}}\n`;
const BIG_COUNT = 7;

/** How to get a connection into a state, and why it then ends if the peer sends no more. */
const STATES: [state: string, sent: string, reason: string, events: number][] = [
  ["before anything", "", "eof", 0],
  ["after an empty line", "\n", "eof", 0],
  ["after a hello", HELLO, "eof", 0],
  ["after an event", EVENT, "eof", 1],
  ["in the middle of a line", `${EVENT}{"event":"ha`, "truncated", 1],
  ["in the middle of a hello", '{"control":"hel', "truncated", 0],
  ["after a carriage return", `${EVENT}\r`, "truncated", 1],
  ["after announcing a reason", '{"control":"close","reason":"idle-timeout"}\n', "idle-timeout", 0],
  ["while being closed", "GARBAGE\n", "bad-json", 0],
  ["while being closed for a long line", "x".repeat(1_048_577), "line-too-long", 0],
];

const BIG_STATE = [
  "while events are queued for it",
  BIG.repeat(BIG_COUNT),
  "eof",
  BIG_COUNT,
] as const;

Deno.test("relay ends a peer that shuts down its sending side with the right reason in every state", async () => {
  await using target = await Target.start(["--no-echo"]);
  await Promise.all(STATES.map(async ([state, sent, reason]) => {
    await using peer = await target.peer();
    const address = addressOf(peer);
    await peer.send(sent);
    // The log says nothing of a peer that is gone before it has said or heard anything.
    if (sent === "") await target.joined(address);
    await peer.conn.closeWrite();
    // It is told what it cannot know, beside events of others that come until it is gone.
    const told = (await peer.lines()).filter((line) => line.startsWith('{"control":"close"'));
    const isTold = ["truncated", "bad-json", "line-too-long"].includes(reason);
    assertEquals(told.map((line) => JSON.parse(line).reason), isTold ? [reason] : [], state);
    peer.close();
    await target.left(address);
    const ends = target.entriesOf(address).filter(({ type }) => type === "leave");
    assertEquals(ends.map((each) => each.reason), [reason], state);
  }));
  const events = STATES.reduce((sum, [, , , count]) => sum + count, 0);
  await target.isCalm({ passes: 2 * events });
});

Deno.test("relay sends a half-closed peer all its queued lines", async () => {
  await using target = await Target.start();
  const [hostname, port] = target.address;
  using conn = await Deno.connect({ hostname, port });
  const queued = utf8(BIG.repeat(BIG_COUNT));
  for (let sent = 0; sent < queued.length;) sent += await conn.write(queued.subarray(sent));
  await conn.closeWrite();
  let received = 0;
  for await (const chunk of conn.readable) received += chunk.length;
  assertEquals(received, queued.length);
  await target.isCalm({ passes: 2 * BIG_COUNT });
});

Deno.test("relay outlives resets in every state", async () => {
  // With web, a peer joins only with its first line.
  await using target = await Target.start(["--no-web"]);
  let passes = 0;
  for (const [state, sent, reason, events] of [...STATES, BIG_STATE]) {
    for (let i = 0; i < size(2, 50); i++) {
      const peer = await Resetter.connect(target.address);
      await peer.send(sent);
      // Otherwise a reset may throw away what the relay has not read.
      await target.joined(peer.address);
      await peer.reset();
      const entry = await target.left(peer.address);
      const isSound = ["reset", reason, "truncated"].includes(entry.reason!);
      assert(isSound, `${state}: ${JSON.stringify(entry)}`);
      passes += events;
    }
  }
  await target.isCalm({ passes: "some" });
  const { count } = target.pair.others;
  // What a reset overtakes may be lost, but nothing comes twice.
  assertLessOrEqual(count, 2 * passes, `${count} events of ${2 * passes}`);
});

Deno.test("relay outlives a peer that resets after its own half-close", async () => {
  await using target = await Target.start();
  const peer = await Resetter.connect(target.address);
  await peer.send(BIG.repeat(BIG_COUNT));
  await peer.end();
  await peer.reset();
  await target.left(peer.address);
  await target.isCalm({ passes: "some" });
});

Deno.test("Relay closes a half-closed peer that never reads", async () => {
  const options = { drainTimeout: 200 };
  await using relay = newRelay(options);
  await using peer = await Peer.connect(relay.server.address, { silent: true });
  await peer.send(BIG.repeat(BIG_COUNT));
  await peer.conn.closeWrite();
  await until(() => relay.clients.length === 0);
});
