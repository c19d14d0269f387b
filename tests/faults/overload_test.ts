import { createHash } from "node:crypto";
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { utf8 } from "../support/bytes.ts";
import { Program } from "../support/process.ts";
import { isFull, size } from "../support/size.ts";
import { canTell, peakBytes, residentBytes } from "../support/usage.ts";
import { until } from "../support/waiting.ts";
import { Fleet } from "./fleet.ts";
import { launch } from "./launch.ts";
import { Ledger } from "./ledger.ts";
import type { Haul } from "./raw_readers_program.ts";
import { percentileOf } from "./protocol.ts";
import { RelayProcess } from "./relay_process.ts";
import { assertBalanced } from "./settle.ts";

const MEGABYTES = size(20, 200);
const READERS = 10;

/** The most memory that the relay may take meanwhile, in bytes. */
const MAX_RESIDENT = 200e6;

/** How long publishers may wait for readers that get no processor, as other tests take it, in ms. */
const MAX_HOLD = "10000";

/** About a megabyte of lines of many lengths. */
function makeLines(): Uint8Array {
  let text = "";
  for (let i = 0; text.length < 1e6; i++) {
    text += `{"event":"load","__dict__":{"i":${i},"x":"${"abcdefg".repeat(i % 97)}"}}\n`;
  }
  return utf8(text);
}

Deno.test({
  name: `Relay passes ${MEGABYTES} MB on to ${READERS} readers, as fast as they come, complete`,
  ignore: !canTell,
  async fn() {
    await using relay = await RelayProcess.start({ args: ["--no-echo", "--max-hold", MAX_HOLD] });
    const block = makeLines();
    const blocks = Math.ceil(MEGABYTES * 1e6 / block.length);
    const expected = blocks * block.length;
    await using readers = new Program(...launch(
      "tests/faults/raw_readers_program.ts",
      [JSON.stringify(relay.address), `${READERS}`, `${expected}`],
    ));
    await readers.expect(/connected\n/);
    await until(() => relay.log.filter(({ type }) => type === "join").length === READERS);

    const [hostname, port] = relay.address;
    using publisher = await Deno.connect({ hostname, port });
    const hash = createHash("sha256");
    for (let i = 0; i < blocks; i++) {
      hash.update(block);
      for (let sent = 0; sent < block.length;) {
        sent += await publisher.write(block.subarray(sent));
      }
    }
    const sha256 = hash.digest("hex");
    const [, hauls] = await readers.expect(/(\[.*\])\n/);
    for (const haul of JSON.parse(hauls!) as Haul[]) {
      assertEquals(haul, { bytes: expected, sha256 });
    }
    const leaves = relay.log.filter(({ type }) => type === "leave");
    assertEquals(leaves.filter(({ reason }) => reason !== "eof" && reason !== "reset"), []);
    if (isFull) console.log(`the relay had at most ${peakBytes(relay.pid) / 1e6} MB`);
    assertLess(peakBytes(relay.pid), MAX_RESIDENT);
  },
});

const CROWD = size(10, 49);

/** By how much the 99th percentile may grow, in ms; elsewhere other tests take the processor. */
const MAX_GROWTH_MS = size(Infinity, 250);

/** How much more memory the relay may keep in the end, in bytes: what V8 keeps for the next time. */
const MAX_KEPT = 40e6;

Deno.test({
  name: `Relay closes a frozen reader, and the ${CROWD} others hardly notice`,
  ignore: !canTell,
  async fn() {
    await using relay = await RelayProcess.start({
      args: isFull ? [] : ["--max-pending-bytes", "1000000"],
    });
    const ledger = new Ledger();
    await using crowd = new Fleet({
      name: "crowd",
      address: relay.address,
      clients: CROWD,
      publishers: 1,
      perSecond: 200,
      padding: 10_000,
    }, ledger);
    await using frozen = new Fleet({ name: "frozen", address: relay.address, clients: 1 }, ledger);
    await Promise.all([crowd.joins(), frozen.joins()]);

    await until(() => crowd.delays.length >= 4); // By then it is warm.
    const before = await p99Until(crowd, () => crowd.delays.length >= 12);
    const residentBefore = residentBytes(relay.pid);
    frozen.signal("SIGSTOP");
    const leave = relay.logs("leave");
    let hasLeft = false;
    leave.then(() => hasLeft = true);
    const during = await p99Until(crowd, () => hasLeft);
    assertEquals((await leave).reason, "slow-consumer");
    if (isFull) console.log(`p99 was ${before} ms, then ${during} ms`);
    assertLessOrEqual(during, before + MAX_GROWTH_MS);
    await frozen.kill();
    await until(() => residentBytes(relay.pid) < residentBefore + MAX_KEPT);
    assert(crowd.names.every((name) => ledger.joins(name) === 1));
    await assertBalanced(ledger, [crowd]);
  },
});

/** The 99th percentile of the times that events take from now on until `isOver`. */
async function p99Until({ delays }: Fleet, isOver: () => boolean): Promise<number> {
  const first = delays.length;
  await until(isOver);
  return percentileOf(delays.slice(first), 0.99);
}
