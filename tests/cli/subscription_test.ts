import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { StartError } from "../../cli/errors.ts";
import { type HelloExtras, Subscription } from "../../cli/subscription.ts";
import { ConnectError } from "../../errors.ts";
import { FakeServer } from "../support/fake_server.ts";
import { until } from "../support/waiting.ts";

const FEATURES = { features: ["subscribe"] };

/** A subscription that is being made, and the names of what it has heard. */
function open(server: FakeServer, wishes: HelloExtras, signal = new AbortController().signal) {
  const names: string[] = [];
  const opening = Subscription.open(
    server.address,
    wishes,
    ({ name }) => names.push(name),
    { signal },
  );
  opening.catch(() => {});
  return { names, opening };
}

Deno.test("Subscription without wishes asks for nothing, and hears everything", async () => {
  await using server = new FakeServer(FEATURES);
  const { names, opening } = open(server, { patterns: [] });
  const subscription = await opening;
  const session = await server.session();
  await session.write('{"event":"a"}\n{"event":"b.c"}\n');
  await until(() => names.length === 2);
  await subscription.wire.close();
  assertEquals(await session.line(), null);
});

Deno.test("Subscription chooses by itself until its wishes are in force", async () => {
  await using server = new FakeServer(FEATURES);
  const { names, opening } = open(server, { patterns: ["a.*", "b"] });
  const session = await server.session();
  assertEquals(JSON.parse((await session.line())!), {
    control: "subscribe",
    events: ["a.*", "b"],
    id: "s1",
  });
  await session.write('{"event":"a.x"}\n{"event":"c"}\n{"event":"b"}\n');
  await session.send({ control: "ack", id: "other" });
  await session.send({ control: "ack", id: "s1" });
  const subscription = await opening;
  await session.write('{"event":"sent to me alone"}\n');
  await until(() => names.length === 3);
  assertEquals(names, ["a.x", "b", "sent to me alone"]);
  await subscription.wire.close();
});

Deno.test("Subscription spreads many patterns over lines that a relay takes, and waits for all", async () => {
  await using server = new FakeServer(FEATURES);
  const patterns = Array.from({ length: 600 }, (_, i) => `${"x".repeat(200)}${i}`);
  const { opening } = open(server, { patterns });
  const session = await server.session();
  const asked: string[] = [];
  let isOpen = false;
  opening.then(() => isOpen = true);
  while (asked.length < patterns.length) {
    assertEquals(isOpen, false);
    const line = (await session.line())!;
    assertEquals(line.length <= 65_536, true);
    const { events, id } = JSON.parse(line);
    asked.push(...events);
    await session.send({ control: "ack", id });
  }
  assertEquals(asked, patterns);
  await (await opening).wire.close();
});

Deno.test("Subscription of a queue hears nothing until it is in force", async () => {
  await using server = new FakeServer(FEATURES);
  const { names, opening } = open(server, { patterns: [], queue: "workers" });
  const session = await server.session();
  assertEquals(JSON.parse((await session.line())!), {
    control: "subscribe",
    events: [">"],
    queue: "workers",
    id: "s1",
  });
  await session.write('{"event":"for another"}\n{"control":"ack","id":"s1"}\n{"event":"a"}\n');
  const subscription = await opening;
  await until(() => names.length === 1);
  assertEquals(names, ["a"]);
  await subscription.wire.close();
});

Deno.test("Subscription goes on choosing where the server does not, and cannot share", async () => {
  await using server = new FakeServer();
  const { names, opening } = open(server, { patterns: ["a"] });
  const subscription = await opening;
  const session = await server.session();
  await session.write('{"event":"b"}\n{"event":"a"}\n');
  await until(() => names.length === 1);
  assertEquals(names, ["a"]);
  await subscription.wire.close();
  const { opening: sharing } = open(server, { patterns: [], queue: "workers" });
  await assertRejects(() => sharing, StartError, "does not support queues");
});

Deno.test("Subscription.open() says why the server refuses", async () => {
  await using server = new FakeServer(FEATURES);
  const { opening } = open(server, { patterns: ["a"] });
  const session = await server.session();
  await session.line();
  await session.send({ control: "error", id: "s1", reason: "too-many", detail: "1\x1b" });
  const { message } = await assertRejects(() => opening, StartError);
  assertEquals(message, "The relay refuses the subscription: too-many: 1\\u001b");
});

Deno.test("Subscription.open() fails when the connection ends before the answer, or is given up", async () => {
  await using server = new FakeServer(FEATURES);
  const { opening } = open(server, { patterns: ["a"] });
  await (await server.session()).close("shutdown");
  const { reason } = await assertRejects(() => opening, ConnectError);
  assertEquals(reason, "shutdown");
  const stop = new AbortController();
  const { opening: second } = open(server, { patterns: ["a"] }, stop.signal);
  await (await server.session()).line();
  const why = new Error("Stopped");
  stop.abort(why);
  assertEquals(await assertRejects(() => second), why);
});

Deno.test("Subscription.leave() takes the wishes back, and waits for what was sent before", async () => {
  await using server = new FakeServer(FEATURES);
  const { names, opening } = open(server, { patterns: ["a.*"], queue: "workers" });
  const session = await server.session();
  await session.line();
  await session.send({ control: "ack", id: "s1" });
  const subscription = await opening;
  const leaving = subscription.leave();
  const { control, events, queue, id } = JSON.parse((await session.line())!);
  assertEquals([control, events, queue], ["unsubscribe", ["a.*"], "workers"]);
  await session.write('{"event":"a.last"}\n');
  await session.send({ control: "ack", id });
  await leaving;
  assertEquals(names, ["a.last"]);
  await subscription.wire.close();
});

Deno.test("Subscription.leave() does not wait for an answer that cannot come", async () => {
  await using server = new FakeServer(FEATURES);
  const { opening } = open(server, { patterns: ["a"] });
  const session = await server.session();
  await session.line();
  await session.send({ control: "ack", id: "s1" });
  const subscription = await opening;
  const leaving = subscription.leave();
  await session.close();
  await leaving;
});
