import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertMatch } from "@std/assert/match";
import { NO_SENDER } from "../../history/kept_block.ts";
import { LastValues } from "../../history/last_values.ts";
import { Producers } from "../../history/producers.ts";
import type { EventLog, LogSink } from "../../history/log.ts";
import { MemoryLog } from "../../history/memory_log.ts";
import { openLog } from "../../history/open_log.ts";
import {
  checkHistoryOptions,
  type HistoryOptions,
  type HistoryRules,
} from "../../history/options.ts";
import type { LineConnection } from "../../net/line_connection.ts";
import { Block, type Piece } from "../../net/piece.ts";
import type { SubscriptionRequest } from "../../protocol/control.ts";
import type { Since } from "../../protocol/history.ts";
import { encoder } from "../../protocol/utf8.ts";
import { HistoryGateway } from "../../relay/history_gateway.ts";
import { HistoryRouter } from "../../relay/history_router.ts";
import { LogProducers } from "../../relay/log_producers.ts";
import { Delivery } from "../../relay/receipts.ts";
import { Router } from "../../relay/router.ts";
import type { Subscriber } from "../../relay/subscription_table.ts";
import { utf8 } from "../support/bytes.ts";
import { MemoryFolder } from "../support/memory_folder.ts";
import { randomsFrom } from "../support/random.ts";
import { covers } from "../support/reference.ts";
import { FakeRecipient } from "../support/routes.ts";
import { size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";

/** Makes the blocks of a log come a little later, as from a disk. */
function slowed(log: EventLog): EventLog {
  const read = log.read.bind(log);
  log.read = async (offset) => {
    await pause(1);
    return read(offset);
  };
  return log;
}

/** A client that reads as much as a test lets it, by default everything. */
class FakeClient extends FakeRecipient {
  #sent = 0;
  #read = Infinity;
  #flushes: { readonly target: number; readonly resolve: () => void }[] = [];

  override send(lines: Uint8Array, count: number): boolean {
    this.#sent += lines.length;
    this.#count();
    return super.send(lines, count);
  }

  override sendPieces(pieces: readonly Piece[], count: number): boolean {
    for (const { length } of pieces) this.#sent += length;
    this.#count();
    return super.sendPieces(pieces, count);
  }

  /** Called when the relay disconnects it. */
  close(): void {}

  flush(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#flushes.push({ target: this.#sent, resolve });
    this.#count();
    return promise;
  }

  /** Reads `bytes` bytes more, and stops. */
  read(bytes: number): void {
    this.#read = Math.min(this.#read, this.#sent) + bytes;
    this.#count();
  }

  #count(): void {
    this.pendingBytes = Math.max(0, this.#sent - this.#read);
    for (const { resolve } of this.#flushes.filter(({ target }) => target <= this.#read)) resolve();
    this.#flushes = this.#flushes.filter(({ target }) => target > this.#read);
  }
}

interface Fixture extends Disposable {
  readonly gateway: HistoryGateway;
  readonly log: EventLog;
  /** Connects a client, which asks for offsets. */
  join(): Subscriber<LineConnection>;
  /** Passes events of a client on, as a block. */
  publish(source: Subscriber<LineConnection>, ...names: string[]): void;
  /** The same with a receipt for each. */
  confirm(source: Subscriber<LineConnection>, ...names: string[]): void;
  /** Queues what is gathered. */
  flush(): void;
}

function open(
  log: EventLog = new MemoryLog(checkHistoryOptions({})),
  rules: HistoryRules = checkHistoryOptions({}),
): Fixture {
  const router = new Router<LineConnection>({
    echo: true,
    subscribeFirst: false,
    maxBatchDelay: 0,
    maxPendingBytes: 8_388_608,
    onQueued: () => {},
    hasHistory: true,
  });
  const lastValues = new LastValues();
  const producers = new Producers();
  const keeper = { log, lastValues, producers, rules, keepsSenders: false };
  const routing = new HistoryRouter(router, keeper);
  const sink = { onKept() {}, onHistoryFault() {}, onHistoryMended() {}, onEnded() {} };
  const gateway = new HistoryGateway({
    router,
    log,
    routing,
    rules,
    echo: true,
    maxPendingBytes: 8_388_608,
    lastValues,
    producers: new LogProducers({ log, producers, routing }, sink),
    onSegment: () => Promise.resolve(),
    onReopen: () => Promise.resolve(),
  }, sink);
  const pass = (source: Subscriber<LineConnection>, names: string[], ack: string | null) => {
    gateway.routing.begin(source);
    const bytes = utf8(names.map(lineOf).join(""));
    const block = new Block(bytes);
    let start = 0;
    for (const name of names) {
      const end = start + lineOf(name).length;
      const from = start + '{"event":"'.length;
      const route = router.routes.find(bytes, from, from + name.length);
      const delivery = ack === null ? null : new Delivery(ack, null);
      gateway.routing.pass(route, { block, start, end }, false, delivery, false);
      start = end;
    }
    gateway.routing.end(false);
  };
  let lastId = 0;
  return {
    gateway,
    log,
    join() {
      const client = new FakeClient(++lastId) as unknown as LineConnection;
      const subscriber = router.open(client);
      gateway.greet(subscriber, { ack: false, offsets: true });
      return subscriber;
    },
    publish: (source, ...names) => pass(source, names, null),
    confirm: (source, ...names) => pass(source, names, "receipt"),
    flush: () => router.flush(),
    [Symbol.dispose]: () => gateway.stop(),
  };
}

const lineOf = (name: string) => `{"event":"${name}","__dict__":{"pad":"${"x".repeat(100)}"}}\n`;

const textOf = ({ recipient }: Subscriber<LineConnection>): string =>
  (recipient as unknown as FakeRecipient).text;

Deno.test("HistoryGateway counts a request for a log of any size as work that closes no client", () => {
  const log = new MemoryLog(checkHistoryOptions({}));
  const size = 2 ** 40; // a terabyte
  Object.defineProperty(log, "bytes", { value: size });
  log.bytesAfter = () => size;
  using fixture = open(log);
  for (const since of ["first", { count: 1 }] as const) {
    const client = fixture.join();
    const replay = { since, partial: false, isPast: false };
    const request = { control: "subscribe", events: ["a"], id: "s", replay } as const;
    const after = client.subscriptions.after(request);
    // A client may have 64 look-ups for a line, and 100 lines a second. Ten seconds' worth closes it.
    assertLess(fixture.gateway.change(client, request, after), 64 * 100 * 5);
  }
});

Deno.test("HistoryGateway tells clients how far they are every 25 s, if there was an event", () => {
  using fixture = open();
  const { gateway } = fixture;
  const one = fixture.join();
  const tick = (times: number) => {
    for (let i = 0; i < times; i++) gateway.tick();
  };
  tick(25);
  assertEquals(textOf(one), "");
  fixture.publish(one, "a");
  tick(24);
  assertMatch(textOf(one), /^\{"offset":1,"event":"a".*\n$/);
  tick(1);
  assertMatch(textOf(one), /^\{"offset":1,.*\n\{"control":"at","offset":1\}\n$/);
  tick(25);
  fixture.publish(one, "a");
  tick(25);
  assertMatch(textOf(one), /"offset":2,.*\n\{"control":"at","offset":2\}\n$/);
});

Deno.test("HistoryGateway waits for blocks that do not come at once", async () => {
  using fixture = open(slowed(new MemoryLog(checkHistoryOptions({}))));
  const { gateway, log } = fixture;
  const [one, two] = [fixture.join(), fixture.join()];
  const line = utf8(`{"event":"a","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`);
  for (let i = 0; i < 40; i++) log.append(line, 0, line.length, 1, NO_SENDER, 0);
  const ask = (since: "first" | { count: number }, isPast: boolean) => {
    const events = ["a"];
    const replay = { since, partial: false, isPast };
    const request = { control: "subscribe" as const, events, id: `s${isPast}`, replay };
    if (isPast) gateway.read(two, request);
    else gateway.change(one, request, one.subscriptions.after(request));
  };
  ask("first", false);
  ask({ count: 35 }, true);
  await pause(5);
  fixture.publish(two, "a");
  await until(() => textOf(one).includes('"live"') && textOf(two).includes('"end"'));
  fixture.publish(two, "a");
  const offsets = (text: string) =>
    Array.from(text.matchAll(/"offset":([0-9]+),/g), ([, offset]) => Number(offset));
  assertEquals(offsets(textOf(one)), Array.from({ length: 42 }, (_, i) => i + 1));
  const past = textOf(two).split("\n").filter((line) => line.includes('"past"')).join("\n");
  assertEquals(offsets(past), Array.from({ length: 35 }, (_, i) => i + 6));
});

Deno.test("HistoryGateway sends no last event of a pattern that was dropped meanwhile", async () => {
  const rules = checkHistoryOptions({ keepLast: [">"] });
  using fixture = open(new MemoryLog(rules), rules);
  const { gateway } = fixture;
  const names = Array.from({ length: 2000 }, (_, i) => `${"ab"[i % 2]}.${i}`);
  fixture.publish(fixture.join(), ...names);
  const client = fixture.join();
  const reader = client.recipient as unknown as FakeClient;
  reader.read(0);
  const replay = { since: "last", partial: false, isPast: false } as const;
  const subscribe: SubscriptionRequest = {
    control: "subscribe",
    events: ["a.*", "b.*"],
    id: "s",
    replay,
  };
  gateway.change(client, subscribe, client.subscriptions.after(subscribe));
  const before = textOf(client);
  assertMatch(before, /"b\.3"/);
  const drop: SubscriptionRequest = { control: "unsubscribe", events: ["b.*"], id: "u" };
  gateway.change(client, drop, client.subscriptions.after(drop));
  reader.read(Infinity);
  await until(() => gateway.stats().catchingUp === 0);
  const sent = Array.from(textOf(client).matchAll(/"event":"([^"]+)"/g), ([, name]) => name!);
  const count = Array.from(before.matchAll(/"event"/g)).length;
  assertEquals(sent.slice(0, count), names.slice(0, count));
  assertEquals(sent.slice(count), names.slice(count).filter((name) => name.startsWith("a")));
});

Deno.test("HistoryGateway sends no event that a mended log has lost", async () => {
  const [before, after] = ["before", "after"].map((name) => {
    const log = new MemoryLog(checkHistoryOptions({}));
    const lines = utf8(lineOf(name).repeat(2000));
    log.append(lines, 0, lines.length, 2000, NO_SENDER, 0);
    return log;
  });
  let current = before!;
  let sink: LogSink | undefined;
  const log = new Proxy(current, {
    get(_, key: keyof EventLog) {
      if (key === "watch") return (given: LogSink) => sink = given;
      const value = current[key];
      return typeof value === "function" ? value.bind(current) : value;
    },
  });
  using fixture = open(log);
  const { gateway } = fixture;
  const subscribe = (reads: number) => {
    const client = fixture.join();
    const reader = client.recipient as unknown as FakeClient;
    reader.read(reads);
    const replay = { since: "first", partial: false, isPast: false } as const;
    const request = { control: "subscribe" as const, events: ["*"], id: "s", replay };
    gateway.change(client, request, client.subscriptions.after(request));
    return client;
  };
  subscribe(0); // It catches up all the time, so that others share its work.
  const one = subscribe(Infinity);
  await until(() => textOf(one).includes('"live"'));
  current = after!;
  sink!.onMended();
  const two = subscribe(Infinity);
  await until(() => textOf(two).includes('"live"'));
  assertMatch(textOf(one), /before/);
  assertEquals([/before/, /after/].map((each) => each.test(textOf(two))), [false, true]);
});

type Line = Record<string, unknown>;

interface Wanted {
  readonly patterns: Set<string>;
  from: number;
}

/** Follows the lines of a client, and finds the first that is not the one that has to come. */
class Model {
  /** The names of all kept events. */
  readonly names: string[] = [];
  /** What each request has asked for, and the offset of the last event at that moment. */
  readonly requests = new Map<string, { kind: string; patterns: string[]; head: number }>();
  readonly #patterns = new Set<string>();
  #wanted: Wanted[] | null = null;
  #at = 0;

  take({ control, id, event, offset, history }: Line): void {
    if (event !== undefined) {
      assertEquals(offset, this.next());
      this.#at = offset as number;
    } else if (control === "live") {
      // All requests are answered at once, each with a line of its own.
      if (this.#wanted) assertEquals(this.next(offset as number), undefined);
      this.#at = offset as number;
      this.#wanted = null;
    } else if (control === "ack") {
      this.#apply(this.requests.get(id as string)!, history as Line | undefined);
    }
  }

  /** Returns the offset of the next event that has to come. */
  next(max = this.names.length): number | undefined {
    for (let offset = this.#at + 1; offset <= max; offset++) {
      const name = this.names[offset - 1]!;
      const isWanted = this.#wanted?.some(({ from, patterns }) =>
        from < offset && [...patterns].some((pattern) =>
          covers(pattern, name)
        )
      ) ?? [...this.#patterns].some((pattern) => covers(pattern, name));
      if (isWanted) return offset;
    }
  }

  #apply(
    { kind, patterns, head }: { kind: string; patterns: string[]; head: number },
    history: Line | undefined,
  ): void {
    const others = patterns.filter((pattern) => !this.#patterns.has(pattern));
    if (history) {
      const from = history.from as number;
      if (!this.#wanted) {
        this.#wanted = [{ patterns: new Set(this.#patterns), from: head }];
        this.#at = head;
      }
      for (const wanted of this.#wanted) wanted.from = Math.max(wanted.from, this.#at);
      this.#wanted.push({ patterns: new Set(patterns), from });
      this.#at = Math.min(this.#at, from);
    } else if (kind === "subscribe") {
      this.#wanted?.push({ patterns: new Set(others), from: head });
      if (!this.#wanted) this.#at = Math.max(this.#at, head);
    }
    for (const pattern of patterns) {
      if (kind === "subscribe") this.#patterns.add(pattern);
      else {
        this.#patterns.delete(pattern);
        for (const wanted of this.#wanted ?? []) wanted.patterns.delete(pattern);
      }
    }
  }
}

Deno.test("HistoryGateway sends each event in its place, whatever a client asks for meanwhile", async () => {
  for (let seed = 1; seed <= size(30, 2000); seed++) await tryRequests(randomsFrom(seed));
});

async function tryRequests(random: (below: number) => number): Promise<void> {
  using fixture = open();
  const { gateway, log } = fixture;
  const pick = <T>(items: readonly T[]): T => items[random(items.length)]!;
  const publisher = fixture.join();
  const client = fixture.join();
  const reader = client.recipient as unknown as FakeClient;
  const model = new Model();
  const publish = (count: number) => {
    const names = Array.from({ length: count }, () => pick(["a", "a.b", "b.c", "c", "d"]));
    model.names.push(...names);
    fixture.publish(publisher, ...names);
  };
  let lastId = 0;
  const change = (request: Partial<SubscriptionRequest>) => {
    const patterns = [pick(["a", "a.*", "b.>", "*.c", "c", "d", "none"]), pick(["a", "c", "x"])];
    const id = `r${++lastId}`;
    const full: SubscriptionRequest = { control: "subscribe", events: patterns, id, ...request };
    model.requests.set(id, { kind: full.control, patterns, head: log.head });
    gateway.change(client, full, client.subscriptions.after(full));
    const ack = encoder.encode(`{"control":"ack","id":"${id}"}\n`);
    if (!full.replay) reader.send(ack, 0); // as the relay does
    return id;
  };
  change({});
  publish(1000);
  reader.read(0);
  for (let step = 0; step < 40; step++) {
    const choice = random(10);
    if (choice < 3) publish(1 + random(random(3) === 0 ? 2000 : 5));
    else if (choice < 5) reader.read(random(300_000));
    else if (choice === 5) change({});
    else if (choice === 6) change({ control: "unsubscribe" });
    else {
      const since = pick<Since>([
        "first",
        { count: random(500) },
        { epoch: log.epoch, offset: random(log.head) },
        { epoch: log.epoch, offset: log.head },
        { age: random(50) },
      ]);
      const id = change({ replay: { since, partial: false, isPast: false } });
      await until(() => textOf(client).includes(`"ack","id":"${id}"`));
    }
    if (random(3) === 0) await pause(random(4));
  }
  reader.read(Infinity);
  await until(() => gateway.stats().catchingUp === 0);
  publish(10);
  fixture.flush();
  for (const line of textOf(client).split("\n").slice(0, -1)) model.take(JSON.parse(line));
  assertEquals(model.next(), undefined);
}

/** A history in a folder whose syncs wait for a test. By default, so do clients. */
async function openHeld(options: HistoryOptions = { sync: "always" }): Promise<
  { fixture: Fixture; folder: MemoryFolder; sync(): void }
> {
  const folder = new MemoryFolder();
  const rules = checkHistoryOptions({ folder: "memory", ...options });
  const { log } = await openLog(folder, rules);
  const syncs: (() => void)[] = [];
  folder.onSync = () => new Promise((resolve) => syncs.push(resolve));
  return { fixture: open(log, rules), folder, sync: () => syncs.shift()?.() };
}

Deno.test("HistoryGateway with sync always passes events on when they are on the disk", async () => {
  const { fixture, folder, sync } = await openHeld();
  const { gateway } = fixture;
  const [one, two] = [fixture.join(), fixture.join()];
  fixture.publish(one, "a", "b");
  fixture.publish(two, "c");
  const passed = gateway.whenPassed(two)!;
  assertEquals([gateway.whenPassed(one), gateway.unkeptOf(one)], [null, 2]); // one's is not the last block
  await until(() => folder.files.values().next().value!.bytes.length > 300);
  fixture.publish(one, "d");
  fixture.flush();
  const late = fixture.join();
  assertEquals([textOf(one), textOf(two)], ["", ""]);
  sync();
  await passed;
  const offsets = (client: Subscriber<LineConnection>) =>
    textOf(client).split("\n").slice(0, -1).map((line) => JSON.parse(line).offset);
  assertEquals([offsets(one), offsets(two), offsets(late)], [[1, 2, 3], [1, 2, 3], [1, 2, 3]]);
  await until(() => {
    sync();
    return gateway.whenPassed() === null;
  });
  assertEquals(offsets(late), [1, 2, 3, 4]);
  folder.onSync = () => Promise.resolve();
  await gateway.stop();
});

Deno.test("HistoryGateway with sync always passes events on without offsets when the disk fails", async () => {
  const { fixture, folder, sync } = await openHeld();
  const { gateway, log } = fixture;
  const one = fixture.join();
  fixture.publish(one, "a");
  await until(() => folder.files.values().next().value!.bytes.length > 200);
  fixture.publish(one, "b");
  folder.fault = () => "no disk";
  sync();
  await until(() => log.isBroken);
  assertEquals(textOf(one), `${lineOf("a")}${lineOf("b")}`);
  assertEquals([gateway.whenPassed(), log.head], [null, 0]);
  fixture.publish(one, "c");
  assertEquals(textOf(one), ["a", "b", "c"].map(lineOf).join(""));
  folder.fault = () => null;
  folder.onSync = () => Promise.resolve();
  await until(() => !log.isBroken);
  fixture.publish(one, "d");
  await until(() => log.synced === 1);
  assertMatch(textOf(one), /"c".*\n\{"offset":1,"event":"d".*\n$/);
  await gateway.stop();
});

Deno.test("HistoryGateway lets a client wait of which very many receipts wait for the disk", async () => {
  const { fixture, folder, sync } = await openHeld({ keep: ["kept"] });
  const { gateway } = fixture;
  const [one, two] = [fixture.join(), fixture.join()];
  const isWaiting = (client: Subscriber<LineConnection>) => gateway.whenPassed(client) !== null;
  const receiptsOf = (client: Subscriber<LineConnection>) =>
    textOf(client).split('"receipt"').length - 1;
  fixture.confirm(one, "kept");
  for (let i = 1; i < 9999; i++) fixture.confirm(one, "other");
  assertEquals([isWaiting(one), receiptsOf(one)], [false, 0]);
  fixture.confirm(one, "other");
  fixture.confirm(two, ...Array(10_000).fill("other"));
  fixture.flush();
  assertEquals([isWaiting(one), isWaiting(two), receiptsOf(two)], [true, false, 10_000]);
  const passed = gateway.whenPassed(one);
  await until(() => {
    sync();
    return fixture.log.synced === 1;
  });
  await passed;
  assertEquals([isWaiting(one), receiptsOf(one)], [false, 10_000]);
  folder.onSync = () => Promise.resolve();
  await gateway.stop();
});
