// Clients whose connections break again and again publish each event exactly once.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { EbsocketClient } from "../../client.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { TempFolder } from "../support/folder.ts";
import { isFull, size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";
import { CuttingProxy } from "./cutting_proxy.ts";
import { NumberedPublisher, numbersOf } from "./numbered_publisher.ts";
import { RelayProcess } from "./relay_process.ts";

/** How long a connection lives at most, in milliseconds. */
const MAX_MS = 60;

Deno.test("A relay with a history takes each event of clients once whose connections are cut", async () => {
  const history = { keep: ["kept.>"] };
  await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]), { history });
  await relay.ready;
  const address = relay.server.address;
  await using proxy = new CuttingProxy([address], MAX_MS);
  await using reader = new EbsocketClient();
  await reader.connectTo(address);
  await reader.subscribe(["kept.>", "other.>"]);
  const received = new Map<string, number[]>();
  const reading = (async () => {
    for await (const { event, __dict__: { n } } of reader) {
      numbersOf(received, event.split(".")[1]!).push(n as number);
    }
  })();
  const publishers = ["a", "b", "c"].map((name) => new NumberedPublisher(name));
  const publishing = publishers.map((publisher) => publisher.run(proxy.address));
  await pause(size(3000, 60_000));
  await until(() => publishers.every(({ reconnects }) => reconnects > 10));
  for (const publisher of publishers) publisher.finish();
  proxy.isCutting = false;
  await Promise.all(publishing);
  for (const { name, sent, unconfirmed } of publishers) {
    assertEquals(unconfirmed, []);
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
  await using proxy = new CuttingProxy([relay.address], MAX_MS);
  const publishers = ["a", "b", "c"].map((name) => new NumberedPublisher(name));
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
  for (const publisher of publishers) {
    const { name, sent, unconfirmed } = publisher;
    const all = Array.from({ length: sent }, (_, i) => i + 1);
    const expected = all.filter((n) => publisher.keeps(n));
    assertEquals(numbersOf(kept, name), expected);
    assert(!unconfirmed.some((n) => publisher.keeps(n)));
  }
  if (isFull) console.log({ cuts: proxy.cuts, sent: publishers.map(({ sent }) => sent) });
});
