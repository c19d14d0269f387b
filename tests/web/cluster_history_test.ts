// The history of a cluster in /events and over WebSocket, at relays between which clients change.

import { assertEquals } from "@std/assert/equals";
import { EbsocketClient } from "../../client.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { EbsocketClient as WebClient, type Position } from "../../web.ts";
import { askJetStream, JETSTREAM } from "../support/jetstream.ts";
import { Listener } from "../support/listener.ts";
import { NATS_SERVER, TestNatsServer } from "../support/nats_server.ts";
import { needingTest } from "../support/needs.ts";
import { randomsFrom } from "../support/random.ts";
import { soon, until } from "../support/waiting.ts";

/** Two relays, and a client of the first one that publishes. */
class Fixture implements AsyncDisposable {
  readonly relays: Relay[];
  readonly sender = new EbsocketClient({ reconnect: { minDelay: 5, maxDelay: 50 } });
  readonly #server: TestNatsServer;
  #sent = 0;

  private constructor(server: TestNatsServer) {
    this.#server = server;
    this.relays = [0, 1].map(() =>
      new Relay(new EbsocketServer(["127.0.0.1", 0]), {
        cluster: { servers: server.url() },
        history: {},
        web: {},
      })
    );
  }

  static async start(server: TestNatsServer): Promise<Fixture> {
    const fixture = new Fixture(server);
    for (const relay of fixture.relays) await relay.ready;
    await fixture.sender.connectTo(fixture.relays[0]!.server.address);
    await fixture.sender.subscribe([]);
    return fixture;
  }

  /** Publishes the next events, `n.1` and so on, and waits until they are kept. */
  async publish(count: number): Promise<void> {
    for (let i = 0; i < count; i++) this.sender.send(`n.${++this.#sent}`);
    await this.sender.flush();
  }

  /** Waits until both relays have read the stream up to its present end. */
  async settle(): Promise<void> {
    const { state } = await askJetStream(this.#server, "STREAM.INFO.eb-relays");
    const end = 4096 * (state.last_seq + 1) - 1;
    await until(() => this.relays.every((relay) => relay.stats().history!.offset >= end));
  }

  /** Lets the stream drop all messages. */
  async purge(): Promise<void> {
    await this.settle();
    await askJetStream(this.#server, "STREAM.PURGE.eb-relays");
    // The relays look at it now and then, and repeat the epoch.
    await until(() => this.relays.every((relay) => relay.stats().history!.evicted > 2));
    await this.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sender.close();
    await Promise.all(this.relays.map((relay) => relay.close()));
  }
}

/** The names of the events from one number to another. */
function names(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `n.${from + i}`);
}

needingTest(
  "/events goes on at another relay of a cluster, also over a restart of NATS",
  [NATS_SERVER],
  async () => {
    await using server = await TestNatsServer.start(JETSTREAM);
    await using fixture = await Fixture.start(server);
    const total = 600;
    const publishing = (async () => {
      for (let sent = 0; sent < total; sent += 20) {
        if (sent === 200) await server.kill();
        const publishing = fixture.publish(20);
        if (sent === 200) await server.restart();
        await publishing;
      }
    })();
    const random = randomsFrom(3);
    const seen: unknown[] = [];
    let id = "";
    while (seen.length < total) {
      const relay = fixture.relays[random(2)]!;
      using listener = await Listener.open(relay, "name=n.*&since=first", id);
      const wanted = Math.min(total - seen.length, 1 + random(60));
      await listener.until(({ messages }) => messages.length >= wanted);
      // A relay that has begun an epoch closes the stream, and says so in the last message.
      seen.push(...listener.seen.filter((each) => !Array.isArray(each) || each[0] !== "close"));
      id = listener.reader.lastEventId || id;
    }
    await publishing;
    assertEquals(seen, names(1, total));
  },
);

needingTest("/events says at each relay of a cluster what the stream has dropped", [
  NATS_SERVER,
], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  await using fixture = await Fixture.start(server);
  await fixture.publish(1);
  using first = await Listener.open(fixture.relays[0]!, "name=n.*&since=first");
  await first.until(({ messages }) => messages.length === 1);
  const { lastEventId } = first.reader;
  const from = Number(lastEventId.split(":")[1]) + 1;
  await fixture.publish(1);
  await fixture.purge();
  await fixture.publish(1);
  await fixture.settle();
  for (const relay of fixture.relays) {
    const to = relay.stats().history!.first - 1;
    const cases: [id: string, gap: object][] = [
      [lastEventId, { reason: "evicted", from, to }],
      [lastEventId.replace(/:.*/, ":999999999"), { reason: "ahead" }],
      ["other:17", { reason: "epoch" }],
    ];
    for (const [id, gap] of cases) {
      using listener = await Listener.open(relay, "name=n.*", id);
      await listener.until(({ messages }) => messages.length === 2);
      assertEquals(listener.seen, [["gap", gap], "n.3"]);
      assertEquals(listener.reader.ids[0], "");
    }
  }
});

needingTest("A WebSocket client goes on at another relay of a cluster, and is told of a loss", [
  NATS_SERVER,
], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  await using fixture = await Fixture.start(server);
  let position: Position | undefined;
  const seen: string[] = [];
  const losses: unknown[] = [];
  /** Connects to a relay, and reads up to an event. */
  const visit = async (relay: number, last: string): Promise<void> => {
    const client = new WebClient({ history: true });
    const watching = (async () => {
      for await (const status of client.status()) {
        if (status.type === "resumed" && !status.recovered) losses.push(status.reason);
      }
    })();
    await client.subscribe(["n.*"], { since: position ?? "first", partial: true });
    const [hostname, port] = fixture.relays[relay]!.server.address;
    await client.connectTo(`ws://${hostname}:${port}`);
    while (seen.at(-1) !== last) seen.push((await soon(client.recvEvent(), last))!.event);
    position = client.position!;
    await client.close();
    await watching;
  };
  for (let sent = 0; sent < 100; sent += 20) {
    const publishing = fixture.publish(20);
    await visit(sent / 20 % 2, `n.${sent + 20}`);
    await publishing;
  }
  assertEquals(seen, names(1, 100));
  assertEquals(losses, []);
  await fixture.publish(10);
  await fixture.purge();
  await fixture.publish(1);
  await visit(1, "n.111");
  assertEquals(seen.slice(100), ["n.111"]);
  assertEquals(losses, ["evicted"]);
});
