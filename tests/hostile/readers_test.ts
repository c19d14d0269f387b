/** Peers that read slowly or not at all, and what of it the others notice. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { Peer } from "../support/peer.ts";
import { size } from "../support/size.ts";
import { pause } from "../support/waiting.ts";
import { addressOf, Target } from "./target.ts";

const BLOCK = `{"event":"big","__dict__":{"text":"${"x".repeat(10_000)}"}}\n`.repeat(100);

/** Far more than a queue and the socket buffers take. */
const BLOCKS = size(12, 200);

/** Sends until it is cut off, or `count` times. */
async function flood(peer: Peer, text: string, count: number): Promise<void> {
  try {
    for (let i = 0; i < count; i++) await peer.send(text);
  } catch {
    // The relay has hung up.
  }
}

Deno.test("relay cuts off a peer that sends and never reads its echo", async () => {
  await using target = await Target.start(["--max-pending-bytes", "1000000"]);
  await using peer = await Peer.connect(target.address, { silent: true });
  const times = await target.pair.rounds(flood(peer, BLOCK, BLOCKS));
  const address = addressOf(peer);
  peer.close();
  const entry = await target.left(address);
  // It has not read the `close` line, so that a reset may come first.
  assert(["slow-consumer", "reset"].includes(entry.reason!), JSON.stringify(entry));
  assertLess(times.quantile(1), 10_000);
  await target.isCalm({ passes: "some" });
});

Deno.test("relay serves others while a peer reads a byte at a time", async () => {
  await using target = await Target.start(["--max-pending-bytes", "1000000", "--no-echo"]);
  await using slow = await Peer.connect(target.address, { silent: true });
  await target.joined(addressOf(slow));
  await using publisher = await target.peer();
  let isOver = false;
  const reading = (async () => {
    try {
      const byte = new Uint8Array(1);
      while (!isOver && await slow.conn.read(byte) !== null) {
        await pause(10);
      }
    } catch {
      // The relay has hung up.
    }
  })();
  const times = await target.pair.rounds(flood(publisher, BLOCK, BLOCKS));
  isOver = true;
  await reading;
  const address = addressOf(slow);
  slow.close();
  // All that it has sent is read before it goes: a reset would throw away what is not.
  await publisher.conn.closeWrite();
  await publisher.lines();
  publisher.close();
  assertEquals((await target.left(address)).reason, "slow-consumer");
  assertLess(times.quantile(0.99), 10_000);
  await target.isCalm({ passes: 200 * BLOCKS });
});

Deno.test("relay survives peers that ask for acks and never read them", async () => {
  await using target = await Target.start(["--no-echo", "--max-pending-bytes", "100000"]);
  const peers: Peer[] = [];
  const count = size(3, 20);
  const lines = size(2000, 50_000);
  for (let i = 0; i < count; i++) {
    const peer = await Peer.connect(target.address, { silent: true });
    peers.push(peer);
    await peer.send('{"control":"hello","version":1,"ack":true}\n');
  }
  await Promise.all(peers.map((peer) => flood(peer, '{"event":"a"}\n', lines)));
  for (const peer of peers) peer.close();
  await target.isCalm({ passes: "some" });
  assertLess(target.pair.others.count, 2 * count * lines + 1);
});
