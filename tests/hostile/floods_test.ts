/** Many sockets, or much that costs little to send: what it costs the others. */

import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { Attacker } from "./attacker.ts";
import { isFull, size } from "./size.ts";
import { Target } from "./target.ts";

/** How long a round trip may take, at p99, in milliseconds: in a small run, among other tests. */
const MAX_ROUND_TRIP = size(1000, 100);

const [LORIS, FLOOD] = [size(300, 5000), size(2000, 100_000)];

function note(text: string): void {
  if (isFull) console.log(text);
}

Deno.test("relay serves others while slow-loris sockets send a byte at a time or nothing", async () => {
  await using target = await Target.start();
  const { hostname, port } = { hostname: target.address[0], port: target.address[1] };
  using attacker = new Attacker({
    kind: "hold",
    hostname,
    port,
    count: LORIS,
    texts: ["", "{", '{"event":"a","__dict__":{"text":"'],
    trickle: " ",
    reads: false,
  });
  const opening = await target.pair.rounds(attacker.done);
  note(`while ${LORIS} slow-loris sockets connect: ${opening}`);
  const lasting = await target.pair.rounds(
    new Promise((resolve) => setTimeout(resolve, size(500, 10_000))),
  );
  note(`while ${LORIS} slow-loris sockets are there: ${lasting}`);
  const { connected, failed } = await attacker.stop();
  assertEquals([connected, failed], [LORIS, 0]);
  assertLess(opening.quantile(0.99), MAX_ROUND_TRIP);
  assertLess(lasting.quantile(0.99), MAX_ROUND_TRIP);
  attacker[Symbol.dispose]();
  await target.isCalm();
});

Deno.test("relay serves others while sockets connect and close as fast as they can", async () => {
  await using target = await Target.start();
  const [hostname, port] = target.address;
  using attacker = new Attacker({ kind: "flood", hostname, port, count: FLOOD, texts: ["", "x"] });
  const times = await target.pair.rounds(attacker.done);
  note(`while ${FLOOD} sockets connect and close: ${times}`);
  const { connected, failed } = await attacker.done;
  assertEquals([connected, failed], [FLOOD, 0]);
  assertLess(times.quantile(0.99), MAX_ROUND_TRIP);
  await target.isCalm();
});
