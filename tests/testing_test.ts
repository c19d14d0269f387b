import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertMatch } from "@std/assert/match";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertRejects } from "@std/assert/rejects";
import { EbsocketEvent } from "../protocol/event.ts";
import { clientPair, expectEvents, testRelay } from "../testing.ts";

const message = (content: string) => new EbsocketEvent("message", { content });

/** What the failure of `promise` says. */
async function failure(promise: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => promise, Error);
  assertEquals(error.name, "AssertionError");
  return error.message;
}

Deno.test("testRelay() relays on its own port, and closes its clients", async () => {
  const relay = testRelay();
  await using other = testRelay();
  const one = await relay.connect();
  const two = await relay.connect();
  assertEquals(relay.address[0], "127.0.0.1");
  assertNotStrictEquals(relay.address[1], other.address[1]);
  assertEquals(relay.relay.clients.length, 2);
  one.sendEvent(message("hi"));
  await expectEvents(two, [message("hi")]);
  await relay.close();
  assertFalse(one.connected);
  assertFalse(two.connected);
  assertEquals((await one.closed).reason, "local");
});

Deno.test("TestRelay.restart() starts another relay at the same address, with the same options", async () => {
  await using relay = testRelay({ echo: false });
  const before = relay.relay;
  const stays = await relay.connect({ reconnect: { minDelay: 10 } });
  const goes = await relay.connect();
  await relay.restart();
  assertNotStrictEquals(relay.relay, before);
  assertEquals(relay.relay.server.address, relay.address);
  assertEquals((await goes.closed).reason, "shutdown");
  const other = await relay.connect();
  other.sendEvent(message("hi"));
  await other.flush();
  await expectEvents(other, []);
  await stays.send("back");
  await expectEvents(other, ["back"]);
});

Deno.test("testRelay() passes on the options of the relay and of the client", async () => {
  await using relay = testRelay({ token: "s3cret" });
  await assertRejects(() => relay.connect(), Error, "unauthorized");
  const client = await relay.connect({ token: "s3cret" });
  assert(client.connected);
});

Deno.test({
  name: "clientPair() connects two clients to each other, without any permission",
  permissions: "none",
  async fn() {
    await using pair = await clientPair<{ ping: { n: number }; pong: { n: number } }>();
    pair.one.sendEvent(new EbsocketEvent("ping", { n: 1 }));
    const [ping] = await expectEvents(pair.other, [["ping", { n: 1 }]]);
    pair.other.sendEvent(new EbsocketEvent("pong", { n: ping!.__dict__.n + 1 }));
    await expectEvents(pair.one, [["pong", { n: 2 }]]);
    await expectEvents(pair.one, []);
    await expectEvents(pair.other, []);
  },
});

Deno.test("clientPair() carries much in both directions at once", async () => {
  await using pair = await clientPair();
  const send = async (client: typeof pair.one, name: string) => {
    for (let n = 0; n < 5_000; n++) {
      await client.sendEvent(new EbsocketEvent(name, { n, filler: "x".repeat(200) }));
    }
  };
  const receive = async (client: typeof pair.one, name: string) => {
    for (let n = 0; n < 5_000; n++) {
      const event = await client.recvEvent();
      if (event?.event !== name || event.getAttribute("n") !== n) throw new Error(`${name} ${n}`);
    }
  };
  await Promise.all([
    send(pair.one, "a"),
    send(pair.other, "b"),
    receive(pair.other, "a"),
    receive(pair.one, "b"),
  ]);
});

Deno.test("expectEvents() compares names, and attributes where they are expected", async () => {
  await using pair = await clientPair();
  for (const content of ["a", "b", "c"]) pair.one.sendEvent(message(content));
  const events = await expectEvents(pair.other, [
    "message",
    ["message", { content: "b" }],
    message("c"),
  ]);
  assertEquals(events.map((event) => event.getAttribute("content")), ["a", "b", "c"]);
});

Deno.test("expectEvents() shows received and expected events", async () => {
  await using pair = await clientPair();
  pair.one.sendEvent(message("hello"));
  const text = await failure(expectEvents(pair.other, [["message", { content: "goodbye" }]]));
  assertMatch(text, /hello/);
  assertMatch(text, /goodbye/);
});

Deno.test("expectEvents() fails when too few come in time, or another comes", async () => {
  await using pair = await clientPair();
  pair.one.sendEvent(message("first"));
  const late = await failure(
    expectEvents(pair.other, [message("first"), message("second")], { timeout: 50 }),
  );
  assertMatch(late, /No more has come within 50 ms/);
  assertMatch(late, /second/);
  pair.one.sendEvent(message("other"));
  await failure(expectEvents(pair.other, ["join"]));
});

Deno.test("expectEvents() ignores undefined attributes, which are not sent", async () => {
  await using pair = await clientPair();
  const attributes = { content: "hi", color: undefined, by: { name: "Ada", mail: undefined } };
  const sent = new EbsocketEvent("message", { ...attributes, all: [{ is: undefined }] });
  pair.one.sendEvent(sent);
  pair.one.send("message", attributes);
  await expectEvents(pair.other, [sent, ["message", attributes]]);
  pair.one.send("message", { content: "hi" });
  await failure(expectEvents(pair.other, [["message", { content: null }]]));
});

Deno.test("expectEvents() reports a client without a subscription", async () => {
  await using relay = testRelay({ subscribeFirst: true });
  const client = await relay.connect();
  const late = await failure(expectEvents(client, ["message"], { timeout: 10 }));
  assertMatch(late, /No more has come within 10 ms; the client hears nothing until it subscribes/);
});

Deno.test("expectEvents() fails when the connection ends, and when there should be nothing", async () => {
  await using pair = await clientPair();
  pair.one.sendEvent(message("surprise"));
  await pair.one.flush();
  const [first] = await expectEvents(pair.other, ["message"]);
  assertEquals(first?.getAttribute("content"), "surprise");
  pair.one.sendEvent(message("surprise"));
  await pair.one.close(); // by then the relay has passed everything on
  await assertRejects(() => expectEvents(pair.other, [], {}), Error, "surprise");
  await pair.other.abort();
  const ended = await failure(expectEvents(pair.other, ["message"]));
  assertMatch(ended, /The connection has ended with aborted/);
  await assertRejects(() => expectEvents(pair.other, [], { timeout: NaN }), RangeError, "timeout");
});
