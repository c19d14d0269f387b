// Clients whose connections break again and again publish each event exactly once.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { EbsocketClient } from "../../client.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import type { Address } from "../../protocol/address.ts";
import { TempFolder } from "../support/folder.ts";
import { isFull, size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";
import { CuttingProxy } from "./cutting_proxy.ts";
import { RelayProcess } from "./relay_process.ts";

const RECONNECT = { minDelay: 1, maxDelay: 20, maxQueuedEvents: 1_000_000 };

/** How long a connection lives at most, in milliseconds. */
const MAX_MS = 60;

/** Publishes numbered events, some of which the relay does not keep. */
class Publisher {
  readonly name: string;
  /** Number of events so far. */
  sent = 0;
  /** The names of the events of which it was told that they may not have arrived. */
  readonly unconfirmed: string[] = [];
  reconnects = 0;
  readonly #client = new EbsocketClient({ reconnect: RECONNECT });
  #isDone = false;

  constructor(name: string) {
    this.name = name;
  }

  async run(address: Address): Promise<void> {
    const watching = this.#watch();
    await this.#client.subscribe([]);
    await this.#client.connectTo(address);
    while (!this.#isDone) {
      const burst = Math.random() < 0.05 ? 300 : 3;
      for (let i = 0; i < burst; i++) {
        const n = ++this.sent;
        this.#client.send(`${n % 3 === 0 ? "other" : "kept"}.${this.name}`, { n });
      }
      await pause(1);
    }
    await this.#settled();
    await this.#client.close();
    await watching;
  }

  async #settled(): Promise<void> {
    for (;;) {
      try {
        return await this.#client.flush();
      } catch {
        await pause(5); // The connection has ended meanwhile.
      }
    }
  }

  async #watch(): Promise<void> {
    for await (const status of this.#client.status()) {
      if (status.type === "reconnected") this.reconnects++;
      if (!("unconfirmed" in status)) continue;
      for (const { event } of status.unconfirmed) this.unconfirmed.push(event);
    }
  }

  finish(): void {
    this.#isDone = true;
  }
}

/** The numbers of the events that a client has received, by their names. */
function numbersOf(received: Map<string, number[]>, name: string): number[] {
  const numbers = received.get(name) ?? [];
  received.set(name, numbers);
  return numbers;
}

Deno.test("A relay with a history takes each event of clients once whose connections are cut", async () => {
  const history = { keep: ["kept.>"] };
  await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]), { history });
  await relay.ready;
  const address = relay.server.address;
  await using proxy = new CuttingProxy(address, MAX_MS);
  await using reader = new EbsocketClient();
  await reader.connectTo(address);
  await reader.subscribe(["kept.>", "other.>"]);
  const received = new Map<string, number[]>();
  const reading = (async () => {
    for await (const { event, __dict__: { n } } of reader) {
      numbersOf(received, event.split(".")[1]!).push(n as number);
    }
  })();
  const publishers = ["a", "b", "c"].map((name) => new Publisher(name));
  const publishing = publishers.map((publisher) => publisher.run(proxy.address));
  await pause(size(3000, 60_000));
  for (const publisher of publishers) publisher.finish();
  proxy.isCutting = false;
  await Promise.all(publishing);
  for (const { name, sent, unconfirmed, reconnects } of publishers) {
    assertEquals(unconfirmed, []);
    assertGreater(reconnects, 10);
    const numbers = numbersOf(received, name);
    await until(() => numbers.length >= sent);
    assertEquals(numbers, Array.from({ length: sent }, (_, i) => i + 1));
  }
  await reader.close();
  await reading;
});

Deno.test("A relay that is killed keeps each event once of clients whose connections are cut", async () => {
  using folder = new TempFolder();
  const args = ["--history", `${folder.path}/log`, "--keep", "kept.>"];
  await using relay = await RelayProcess.start({ args });
  await using proxy = new CuttingProxy(relay.address, MAX_MS);
  const publishers = ["a", "b", "c"].map((name) => new Publisher(name));
  const publishing = publishers.map((publisher) => publisher.run(proxy.address));
  for (let i = 0; i < size(5, 100); i++) {
    await pause(300 + Math.random() * 300);
    await relay.stop(Math.random() < 0.8 ? "SIGKILL" : "SIGTERM");
    await relay.restart();
  }
  for (const publisher of publishers) publisher.finish();
  proxy.isCutting = false;
  await Promise.all(publishing);
  await using reader = new EbsocketClient();
  await reader.connectTo(relay.address);
  await reader.subscribe([]);
  const kept = new Map<string, number[]>();
  for await (const { event, __dict__: { n } } of reader.history("kept.>", { since: "first" })) {
    numbersOf(kept, event.split(".")[1]!).push(n as number);
  }
  for (const { name, sent, unconfirmed } of publishers) {
    const expected = Array.from({ length: sent }, (_, i) => i + 1).filter((n) => n % 3 !== 0);
    assertEquals(numbersOf(kept, name), expected);
    assert(unconfirmed.every((event) => event.startsWith("other.")));
  }
  if (isFull) console.log({ cuts: proxy.cuts, sent: publishers.map(({ sent }) => sent) });
});
