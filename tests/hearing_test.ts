import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import {
  ConnectionClosedError,
  EbsocketError,
  EventRefusedError,
  RequestTimeoutError,
} from "../errors.ts";
import { EbsocketEvent } from "../event.ts";
import { type Carrier, Hearing, type Wishes } from "../hearing.ts";
import { PendingTable } from "../pending.ts";
import type { Feature } from "../routing.ts";
import { textOf } from "./support/bytes.ts";
import { turn } from "./support/turns.ts";

/** A line about subscriptions. */
interface Line {
  control: string;
  events: string[];
  queue?: string;
  id: string;
}

const parse = (lines: readonly Uint8Array[]) => lines.map((line): Line => JSON.parse(textOf(line)));

/** A connection that takes note of what it carries. */
class FakeCarrier implements Carrier {
  readonly told: Uint8Array[] = [];
  isGreeted = true;
  readonly hasEnded = false;
  maxLineBytes = 1_048_576;
  readonly features: Feature[] = ["subscribe"];

  has(feature: Feature): boolean {
    return this.features.includes(feature);
  }

  tell(line: Uint8Array): void {
    this.told.push(line);
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
  readonly table = new PendingTable();
  isOpen = true;
  why = "";
  connecting: Promise<void> | null = null;
  readonly hearing: Hearing = new Hearing(this.table, {
    isOpen: () => this.isOpen,
    connecting: () => this.connecting,
    whyDeaf: () => this.why,
  });

  /** Acknowledges all that has been said behind a hello. */
  async confirm(wishes: Wishes): Promise<void> {
    for (const { id } of parse(wishes.lines)) this.table.receipt({ id });
    wishes.onGreeted();
    await wishes.confirmed;
  }

  /** A connection whose greeting is over. */
  async connect(): Promise<{ carrier: FakeCarrier; said: string[] }> {
    const carrier = new FakeCarrier();
    const wishes = this.hearing.begin(carrier);
    await this.confirm(wishes);
    return { carrier, said: parse(wishes.lines).map(short) };
  }

  /** Stops the timer, which waits for those who will wait next. */
  [Symbol.dispose](): void {
    this.table.failAll("the test is over");
  }

  /** Acknowledges what a connection has carried last. */
  ack({ told }: FakeCarrier): void {
    for (const { id } of parse(told)) this.table.receipt({ id });
  }
}

function names(hearing: Hearing, ...all: string[]): string[] {
  return all.filter((name) => hearing.admits(new EbsocketEvent(name)));
}

Deno.test("Hearing says nothing behind hello before the first subscription", async () => {
  const { said } = await new Fixture().connect();
  assertEquals(said, []);
});

Deno.test("Hearing takes note without a link, and says it behind hello, for each queue", async () => {
  using fixture = new Fixture();
  fixture.isOpen = false;
  await fixture.hearing.subscribe(["a", "b.*"]);
  await fixture.hearing.subscribe(["c", "a"], { queue: "q" });
  await fixture.hearing.unsubscribe(["b.*"]);
  await fixture.hearing.unsubscribe(["a"], { queue: "other" });
  const { said } = await fixture.connect();
  assertEquals(said, ["subscribe a", "subscribe c a @q"]);
  assertEquals(fixture.table.size, 0);
});

Deno.test("Hearing that wants nothing says so", async () => {
  using fixture = new Fixture();
  fixture.isOpen = false;
  await fixture.hearing.subscribe([]);
  assertEquals((await fixture.connect()).said, ["subscribe"]);
});

Deno.test("Hearing lets plain patterns through before the acknowledgement, and all after it", async () => {
  using fixture = new Fixture();
  const { hearing } = fixture;
  fixture.isOpen = false;
  await hearing.subscribe(["a.*"]);
  await hearing.subscribe(["job"], { queue: "q" });
  const wishes = hearing.begin(new FakeCarrier());
  assertEquals(hearing.isFiltering, true);
  assertEquals(names(hearing, "a.b", "a", "job", "x"), ["a.b"]);
  const alone = new EbsocketEvent("x");
  alone.to = "c1";
  assertEquals(hearing.admits(alone), true);
  const [first] = parse(wishes.lines);
  fixture.table.receipt({ id: first!.id });
  // At once: what follows may be in the same read. And from the first one on a relay sends only what
  // is wanted, such as the events of a queue.
  assertEquals(hearing.isFiltering, false);
});

Deno.test("Hearing.subscribe() waits for the acknowledgement", async () => {
  using fixture = new Fixture();
  const { carrier } = await fixture.connect();
  let isDone = false;
  const subscribing = fixture.hearing.subscribe(["a"]).then(() => isDone = true);
  await turn();
  assertEquals([isDone, carrier.told.length, fixture.table.size], [false, 1, 1]);
  fixture.ack(carrier);
  await subscribing;
  assertEquals([carrier.take(), fixture.table.size], [["subscribe a"], 0]);
});

Deno.test("Hearing.subscribe() that is refused has no effect", async () => {
  using fixture = new Fixture();
  const { carrier } = await fixture.connect();
  const subscribing = fixture.hearing.subscribe(["a"]);
  const [{ id }] = parse(carrier.told) as [Line];
  fixture.table.refuse({ id, reason: "too-many-subscriptions", detail: "1 at most" });
  const error = await assertRejects(() => subscribing, EventRefusedError, 'subscribe to "a"');
  assertEquals(error.code, "too-many-subscriptions");
  assertEquals(carrier.take(), ["subscribe a"]);
  assertEquals((await fixture.connect()).said, []); // hears everything again
});

Deno.test("Hearing.subscribe() that is given up is taken back, but not what was there before", async () => {
  using fixture = new Fixture();
  const { carrier } = await fixture.connect();
  const first = fixture.hearing.subscribe(["a"]);
  fixture.ack(carrier);
  await first;
  carrier.take();
  const controller = new AbortController();
  const second = fixture.hearing.subscribe(["a", "b"], { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => second, Error, "enough");
  assertEquals(carrier.take(), ["subscribe a b", "unsubscribe b"]);
  assertEquals((await fixture.connect()).said, ["subscribe a"]);
});

Deno.test("Hearing.unsubscribe() leaves what somebody else holds", async () => {
  using fixture = new Fixture();
  const { hearing } = fixture;
  fixture.isOpen = false;
  const service = {};
  await hearing.subscribe(["a", "b"]);
  await hearing.subscribe(["a"], {}, service);
  fixture.isOpen = true;
  const { carrier } = await fixture.connect();
  const leaving = hearing.unsubscribe(["a", "b", "unknown"]);
  fixture.ack(carrier);
  await leaving;
  assertEquals(carrier.take(), ["unsubscribe b"]);
  await hearing.unsubscribe(["a"]);
  assertEquals(carrier.take(), []);
  hearing.release(["a"], undefined, service);
  assertEquals(carrier.take(), ["unsubscribe a"]);
  hearing.end(carrier);
  assertEquals(fixture.table.size, 0);
  assertEquals((await fixture.connect()).said, ["subscribe"]);
});

Deno.test("Hearing drops what is still under way when it wants it no longer", async () => {
  using fixture = new Fixture();
  const { hearing } = fixture;
  fixture.isOpen = false;
  await hearing.subscribe(["a.*", "b"]);
  await hearing.subscribe(["a.x"], { queue: "q" });
  fixture.isOpen = true;
  const { carrier } = await fixture.connect();
  const leaving = hearing.unsubscribe(["a.*"]);
  assertEquals(hearing.isFiltering, true);
  assertEquals(names(hearing, "a.x", "a.y", "b"), ["a.x", "b"]);
  fixture.ack(carrier);
  await leaving;
  assertEquals(hearing.isFiltering, false);
});

Deno.test("Hearing keeps a call that is under way across connections, and repeats it", async () => {
  using fixture = new Fixture();
  const { hearing } = fixture;
  const { carrier } = await fixture.connect();
  let isDone = false;
  const subscribing = hearing.subscribe(["a"]).then(() => isDone = true);
  const leaving = hearing.unsubscribe(["a"]);
  const again = hearing.subscribe(["a"]);
  hearing.end(carrier);
  await leaving; // what is not connected hears nothing
  await turn();
  assertEquals(isDone, false);
  const late = hearing.subscribe(["b"]); // while there is no connection
  const { said } = await fixture.connect();
  assertEquals(said, ["subscribe", "subscribe a", "subscribe b"]);
  await Promise.all([subscribing, again, late]);
  assertEquals((await fixture.connect()).said, ["subscribe a b"]);
  assertEquals(fixture.table.size, 0);
});

Deno.test("Hearing says what is wanted while a connection is made behind its hello, or takes note", async () => {
  for (const isMade of [true, false]) {
    using fixture = new Fixture();
    const { hearing } = fixture;
    fixture.isOpen = false;
    await hearing.subscribe(["old"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    fixture.connecting = promise;
    const early = hearing.subscribe(["early"]);
    const carrier = new FakeCarrier();
    carrier.isGreeted = false;
    carrier.features.pop();
    const { lines } = hearing.begin(carrier);
    assertEquals(parse(lines).map(short), ["subscribe old", "subscribe early"]);
    const calls = [hearing.subscribe(["a"]), hearing.unsubscribe(["old"]), early];
    assertEquals(carrier.told.map((line) => short(parse([line])[0]!)), [
      "subscribe a",
      "unsubscribe old",
    ]);
    fixture.connecting = null;
    if (isMade) {
      fixture.isOpen = true;
      for (const { id } of parse(lines)) fixture.table.receipt({ id });
      fixture.ack(carrier);
    } else hearing.end(carrier);
    resolve();
    await Promise.all(calls);
    assertEquals((await fixture.connect()).said, ["subscribe early a"]);
  }
});

Deno.test("Hearing.subscribe() ends by its time-out and its signal also while a connection is made", async () => {
  using fixture = new Fixture();
  fixture.isOpen = false;
  fixture.connecting = new Promise(() => {});
  const late = fixture.hearing.subscribe(["a"], { timeout: 1 });
  await assertRejects(() => late, RequestTimeoutError, 'subscribe to "a"');
  const controller = new AbortController();
  const given = fixture.hearing.subscribe(["b"], { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => given, Error, "enough");
  assertEquals([(await fixture.connect()).said, fixture.table.size], [[], 0]);
});

Deno.test("Hearing.subscribe() that is refused behind hello fails alone", async () => {
  using fixture = new Fixture();
  const { hearing, table } = fixture;
  const before = await fixture.connect();
  const first = hearing.subscribe(["a"]);
  fixture.ack(before.carrier);
  await first;
  hearing.end(before.carrier);
  const refused = assertRejects(() => hearing.subscribe(["b"]), EventRefusedError, 'to "b"');
  const { lines, confirmed } = hearing.begin(new FakeCarrier());
  const [granted, open] = parse(lines);
  assertEquals([short(granted!), short(open!)], ["subscribe a", "subscribe b"]);
  table.refuse({ id: open!.id, reason: "too-many-subscriptions", detail: "1 at most" });
  table.receipt({ id: granted!.id });
  await Promise.all([confirmed, refused]);
  assertEquals((await fixture.connect()).said, ["subscribe a"]);
});

Deno.test("Hearing.subscribe() that fails does not take away what another call was granted", async () => {
  using fixture = new Fixture();
  const { hearing } = fixture;
  const { carrier } = await fixture.connect();
  const controller = new AbortController();
  const first = hearing.subscribe(["a"], { signal: controller.signal });
  const second = hearing.subscribe(["a"]);
  controller.abort(new Error("enough"));
  await assertRejects(() => first, Error, "enough");
  fixture.ack(carrier);
  await second;
  assertEquals(carrier.take(), ["subscribe a", "subscribe a"]);
  assertEquals((await fixture.connect()).said, ["subscribe a"]);
});

Deno.test("Hearing.subscribe() that is refused takes back what another call may have been granted", async () => {
  using fixture = new Fixture();
  const { hearing, table } = fixture;
  const { carrier } = await fixture.connect();
  const before = hearing.subscribe(["base"]);
  fixture.ack(carrier);
  await before;
  carrier.take();
  const controller = new AbortController();
  const first = hearing.subscribe(["x"], { signal: controller.signal });
  const second = hearing.subscribe(["x", "y"]);
  controller.abort(new Error("enough"));
  await assertRejects(() => first, Error, "enough");
  const { id } = parse(carrier.told)[1]!;
  table.refuse({ id, reason: "too-many-subscriptions", detail: "2 at most" });
  await assertRejects(() => second, EventRefusedError);
  assertEquals(carrier.take(), ["subscribe x", "subscribe x y", "unsubscribe x y"]);
});

Deno.test("Hearing.subscribe() that is given up narrows what is heard only if it is granted", async () => {
  for (const isGranted of [false, true]) {
    using fixture = new Fixture();
    const { hearing, table } = fixture;
    const { carrier } = await fixture.connect();
    const controller = new AbortController();
    const given = hearing.subscribe(["a"], { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assertRejects(() => given, Error, "enough");
    assertEquals(hearing.isFiltering && !hearing.admits(new EbsocketEvent("a")), false);
    const [{ id }] = parse(carrier.told) as [Line];
    assertEquals(carrier.take(), ["subscribe a", "unsubscribe a"]);
    if (isGranted) table.receipt({ id });
    else table.refuse({ id, reason: "too-many-subscriptions", detail: "0 at most" });
    hearing.end(carrier);
    assertEquals([(await fixture.connect()).said, table.size], [isGranted ? ["subscribe"] : [], 0]);
  }
});

Deno.test("Hearing keeps its lines within what the server takes, and short before it has said so", async () => {
  using fixture = new Fixture();
  const { hearing } = fixture;
  const patterns = Array.from({ length: 500 }, (_, i) => `some.pattern.${i}`);
  const { carrier } = await fixture.connect();
  carrier.maxLineBytes = 1000;
  const calls = [hearing.subscribe(patterns), hearing.subscribe(patterns, { queue: "q" })];
  assertEquals(carrier.told.every(({ length }) => length - 1 <= 1000), true);
  fixture.ack(carrier);
  await Promise.all(calls);
  const leaving = hearing.unsubscribe(patterns, { queue: "q" });
  assertEquals(carrier.told.every(({ length }) => length - 1 <= 1000), true);
  fixture.ack(carrier);
  await leaving;
  const { lines } = hearing.begin(new FakeCarrier());
  assertEquals(lines.map(({ length }) => length > 8192), [false, false]);
});

Deno.test("Hearing.unsubscribe() right behind a grant takes it back", async () => {
  using fixture = new Fixture();
  const { hearing } = fixture;
  const { carrier } = await fixture.connect();
  const subscribing = hearing.subscribe(["a"]);
  fixture.ack(carrier);
  await null; // The call has not gone on yet.
  const leaving = hearing.unsubscribe(["a"]);
  fixture.ack(carrier);
  await Promise.all([subscribing, leaving]);
  assertEquals(carrier.take(), ["subscribe a", "unsubscribe a"]);
  assertEquals((await fixture.connect()).said, ["subscribe"]);
});

Deno.test("Hearing says again what one line of a call was granted, when another has not been", async () => {
  using fixture = new Fixture();
  const { hearing, table } = fixture;
  const patterns = Array.from({ length: 300 }, (_, i) => `${"x".repeat(240)}${i}`);
  const { carrier } = await fixture.connect();
  const wanted = [...patterns];
  const subscribing = hearing.subscribe(wanted);
  wanted.length = 0; // The caller may do with its own what it likes.
  const [one, two] = parse(carrier.told);
  table.receipt({ id: one!.id });
  await turn();
  hearing.end(carrier);
  const wishes = hearing.begin(new FakeCarrier());
  const said = parse(wishes.lines);
  // In shorter lines, as long as nobody knows what this relay takes.
  assertEquals(said.flatMap(({ events }) => events), [...one!.events, ...two!.events]);
  assertEquals(said.at(-1)!.events, two!.events);
  await fixture.confirm(wishes);
  await subscribing;
  const again = (await fixture.connect()).said.flatMap((line) => line.split(" ").slice(1));
  assertEquals(again.sort(), patterns.sort());
});

Deno.test("Hearing.subscribe() of several lines that fails is not repeated in part", async () => {
  using fixture = new Fixture();
  const { hearing, table } = fixture;
  const { carrier } = await fixture.connect();
  const subscribing = hearing.subscribe(
    Array.from({ length: 300 }, (_, i) => `${"x".repeat(240)}${i}`),
  );
  const [one, two] = parse(carrier.told);
  table.refuse({ id: one!.id, reason: "too-many-subscriptions", detail: "1 at most" });
  await assertRejects(() => subscribing, EventRefusedError);
  table.receipt({ id: two!.id }); // for which nobody waits any more
  hearing.end(carrier);
  assertEquals([(await fixture.connect()).said, table.size], [["subscribe"], 0]);
});

Deno.test("Hearing.unsubscribe() with an aborted signal rejects, and hears it no longer", async () => {
  using fixture = new Fixture();
  fixture.isOpen = false;
  await fixture.hearing.subscribe(["a"]);
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => fixture.hearing.unsubscribe(["a"], { signal }), Error, "enough");
  assertEquals((await fixture.connect()).said, ["subscribe"]);
});

Deno.test("Hearing.subscribe() rejects once it is clear that the server cannot do it", async () => {
  using fixture = new Fixture();
  const { hearing } = fixture;
  const carrier = new FakeCarrier();
  carrier.isGreeted = false;
  carrier.features.pop();
  const { onGreeted } = hearing.begin(carrier);
  const subscribing = hearing.subscribe(["a"]);
  await turn();
  carrier.isGreeted = true;
  onGreeted();
  const error = await assertRejects(() => subscribing, EbsocketError, '"a"');
  assertEquals([error.code, fixture.table.size], ["not-supported", 0]);
  assertEquals((await fixture.connect()).said, []);
});

Deno.test("Hearing gives up what it said behind a hello that led to nothing", async () => {
  using fixture = new Fixture();
  fixture.isOpen = false;
  await fixture.hearing.subscribe(["a"]);
  const carrier = new FakeCarrier();
  const { confirmed } = fixture.hearing.begin(carrier);
  fixture.hearing.end(new FakeCarrier());
  assertEquals(fixture.table.size, 1);
  fixture.hearing.end(carrier);
  await assertRejects(() => confirmed!.then(() => {}), ConnectionClosedError);
  assertEquals(fixture.table.size, 0);
});

Deno.test("Hearing.subscribe() rejects at once where no acknowledgement can come", async () => {
  using fixture = new Fixture();
  const { carrier } = await fixture.connect();
  fixture.why = "the inbox is full";
  const full = await assertRejects(
    () => fixture.hearing.subscribe(["a"]),
    EbsocketError,
    'Cannot subscribe to "a": the inbox is full',
  );
  carrier.features.pop();
  const unknown = await assertRejects(() => fixture.hearing.subscribe(["a"]), EbsocketError);
  assertEquals([full.code, unknown.code], ["inbox-full", "not-supported"]);
  assertEquals([carrier.told, fixture.table.size], [[], 0]);
  assertEquals((await fixture.connect()).said, []);
});

Deno.test("Hearing spreads many patterns over lines that a relay takes", async () => {
  using fixture = new Fixture();
  const patterns = Array.from({ length: 1000 }, (_, i) => `${"\u0001\u2028".repeat(20)}${i}`);
  const { carrier } = await fixture.connect();
  const subscribing = fixture.hearing.subscribe(patterns);
  assertEquals(carrier.told.length > 1, true);
  assertEquals(carrier.told.every(({ length }) => length <= 65_536), true);
  assertEquals(parse(carrier.told).flatMap(({ events }) => events), patterns);
  fixture.ack(carrier);
  await subscribing;
});

Deno.test("Hearing names what is wrong with a pattern, a queue or a timeout", async () => {
  const { hearing } = new Fixture();
  const subscribe = (patterns: unknown, options = {}) => {
    return () => hearing.subscribe(patterns as string[], options);
  };
  await assertRejects(subscribe(["a", "x.>.y"]), RangeError, '"x.>.y"');
  await assertRejects(subscribe([""]), RangeError, 'Invalid pattern "": expected 1 to 255 bytes');
  await assertRejects(subscribe([7]), TypeError, "7");
  await assertRejects(subscribe("chat"), TypeError, "expected an array");
  await assertRejects(subscribe(["a"], { queue: "" }), RangeError, 'Invalid queue ""');
  await assertRejects(subscribe(["a"], { queue: 1 }), TypeError, "Invalid queue");
  await assertRejects(subscribe(["a"], { queue: undefined }), TypeError, "Invalid queue");
  await assertRejects(subscribe(["a"], { timeout: NaN }), RangeError, "timeout");
  await assertRejects(() => hearing.unsubscribe([">.a"]), RangeError, '">.a"');
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(subscribe(["a"], { signal }), Error, "enough");
});
