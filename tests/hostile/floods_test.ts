/** Many sockets, or much that costs little to send: what it costs the others. */

import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import type { Address } from "../../protocol/address.ts";
import { Attacker } from "./attacker.ts";
import { isFull, size } from "../support/size.ts";
import { Target } from "./target.ts";
import { canTell } from "../support/usage.ts";
import { pause } from "../support/waiting.ts";

/** How long a round trip may take, at p99, in milliseconds: in a small run, among other tests. */
const MAX_ROUND_TRIP = size(10_000, 100);

/** The same for half of them, which hardly depends on stalls of the machine. */
const MAX_MEDIAN = size(1000, 100);

const [LORIS, FLOOD] = [size(300, 5000), size(2000, 100_000)];

function note(text: string): void {
  if (isFull) console.log(text);
}

/** Sockets that send a byte at a time, or nothing, and never read. */
function slowLoris([hostname, port]: Address, count: number): Attacker {
  return new Attacker({
    kind: "hold",
    hostname,
    port,
    count,
    texts: ["", "{", '{"event":"a","__dict__":{"text":"'],
    trickle: " ",
    reads: false,
  });
}

Deno.test("relay serves others while slow-loris sockets send a byte at a time or nothing", async () => {
  await using target = await Target.start();
  using attacker = slowLoris(target.address, LORIS);
  const attack = attacker.done.then(() => pause(size(500, 10_000)));
  const times = await target.pair.rounds(attack);
  note(`while ${LORIS} slow-loris sockets connect and stay: ${times}`);
  const { connected, failed } = await attacker.stop();
  assertEquals(connected, LORIS);
  assertEquals(failed, 0);
  assertLess(times.quantile(0.5), MAX_MEDIAN);
  assertLess(times.quantile(0.99), MAX_ROUND_TRIP);
  attacker[Symbol.dispose]();
  await target.isCalm();
});

Deno.test({
  name: "relay does not grow from one wave of slow-loris sockets to the next",
  ignore: !canTell,
  async fn() {
    await using target = await Target.start();
    const levels: number[] = [];
    for (let wave = 0; wave < 6; wave++) {
      using attacker = slowLoris(target.address, size(200, 3000));
      await target.pair.rounds(attacker.done);
      attacker[Symbol.dispose]();
      await target.isCalm();
      levels.push(Math.round(target.memory / 1e6));
    }
    note(`after each wave: ${levels} MB`);
    assertLess(levels.at(-1)! - levels[2]!, size(40, 100), `${levels} MB`);
  },
});

Deno.test("relay serves others while sockets connect and close as fast as they can", async () => {
  await using target = await Target.start();
  const [hostname, port] = target.address;
  using attacker = new Attacker({ kind: "flood", hostname, port, count: FLOOD, texts: ["", "x"] });
  const times = await target.pair.rounds(attacker.done);
  note(`while ${FLOOD} sockets connect and close: ${times}`);
  const { connected, failed } = await attacker.done;
  assertEquals(connected, FLOOD);
  assertEquals(failed, 0);
  assertLess(times.quantile(0.5), MAX_MEDIAN);
  assertLess(times.quantile(0.99), MAX_ROUND_TRIP);
  await target.isCalm();
});
