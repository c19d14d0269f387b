// A relay with many clients and many subscriptions against a model that knows nothing of how it works:
// every client gets exactly what the model says, in order.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { Buffer } from "node:buffer";
import { textOf, utf8 } from "../support/bytes.ts";
import { randomsFrom } from "../support/random.ts";
import { covers } from "../support/reference.ts";
import { newRelay } from "../support/relay.ts";
import { size } from "../support/size.ts";
import { until } from "../support/waiting.ts";

const CLIENTS = size(300, 1000);
const EVENTS = size(30_000, 100_000);
/** How often some clients change what they hear, at points where nothing is under way. */
const ROUNDS = 5;
/** After how many events the publisher changes what it hears itself, in the middle of its stream. */
const OWN_CHANGE = 777;
/** How many clients are in queues, of the last ones. */
const WORKERS = 60;
const QUEUES = 6;

const random = randomsFrom(7);
const digit = () => random(10);
const NAMES = Array.from({ length: 1000 }, (_, i) => [...String(i).padStart(3, "0")].join("."));
/** The names of the events, in the order in which they are published. */
const published = Array.from({ length: EVENTS }, () => random(NAMES.length));
const lineOf = (i: number) => `{"event":"${NAMES[published[i]!]}","n":${i}}\n`;

/** A hundred lists of patterns, no two alike. */
const LISTS: string[][] = Array.from({ length: 100 }, (_, i) => {
  switch (i % 5) {
    case 0:
      return i === 0 ? [">"] : [`${digit()}.>`, `list.${i}`];
    case 1:
      return [`*.*.${digit()}`, `list.${i}`];
    case 2:
      return [`${digit()}.${digit()}.*`, `${digit()}.${digit()}.>`, `list.${i}`];
    case 3:
      return [`*.${digit()}.${digit()}`, `*.${digit()}`, `list.${i}`];
    default:
      return [...Array.from({ length: 20 }, () => NAMES[random(1000)]!), `list.${i}`];
  }
});

/** For each name, whether one of the patterns covers it. */
function coverage(patterns: Iterable<string>): boolean[] {
  const all = [...patterns];
  return NAMES.map((name) => all.some((pattern) => covers(pattern, name)));
}

/** What a client should have got; clients with the same history share one. */
class Expectation {
  #text: string[] = [];
  #bytes: Uint8Array = new Uint8Array(0);

  add(text: string): void {
    this.#text.push(text);
  }

  /** All of it until now. */
  bytes(): Uint8Array {
    if (this.#text.length > 0) {
      this.#bytes = utf8(textOf(this.#bytes) + this.#text.join(""));
      this.#text = [];
    }
    return this.#bytes;
  }
}

/** A client that speaks raw TCP, and compares what it gets at once. */
class Client {
  received = 0;
  /** What it got, where it is not known before what that must be. */
  text = "";
  expectation: Expectation | null = null;
  #expected: Uint8Array = new Uint8Array(0);
  failure = "";
  reading: Promise<void> = Promise.resolve();

  constructor(readonly conn: Deno.TcpConn) {}

  static async connect(port: number): Promise<Client> {
    const client = new Client(await Deno.connect({ hostname: "127.0.0.1", port }));
    client.reading = client.#read();
    return client;
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(65_536);
    for (let length; (length = await this.conn.read(buffer).catch(() => null)) !== null;) {
      this.#take(buffer.subarray(0, length));
    }
  }

  #take(bytes: Uint8Array): void {
    if (!this.expectation) {
      this.text += textOf(bytes);
      return;
    }
    const end = this.received + bytes.length;
    if (this.#expected.length < end) this.#expected = this.expectation.bytes();
    const expected = this.#expected.subarray(this.received, end);
    if (this.failure === "" && Buffer.compare(bytes, expected) !== 0) {
      const at = bytes.findIndex((byte, i) => byte !== expected[i]);
      this.failure = `byte ${this.received + at}: got ${
        textOf(bytes.subarray(Math.max(0, at - 50), at + 100))
      }, not ${textOf(expected.subarray(Math.max(0, at - 50), at + 100))}`;
    }
    this.received = end;
  }

  async send(text: string): Promise<void> {
    const bytes = utf8(text);
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }
}

const wish = (events: string[], control = "subscribe", queue?: string) =>
  JSON.stringify({ control, events, queue, id: "w" }) + "\n";
const ACK = '{"control":"ack","id":"w"}\n';

Deno.test("Relay delivers to many subscribers exactly what a simple model delivers", async () => {
  await using relay = newRelay();
  const [, port] = relay.server.address;
  const clients: Client[] = [];
  for (let i = 0; i < CLIENTS; i++) clients.push(await Client.connect(port));
  const publisher = clients[0]!;
  const workers = clients.slice(-WORKERS);
  const plain = clients.slice(1, -WORKERS);

  // Everybody subscribes, each group of plain clients to one list.
  const groups = LISTS.map((patterns) => ({
    patterns: new Set(patterns),
    expectation: new Expectation(),
    members: [] as Client[],
  })).slice(0, plain.length);
  plain.forEach((client, i) => {
    const group = groups[i % groups.length]!;
    group.members.push(client);
    client.expectation = group.expectation;
  });
  for (const { patterns, expectation, members } of groups) {
    expectation.add(ACK);
    for (const member of members) await member.send(wish([...patterns]));
  }
  const queued = workers.map(() => [`${digit()}.>`, `*.${digit()}.*`]);
  // Some of a queue also hear events for themselves.
  const alone = queued.map((_, i) => i % 10 === 9 ? [`*.*.${digit()}`] : []);
  for (const [i, worker] of workers.entries()) {
    await worker.send(wish(queued[i]!, "subscribe", `q${i % QUEUES}`) + wish(alone[i]!));
    await until(() => acksOf(worker) === 2);
  }
  const own = new Expectation();
  publisher.expectation = own;
  own.add(ACK);
  await publisher.send(wish([]));
  const settled = (all: Client[]) => until(() => all.every(isDone));
  await settled([publisher, ...plain]);

  // Rounds of events; between them, some groups change what they hear.
  let next = 0;
  const ownPatterns = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const covered = groups.map(({ patterns }) => coverage(patterns));
    let ownCovered = coverage(ownPatterns);
    const parts: string[] = [];
    for (const end = Math.floor((round + 1) * EVENTS / ROUNDS); next < end; next++) {
      const line = lineOf(next);
      const name = published[next]!;
      parts.push(line);
      groups.forEach(({ expectation }, g) => covered[g]![name] && expectation.add(line));
      if (ownCovered[name]) own.add(line);
      if (next % OWN_CHANGE !== 0) continue;
      const pattern = `*.${digit()}.*`;
      const control = ownPatterns.delete(pattern) ? "unsubscribe" : "subscribe";
      if (control === "subscribe") ownPatterns.add(pattern);
      ownCovered = coverage(ownPatterns);
      parts.push(wish([pattern], control));
      own.add(ACK);
    }
    await publisher.send(parts.join(""));
    await settled([publisher, ...plain]);
    for (let k = 0; k < 10; k++) {
      const group = groups[random(groups.length)]!;
      const [first] = group.patterns;
      const added = `${digit()}.*.${digit()}`;
      group.patterns.add(added);
      let lines = wish([added]);
      group.expectation.add(ACK);
      if (first !== undefined && first !== added) {
        group.patterns.delete(first);
        lines += wish([first, "unknown"], "unsubscribe");
        group.expectation.add(ACK);
      }
      for (const member of group.members) await member.send(lines);
      await settled(group.members);
    }
  }

  // What a worker is told comes behind what was queued for it.
  for (const worker of workers) {
    const before = acksOf(worker);
    await worker.send(wish([]));
    await until(() => acksOf(worker) === before + 1);
  }
  checkQueues(workers.map(numbersOf), queued, alone);
  for (const client of clients) client.conn.close();
  await Promise.all(clients.map(({ reading }) => reading));
});

/** Whether a client has got all that it should have; fails if it got something else. */
function isDone(client: Client): boolean {
  assertEquals(client.failure, "");
  return client.received === client.expectation!.bytes().length;
}

function acksOf({ text }: Client): number {
  return text.split(ACK).length - 1;
}

/** Which events a client has got. */
function numbersOf({ text }: Client): number[] {
  return Array.from(text.matchAll(/"n":(\d+)/g), ([, n]) => Number(n));
}

/**
 * Checks what the clients of queues have got: each what it has subscribed to alone, in order; and of
 * what a queue hears, each event one of its clients.
 */
function checkQueues(got: number[][], queued: string[][], alone: string[][]): void {
  const aloneOf = alone.map(coverage);
  const queuedOf = queued.map(coverage);
  const sets = got.map((numbers) => new Set(numbers));
  got.forEach((numbers, i) => {
    assert(numbers.every((n, k) => k === 0 || n > numbers[k - 1]!), `worker ${i}`);
  });
  published.forEach((name, n) => {
    for (let queue = 0; queue < QUEUES; queue++) {
      const members = queued.map((_, i) => i).filter((i) => i % QUEUES === queue);
      const inTurn = members.filter((i) => queuedOf[i]![name]);
      const takers = members.filter((i) => sets[i]!.has(n));
      const selves = members.filter((i) => aloneOf[i]![name]);
      const others = takers.filter((i) => !aloneOf[i]![name]);
      const what = `event ${n} of queue ${queue}: ${takers}`;
      assert(selves.every((i) => sets[i]!.has(n)), what);
      assert(others.every((i) => inTurn.includes(i)), what);
      const isTakenBySelf = inTurn.some((i) => aloneOf[i]![name]);
      const least = inTurn.length > 0 && !isTakenBySelf ? 1 : 0;
      assertGreaterOrEqual(others.length, least, what);
      assertLessOrEqual(others.length, 1, what);
    }
  });
}
