/** Many sockets that speak HTTP or WebSocket, or pretend to: what it costs the others. */

import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import type { Address } from "../../protocol/address.ts";
import { isFull, size } from "../support/size.ts";
import { UPGRADE } from "../support/web_peer.ts";
import { Attacker } from "./attacker.ts";
import { Target } from "./target.ts";
import { dialWebSocket } from "./web_conn.ts";

/**
 * How long a round trip may take, at p99, in milliseconds: in a small run, among other tests; in a
 * full one, with thousands of attackers that are clients, too, and receive the events of the pair.
 */
const MAX_ROUND_TRIP = size(10_000, 300);

/** The same for half of them, which hardly depends on stalls of the machine. */
const MAX_MEDIAN = size(1000, 300);

const [HELD, FLOOD] = [size(300, 5000), size(1000, 50_000)];

const HEAD = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n";

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
}

/** What many sockets send at first, and one byte at a time after that. */
const HOLDERS: [what: string, texts: string[], trickle: string][] = [
  ["heads of requests that never end", [HEAD, `${HEAD}X-A: ${"x".repeat(7000)}`, "GET /"], "x"],
  ["WebSockets that do nothing", [UPGRADE], ""],
  ["WebSockets that send what is no frame", [UPGRADE], " "],
  ["requests whose answers nobody reads", [get("/"), get("/client.js"), get("/events")], ""],
];

/** What sockets send that are opened and closed as fast as possible. */
const FLOODS: [what: string, texts: string[]][] = [
  ["requests", [get("/"), get("/client.js"), get("/metrics"), get("/nowhere"), get("/events")]],
  ["requests that are refused", [HEAD.replace("127.0.0.1", "evil.example") + "\r\n", get(" ")]],
  ["WebSockets", [UPGRADE]],
];

const PAIRS: [name: string, dial: ((address: Address) => Promise<Deno.Conn>) | undefined][] = [
  ["TCP", undefined],
  ["WebSocket", dialWebSocket],
];

/** Measures the pair of a relay under attack, and checks that all is well after it. */
async function survive(
  what: string,
  dial: ((address: Address) => Promise<Deno.Conn>) | undefined,
  attack: (address: Address) => Attacker,
): Promise<void> {
  await using target = await Target.start(["--no-echo"], dial && { dial });
  using attacker = attack(target.address);
  const times = await target.pair.rounds(attacker.done);
  if (isFull) console.log(`while ${what}: ${times}`);
  const { failed } = await attacker.done;
  assertEquals(failed, 0);
  assertLess(times.quantile(0.5), MAX_MEDIAN);
  assertLess(times.quantile(0.99), MAX_ROUND_TRIP);
  attacker[Symbol.dispose]();
  await target.isCalm();
}

for (const [name, dial] of PAIRS) {
  for (const [what, texts, trickle] of HOLDERS) {
    Deno.test(`relay serves clients over ${name} during ${what}`, async () => {
      await survive(`${HELD} ${what}`, dial, ([hostname, port]) =>
        new Attacker({
          kind: "hold",
          hostname,
          port,
          count: HELD,
          texts,
          trickle,
          reads: false,
        }));
    });
  }
  for (const [what, texts] of FLOODS) {
    Deno.test(`relay serves clients over ${name} during a flood of ${what}`, async () => {
      await survive(
        `a flood of ${FLOOD} ${what}`,
        dial,
        ([hostname, port]) => new Attacker({ kind: "flood", hostname, port, count: FLOOD, texts }),
      );
    });
  }
}
