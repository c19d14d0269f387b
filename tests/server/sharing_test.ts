// What many clients get takes the memory of one, whatever else goes to some of them: with room for a few
// copies of a long event, a relay passes it on to many that read, and closes none.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import type { RelayOptions } from "../../relay.ts";
import { Peer } from "../support/peer.ts";
import { newRelay } from "../support/relay.ts";
import { until } from "../support/waiting.ts";

const READERS = 60;
const ROUNDS = 3;
const LONG = `{"event":"all","__dict__":{"text":"${"x".repeat(300_000)}"}}\n`;
const SHORT = '{"event":"all"}\n'.repeat(5000);
const HELLO = '{"control":"hello","version":1,"sequence":true}\n';

/** How the readers differ. */
interface Difference {
  readonly options?: RelayOptions;
  /** What reader `i` says first. */
  greeting?(i: number): string;
  /** What reader `id` is sent besides. */
  own?(id: number): string;
  /** What a reader gets at least of it, if anything. */
  readonly owned?: string;
}

const subscribe = (events: string[], queue?: string) =>
  JSON.stringify({ control: "subscribe", events, queue }) + "\n";

const DIFFERENCES: Record<string, Difference> = {
  "get lines of their own": {
    own: (id) => `{"event":"own","to":"c${id}"}\n`,
    owned: '"event":"own"',
  },
  "have other subscriptions": {
    greeting: (i) => subscribe(["all", `own.${i + 1}`]),
    own: (id) => `{"event":"own.${id}"}\n`,
    owned: '"event":"own.',
  },
  "belong to a queue": {
    greeting: () => subscribe(["all"]) + subscribe(["job"], "q"),
    own: () => '{"event":"job"}\n',
    owned: '"event":"job"',
  },
  "want their events numbered": { greeting: () => HELLO },
  "are at different numbers": { greeting: () => `${HELLO}{"event":"before"}\n` },
  "are at different numbers and get lines of their own": {
    greeting: () => `${HELLO}{"event":"before"}\n`,
    own: (id) => `{"event":"own","to":"c${id}"}\n`,
    owned: '"event":"own"',
  },
  "hear requests that their sender does not": {
    options: { echo: false },
    own: (id) => `{"event":"own","id":"r${id}"}\n`,
    owned: '"event":"own"',
  },
};

for (const [name, { options, greeting, own, owned = "" }] of Object.entries(DIFFERENCES)) {
  Deno.test(`Relay shares common bytes among readers, although they ${name}`, async () => {
    await using relay = newRelay({
      maxTotalPendingBytes: 3_000_000,
      ...options,
    });
    await using readers = new AsyncDisposableStack();
    const peers: Peer[] = [];
    for (let i = 0; i < READERS; i++) {
      const peer = readers.use(await Peer.connect(relay.server.address));
      peers.push(peer);
      if (greeting) await peer.send(greeting(i));
      await until(() => relay.clients.length === i + 1);
    }
    await using sender = await Peer.connect(relay.server.address);
    await sender.send(`${subscribe([])}{"event":"ready"}\n`);
    const owns = relay.clients.slice(0, READERS).map(({ id }) => own?.(id) ?? "").join("");
    for (let round = 0; round < ROUNDS; round++) {
      for (const text of [LONG, SHORT]) {
        const last = `"event":"all","__dict__":{"last":"${round} ${text.length}"}}\n`;
        await sender.send(`${text}${owns}{${last}`);
        await Promise.all(peers.map((peer) => peer.sees(last)));
      }
    }
    assertEquals(relay.stats().closes["slow-consumer"], 0);
    for (const { text } of peers) {
      assertEquals(countOf(text, LONG.slice(1)), ROUNDS);
      assertEquals(countOf(text, '"event":"all"}\n'), 5000 * ROUNDS);
      assert(text.includes(owned));
      const numbers = Array.from(text.matchAll(/"seq":(\d+)/g), ([, number]) => Number(number));
      assert(numbers.every((number, i) => i === 0 || number === numbers[i - 1]! + 1));
      assertEquals(numbers.length > 0, greeting?.(0).includes("sequence") ?? false);
    }
  });
}

function countOf(text: string, part: string): number {
  return text.split(part).length - 1;
}
