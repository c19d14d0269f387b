import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertRejects } from "@std/assert/rejects";
import {
  ConnectionClosedError,
  EbsocketError,
  EventRefusedError,
  RequestTimeoutError,
} from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { Inboxes } from "../../client/inboxes.ts";
import {
  type ControlChannel,
  type HelloExtras,
  SubscriptionManager,
} from "../../client/subscriptions.ts";
import { PendingRequests } from "../../client/pending_requests.ts";
import type { Feature } from "../../protocol/control.ts";
import { type RefusedStatus, StatusFeed } from "../../client/status.ts";
import { textOf } from "../support/bytes.ts";
import { turn } from "../support/turns.ts";

/** A line about subscriptions. */
interface Line {
  control: string;
  events: string[];
  queue?: string;
  id: string;
}

const parse = (lines: readonly Uint8Array[]) => lines.map((line): Line => JSON.parse(textOf(line)));

/** A connection that takes note of what it carries. */
class FakeChannel implements ControlChannel {
  readonly #told: Uint8Array[] = [];
  readonly #flush: () => void;
  isGreeted = true;
  readonly hasEnded = false;
  maxLineBytes = 1_048_576;
  readonly features: Feature[] = ["subscribe"];

  /** Takes note; calls `flush` before it is asked for that, so that nothing is still to be said. */
  constructor(flush: () => void = () => {}) {
    this.#flush = flush;
  }

  get told(): Uint8Array[] {
    this.#flush();
    return this.#told;
  }

  has(feature: Feature): boolean {
    return this.features.includes(feature);
  }

  sendControl(line: Uint8Array): void {
    this.#told.push(line);
  }

  /** What it has carried since this was asked last, without the ids. */
  take(): string[] {
    return parse(this.told.splice(0)).map(short);
  }
}

/** `subscribe a b @workers`. */
function short({ control, events, queue }: Line): string {
  return [control, ...events, ...(queue === undefined ? [] : [`@${queue}`])].join(" ");
}

class Fixture implements Disposable {
  readonly inboxes = new Inboxes({ maxUnreadEvents: 1 });
  readonly table = new PendingRequests(this.inboxes);
  readonly status = new StatusFeed();
  readonly subscriptions = new SubscriptionManager(this.table, this.inboxes, this.status);

  /** Is online unless told otherwise. */
  constructor(isOnline = true) {
    if (isOnline) this.subscriptions.isOnline = true;
  }

  /** A connection that shows at once what was asked for. */
  carry(): FakeChannel {
    return new FakeChannel(() => this.subscriptions.flush());
  }

  /** Acknowledges all that has been said behind a hello. */
  async confirm(hello: HelloExtras): Promise<void> {
    for (const { id } of parse(hello.lines)) this.table.onReceipt({ id });
    await hello.confirmed;
  }

  /** A connection whose greeting is over. */
  async connect(): Promise<{ channel: FakeChannel; said: string[] }> {
    const channel = this.carry();
    const hello = this.subscriptions.begin(channel);
    this.subscriptions.onWelcome(channel);
    await this.confirm(hello);
    return { channel, said: parse(hello.lines).map(short) };
  }

  /** Stops the timer, which waits for those who will wait next. */
  [Symbol.dispose](): void {
    this.table.failAll("the test is over");
  }

  /** Acknowledges what a connection has carried last. */
  ack({ told }: FakeChannel): void {
    for (const { id } of parse(told)) this.table.onReceipt({ id });
  }
}

function names(subscriptions: SubscriptionManager, ...all: string[]): string[] {
  return all.filter((name) => subscriptions.admits(new EbsocketEvent(name)));
}

Deno.test("SubscriptionManager sends nothing after hello before the first subscription", async () => {
  const { said } = await new Fixture().connect();
  assertEquals(said, []);
});

Deno.test("SubscriptionManager keeps subscriptions without a connection, and sends them after hello, by queue", async () => {
  using fixture = new Fixture(false);
  await fixture.subscriptions.subscribe(["a", "b.*"]);
  await fixture.subscriptions.subscribe(["c", "a"], { queue: "q" });
  await fixture.subscriptions.unsubscribe(["b.*"]);
  await fixture.subscriptions.unsubscribe(["a"], { queue: "other" });
  const { said } = await fixture.connect();
  assertEquals(said, ["subscribe a", "subscribe c a @q"]);
  assertEquals(fixture.table.size, 0);
});

Deno.test("SubscriptionManager without patterns sends an empty subscription", async () => {
  using fixture = new Fixture(false);
  await fixture.subscriptions.subscribe([]);
  assertEquals((await fixture.connect()).said, ["subscribe"]);
});

Deno.test("SubscriptionManager passes events of plain patterns before the acknowledgement, and all after it", async () => {
  using fixture = new Fixture(false);
  const { subscriptions } = fixture;
  await subscriptions.subscribe(["a.*"]);
  await subscriptions.subscribe(["job"], { queue: "q" });
  const hello = subscriptions.begin(fixture.carry());
  assert(subscriptions.isFiltering);
  assertEquals(names(subscriptions, "a.b", "a", "job", "x"), ["a.b"]);
  const alone = new EbsocketEvent("x");
  alone.to = "c1";
  assert(subscriptions.admits(alone));
  const [first] = parse(hello.lines);
  fixture.table.onReceipt({ id: first!.id });
  // At once: what follows may be in the same read. And from the first one on a relay sends only what
  // is wanted, such as the events of a queue.
  assertFalse(subscriptions.isFiltering);
});

Deno.test("SubscriptionManager.subscribe() waits for the acknowledgement", async () => {
  using fixture = new Fixture();
  const { channel } = await fixture.connect();
  let isDone = false;
  const subscribing = fixture.subscriptions.subscribe(["a"]).then(() => isDone = true);
  await turn();
  assertFalse(isDone);
  assertEquals(channel.told.length, 1);
  fixture.ack(channel);
  await subscribing;
  assertEquals(channel.take(), ["subscribe a"]);
  assertEquals(fixture.table.size, 0);
});

Deno.test("SubscriptionManager.subscribe() that is refused has no effect", async () => {
  using fixture = new Fixture();
  const { channel } = await fixture.connect();
  const subscribing = fixture.subscriptions.subscribe(["a"]);
  const [{ id }] = parse(channel.told) as [Line];
  fixture.table.onRefusal({ id, reason: "too-many-subscriptions", detail: "1 at most" });
  const error = await assertRejects(() => subscribing, EventRefusedError, 'subscribe to "a"');
  assertEquals(error.code, "too-many-subscriptions");
  assertEquals(channel.take(), ["subscribe a"]);
  assertEquals((await fixture.connect()).said, []); // hears everything again
});

Deno.test("SubscriptionManager.subscribe() that is aborted is undone, except for patterns of earlier calls", async () => {
  using fixture = new Fixture();
  const { channel } = await fixture.connect();
  const first = fixture.subscriptions.subscribe(["a"]);
  fixture.ack(channel);
  await first;
  channel.take();
  const controller = new AbortController();
  const second = fixture.subscriptions.subscribe(["a", "b"], { signal: controller.signal });
  assertEquals(channel.take(), ["subscribe a b"]);
  controller.abort(new Error("enough"));
  await assertRejects(() => second, Error, "enough");
  assertEquals(channel.take(), ["unsubscribe b"]);
  assertEquals((await fixture.connect()).said, ["subscribe a"]);
});

Deno.test("SubscriptionManager.unsubscribe() keeps the patterns of other holders", async () => {
  using fixture = new Fixture(false);
  const { subscriptions } = fixture;
  const service = {};
  await subscriptions.subscribe(["a", "b"]);
  await subscriptions.subscribe(["a"], {}, service);
  subscriptions.isOnline = true;
  const { channel } = await fixture.connect();
  const leaving = subscriptions.unsubscribe(["a", "b", "unknown"]);
  fixture.ack(channel);
  await leaving;
  assertEquals(channel.take(), ["unsubscribe b"]);
  await subscriptions.unsubscribe(["a"]);
  assertEquals(channel.take(), []);
  subscriptions.release(["a"], undefined, service);
  assertEquals(channel.take(), ["unsubscribe a"]);
  subscriptions.end(channel);
  assertEquals(fixture.table.size, 0);
  assertEquals((await fixture.connect()).said, ["subscribe"]);
});

Deno.test("SubscriptionManager drops events that arrive after unsubscribe()", async () => {
  using fixture = new Fixture(false);
  const { subscriptions } = fixture;
  await subscriptions.subscribe(["a.*", "b"]);
  await subscriptions.subscribe(["a.x"], { queue: "q" });
  subscriptions.isOnline = true;
  const { channel } = await fixture.connect();
  const leaving = subscriptions.unsubscribe(["a.*"]);
  assert(subscriptions.isFiltering);
  assertEquals(names(subscriptions, "a.x", "a.y", "b"), ["a.x", "b"]);
  fixture.ack(channel);
  await leaving;
  assertFalse(subscriptions.isFiltering);
});

Deno.test("SubscriptionManager keeps a call that is under way across connections, and repeats it", async () => {
  using fixture = new Fixture();
  const { subscriptions } = fixture;
  const { channel } = await fixture.connect();
  let isDone = false;
  const subscribing = subscriptions.subscribe(["a"]).then(() => isDone = true);
  const leaving = subscriptions.unsubscribe(["a"]);
  const again = subscriptions.subscribe(["a"]);
  subscriptions.end(channel);
  await leaving; // what is not connected hears nothing
  await turn();
  assertFalse(isDone);
  const late = subscriptions.subscribe(["b"]); // while there is no connection
  const { said } = await fixture.connect();
  assertEquals(said, ["subscribe a b"]);
  await Promise.all([subscribing, again, late]);
  assertEquals((await fixture.connect()).said, ["subscribe a b"]);
  assertEquals(fixture.table.size, 0);
});

Deno.test("SubscriptionManager sends calls during a handshake after hello, or keeps them for the next one", async () => {
  for (const isMade of [true, false]) {
    using fixture = new Fixture(false);
    const { subscriptions } = fixture;
    await subscriptions.subscribe(["old"]);
    subscriptions.isOnline = true;
    const early = subscriptions.subscribe(["early"]);
    const channel = fixture.carry();
    channel.isGreeted = false;
    channel.features.pop();
    const { lines } = subscriptions.begin(channel);
    assertEquals(parse(lines).map(short), ["subscribe old", "subscribe early"]);
    const calls = [subscriptions.subscribe(["a"]), subscriptions.unsubscribe(["old"]), early];
    assertEquals(channel.told.map((line) => short(parse([line])[0]!)), [
      "subscribe a",
      "unsubscribe old",
    ]);
    if (isMade) {
      for (const { id } of parse(lines)) fixture.table.onReceipt({ id });
      fixture.ack(channel);
    } else {
      subscriptions.end(channel);
      subscriptions.cancelConnect();
    }
    await Promise.all(calls);
    assertEquals((await fixture.connect()).said, ["subscribe early a"]);
  }
});

Deno.test("SubscriptionManager.subscribe() ends by its time-out and its signal also while a connection is made", async () => {
  using fixture = new Fixture();
  const late = fixture.subscriptions.subscribe(["a"], { timeout: 1 });
  await assertRejects(() => late, RequestTimeoutError, 'subscribe to "a"');
  const controller = new AbortController();
  const given = fixture.subscriptions.subscribe(["b"], { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => given, Error, "enough");
  // Whoever has waited for too long wants it still, and who has given it up does not.
  assertEquals((await fixture.connect()).said, ["subscribe a"]);
  assertEquals(fixture.table.size, 0);
});

Deno.test("SubscriptionManager.subscribe() that is refused after hello fails alone", async () => {
  using fixture = new Fixture();
  const { subscriptions, table } = fixture;
  const before = await fixture.connect();
  const first = subscriptions.subscribe(["a"]);
  fixture.ack(before.channel);
  await first;
  subscriptions.end(before.channel);
  const refused = assertRejects(() => subscriptions.subscribe(["b"]), EventRefusedError, 'to "b"');
  const { lines, confirmed } = subscriptions.begin(fixture.carry());
  const [granted, open] = parse(lines);
  assertEquals(short(granted!), "subscribe a");
  assertEquals(short(open!), "subscribe b");
  table.onRefusal({ id: open!.id, reason: "too-many-subscriptions", detail: "1 at most" });
  table.onReceipt({ id: granted!.id });
  await Promise.all([confirmed, refused]);
  assertEquals((await fixture.connect()).said, ["subscribe a"]);
});

Deno.test("SubscriptionManager.subscribe() that fails keeps the patterns of another granted call", async () => {
  using fixture = new Fixture();
  const { subscriptions } = fixture;
  const { channel } = await fixture.connect();
  const controller = new AbortController();
  const first = subscriptions.subscribe(["a"], { signal: controller.signal });
  subscriptions.flush();
  const second = subscriptions.subscribe(["a"]);
  subscriptions.flush();
  controller.abort(new Error("enough"));
  await assertRejects(() => first, Error, "enough");
  fixture.ack(channel);
  await second;
  assertEquals(channel.take(), ["subscribe a", "subscribe a"]);
  assertEquals((await fixture.connect()).said, ["subscribe a"]);
});

Deno.test("SubscriptionManager.subscribe() that is refused unsubscribes from patterns of an aborted call, too", async () => {
  using fixture = new Fixture();
  const { subscriptions, table } = fixture;
  const { channel } = await fixture.connect();
  const before = subscriptions.subscribe(["base"]);
  fixture.ack(channel);
  await before;
  channel.take();
  const controller = new AbortController();
  const first = subscriptions.subscribe(["x"], { signal: controller.signal });
  subscriptions.flush();
  const second = subscriptions.subscribe(["x", "y"]);
  subscriptions.flush();
  controller.abort(new Error("enough"));
  await assertRejects(() => first, Error, "enough");
  const { id } = parse(channel.told)[1]!;
  table.onRefusal({ id, reason: "too-many-subscriptions", detail: "2 at most" });
  await assertRejects(() => second, EventRefusedError);
  assertEquals(channel.take(), ["subscribe x", "subscribe x y", "unsubscribe x y"]);
});

Deno.test("SubscriptionManager.subscribe() that is aborted narrows the events only if it is granted", async () => {
  for (const isGranted of [false, true]) {
    using fixture = new Fixture();
    const { subscriptions, table } = fixture;
    const { channel } = await fixture.connect();
    const controller = new AbortController();
    const given = subscriptions.subscribe(["a"], { signal: controller.signal });
    subscriptions.flush();
    controller.abort(new Error("enough"));
    await assertRejects(() => given, Error, "enough");
    assertFalse(subscriptions.isFiltering && !subscriptions.admits(new EbsocketEvent("a")));
    const [{ id }] = parse(channel.told) as [Line];
    assertEquals(channel.take(), ["subscribe a", "unsubscribe a"]);
    if (isGranted) table.onReceipt({ id });
    else table.onRefusal({ id, reason: "too-many-subscriptions", detail: "0 at most" });
    subscriptions.end(channel);
    assertEquals((await fixture.connect()).said, isGranted ? ["subscribe"] : []);
    assertEquals(table.size, 0);
  }
});

Deno.test("SubscriptionManager keeps its lines within the limit of the server, and short before the welcome", async () => {
  using fixture = new Fixture();
  const { subscriptions } = fixture;
  const patterns = Array.from({ length: 500 }, (_, i) => `some.pattern.${i}`);
  const { channel } = await fixture.connect();
  channel.maxLineBytes = 1000;
  const calls = [
    subscriptions.subscribe(patterns),
    subscriptions.subscribe(patterns, { queue: "q" }),
  ];
  assert(channel.told.every(({ length }) => length - 1 <= 1000));
  fixture.ack(channel);
  await Promise.all(calls);
  const leaving = subscriptions.unsubscribe(patterns, { queue: "q" });
  assert(channel.told.every(({ length }) => length - 1 <= 1000));
  fixture.ack(channel);
  await leaving;
  const { lines } = subscriptions.begin(fixture.carry());
  assertEquals(lines.map(({ length }) => length > 8192), [false, false]);
});

Deno.test("SubscriptionManager.unsubscribe() right after a grant undoes it", async () => {
  using fixture = new Fixture();
  const { subscriptions } = fixture;
  const { channel } = await fixture.connect();
  const subscribing = subscriptions.subscribe(["a"]);
  fixture.ack(channel);
  await null; // The call has not gone on yet.
  const leaving = subscriptions.unsubscribe(["a"]);
  fixture.ack(channel);
  await Promise.all([subscribing, leaving]);
  assertEquals(channel.take(), ["subscribe a", "unsubscribe a"]);
  assertEquals((await fixture.connect()).said, ["subscribe"]);
});

Deno.test("SubscriptionManager sends the granted line of a call again if another was not granted", async () => {
  using fixture = new Fixture();
  const { subscriptions, table } = fixture;
  const patterns = Array.from({ length: 300 }, (_, i) => `${"x".repeat(240)}${i}`);
  const { channel } = await fixture.connect();
  const wanted = [...patterns];
  const subscribing = subscriptions.subscribe(wanted);
  wanted.length = 0; // The caller may do with its own what it likes.
  const [one, two] = parse(channel.told);
  table.onReceipt({ id: one!.id });
  await turn();
  subscriptions.end(channel);
  const hello = subscriptions.begin(fixture.carry());
  const said = parse(hello.lines);
  // In shorter lines, as long as nobody knows what this relay takes.
  assertEquals(said.flatMap(({ events }) => events), [...one!.events, ...two!.events]);
  assertEquals(said.at(-1)!.events, two!.events);
  await fixture.confirm(hello);
  await subscribing;
  const again = (await fixture.connect()).said.flatMap((line) => line.split(" ").slice(1));
  assertEquals(again.sort(), patterns.sort());
});

Deno.test("SubscriptionManager.subscribe() of several lines that fails is not repeated in part", async () => {
  using fixture = new Fixture();
  const { subscriptions, table } = fixture;
  const { channel } = await fixture.connect();
  const subscribing = subscriptions.subscribe(
    Array.from({ length: 300 }, (_, i) => `${"x".repeat(240)}${i}`),
  );
  const [one, two] = parse(channel.told);
  table.onRefusal({ id: one!.id, reason: "too-many-subscriptions", detail: "1 at most" });
  await assertRejects(() => subscribing, EventRefusedError);
  table.onReceipt({ id: two!.id }); // for which nobody waits any more
  subscriptions.end(channel);
  assertEquals((await fixture.connect()).said, ["subscribe"]);
  assertEquals(table.size, 0);
});

Deno.test("SubscriptionManager.subscribe() of several lines undoes the grants after a refusal", async () => {
  for (const maxLineBytes of [100, 1000]) {
    using fixture = new Fixture();
    const { subscriptions, table } = fixture;
    const { channel } = await fixture.connect();
    channel.maxLineBytes = maxLineBytes;
    const patterns = Array.from({ length: 4 }, (_, i) => `${"x".repeat(40)}${i}`);
    const subscribing = subscriptions.subscribe(patterns);
    const [refused, ...others] = parse(channel.told.splice(0));
    table.onRefusal({ id: refused!.id, reason: "too-many-subscriptions", detail: "3 at most" });
    await assertRejects(() => subscribing, EventRefusedError);
    for (const { id } of others) table.onReceipt({ id });
    const leaving = parse(channel.told);
    // Refused in one line, it has not been granted, and there is nothing to take back.
    assertEquals(others.length > 0, maxLineBytes === 100);
    assert(leaving.every(({ control }) => control === "unsubscribe"));
    assertEquals(leaving.flatMap(({ events }) => events), others.length > 0 ? patterns : []);
  }
});

Deno.test("SubscriptionManager.unsubscribe() with an aborted signal rejects, and takes effect", async () => {
  using fixture = new Fixture(false);
  await fixture.subscriptions.subscribe(["a"]);
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => fixture.subscriptions.unsubscribe(["a"], { signal }), Error, "enough");
  assertEquals((await fixture.connect()).said, ["subscribe"]);
});

Deno.test("SubscriptionManager.subscribe() rejects once it is clear that the server cannot do it", async () => {
  using fixture = new Fixture();
  const { subscriptions } = fixture;
  const channel = fixture.carry();
  channel.isGreeted = false;
  channel.features.pop();
  subscriptions.begin(channel);
  const subscribing = subscriptions.subscribe(["a"]);
  await turn();
  channel.isGreeted = true;
  subscriptions.onWelcome(channel);
  const error = await assertRejects(() => subscribing, EbsocketError, '"a"');
  subscriptions.end(channel);
  assertEquals(fixture.table.size, 0);
  assertEquals(error.code, "not-supported");
  assertEquals((await fixture.connect()).said, []);
});

Deno.test("SubscriptionManager gives up the lines after a hello of a failed connection", async () => {
  using fixture = new Fixture(false);
  await fixture.subscriptions.subscribe(["a"]);
  const channel = fixture.carry();
  const { confirmed } = fixture.subscriptions.begin(channel);
  fixture.subscriptions.end(fixture.carry());
  assertEquals(fixture.table.size, 1);
  fixture.subscriptions.end(channel);
  await assertRejects(() => confirmed!.then(() => {}), ConnectionClosedError);
  assertEquals(fixture.table.size, 0);
});

Deno.test("SubscriptionManager.subscribe() rejects at once where no acknowledgement can come", async () => {
  using fixture = new Fixture();
  const { channel } = await fixture.connect();
  fixture.inboxes.main.push([new EbsocketEvent("unread")], 1);
  const full = await assertRejects(
    () => fixture.subscriptions.subscribe(["a"]),
    EbsocketError,
    'Cannot subscribe to "a": the inbox is full',
  );
  channel.features.pop();
  const unknown = await assertRejects(() => fixture.subscriptions.subscribe(["a"]), EbsocketError);
  assertEquals(full.code, "inbox-full");
  assertEquals(unknown.code, "not-supported");
  assertEquals(channel.told, []);
  assertEquals(fixture.table.size, 0);
  assertEquals((await fixture.connect()).said, []);
});

Deno.test("SubscriptionManager spreads many patterns over lines that a relay accepts", async () => {
  using fixture = new Fixture();
  const patterns = Array.from({ length: 1000 }, (_, i) => `${"\u0001\u2028".repeat(20)}${i}`);
  const { channel } = await fixture.connect();
  const subscribing = fixture.subscriptions.subscribe(patterns);
  assertGreater(channel.told.length, 1);
  assert(channel.told.every(({ length }) => length <= 65_536));
  assertEquals(parse(channel.told).flatMap(({ events }) => events), patterns);
  fixture.ack(channel);
  await subscribing;
});

Deno.test("SubscriptionManager throws with the fault of a pattern, a queue or a timeout", async () => {
  const { subscriptions } = new Fixture();
  const subscribe = (patterns: unknown, options = {}) => {
    return () => subscriptions.subscribe(patterns as string[], options);
  };
  await assertRejects(subscribe(["a", "x.>.y"]), RangeError, '"x.>.y"');
  await assertRejects(subscribe([""]), RangeError, 'Invalid pattern "": expected 1 to 255 bytes');
  await assertRejects(subscribe([7]), TypeError, "7");
  await assertRejects(subscribe("chat"), TypeError, "expected an array");
  await assertRejects(subscribe(["a"], { queue: "" }), RangeError, 'Invalid queue ""');
  await assertRejects(subscribe(["a"], { queue: 1 }), TypeError, "Invalid queue");
  await assertRejects(subscribe(["a"], { queue: undefined }), TypeError, "Invalid queue");
  await assertRejects(subscribe(["a"], { timeout: NaN }), RangeError, "timeout");
  await assertRejects(() => subscriptions.unsubscribe([">.a"]), RangeError, '">.a"');
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(subscribe(["a"], { signal }), Error, "enough");
});

/** A relay of a few words: how many patterns it takes, and which it never does. */
class Granter {
  readonly granted = new Set<string>();
  /** How many lines it has answered. */
  lines = 0;

  constructor(
    readonly table: PendingRequests,
    readonly most = Infinity,
    readonly isBad: (pattern: string) => boolean = () => false,
  ) {}

  /** Answers what a connection has carried, until nothing more is said. */
  async answer(channel: FakeChannel): Promise<void> {
    for (let lines; (lines = parse(channel.told.splice(0))).length > 0; await turn()) {
      for (const line of lines) this.#answer(line);
    }
  }

  #answer({ control, events, id }: Line): void {
    this.lines++;
    if (control === "unsubscribe") {
      for (const event of events) this.granted.delete(event);
      return this.table.onReceipt({ id });
    }
    const bad = events.find(this.isBad);
    if (bad) return void this.table.onRefusal({ id, reason: "bad-pattern", detail: `not ${bad}` });
    const { size } = this.granted.union(new Set(events));
    if (size > this.most) {
      const detail = `a client may have ${this.most}, this would make ${size}`;
      return void this.table.onRefusal({ id, reason: "too-many-subscriptions", detail });
    }
    for (const event of events) this.granted.add(event);
    this.table.onReceipt({ id });
  }
}

const rooms = (count: number) => Array.from({ length: count }, (_, i) => `room.${i}`);

/** What becomes of calls: the code of what they reject with, or `granted`. */
function outcomes(calls: Promise<unknown>[]): Promise<string[]> {
  return Promise.all(
    calls.map((call) =>
      call.then(
        () => "granted",
        (error) => error instanceof EbsocketError ? error.code : `${error}`,
      )
    ),
  );
}

Deno.test("SubscriptionManager sends the calls of one turn in one line, and answers each on its own", async () => {
  using fixture = new Fixture();
  const { subscriptions } = fixture;
  const { channel } = await fixture.connect();
  const calls = rooms(900).map(async (room, i) => {
    for (let n = 0; n < i % 5; n++) await null; // some a little later
    await subscriptions.subscribe([room]);
  });
  await turn();
  const [line, ...others] = parse(channel.told);
  assertEquals(line!.events.toSorted(), rooms(900).toSorted());
  assertEquals(others, []);
  fixture.ack(channel);
  assertEquals(await outcomes(calls), Array(900).fill("granted"));
  channel.take();

  const leaving = rooms(800).map((room) => subscriptions.unsubscribe([room]));
  assertEquals(parse(channel.told).map(({ control, events }) => [control, events.length]), [
    ["unsubscribe", 800],
  ]);
  fixture.ack(channel);
  assertEquals(await outcomes(leaving), Array(800).fill("granted"));
  subscriptions.end(channel);
  const { said } = await fixture.connect();
  const left = said.flatMap((line) => line.split(" ").slice(1));
  assertEquals(left.toSorted(), rooms(900).slice(800));
});

Deno.test("SubscriptionManager needs one line for each queue, and as many as their length allows", async () => {
  using fixture = new Fixture();
  const { subscriptions } = fixture;
  const { channel } = await fixture.connect();
  const calls = rooms(20_000).map((room, i) => {
    return subscriptions.subscribe([room], i % 2 ? { queue: "q" } : {});
  });
  const lines = parse(channel.told);
  assertEquals(lines.length, 2 * Math.ceil(10_000 * '"room.19999",'.length / 65_536));
  assert(channel.told.every(({ length }) => length - 1 <= 65_536));
  assertEquals(lines.flatMap(({ events }) => events).toSorted(), rooms(20_000).toSorted());
  fixture.ack(channel);
  assert((await outcomes(calls)).every((outcome) => outcome === "granted"));
});

Deno.test("SubscriptionManager subscribes first, then unsubscribes, and leaves out pairs of both", async () => {
  using fixture = new Fixture();
  const { subscriptions } = fixture;
  const { channel } = await fixture.connect();
  const before = subscriptions.subscribe(["old", "kept"]);
  fixture.ack(channel);
  await before;
  channel.take();
  const calls = [
    subscriptions.unsubscribe(["old"]),
    subscriptions.subscribe(["new", "brief"]),
    subscriptions.unsubscribe(["brief", "kept"]),
    subscriptions.subscribe(["kept"]),
  ];
  fixture.ack(channel);
  await Promise.all(calls);
  assertEquals(channel.take(), ["subscribe new kept", "unsubscribe old brief"]);
  subscriptions.end(channel);
  assertEquals((await fixture.connect()).said, ["subscribe new kept"]);
});

Deno.test("SubscriptionManager.subscribe() of one turn: a refused call does not fail the others", async () => {
  using fixture = new Fixture();
  const { channel } = await fixture.connect();
  const isBad = (pattern: string) => ["room.7", "room.500", "room.501"].includes(pattern);
  const relay = new Granter(fixture.table, Infinity, isBad);
  const calls = rooms(900).map((room) => fixture.subscriptions.subscribe([room, "all"]));
  const all = outcomes(calls);
  await relay.answer(channel);
  assertEquals(await all, rooms(900).map((room) => isBad(room) ? "bad-pattern" : "granted"));
  assertEquals(relay.granted.size, 898);
  assertLess(relay.lines, 80);
  await assertRejects(() => calls[500]!, EventRefusedError, 'to "room.500" and 1 more');
});

Deno.test("SubscriptionManager.subscribe() of one turn: the first get the room that there is, in few lines", async () => {
  using fixture = new Fixture();
  const { channel } = await fixture.connect();
  const relay = new Granter(fixture.table, 1000);
  // Two that ask for nothing new, and one that asks for more than there is room for.
  const calls = [...rooms(1500), "room.3", "room.9"].map((room, i) => {
    return fixture.subscriptions.subscribe(i === 400 ? [room, ...rooms(2500).slice(1500)] : [room]);
  });
  const all = outcomes(calls);
  await relay.answer(channel);
  const expected = calls.map((_, i) =>
    i !== 400 && (i <= 1000 || i >= 1500) ? "granted" : "too-many-subscriptions"
  );
  assertEquals(await all, expected);
  assertEquals(relay.granted.size, 1000);
  assertFalse(relay.granted.has("room.400"));
  assertLess(relay.lines, 60);
});

Deno.test("SubscriptionManager changes all of its patterns in one turn, also where there is room for no more", async () => {
  using fixture = new Fixture();
  const { subscriptions } = fixture;
  const { channel } = await fixture.connect();
  const relay = new Granter(fixture.table, 10);
  const old = subscriptions.subscribe(rooms(10));
  await relay.answer(channel);
  await old;
  const calls = rooms(10).flatMap((room) => [
    subscriptions.unsubscribe([room]),
    subscriptions.subscribe([`new.${room}`]),
  ]);
  const all = outcomes(calls);
  await relay.answer(channel);
  assertEquals(await all, Array(20).fill("granted"));
  assertEquals([...relay.granted], rooms(10).map((room) => `new.${room}`));
});

Deno.test("SubscriptionManager sends nothing for a call that is aborted within its turn", async () => {
  using fixture = new Fixture();
  const { channel } = await fixture.connect();
  const controller = new AbortController();
  const given = fixture.subscriptions.subscribe(["a"], { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => given, Error, "enough");
  await turn();
  assertEquals(channel.take(), []);
  assertEquals(fixture.table.size, 0);
});

Deno.test("SubscriptionManager.subscribe() that times out without a relay is kept, and its error says so", async () => {
  using fixture = new Fixture();
  const { subscriptions } = fixture;
  const { channel } = await fixture.connect();
  subscriptions.end(channel); // and the link goes on
  const late = [
    subscriptions.subscribe(["a"], { timeout: 1 }),
    subscriptions.subscribe(["b"], { timeout: 1 }),
  ];
  const service = subscriptions.subscribe(["c"], { timeout: 0.5 }, {});
  for (const call of [...late, service]) {
    await assertRejects(() => call, RequestTimeoutError, "it is remembered");
  }
  await subscriptions.unsubscribe(["b", "c"]); // takes its own back, and leaves the service its own
  const { said } = await fixture.connect();
  assertEquals(said, ["subscribe a c"]);
  assertEquals((await fixture.connect()).said, ["subscribe a c"]);
});

Deno.test("SubscriptionManager reports a refusal after the time-out of its call, and does not subscribe again", async () => {
  using fixture = new Fixture();
  const { subscriptions, table } = fixture;
  const { channel } = await fixture.connect();
  const late = subscriptions.subscribe(["a"], { timeout: 0 });
  await assertRejects(() => late, RequestTimeoutError);
  const { id } = parse(channel.told)[0]!;
  const statuses = fixture.status.read();
  table.onRefusal({ id, reason: "too-many-subscriptions", detail: "0 at most" });
  const { reason, detail } = (await statuses.next()).value as RefusedStatus;
  assertEquals(reason, "too-many-subscriptions");
  assertEquals(detail, `Cannot subscribe to "a": the relay refuses it: ${reason}: 0 at most`);
  subscriptions.end(channel);
  assertEquals((await fixture.connect()).said, []);
});
