// The history of a cluster: relays of one process, and a stream in memory that fails on demand.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { EbsocketClient } from "../../client.ts";
import { EbsocketError } from "../../errors.ts";
import type { ClientOptions } from "../../client/options.ts";
import type { ClientStatus } from "../../client/status.ts";
import type { Address, Relay, RelayClient, RelayOptions } from "../../relay.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { Clock } from "../support/clock.ts";
import { TestCluster } from "../support/cluster.ts";
import type { MemoryStreamPort } from "../support/memory_stream.ts";
import { Peer } from "../support/peer.ts";
import { join } from "../support/relay.ts";
import { pause, soon, until, untilStill } from "../support/waiting.ts";

/** A client that notes what it receives. */
class Reader {
  readonly client: EbsocketClient;
  /** What it has received, as `offset:name+i`. */
  readonly seen: string[] = [];
  readonly offsets: number[] = [];
  readonly statuses: ClientStatus[] = [];

  constructor(options: ClientOptions = {}) {
    const reconnect = { minDelay: 1, maxDelay: 5 };
    this.client = new EbsocketClient({ history: true, reconnect, ...options });
    this.#watch();
  }

  /** Connects, and starts to read. */
  async connect(address: Address): Promise<void> {
    const connected = this.client.connectTo(address);
    this.#read();
    await connected;
  }

  async #read(): Promise<void> {
    for await (const event of this.client) {
      this.seen.push(`${event.event}${event.getAttribute("i") ?? ""}`);
      this.offsets.push(event.offset ?? 0);
    }
  }

  async #watch(): Promise<void> {
    for await (const status of this.client.status()) this.statuses.push(status);
  }

  sees(...names: string[]): Promise<void> {
    return until(() => names.every((name) => this.seen.includes(name)), {
      what: () => `${names} in ${this.seen}`,
    });
  }

  get losses(): (string | null)[] {
    return this.statuses.filter((status) => status.type === "resumed" && !status.recovered)
      .map((status) => (status as { reason: string | null }).reason);
  }
}

interface Fixture extends AsyncDisposable {
  readonly cluster: TestCluster;
  reader(relay: number, patterns?: string[], options?: ClientOptions): Promise<Reader>;
  readonly faults: string[];
}

async function start(relays = 2, options: RelayOptions = {}): Promise<Fixture> {
  const faults: string[] = [];
  const observer = { onHistoryFault: (fault: string) => void faults.push(fault) };
  const cluster = new TestCluster(relays, { history: {}, observer, ...options });
  const readers: Reader[] = [];
  for (const relay of cluster.relays) await relay.ready;
  return {
    cluster,
    faults,
    async reader(relay, patterns, clientOptions = {}) {
      const reader = new Reader(clientOptions);
      readers.push(reader);
      if (patterns) await reader.client.subscribe(patterns);
      await reader.connect(cluster.relays[relay]!.server.address);
      return reader;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(readers.map(({ client }) => client.close()));
      await cluster[Symbol.asyncDispose]();
    },
  };
}

Deno.test("All clients of a cluster receive kept events in one order and with the same offsets", async () => {
  await using fixture = await start(3);
  const readers = [0, 1, 2, 0, 1].map((relay) => fixture.reader(relay, [">"]));
  const [a, b, c, d, e] = await Promise.all(readers) as [Reader, Reader, Reader, Reader, Reader];
  for (let i = 0; i < 200; i++) {
    for (const [name, { client }] of [["a", a], ["b", b], ["c", c]] as const) {
      client.send(name, { i });
    }
    if (i % 10 === 0) await pause(0);
  }
  for (const { seen } of [a, b, c, d, e]) await until(() => seen.length === 600);
  for (const other of [b, c, d, e]) {
    assertEquals(other.seen, a.seen);
    assertEquals(other.offsets, a.offsets);
  }
  assertEquals(a.offsets, a.offsets.toSorted((x, y) => x - y));
  assertEquals(new Set(a.offsets).size, 600);
  for (const name of ["a", "b", "c"]) {
    const own = a.seen.filter((each) => each.startsWith(name));
    assertEquals(own, Array.from({ length: 200 }, (_, i) => `${name}${i}`));
  }
  const [one, two] = fixture.cluster.relays.map((relay) => relay.stats().history!);
  assertEquals(one!.epoch, two!.epoch);
  assertEquals(fixture.faults, []);
});

Deno.test("A client that comes back to another relay misses nothing", async () => {
  await using fixture = await start();
  const a = await fixture.reader(0, ["n"]);
  const sender = await fixture.reader(0, []);
  sender.client.send("n", { i: 1 });
  await a.sees("n1");
  const position = a.client.position!;
  await a.client.close();
  sender.client.send("n", { i: 2 });
  sender.client.send("n", { i: 3 });
  await sender.client.flush();
  const b = await fixture.reader(1, []);
  const answer = await b.client.subscribe(["n"], { since: position });
  assertObjectMatch(answer!, { recovered: true });
  await b.sees("n2", "n3");
  assertEquals(b.seen, ["n2", "n3"]);
});

Deno.test("A relay that lags waits for the events of a position that it does not know yet", async () => {
  await using fixture = await start();
  const a = await fixture.reader(0, ["n"]);
  const port = fixture.cluster.backplanes[1]!.port!;
  port.isHeld = true;
  a.client.send("n", { i: 1 });
  a.client.send("n", { i: 2 });
  await a.sees("n2");
  const b = await fixture.reader(1, []);
  const since = { epoch: a.client.position!.epoch, offset: a.offsets[0]! };
  const answer = b.client.subscribe(["n"], { since });
  await pause(50);
  port.isHeld = false;
  port.wake();
  assertObjectMatch((await answer)!, { recovered: true });
  await b.sees("n2");
  assertEquals(b.seen, ["n2"]);
});

Deno.test("A relay that lags for long does not call a position ahead that the stream has", async () => {
  await using fixture = await start();
  const a = await fixture.reader(0, ["n"]);
  const port = fixture.cluster.backplanes[1]!.port!;
  port.isHeld = true;
  a.client.send("n", { i: 1 });
  await a.sees("n1");
  const { epoch, offset } = a.client.position!;
  await using peer = await join(fixture.cluster.relays[1]!);
  const question = (since: object) =>
    `${JSON.stringify({ control: "subscribe", events: ["n"], id: "s", since })}\n`;
  await peer.send(question({ epoch, offset }));
  await peer.sees('"close"');
  assertMatch(peer.text, /^\{"control":"close","reason":"overloaded"/);
  port.isHeld = false;
  port.wake();
  await using again = await join(fixture.cluster.relays[1]!);
  await again.send(question({ epoch, offset: offset + 100_000 }));
  await again.sees('"live"');
  assertMatch(again.text, /"recovered":false,"reason":"ahead"/);
});

Deno.test("Receipts of kept events count the clients of all relays, once the event is kept", async () => {
  await using fixture = await start();
  const a = await fixture.reader(0, ["n"]);
  await fixture.reader(1, ["n"]);
  await fixture.reader(1, ["n"]);
  await fixture.reader(1, ["other"]);
  assertEquals(await a.client.send("n", {}, { confirm: true }), 3);
  assertEquals(await a.client.send("nobody", {}, { confirm: true }), 0);
  fixture.cluster.hub.stream.refusal = "it is full";
  const receipt = a.client.send("n", {}, { confirm: true, timeout: 300 });
  let isDone = false;
  receipt.then(() => isDone = true, () => {});
  await pause(100);
  assert(!isDone);
  fixture.cluster.hub.stream.refusal = "";
  assertEquals(await receipt.catch(() => 3), 3);
});

Deno.test("Of a queue in a cluster with a history, one member receives each kept event", async () => {
  await using fixture = await start(3);
  const { cluster } = fixture;
  const members = await Promise.all(
    [0, 1, 1, 2].map((relay) => cluster.connect(relay, ["job"], "q")),
  );
  const counts = members.map(() => 0);
  const seen: number[] = [];
  members.forEach(async (client, i) => {
    for await (const event of client) {
      counts[i]!++;
      seen.push(event.getAttribute("i") as number);
    }
  });
  const all = await fixture.reader(2, ["job"]);
  const sender = await fixture.reader(0, []);
  for (let i = 0; i < 40; i++) sender.client.send("job", { i });
  assertEquals(await sender.client.send("job", { i: 40 }, { confirm: true }), 2);
  await until(() => seen.length === 41 && all.seen.length === 41);
  await pause(20);
  assertEquals(seen.toSorted((x, y) => x - y), Array.from({ length: 41 }, (_, i) => i));
  for (const count of counts) assertGreater(count, 5);
});

Deno.test("An event of a queue whose member has left meanwhile goes to one at another relay", async () => {
  await using fixture = await start();
  const { cluster } = fixture;
  const port = cluster.backplanes[1]!.port!;
  const gone = await cluster.connect(1, ["job"], "q");
  const sender = await fixture.reader(0, []);
  port.isHeld = true;
  const receipt = sender.client.send("job", { i: 1 }, { confirm: true });
  await until(() => textOf(cluster.hub.stream.messages.at(-1)!.data).includes("job"));
  await gone.close();
  const member = await cluster.connect(0, ["job"], "q");
  port.isHeld = false;
  port.wake();
  assertEquals((await member.recvEvent())!.getAttribute("i"), 1);
  assertEquals(await receipt.catch(() => 1), 1); // It may have taken too long.
});

Deno.test("A relay that ends and lags passes the kept events on first that are for its members of queues", async () => {
  await using fixture = await start();
  const { cluster } = fixture;
  const seen: number[] = [];
  const read = async (client: EbsocketClient) => {
    for await (const event of client) seen.push(event.getAttribute("i") as number);
  };
  read(await cluster.connect(1, ["job"], "q"));
  const sender = await fixture.reader(0, []);
  const port = cluster.backplanes[1]!.port!;
  port.isHeld = true;
  for (let i = 1; i <= 5; i++) sender.client.send("job", { i });
  await until(() => cluster.relays[0]!.stats().eventsIn === 5);
  read(await cluster.connect(0, ["job"], "q"));
  const closed = cluster.relays[1]!.close();
  await pause(100);
  port.isHeld = false;
  port.wake();
  await closed;
  await until(() => seen.length >= 5, { what: () => `5 in ${seen}` });
  assertEquals(seen, numbers(1, 5));
});

for (const what of ["with", "without"]) {
  Deno.test(`No event of a queue is lost while a member joins a cluster ${what} a history`, async () => {
    await using cluster = new TestCluster(3, what === "with" ? { history: {} } : {});
    for (const relay of cluster.relays) await relay.ready;
    const seen: number[] = [];
    const read = async (client: EbsocketClient) => {
      for await (const event of client) seen.push(event.getAttribute("i") as number);
    };
    read(await cluster.connect(0, ["job"], "q"));
    const sender = await cluster.connect(0, []);
    // The last relay does not confirm that it knows the members. The first one chooses them meanwhile.
    const { id } = cluster.backplanes[2]!;
    cluster.hub.dropsMessages = (message) => isLinkOf(message, id);
    const members = [0, 1].map(() => new EbsocketClient());
    let isJoined = false;
    const joined = Promise.all(members.map(async (client, relay) => {
      const subscribed = client.subscribe(["job"], { queue: "q" });
      await client.connectTo(cluster.relays[relay]!.server.address);
      read(client);
      await subscribed;
    })).then(() => isJoined = true);
    let sent = 0;
    for (; sent < 100 && !isJoined; sent++) { // They are joined after a second all the same.
      sender.send("job", { i: sent });
      await pause(1);
    }
    assert(sent > 0);
    cluster.hub.dropsMessages = () => false;
    await joined;
    await until(() => seen.length >= sent, { what: () => `${sent} in ${seen}` });
    assertEquals(seen.toSorted((x, y) => x - y), numbers(0, sent - 1));
    for (const client of members) await client.close();
  });
}

for (const delayMs of [0, 20]) {
  Deno.test(`A sender's kept and unkept events reach clients of all relays in their order, if links take ${delayMs} ms`, async () => {
    await using fixture = await start(2, { history: { keep: ["kept"] } });
    const a = await fixture.reader(0, [">"]);
    const b = await fixture.reader(1, [">"]);
    const sender = await fixture.reader(0, []);
    fixture.cluster.hub.delayMs = delayMs;
    const expected: string[] = [];
    for (let i = 0; i < 200; i++) {
      const name = Math.random() < 0.5 ? "kept" : "other";
      sender.client.send(name, { i });
      expected.push(`${name}${i}`);
      if (Math.random() < 0.3) await pause(0);
    }
    await until(() => a.seen.length === 200 && b.seen.length === 200);
    assertEquals(a.seen, expected);
    assertEquals(b.seen, expected);
    fixture.cluster.hub.delayMs = 0;
  });
}

Deno.test("Requests, replies and direct events of a cluster with a history arrive, and are not kept", async () => {
  await using fixture = await start();
  const service = await fixture.reader(1, []);
  const requests = service.client.serve("ask");
  (async () => {
    for await (const request of requests) {
      await service.client.reply(request, "answer", { content: 42 });
    }
  })();
  await service.client.subscribe(["known"]); // so that the service is known as well
  const a = await fixture.reader(0, []);
  const reply = await a.client.request("ask", {});
  assertEquals(reply.getAttribute("content"), 42);
  assertEquals(fixture.cluster.relays[0]!.stats().history!.events <= 1, true);
});

/** Returns the attribute `i` of all kept events, as a client of a relay reads them. */
async function keptAt(fixture: Fixture, relay: number, pattern = ">"): Promise<number[]> {
  const client = await fixture.cluster.connect(relay, []);
  const numbers: number[] = [];
  for await (const event of client.history(pattern, { since: "first" })) {
    numbers.push(event.getAttribute("i") as number);
  }
  return numbers;
}

/** Returns whether a message of a link is from a relay. */
function isLinkOf(message: Uint8Array, relay: string): boolean {
  const head = `link ${relay} `;
  return new TextDecoder().decode(message.subarray(0, head.length)) === head;
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

Deno.test("A relay that comes later reads what was kept before it", async () => {
  await using fixture = await start(1);
  const sender = await fixture.reader(0, []);
  for (let i = 1; i <= 100; i++) {
    sender.client.send("n", { i });
    if (i % 2 === 0) await sender.client.flush();
  }
  await sender.client.flush();
  const relay = fixture.cluster.add();
  await fixture.cluster.relays[relay]!.ready;
  assertEquals(await keptAt(fixture, relay), numbers(1, 100));
  const late = await fixture.reader(relay, []);
  await late.client.subscribe(["n"], { since: { count: 3 } });
  await late.sees("n100");
  assertEquals(late.seen, ["n98", "n99", "n100"]);
  sender.client.send("n", { i: 101 });
  await late.sees("n101");
  const [one, two] = fixture.cluster.relays.map((each) => each.stats().history!.epoch);
  assertEquals(one, two);
});

Deno.test("Kept events wait while a relay is alone, and none is lost, doubled or acknowledged early", async () => {
  await using fixture = await start();
  const [backplane] = fixture.cluster.backplanes;
  const a = await fixture.reader(0, ["n"]);
  const b = await fixture.reader(1, ["n"]);
  a.client.send("n", { i: 1 });
  await b.sees("n1");
  backplane!.cut();
  for (let i = 2; i <= 20; i++) a.client.send("n", { i });
  let isFlushed = false;
  const flushed = a.client.flush().then(() => isFlushed = true);
  b.client.send("n", { i: 100 });
  await b.sees("n100");
  await pause(50);
  assert(!isFlushed);
  assertEquals(a.seen, ["n1"]);
  backplane!.mend();
  await flushed;
  await b.sees("n20");
  await a.sees("n20");
  assertEquals(a.seen, b.seen);
  assertEquals(a.offsets, b.offsets);
  assertEquals(a.seen.length, 21);
  assertEquals([a.losses, b.losses], [[], []]);
});

Deno.test("Clients that only read come, and go on, while the senders of a relay wait for the stream", async () => {
  await using fixture = await start(1);
  const [relay] = fixture.cluster.relays;
  const a = await fixture.reader(0, ["n"]);
  a.client.send("n", { i: 0 });
  await a.sees("n0");
  const since = a.client.position!;
  a.client.send("n", { i: 1 });
  await a.sees("n1");
  const port = fixture.cluster.backplanes[0]!.port!;
  port.cut();
  const senders: Peer[] = [];
  for (let i = 0; i < 9; i++) { // more than the relay holds
    const peer = await join(relay!);
    senders.push(peer);
    await peer.send(`{"event":"long","__dict__":{"x":"${"x".repeat(1_000_000)}"}}\n`);
  }
  await until(() => relay!.clients.filter(({ eventsIn }) => eventsIn > 0).length === 10);
  const b = await fixture.reader(0, []);
  await b.client.subscribe(["n"], { since });
  await b.sees("n1");
  b.client.send("n", { i: 2 });
  await pause(50);
  assertEquals(b.seen, ["n1"]);
  port.mend();
  await b.sees("n2");
  for (const peer of senders) peer.close();
});

Deno.test("A client is not called slow while its relay waits for the stream, and takes no report of it", async () => {
  await using fixture = await start(1, { writeTimeout: 500 });
  const [relay] = fixture.cluster.relays;
  const a = await fixture.reader(0, ["n"]);
  await a.client.send("n", { i: 0 }, { confirm: true });
  await a.sees("n0");
  const since = a.client.position!;
  for (let i = 1; i <= 20; i++) a.client.send("n", { i });
  await a.sees("n20");
  const port = fixture.cluster.backplanes[0]!.port!;
  port.cut();
  await using peer = await join(relay!);
  const subscribe = { control: "subscribe", events: ["n"], id: "s", since };
  await peer.send(
    `{"control":"hello","offsets":true,"window":200}\n${JSON.stringify(subscribe)}\n` +
      '{"event":"own"}\n{"control":"read","bytes":200}\n', // The last two wait for the stream.
  );
  await peer.sees('"i":1}');
  await pause(1500);
  assert(!peer.text.includes('"close"'), peer.text);
  port.mend();
  await peer.sees('"i":6}');
});

Deno.test("Nothing is acknowledged before everything up to it is kept, whatever others send", async () => {
  await using fixture = await start(1, { history: { keep: ["kept"] } });
  const { stream } = fixture.cluster.hub;
  const port = fixture.cluster.backplanes[0]!.port!;
  const relay = fixture.cluster.relays[0]!;
  await using peer = await join(relay);
  await peer.send('{"control":"hello","version":1,"ack":true}\n');
  await peer.sees('"welcome"');
  const other = await fixture.reader(0, []);
  port.isHeld = true;
  await peer.send('{"event":"kept"}\n{"event":"other"}\n{"event":"kept"}\n');
  await until(() => stream.messages.length === 2); // The last one waits for the one before it.
  other.client.send("kept");
  await until(() => stream.messages.length === 3);
  stream.refusal = "not now";
  port.isHeld = false;
  port.wake();
  await peer.sees('"event":"other"');
  await pause(50);
  assert(!peer.text.includes('"events":3'), peer.text);
  stream.refusal = "";
  await peer.sees('"events":3');
});

Deno.test("A block whose answer is lost is stored once", async () => {
  await using fixture = await start();
  const [backplane] = fixture.cluster.backplanes;
  const a = await fixture.reader(0, ["n"]);
  for (let i = 1; i <= 10; i++) {
    backplane!.port!.losesAnswers = i % 2 === 0;
    a.client.send("n", { i });
    await a.sees(`n${i}`);
    backplane!.port!.losesAnswers = false;
  }
  await a.client.flush();
  assertEquals(await keptAt(fixture, 1), numbers(1, 10));
});

Deno.test("A stream that was lost in part begins a new epoch, and says who has seen too much", async () => {
  await using fixture = await start();
  const { stream } = fixture.cluster.hub;
  const a = await fixture.reader(0, ["n"]);
  const b = await fixture.reader(1, ["n"]);
  const early = a.client;
  for (let i = 1; i <= 5; i++) {
    early.send("n", { i });
    await b.sees(`n${i}`);
  }
  const { epoch } = fixture.cluster.relays[0]!.stats().history!;
  const safe = { epoch, offset: b.offsets[1]! };
  stream.lose(stream.last - 2); // the events 4 and 5
  for (const port of stream.ports) port.mend();
  await until(() => a.losses.length > 0 && b.losses.length > 0);
  assertEquals([a.losses, b.losses], [["ahead"], ["ahead"]]);
  const now = fixture.cluster.relays.map((relay) => relay.stats().history!.epoch);
  assertEquals(now[0], now[1]);
  assert(now[0] !== epoch);
  early.send("n", { i: 6 });
  await b.sees("n6");
  assertEquals(await keptAt(fixture, 1), [1, 2, 3, 6]);
  const c = await fixture.reader(1, []);
  assertObjectMatch((await c.client.subscribe(["n"], { since: safe }))!, { recovered: true });
  await c.sees("n6");
  assertEquals(c.seen, ["n3", "n6"]);
  assert(fixture.faults.some((fault) => fault.includes("has lost events")));
});

Deno.test("After a loss, no offset names two events, whichever relay comes back first", async () => {
  await using fixture = await start();
  const { stream } = fixture.cluster.hub;
  const [port, other] = fixture.cluster.backplanes.map((each) => each.port!);
  const a = await fixture.reader(0, ["n"]);
  const b = await fixture.reader(1, ["n"]);
  for (let i = 1; i <= 3; i++) {
    b.client.send("n", { i });
    await a.sees(`n${i}`);
  }
  port!.isHeld = true; // This relay has not read the events that are going to be lost.
  for (let i = 4; i <= 5; i++) {
    b.client.send("n", { i });
    await b.sees(`n${i}`);
  }
  const { epoch } = fixture.cluster.relays[1]!.stats().history!;
  const since = { epoch, offset: b.offsets.at(-1)! };
  stream.lose(stream.last - 2);
  port!.isHeld = false;
  port!.mend();
  const sender = await fixture.reader(0, []);
  for (let i = 6; i <= 8; i++) {
    sender.client.send("n", { i });
    await until(() => a.seen.includes(`n${i}`));
  }
  const c = await fixture.reader(0, []);
  const answer = await c.client.subscribe(["n"], { since });
  assertObjectMatch(answer!, { recovered: false, reason: "ahead" });
  assertEquals([a.seen, a.losses], [["n1", "n2", "n3", "n6", "n7", "n8"], []]);
  other!.mend();
  await until(() => b.losses.length > 0);
  assertEquals(b.losses, ["ahead"]);
  assertEquals(await keptAt(fixture, 1), [1, 2, 3, 6, 7, 8]);
});

Deno.test("A restart of the only server begins a new epoch, in which all positions recover", async () => {
  await using fixture = await start();
  const { stream } = fixture.cluster.hub;
  const a = await fixture.reader(0, ["n"]);
  const b = await fixture.reader(1, ["n"]);
  a.client.send("n", { i: 1 });
  await b.sees("n1");
  await a.sees("n1");
  const { epoch } = fixture.cluster.relays[0]!.stats().history!;
  stream.lose(stream.last);
  for (const port of stream.ports) port.mend();
  const isResumed = ({ statuses }: Reader) => statuses.some(({ type }) => type === "resumed");
  await until(() => isResumed(a) && isResumed(b));
  a.client.send("n", { i: 2 });
  await b.sees("n2");
  await a.sees("n2");
  assertEquals([a.seen, b.seen], [["n1", "n2"], ["n1", "n2"]]);
  assertEquals([a.losses, b.losses], [[], []]);
  const epochs = fixture.cluster.relays.map((relay) => relay.stats().history!.epoch);
  assertEquals(epochs[0], epochs[1]);
  assert(epochs[0] !== epoch);
});

Deno.test("A stream that was deleted is made anew, with an epoch of its own", async () => {
  await using fixture = await start();
  const { stream } = fixture.cluster.hub;
  const a = await fixture.reader(0, ["n"]);
  const b = await fixture.reader(1, ["n"]);
  a.client.send("n", { i: 1 });
  await b.sees("n1");
  await a.sees("n1");
  stream.delete();
  await until(() => a.losses.length > 0 && b.losses.length > 0);
  assertEquals([a.losses, b.losses], [["epoch"], ["epoch"]]);
  a.client.send("n", { i: 2 });
  await b.sees("n2");
  await a.sees("n2");
  assertEquals(await keptAt(fixture, 1), [2]);
});

Deno.test("Events that were dropped are not passed over in silence", async () => {
  await using fixture = await start();
  const { stream } = fixture.cluster.hub;
  const [backplane] = fixture.cluster.backplanes;
  const a = await fixture.reader(0, ["n"]);
  const b = await fixture.reader(1, []);
  b.client.send("n", { i: 1 });
  await a.sees("n1");
  const { epoch } = fixture.cluster.relays[0]!.stats().history!;
  const old = { epoch, offset: a.offsets[0]! };
  backplane!.cut();
  for (let i = 2; i <= 9; i++) {
    b.client.send("n", { i });
    await b.client.flush();
  }
  stream.drop(stream.last - 1); // all but 8 and 9
  backplane!.mend();
  await a.sees("n9");
  assertEquals(a.seen, ["n1", "n8", "n9"]);
  assertEquals(a.losses, ["evicted"]);
  assert(fixture.faults.some((fault) => fault.includes("were dropped")));
  await until(() => fixture.cluster.relays[1]!.stats().history!.first > old.offset + 1);
  const c = await fixture.reader(1, []);
  const answer = await c.client.subscribe(["n"], { since: old, partial: true });
  assertObjectMatch(answer!, { recovered: false, reason: "evicted" });
  await c.sees("n9");
  assertEquals(c.seen, ["n8", "n9"]);
  // The epoch itself was dropped, and is repeated.
  await until(() => stream.lastOf("epoch") !== null);
  assertEquals(fixture.cluster.relays[0]!.stats().history!.epoch, epoch);
});

Deno.test("A position is not recovered where a relay has just gone past events that were dropped", async () => {
  await using fixture = await start();
  const { stream } = fixture.cluster.hub;
  const [backplane] = fixture.cluster.backplanes;
  const b = await fixture.reader(1, ["n"]);
  b.client.send("n", { i: 1 });
  await b.sees("n1");
  const [relay] = fixture.cluster.relays;
  await until(() => relay!.stats().history!.offset === b.offsets[0]);
  const { epoch, offset } = relay!.stats().history!;
  backplane!.cut();
  for (let i = 2; i <= 9; i++) {
    b.client.send("n", { i });
    await b.sees(`n${i}`);
  }
  const port = backplane!.port!;
  port.isHeld = true;
  const looks = port.looks;
  backplane!.mend();
  await until(() => port.looks > looks + 1); // It knows what the stream has, before it reads on.
  stream.drop(stream.last - 1); // all but 8 and 9
  port.isHeld = false;
  port.wake();
  await until(() => relay!.stats().history!.offset === b.offsets[8]);
  await using peer = await join(relay!);
  const since = { epoch, offset };
  const request = { control: "subscribe", events: ["n"], id: "s", since, partial: true };
  await peer.send(`${JSON.stringify(request)}\n`);
  await peer.sees('"live"');
  const [answer, ...events] = peer.text.split("\n").filter((line) => /"ack"|"n"/.test(line));
  assertMatch(answer!, /"recovered":false,"reason":"evicted"/);
  assertEquals(events.map((line) => JSON.parse(line).__dict__.i), [8, 9]);
});

Deno.test("A stream that refuses events for long is broken, which clients are told, and mends", async () => {
  await using fixture = await start();
  const { stream } = fixture.cluster.hub;
  const a = await fixture.reader(0, ["n"]);
  const b = await fixture.reader(1, ["n"]);
  a.client.send("n", { i: 1 });
  await b.sees("n1");
  stream.refusal = "the disk is full";
  const sent = a.client.send("n", { i: 2 }, { confirm: true, timeout: 20_000 });
  const error = await sent.then(() => null, (error) => error);
  assertEquals(error?.code, "incomplete");
  await b.sees("n2");
  assertEquals(b.offsets[1], 0);
  assertEquals(fixture.cluster.relays[0]!.stats().history!.isBroken, true);
  assert(fixture.faults.some((fault) => fault.includes("the disk is full")));
  a.client.send("n", { i: 3 });
  await b.sees("n3");
  stream.refusal = "";
  await until(() => !fixture.cluster.relays[0]!.stats().history!.isBroken);
  await until(() => a.statuses.some(({ type }) => type === "resumed"));
  a.client.send("n", { i: 4 });
  await a.client.flush();
  await b.sees("n4");
  assertEquals(await keptAt(fixture, 1), [1, 4]);
});

Deno.test("While the stream refuses events, clients that send none to be kept are acknowledged, and stay", async () => {
  await using fixture = await start(1, { history: { keep: ["k"] } });
  const { stream } = fixture.cluster.hub;
  const relay = fixture.cluster.relays[0]!;
  await using peers = new AsyncDisposableStack();
  const keeper = peers.use(await joinWithAcks(relay));
  const late = peers.use(await joinWithAcks(relay));
  const other = peers.use(await joinWithAcks(relay));
  using clock = new Clock(0);
  stream.refusal = "the disk is full";
  await keeper.send('{"event":"k"}\n');
  await until(() => relay.stats().eventsIn === 1);
  await other.send('{"event":"u"}\n');
  await other.sees('"events":1}'); // It waits for nothing of another client.
  await until(() => {
    clock.advance(100);
    return relay.stats().history!.isBroken;
  });
  await keeper.send('{"event":"u"}\n');
  await late.send('{"event":"k"}\n{"event":"u","ack":"late"}\n');
  await late.sees('"late"');
  await other.send('{"event":"u"}\n');
  await other.sees('"events":2}');
  stream.refusal = "";
  for (const peer of [keeper, late]) {
    const lines = (await peer.lines()).join("\n");
    assertMatch(lines, /"control":"close","reason":"overloaded"/);
    assert(!lines.includes('"events":'), lines);
  }
  await other.send('{"event":"k"}\n');
  await other.sees('"events":3}');
});

Deno.test("Nothing is acknowledged while the stream refuses events, though earlier ones come back", async () => {
  const options = { history: { keep: ["n.*"] }, maxPendingBytes: 262_144, maxHold: 60_000 };
  await using fixture = await start(1, options);
  const { stream } = fixture.cluster.hub;
  const port = fixture.cluster.backplanes[0]!.port!;
  const relay = fixture.cluster.relays[0]!;
  await using peers = new AsyncDisposableStack();
  using clock = new Clock(0);
  const reader = peers.use(await join(relay));
  const kept = peers.use(await joinWithAcks(relay));
  const early = peers.use(await joinWithAcks(relay));
  const late = peers.use(await joinWithAcks(relay));
  const slow = peers.use(await join(relay, { silent: true }));
  const [slowClient] = relay.clients.slice(-1) as [RelayClient];
  await slow.send('{"control":"subscribe","events":["fill","n.end"]}\n');
  await until(() => slowClient.bytesIn > 0);
  await reader.send('{"control":"subscribe","events":["n.*"]}\n');
  // Events of several clients go into one block, since the one before it is not stored.
  stream.refusal = "not yet";
  const text = "x".repeat(20_000);
  for (const [i, name] of ["first", "start", "start", "start", "start", "end"].entries()) {
    const sender = name === "end" ? kept : peers.use(await join(relay));
    await sender.send('{"control":"subscribe","events":[]}\n');
    await sender.send(
      `{"event":"n.${name}","__dict__":{"text":"${name === "start" ? text : ""}"}}\n`,
    );
    await until(() => relay.stats().eventsIn === i + 1);
  }
  port.isHeld = true;
  stream.refusal = "";
  await until(() => stream.messages.some(({ data }) => textOf(data).includes("n.end")));
  const filler = peers.use(await join(relay));
  const filled = filler.send(`{"event":"fill","__dict__":{"text":"${text}"}}\n`.repeat(1000));
  filled.catch(() => {}); // The relay does not read it all.
  await until(() => slowClient.pendingBytes > 65_536);
  await untilStill(() => slowClient.eventsOut, 100);
  // The block comes back, and its end waits for the slow client.
  stream.refusal = "the disk is full";
  port.isHeld = false;
  port.wake();
  await reader.sees("n.start");
  await early.send('{"event":"n.early"}\n');
  await until(() => {
    clock.advance(100);
    return relay.stats().history!.isBroken;
  });
  await reader.sees("n.early");
  assert(!reader.text.includes("n.end"));
  slow.close();
  await reader.sees("n.end");
  await late.send('{"event":"n.late"}\n');
  await reader.sees("n.late");
  await kept.send('{"event":"other"}\n');
  await kept.sees('"events":2}'); // Its first one is kept.
  stream.refusal = "";
  for (const peer of [early, late]) {
    await until(() => /"control":"(ack|close)"/.test(peer.text));
    assertMatch(peer.text, /"control":"close","reason":"overloaded"/);
  }
  await kept.send('{"event":"other"}\n');
  await kept.sees('"events":3}');
});

Deno.test("With --no-echo, a sender does not receive its own kept events", async () => {
  await using fixture = await start(2, { echo: false });
  const a = await fixture.reader(0, ["n"]);
  const b = await fixture.reader(1, ["n"]);
  a.client.send("n", { i: 1 });
  b.client.send("n", { i: 2 });
  await a.sees("n2");
  await b.sees("n1");
  assertEquals([a.seen, b.seen], [["n2"], ["n1"]]);
});

for (const since of [{ count: 4 }, "first"] as const) {
  const place = since === "first" ? "all kept events" : "the last kept events";
  Deno.test(`With --no-echo, a client that asks for ${place} gets those of others alone`, async () => {
    await using fixture = await start(2, { echo: false });
    const a = await fixture.reader(0, ["none"]);
    const b = await fixture.reader(1, ["none"]);
    for (let i = 1; i <= 5; i++) {
      await a.client.send("a", { i }, { confirm: true });
      await b.client.send("b", { i }, { confirm: true });
    }
    const others = (name: string) => [2, 3, 4, 5].map((i) => `${name}${i}`);
    for (const [reader, other] of [[a, "b"], [b, "a"]] as const) {
      await reader.client.subscribe(["*"], { since });
      await reader.sees(...others(other));
      assertEquals(
        reader.seen,
        since === "first" ? [`${other}1`, ...others(other)] : others(other),
      );
    }
  });
}

Deno.test("The last events of names are the same at all relays, also at one that comes later", async () => {
  await using fixture = await start(2, { history: { keepLast: ["state.*"] } });
  const a = await fixture.reader(0, []);
  const b = await fixture.reader(1, []);
  for (let i = 1; i <= 3; i++) {
    a.client.send("state.a", { i });
    b.client.send("state.b", { i: 10 + i });
    await Promise.all([a.client.flush(), b.client.flush()]);
  }
  const relay = fixture.cluster.add();
  await fixture.cluster.relays[relay]!.ready;
  for (const each of [0, 1, relay]) {
    const reader = await fixture.reader(each, []);
    await reader.client.subscribe(["state.*"], { since: "last" });
    await reader.sees("state.a3", "state.b13");
    assertEquals(reader.seen.length, 2);
  }
});

Deno.test("The last events of names outlive their place in the stream, also for a relay that comes later", async () => {
  await using fixture = await start(2, { history: { keepLast: ["state.*"] } });
  const { stream } = fixture.cluster.hub;
  stream.settings = { ...stream.settings, maxMessages: 20 };
  const a = await fixture.reader(0, []);
  a.client.send("state.a", { i: 1 });
  a.client.send("state.b", { i: 2 });
  await a.client.flush();
  for (let i = 0; i < 40; i++) {
    a.client.send("n", { i });
    await a.client.flush();
  }
  await until(() => stream.lastOf("values") !== null);
  a.client.send("state.b", { i: 3 });
  await a.client.flush();
  const relay = fixture.cluster.add();
  await fixture.cluster.relays[relay]!.ready;
  for (const each of [1, relay]) {
    const reader = await fixture.reader(each, []);
    await reader.client.subscribe(["state.*"], { since: "last" });
    await reader.sees("state.a1", "state.b3");
    assertEquals(reader.seen, ["state.a1", "state.b3"]);
  }
});

Deno.test("What is not from a relay in the stream is reported, and passed over", async () => {
  await using fixture = await start();
  const { stream } = fixture.cluster.hub;
  const a = await fixture.reader(0, ["n"]);
  const bad = [
    "",
    "x",
    '{"control":"block","number":1,"events":1}\n',
    '{"control":"block","number":1,"events":1}\n{"event":1}\n',
    '{"control":"block","number":1,"events":1}\n{"event":"n","to":"c1"}\n',
    '{"control":"block","number":1,"events":1}\n{"event":"n"}\r\n',
    '{"control":"block","number":1,"events":2}\n{"event":"n"}\n',
    '{"control":"epoch","epoch":"x","before":[]}\n',
    '{"control":"values","events":0}\n',
  ];
  for (const text of bad) stream.add("rStranger", new TextEncoder().encode(text));
  stream.add("epoch", new TextEncoder().encode('{"control":"epoch","epoch":7}\n'));
  const values = '{"control":"values","events":1}\n{"event":"n","offset":1}\n';
  stream.add("values", new TextEncoder().encode(values));
  a.client.send("n", { i: 1 });
  await a.sees("n1");
  assertEquals(a.seen, ["n1"]);
  assertEquals(await keptAt(fixture, 1), [1]);
  assertEquals(fixture.faults.length, 2); // One for each relay.
});

Deno.test("A relay that keeps no events does not join those that do, and both say so", async () => {
  const faults: string[] = [];
  const observer = { onClusterFault: (fault: string) => void faults.push(fault) };
  await using fixture = await start(1, { observer });
  const backplane = fixture.cluster.hub.backplane();
  const { Relay } = await import("../../relay.ts");
  const { EbsocketServer } = await import("../../server.ts");
  await using other = new Relay(new EbsocketServer(["127.0.0.1", 0]), {
    cluster: backplane,
    observer,
  });
  await other.ready;
  await until(() => faults.some((fault) => fault.includes("has a history, this one has none")));
  await until(() => faults.some((fault) => fault.includes("has no history, this one has one")));
});

/** Connects a client that wants its events to be acknowledged. */
async function joinWithAcks(relay: Relay): Promise<Peer> {
  const peer = await join(relay);
  await peer.send('{"control":"hello","version":1,"ack":true}\n');
  await peer.sees("welcome");
  return peer;
}

Deno.test("Senders go on if the stream drops their events before their relay has read them", async () => {
  for (const dropsAll of [false, true]) {
    await using fixture = await start(1);
    const { stream } = fixture.cluster.hub;
    const [relay] = fixture.cluster.relays;
    const port = fixture.cluster.backplanes[0]!.port!;
    await using one = await joinWithAcks(relay!);
    await using two = await joinWithAcks(relay!);
    port.isHeld = true;
    const before = stream.last;
    for (const [i, peer] of [one, two].entries()) {
      await peer.send(`{"event":"n","__dict__":{"i":${i}}}\n`);
      await until(() => stream.last > before + i);
    }
    stream.drop(stream.last + (dropsAll ? 1 : 0));
    port.isHeld = false;
    port.wake();
    for (const peer of [one, two]) await until(() => /"events":1|"close"/.test(peer.text));
  }
});

Deno.test("An event is kept though the stream has dropped all of its relay, and others unread", async () => {
  await using fixture = await start(1);
  const { stream } = fixture.cluster.hub;
  const [relay] = fixture.cluster.relays;
  const port = fixture.cluster.backplanes[0]!.port!;
  await using peer = await joinWithAcks(relay!);
  await peer.send('{"event":"n"}\n');
  await peer.sees('"events":1');
  port.isHeld = true;
  const block = utf8('{"control":"block","number":1,"events":1}\n{"event":"other"}\n');
  for (let i = 0; i < 3; i++) stream.add("rOther", block);
  stream.drop(stream.last);
  await peer.send('{"event":"late"}\n');
  await until(() => stream.messages.some(({ data }) => textOf(data).includes("late")));
  port.isHeld = false;
  port.wake();
  await until(() => /"events":2|"close"/.test(peer.text));
  assertMatch(peer.text, /"events":2/);
});

Deno.test("Clients may ask for the past while the stream cannot be reached", async () => {
  await using fixture = await start(1);
  const port = fixture.cluster.backplanes[0]!.port!;
  await using peer = await join(fixture.cluster.relays[0]!);
  port.isConnected = false;
  const since = { epoch: "unknown", offset: 1 };
  for (const id of ["a", "b"]) {
    await peer.send(`${JSON.stringify({ control: "subscribe", events: ["n"], id, since })}\n`);
  }
  await peer.sees('"close"'); // It comes back, and asks again. An unhandled error would end the test.
  port.isConnected = true;
});

Deno.test("A relay leaves out events of others that are too long for its clients, and tells them", async () => {
  await using fixture = await start(1, { maxLineBytes: 10_000 });
  const { stream } = fixture.cluster.hub;
  const a = await fixture.reader(0, ["n"]);
  const line = `{"event":"old","__dict__":{"text":"${"x".repeat(20_000)}"}}\n`;
  stream.add("rOther", utf8(`{"control":"block","number":1,"events":1}\n${line}`));
  await until(() => fixture.faults.length > 0);
  assertMatch(fixture.faults[0]!, /longer than --max-line-bytes/);
  a.client.send("n", { i: 1 });
  await a.sees("n1");
  assertEquals(a.seen, ["n1"]);
});

Deno.test("A question about the past is answered whole by a relay that was behind", async () => {
  await using fixture = await start(2);
  const a = await fixture.reader(0, ["n"]);
  const port = fixture.cluster.backplanes[1]!.port!;
  await a.client.send("n", { i: 0 }, { confirm: true });
  await pause(50);
  port.isHeld = true;
  for (let i = 1; i <= 5; i++) {
    a.client.send("n", { i });
    await a.client.flush();
  }
  await a.sees("n5");
  const since = { epoch: a.client.position!.epoch, offset: a.offsets[2]! };
  const b = await fixture.reader(1, []);
  const past = Array.fromAsync(b.client.history("n", { since }));
  await pause(100);
  port.isHeld = false;
  port.wake();
  assertEquals((await past).map((event) => event.getAttribute("i")), [3, 4, 5]);
});

Deno.test("A client that a relay cannot tell at once whether it can go on receives the last events if not", async () => {
  await using fixture = await start(2, { history: { keepLast: ["state.*"] } });
  const a = await fixture.reader(0, []);
  await a.client.send("state.a", { i: 1 }, { confirm: true });
  const port = fixture.cluster.backplanes[1]!.port!;
  await pause(50);
  port.isHeld = true;
  await a.client.send("state.b", { i: 2 }, { confirm: true });
  const { epoch } = a.client.position!;
  await using peer = await Peer.connect(fixture.cluster.relays[1]!.server.address);
  const lines = [
    { control: "hello", version: 1, offsets: true },
    {
      control: "subscribe",
      events: ["state.*"],
      id: "s",
      since: { epoch, offset: 1e9 },
      partial: "last",
    },
  ];
  await peer.send(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  await pause(50);
  port.isHeld = false;
  port.wake();
  await peer.sees('"live"');
  assertStringIncludes(peer.text, '"recovered":false,"reason":"ahead"');
  const seen = Array.from(peer.text.matchAll(/"event":"(state\.[ab])"/g), ([, name]) => name);
  assertEquals(seen, ["state.a", "state.b"]);
});

Deno.test("A relay that comes late learns last events that are repeated after its start", async () => {
  await using fixture = await start(1, { history: { keepLast: ["state.*"] } });
  const { cluster } = fixture;
  const { stream } = cluster.hub;
  stream.settings = { ...stream.settings, maxMessages: 20 };
  const a = await fixture.reader(0, []);
  a.client.send("state.a", { i: 1 });
  await a.client.flush();
  for (let i = 0; i < 30; i++) {
    a.client.send("n", { i });
    await a.client.flush();
  }
  const late = cluster.add();
  await cluster.relays[late]!.ready;
  await until(() => cluster.relays[late]!.stats().history!.names === 1, { everyMs: 20 });
  assertEquals(cluster.relays[0]!.stats().history!.names, 1);
});

/** Adds a relay that has opened the stream, and to which no message of it comes. */
async function addHeld(cluster: TestCluster): Promise<[Relay, MemoryStreamPort]> {
  const relay = cluster.relays[cluster.add()]!;
  const backplane = cluster.backplanes.at(-1)!;
  const port = cluster.hub.stream.port();
  port.isHeld = true;
  backplane.openStream = () => Promise.resolve(backplane.port = port);
  await until(() => port.reads === 1);
  return [relay, port];
}

for (const loss of ["deleted", "cut"]) {
  Deno.test(`A relay that comes while the stream is ${loss} is ready once it has read what is there`, async () => {
    await using fixture = await start(1, { history: { keepLast: ["state.*"] } });
    const { cluster } = fixture;
    const { stream } = cluster.hub;
    const a = await fixture.reader(0, []);
    for (let i = 1; i <= 10; i++) {
      a.client.send(`state.${i}`);
      await a.client.flush();
    }
    const [late, port] = await addHeld(cluster);
    if (loss === "deleted") {
      stream.delete();
    } else {
      cluster.hub.stop();
      stream.lose(7); // an epoch, a claim and five events
      cluster.hub.start();
    }
    await until(() => port.reads === 2);
    port.isHeld = false;
    port.wake();
    await soon(late.ready, "the relay");
    const { names } = late.stats().history!;
    assertEquals(names, loss === "deleted" ? 0 : 5);
  });
}

Deno.test("A relay that comes after the last messages were deleted does not wait for them", async () => {
  await using fixture = await start(1);
  const { stream } = fixture.cluster.hub;
  await using sender = await join(fixture.cluster.relays[0]!);
  for (let i = 1; i <= 3; i++) {
    const before = stream.last;
    await sender.send('{"event":"n"}\n');
    await until(() => stream.last > before);
  }
  const { last } = stream;
  const [late, port] = await addHeld(fixture.cluster);
  stream.messages = stream.messages.filter(({ seq }) => seq < last - 1);
  port.isHeld = false;
  port.wake();
  await soon(late.ready, "the relay");
  const { epoch, offset } = late.stats().history!;
  assertEquals(offset, 4096 * (last + 1) - 1);
  await using peer = await join(late);
  const since = { epoch, offset: offset + 100_000 };
  await peer.send(`${JSON.stringify({ control: "subscribe", events: ["n"], id: "s", since })}\n`);
  await peer.sees('"reason":"ahead"'); // It knows that nothing follows.
});

Deno.test("A relay that is still reading the stream can be closed", async () => {
  await using fixture = await start(1, { history: { keepLast: ["state.*"] } });
  const a = await fixture.reader(0, []);
  a.client.send("state.a");
  await a.client.flush();
  const [late, port] = await addHeld(fixture.cluster);
  try {
    await soon(late.close(), "the end");
  } finally {
    port.isHeld = false;
    port.wake();
  }
});

Deno.test("After a loss, clients receive nothing twice that was not lost", async () => {
  await using fixture = await start(2);
  const { stream } = fixture.cluster.hub;
  const a = await fixture.reader(0, ["n"], { history: false });
  const b = await fixture.reader(1, []);
  for (let i = 1; i <= 20; i++) {
    b.client.send("n", { i });
    await b.client.flush();
  }
  await a.sees("n20");
  const [one, two] = fixture.cluster.backplanes;
  fixture.cluster.hub.stop();
  stream.lose(stream.last - 5);
  two!.mend();
  await pause(200);
  for (let i = 101; i <= 130; i++) {
    b.client.send("n", { i });
    await pause(3); // so that there are several messages
  }
  one!.mend();
  await a.sees("n130");
  assertEquals(a.seen.filter((each, i) => a.seen.indexOf(each) !== i), []);
});

for (
  const [history, fault] of [
    [{ keep: ["n"] }, 'its keep is [">"], here it is ["n"]'],
    [{ keep: [">"], keepLast: [">"] }, 'its keepLast is [], here it is [">"]'],
  ] as const
) {
  const name = Object.keys(history).at(-1);
  Deno.test(`A relay with another ${name} does not start, and leaves the others alone`, async () => {
    await using fixture = await start(1);
    const a = await fixture.reader(0, ["n"]);
    const { epoch } = fixture.cluster.relays[0]!.stats().history!;
    const { Relay } = await import("../../relay.ts");
    const { EbsocketServer } = await import("../../server.ts");
    const other = new Relay(new EbsocketServer(["127.0.0.1", 0]), {
      cluster: fixture.cluster.hub.backplane(),
      history,
    });
    await assertRejects(() => other.ready, Error, fault);
    await assertRejects(() => other.closed, Error, "Cannot join the cluster");
    await a.client.send("n", { i: 1 }, { confirm: true });
    await a.sees("n1");
    assertEquals(a.losses, []);
    assertEquals(fixture.cluster.relays[0]!.stats().history!.epoch, epoch);
  });
}

Deno.test("A relay with a history that meets another one with other terms later ends with an error", async () => {
  await using fixture = await start(1);
  const a = await fixture.reader(0, ["n"]);
  const [backplane] = fixture.cluster.backplanes;
  backplane!.cut();
  const { Relay } = await import("../../relay.ts");
  const { EbsocketServer } = await import("../../server.ts");
  const other = new Relay(new EbsocketServer(["127.0.0.1", 0]), {
    cluster: fixture.cluster.hub.backplane(),
    history: { keep: ["n"] },
  });
  const ended = assertRejects(() => other.closed, EbsocketError, 'its keep is [">"], here it is');
  await other.ready;
  await using peer = await join(other);
  backplane!.mend();
  assertEquals((await ended).code, "cluster-terms");
  await peer.sees('"shutdown"');
  await a.client.send("n", { i: 1 }, { confirm: true });
  await a.sees("n1");
});
