/** Peers that shut down half of the connection, or break off with a reset, in every state. */

import { assertEquals } from "@std/assert/equals";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { Peer } from "../support/peer.ts";
import { until } from "../support/waiting.ts";
import { Resetter } from "./reset.ts";
import { size } from "./size.ts";
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
  ["after announcing a reason", '{"control":"close","reason":"rate-limited"}\n', "rate-limited", 0],
  ["while being closed", "GARBAGE\n", "bad-json", 0],
  ["while being closed for a long line", "x".repeat(1_048_577), "line-too-long", 0],
  ["while events are queued for it", BIG.repeat(BIG_COUNT), "eof", BIG_COUNT],
];

for (const [state, sent, reason, events] of STATES) {
  Deno.test(`relay ends a peer that shuts down its sending side ${state} with ${reason}`, async () => {
    await using target = await Target.start();
    await using peer = await target.peer();
    await peer.send(sent);
    await peer.conn.closeWrite();
    const lines = (await peer.lines()).filter((line) => line !== "");
    const control = lines.filter((line) => line.startsWith('{"control":'));
    // It still gets all of its own events, and is told what it cannot know.
    assertEquals(lines.length - control.length, events);
    const last = JSON.parse(control.at(-1) ?? "{}");
    const isTold = ["truncated", "bad-json", "line-too-long"].includes(reason);
    assertEquals(last.reason, isTold ? reason : undefined);
    assertEquals((await target.left(addressOf(peer))).reason, reason);
    assertEquals(
      target.entriesOf(addressOf(peer)).filter(({ type }) => type === "leave").length,
      1,
    );
    peer.close();
    await target.isCalm({ passes: 2 * events });
  });
}

Deno.test("relay outlives resets in every state", async () => {
  await using target = await Target.start();
  let passes = 0;
  for (const [state, sent, reason, events] of STATES) {
    for (let i = 0; i < size(2, 50); i++) {
      const peer = await Resetter.connect(target.address);
      await peer.send(sent);
      // Otherwise a reset may throw away what the relay has not read.
      await target.joined(peer.address);
      await peer.reset();
      const entry = await target.left(peer.address);
      const isSound = ["reset", reason, "truncated"].includes(entry.reason!);
      assertEquals(isSound, true, `${state}: ${JSON.stringify(entry)}`);
      passes += events;
    }
  }
  await target.isCalm({ passes: "some" });
  const { count } = target.pair.others;
  // What a reset overtakes may be lost, but nothing comes twice.
  assertEquals(count <= 2 * passes, true, `${count} events of ${2 * passes}`);
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

Deno.test("Relay gives up a peer that half-closes and never reads", async () => {
  const options = { drainTimeout: 200 };
  await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]), options);
  await using peer = await Peer.connect(relay.server.address, { silent: true });
  await peer.send(BIG.repeat(BIG_COUNT));
  await peer.conn.closeWrite();
  await until(() => relay.clients.length === 0);
});
