/** The client of `./web` and a relay, over WebSocket. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertLess } from "@std/assert/less";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { EbsocketClient as SystemClient } from "../../client.ts";
import config from "../../deno.json" with { type: "json" };
import { ConnectError, EventSchemaError, NoRespondersError } from "../../errors.ts";
import { RawEvent } from "../../protocol/raw_event.ts";
import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { expectEvents } from "../../testing.ts";
import { defineEvents, EbsocketClient } from "../../web.ts";
import { freePort } from "../support/free_port.ts";
import { Program } from "../support/process.ts";
import { RootConfig } from "../support/root_config.ts";
import { MESSAGE } from "../support/schemas.ts";
import { soon, until } from "../support/waiting.ts";

const QUICK = { minDelay: 1, maxDelay: 20 };

/** Starts a relay that takes browsers. */
function webRelay(options: RelayOptions = {}, port = 0): Relay {
  return new Relay(new EbsocketServer(["127.0.0.1", port]), { web: {}, ...options });
}

function urlOf({ server }: Relay): string {
  return `ws://127.0.0.1:${server.address[1]}/ws`;
}

Deno.test("EbsocketClient exchanges events over WebSocket with clients over TCP", async () => {
  await using relay = webRelay({ echo: false });
  await using web = new EbsocketClient();
  await web.connectTo(urlOf(relay));
  await using tcp = new SystemClient();
  await tcp.connectTo(relay.server.address);
  const text = 'é \u2028 😀 "\\" \n';
  web.send("chat", { text });
  await expectEvents(tcp, [["chat", { text }]]);
  tcp.send("chat", { text });
  await expectEvents(web, [["chat", { text }]]);
  tcp.send("direct", {}, { to: web.id! });
  await expectEvents(web, ["direct"]);
});

Deno.test("EbsocketClient of the main door takes a WebSocket URL", async () => {
  await using relay = webRelay();
  await using client = new SystemClient({ reconnect: true });
  await client.connectTo(new URL(urlOf(relay)));
  client.send("chat");
  await client.flush();
  assertEquals(client.acknowledgedEvents, 1);
  assertStrictEquals(SystemClient, EbsocketClient);
});

Deno.test("EbsocketClient subscribes, serves and requests over WebSocket", async () => {
  await using relay = webRelay();
  await using worker = new EbsocketClient();
  const jobs = worker.serve("jobs.*", { queue: "workers" });
  await worker.connectTo(urlOf(relay));
  await using client = new EbsocketClient();
  await client.subscribe(["news.>"]);
  await client.connectTo(urlOf(relay));
  const answer = client.request("jobs.add", { a: 1, b: 2 });
  const { value: job } = await jobs.next();
  await worker.reply(job!, "sum", { sum: 3 });
  assertEquals((await answer).getAttribute("sum"), 3);
  await assertRejects(() => client.request("nobody"), NoRespondersError);
  assertEquals(await client.send("news.a.b", {}, { confirm: true }), 1);
  await expectEvents(client, ["news.a.b"]);
  const { clients } = await client.inspect();
  assertEquals(clients.length, 2);
  const drained = worker.drain();
  assert((await jobs.next()).done);
  await drained;
  assertEquals((await worker.closed).reason, "local");
});

Deno.test("EbsocketClient checks events with definitions over WebSocket", async () => {
  await using relay = webRelay();
  await using client = new EbsocketClient({ events: defineEvents({ message: MESSAGE }) });
  await client.connectTo(urlOf(relay));
  await assertRejects(
    async () => await client.send("message", { content: 1 as unknown as string }),
    EventSchemaError,
  );
  await client.send("message", { content: "hi" });
  assertEquals((await client.recvEvent())?.__dict__.content, "hi");
});

Deno.test("EbsocketClient receives and sends raw events over WebSocket", async () => {
  await using relay = webRelay();
  await using client = new EbsocketClient({ raw: true });
  await client.connectTo(urlOf(relay));
  const line = '{ "event":"paid", "__dict__":{"cents":12345678901234567890} }\n';
  client.sendEvent(RawEvent.fromLine(new TextEncoder().encode(line)));
  const event = await client.recvEvent();
  assertInstanceOf(event, RawEvent);
  assertEquals(new TextDecoder().decode((event as RawEvent).line), line);
});

Deno.test("EbsocketClient is told that its token is wrong", async () => {
  await using relay = webRelay({ token: "right" });
  const wrong = new EbsocketClient({ token: "wrong" });
  const error = await assertRejects(() => wrong.connectTo(urlOf(relay)), ConnectError);
  assertEquals(error.reason, "unauthorized");
  await using right = new EbsocketClient({ token: "right" });
  await right.connectTo(urlOf(relay));
  assert(right.connected);
});

Deno.test("EbsocketClient survives a restart of the relay over WebSocket, and loses no event silently", async () => {
  const port = freePort();
  let relay = webRelay({}, port);
  await using client = new EbsocketClient({ reconnect: QUICK, sequence: true });
  await client.subscribe(["a.*"]);
  await client.connectTo(urlOf(relay));
  const statuses = client.status();
  await client.send("a.0");
  await client.flush();
  await relay.close();
  const types: string[] = [];
  let reason = "";
  for await (const status of statuses) {
    types.push(status.type);
    if (status.type !== "disconnected") continue;
    reason = status.info.reason;
    break;
  }
  assertEquals(types, ["connected", "disconnected"]);
  assertEquals(reason, "shutdown");
  client.send("a.1");
  relay = webRelay({}, port);
  await soon(client.flush(), "the acknowledgement");
  await expectEvents(client, ["a.0", "a.1"]);
  await client.close();
  await relay.close();
});

Deno.test("EbsocketClient that reads slowly over WebSocket gets every event", async () => {
  await using relay = webRelay({ echo: false });
  await using reader = new EbsocketClient({ maxUnreadEvents: 100, sequence: true });
  await reader.connectTo(urlOf(relay));
  const gaps: unknown[] = [];
  (async () => {
    for await (const status of reader.status()) if (status.type === "gap") gaps.push(status);
  })();
  await using sender = new SystemClient();
  await sender.connectTo(relay.server.address);
  const text = "x".repeat(1000);
  const sending = (async () => {
    for (let i = 0; i < 5000; i++) await sender.send("tick", { i, text });
  })();
  for (let i = 0; i < 5000; i++) assertEquals((await reader.recvEvent())?.__dict__.i, i);
  await sending;
  assertEquals(gaps, []);
});

Deno.test("EbsocketClient that does not read over WebSocket bounds its memory, and is closed", async () => {
  await using relay = webRelay({ echo: false, writeTimeout: 1000 });
  await using reader = new EbsocketClient({ maxUnreadEvents: 100, reconnect: QUICK });
  await reader.connectTo(urlOf(relay));
  await using sender = new SystemClient();
  await sender.connectTo(relay.server.address);
  const text = "x".repeat(10_000);
  let sent = 0;
  const began = performance.now();
  while (relay.clients.length === 2) {
    await sender.send("tick", { text });
    sent++;
  }
  assertGreater(sent, 200);
  assertLess(performance.now() - began, 30_000);
  await until(() => !reader.connected);
  const statuses = reader.status();
  let events = 0;
  (async () => {
    for await (const _ of reader) events++;
  })();
  for await (const status of statuses) {
    if (status.type === "disconnected") {
      assertObjectMatch(status, { info: { reason: "slow-consumer" }, waitsForReader: true });
    }
    if (status.type === "reconnected") break;
  }
  // Its inbox, the window, and what the WebSocket had buffered.
  assertLess(events * text.length, 4_000_000);
});

Deno.test("web.ts and all that it imports compile without the types of Deno", async () => {
  const lib = ["esnext", "dom", "dom.iterable", "dom.asynciterable"];
  const { imports, vendor, nodeModulesDir } = config;
  const compilerOptions = { ...config.compilerOptions, lib };
  const settings = { imports, vendor, nodeModulesDir, lock: false, compilerOptions };
  await using file = await RootConfig.write(settings);
  const web = new URL("../../web.ts", import.meta.url).pathname;
  const args = ["check", "--quiet", "--config", file.path, web];
  await using check = new Program(Deno.execPath(), args, { env: { NO_COLOR: "1" } });
  const { code, stderr } = await check.end();
  assertEquals(stderr.replace(/^Check .*\n/gm, ""), "");
  assertEquals(code, 0);
});
