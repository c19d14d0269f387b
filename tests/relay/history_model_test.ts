// The history against a model: random clients lose their connections and come back while others
// publish. Each receives every event that it wants exactly once and in order, or is told of a gap.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import type { HistoryOptions, Relay } from "../../relay.ts";
import { TempFolder } from "../support/folder.ts";
import { randomsFrom } from "../support/random.ts";
import { covers } from "../support/reference.ts";
import { newRelay } from "../support/relay.ts";
import { size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";

type Random = (below: number) => number;
type Line = Record<string, unknown>;

const NAMES = ["a", "a.b", "a.c", "b.c", "c", "d.e.f", "é"];
const PATTERNS = [[">"], ["a"], ["a.*"], ["a", "b.>"], ["*.c", "c"], ["d.>", "é"], ["none"]];
const RUNS = size(4, 60);
const BLOCKS = size(150, 400);

/** Connects, and reads lines until the end, which may be the own one. */
class Wire {
  readonly #conn: Deno.TcpConn;
  readonly done: Promise<void>;
  isClosed = false;

  private constructor(conn: Deno.TcpConn, pauseMs: () => number, onLine: (line: Line) => void) {
    this.#conn = conn;
    this.done = this.#read(pauseMs, onLine).catch(() => {});
  }

  static async open(
    { server: { address: [hostname, port] } }: Relay,
    pauseMs: () => number,
    onLine: (line: Line) => void,
  ): Promise<Wire> {
    return new Wire(await Deno.connect({ hostname, port }), pauseMs, onLine);
  }

  async #read(pauseMs: () => number, onLine: (line: Line) => void): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(20_000);
    let rest = "";
    for (let length; (length = await this.#conn.read(buffer)) !== null;) {
      rest += decoder.decode(buffer.subarray(0, length), { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (this.isClosed) return;
        if (line !== "") onLine(JSON.parse(line));
      }
      const ms = pauseMs();
      if (ms > 0) await pause(ms);
    }
  }

  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.#conn.close();
    await this.done;
  }
}

/** A client that comes back with its position, again and again. */
class Wanderer {
  readonly patterns: readonly string[];
  /** Offsets of the events, in the order in which they came. */
  readonly offsets: number[] = [];
  /** Offsets up to which events are missing, of which the client was told, by the first of each. */
  readonly gaps: [from: number, to: number][] = [];
  readonly faults: string[] = [];
  position = 0;
  returns = 0;
  /** The number of the last event on this connection, 0 before the first one that has a number. */
  #seq = 0;
  #wire: Wire | null = null;
  readonly #random: Random;
  readonly #relay: Relay;

  constructor(random: Random, relay: Relay) {
    this.#random = random;
    this.#relay = relay;
    this.patterns = PATTERNS[random(PATTERNS.length)]!;
  }

  async connect(): Promise<void> {
    const { epoch } = this.#relay.stats().history!;
    const isLazy = this.#random(3) === 0;
    this.#seq = 0;
    let isIn = false;
    this.#wire = await Wire.open(this.#relay, () => isLazy ? this.#random(4) : 0, (line) => {
      if (line.control === "ack") isIn = true;
      this.#count(line);
      if (isIn) this.#take(line);
    });
    this.returns++;
    const since = this.position === 0 && this.#random(2) === 0
      ? { first: true }
      : { epoch, offset: this.position };
    const hello = { control: "hello", offsets: true, sequence: true };
    const subscribe = {
      control: "subscribe",
      events: this.patterns,
      id: "s",
      since,
      partial: true,
    };
    await this.#wire.send(`${JSON.stringify(hello)}\n${JSON.stringify(subscribe)}\n`);
  }

  #count({ seq }: Line): void {
    if (typeof seq !== "number") return;
    if (this.#seq > 0 && seq !== this.#seq + 1) this.faults.push(`${seq} after ${this.#seq}`);
    this.#seq = seq;
  }

  #take(line: Line): void {
    const { control, event, offset } = line;
    if (event !== undefined) {
      if (offset === undefined) return; // It is not kept.
      this.offsets.push(offset as number);
      this.position = offset as number;
    } else if (control === "live" || control === "at") {
      if (offset as number < this.position) this.faults.push(JSON.stringify(line));
      this.position = offset as number;
    } else if (control === "gap") {
      this.gaps.push([line.from as number, line.to as number]);
      this.position = line.to as number;
    } else if (control === "ack") {
      const { from, recovered, reason } = line.history as Line;
      if (recovered === false) {
        if (reason !== "evicted") this.faults.push(JSON.stringify(line));
        this.gaps.push([this.position + 1, from as number]);
        this.position = from as number;
      } else if (recovered === undefined) {
        if (from as number > 0) this.gaps.push([1, from as number]);
        this.position = from as number;
      }
    }
  }

  /** Loses the connection, and comes back at some time. */
  async wander(isOver: () => boolean): Promise<void> {
    await pause(this.#random(20));
    await this.connect();
    while (!isOver()) {
      await pause(this.#random(this.#random(4) === 0 ? 150 : 15));
      if (isOver()) break;
      await this.leave();
      await pause(this.#random(10));
      await this.connect();
    }
  }

  async leave(): Promise<void> {
    await this.#wire?.close();
  }
}

/** Returns the lines of a random block, of which the name of each is in its attributes. */
function blockOf(random: Random): string {
  const count = 1 + random(random(5) === 0 ? 300 : 10);
  const lines = Array.from({ length: count }, () => {
    const name = NAMES[random(NAMES.length)]!;
    const pad = "x".repeat(random(10) === 0 ? random(3000) : random(50));
    const line = { event: name, __dict__: { pad } };
    const kind = random(20);
    return JSON.stringify(
      kind === 0 ? { ...line, reply_to: "r" } : kind === 1 ? { ...line, to: "c1" } : line,
    );
  });
  return `${lines.join("\n")}\n`;
}

async function run(seed: number, disk: HistoryOptions): Promise<void> {
  const random = randomsFrom(seed);
  const leastBytes = disk.folder === undefined ? 100_000 : 1_048_576;
  const history: HistoryOptions = {
    ...disk,
    ...(random(2) === 0 && { keepBytes: leastBytes + random(500_000) }),
    ...(random(3) === 0 && { keepCount: 200 + random(2000) }),
    ...(random(3) === 0 && { keepLast: ["a.*"] }),
    ...(random(3) === 0 && { keep: ["a", "a.*", "c", "é"] }),
  };
  await using relay = newRelay({ history, ...(random(2) === 0 && { subscribeFirst: true }) });
  await relay.ready;
  /** The names of all kept events, as one receives them that never leaves. */
  const names: string[] = [];
  let isWatching = false;
  const auditor = await Wire.open(relay, () => 0, ({ control, event, offset }) => {
    if (control === "ack") isWatching = true;
    if (event === undefined || offset === undefined) return;
    assertEquals(offset, names.length + 1);
    names.push(event as string);
  });
  await auditor.send(
    '{"control":"hello","offsets":true}\n{"control":"subscribe","events":[">"],"id":"x"}\n',
  );
  await until(() => isWatching);
  let isOver = false;
  const wanderers = Array.from({ length: 8 }, () => new Wanderer(random, relay));
  const wandering = wanderers.map((each) => each.wander(() => isOver));
  let taken = 0;
  const onLine = ({ control }: Line) => void (taken += control === "ack" ? 1 : 0);
  const publishers = await Promise.all([0, 1].map(() => Wire.open(relay, () => 0, onLine)));
  await Promise.all(publishers.map(async (publisher) => {
    for (let i = 0; i < BLOCKS; i++) {
      await publisher.send(blockOf(random));
      if (random(10) === 0) await pause(random(5));
    }
    await publisher.send('{"event":"a","ack":"last"}\n');
  }));
  isOver = true;
  await Promise.all(wandering);
  await until(() => taken === 2 && relay.stats().history!.offset === names.length);
  await until(() => relay.stats().history!.catchingUp === 0);
  const isThere = ({ patterns, position }: Wanderer) =>
    names.findLastIndex((name) => patterns.some((each) => covers(each, name))) < position;
  await until(() => wanderers.every(isThere), { what: `all have come, seed ${seed}` });
  for (const wanderer of wanderers) check(wanderer, names, seed);
  assertGreater(Math.max(...wanderers.map(({ returns }) => returns)), 1);
  for (const wire of [auditor, ...publishers]) await wire.close();
  for (const wanderer of wanderers) await wanderer.leave();
}

function check(
  { patterns, offsets, gaps, faults }: Wanderer,
  names: readonly string[],
  seed: number,
): void {
  assertEquals(faults, []);
  const isMissing = (offset: number) => gaps.some(([from, to]) => from <= offset && offset <= to);
  const expected: number[] = [];
  names.forEach((name, i) => {
    if (patterns.some((pattern) => covers(pattern, name))) expected.push(i + 1);
  });
  const wanted = expected.filter((offset) => !isMissing(offset));
  const twice = offsets.filter((offset, i) => offsets.indexOf(offset) < i);
  assertEquals(twice, [], `seed ${seed}: doubled`);
  assert(offsets.every((offset, i) => i === 0 || offset > offsets[i - 1]!), `seed ${seed}: order`);
  assertEquals(offsets.filter((offset) => !isMissing(offset)), wanted, `seed ${seed}`);
}

Deno.test("Relay sends clients that come and go every event once, or tells them of a gap", async () => {
  for (let seed = 1; seed <= RUNS; seed++) await run(seed, {});
});

for (const sync of ["ack", "always"] as const) {
  Deno.test(`Relay with sync "${sync}" sends clients that come and go every event once, or tells them of a gap`, async () => {
    for (let seed = 1; seed <= RUNS / 2; seed++) {
      using folder = new TempFolder();
      await run(seed, { folder: `${folder.path}/log`, sync });
    }
  });
}
