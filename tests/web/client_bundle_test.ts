/** `client.js`: that it is up to date and small, and does in every runtime what the client does. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { gzipSync } from "node:zlib";
import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { CLIENT, hashSources } from "../../tools/bundle/sources.ts";
import { CLIENT_BUNDLE } from "../../web/client_bundle.ts";
import type * as Web from "../../web.ts";
import { TempFolder } from "../support/folder.ts";
import { FakePage, WebServer } from "../support/web_server.ts";
import { MESSAGE } from "../support/schemas.ts";
import { canRun, Program } from "../support/process.ts";
import { soon, until } from "../support/waiting.ts";

const client: typeof Web = await import(
  `data:text/javascript,${encodeURIComponent(CLIENT_BUNDLE)}`
);

/** Starts a relay that takes browsers. */
function webRelay(options: RelayOptions = {}): Relay {
  return new Relay(new EbsocketServer(["127.0.0.1", 0]), { web: {}, ...options });
}

function urlOf({ server }: Relay): string {
  return `ws://127.0.0.1:${server.address[1]}`;
}

Deno.test("client.js is made of the current sources; deno task bundle makes it anew", async () => {
  const text = await Deno.readTextFile(new URL("../../web/client_bundle.ts", import.meta.url));
  assert(text.includes(`\n * ${await hashSources(CLIENT)}\n`), "It is stale");
});

Deno.test("client.js has at most 30,000 bytes with gzip", () => {
  assertLess(gzipSync(CLIENT_BUNDLE, { level: 9 }).length, 30_000);
});

Deno.test("client.js exports the client, its events and errors, and definitions", () => {
  assertEquals(Object.keys(client).sort(), [
    "ConnectError",
    "ConnectionClosedError",
    "EbsocketClient",
    "EbsocketError",
    "EbsocketEvent",
    "EventFormatError",
    "EventRefusedError",
    "EventSchemaError",
    "NoRespondersError",
    "RequestTimeoutError",
    "defineEvents",
  ]);
});

Deno.test("client.js gives each error its name, which people see first", async () => {
  const exports = await import(`data:text/javascript,${encodeURIComponent(CLIENT_BUNDLE)}`);
  const names = Object.keys(exports).filter((name) => name.endsWith("Error"));
  assertEquals(names.map((name) => exports[name].name), names);
  const client = new exports.EbsocketClient();
  const error = await client.connectTo("ws://127.0.0.1:1").catch((error: Error) => error);
  assertEquals(error.name, "ConnectError");
});

Deno.test("client.js has no raw events, and says so", () => {
  assertThrows(() => new client.EbsocketClient({ raw: true }), TypeError, "has no raw events");
});

Deno.test("client.js decodes events, and refuses bad ones, as the package does", () => {
  const { EbsocketEvent, EventFormatError } = client;
  const decode = (text: string) => EbsocketEvent.fromBytes(new TextEncoder().encode(text));
  const event = decode(
    '{"event":"a","__dict__":{"\\u0078":"\\\\","__proto__":1},"id":"r","from":"c1"}',
  );
  assertEquals(event.event, "a");
  assertEquals(Object.entries(event.__dict__), [["x", "\\"], ["__proto__", 1]]);
  assertEquals(event.id, "r");
  assertEquals(event.from, "c1");
  for (
    const [line, code] of [
      ["{", "bad-json"],
      ["{}", "bad-event"],
      ["[]", "bad-event"],
      ["1", "bad-event"],
      ['{"event":""}', "bad-event"],
      ['{"event":"a","control":"b"}', "bad-event"],
      ['{"control":"b"}', "bad-event"],
      ['{"event":"a","__dict__":[]}', "bad-event"],
      [`{"event":"${"a".repeat(256)}"}`, "bad-event"],
    ] as const
  ) {
    const error = assertThrows(() => decode(line), EventFormatError);
    assertEquals(error.code, code, line);
  }
});

Deno.test("client.js ends at a bad line, after the events before it", async () => {
  await using server = new WebServer();
  const it = new client.EbsocketClient();
  await it.connectTo(server.url);
  const { socket } = await server.session();
  socket.send('{"event":"a"}\n\n{"event":"b"}\n{"event":}\n{"event":"c"}');
  assertEquals((await soon(it.closed, "the end")).reason, "bad-json");
  assertEquals(await Array.fromAsync(it, ({ event }) => event), ["a", "b"]);
});

Deno.test("client.js checks events with definitions", async () => {
  await using relay = webRelay();
  const events = client.defineEvents({ message: MESSAGE });
  await using it = new client.EbsocketClient({ events });
  await it.connectTo(urlOf(relay));
  const wrong = { content: 1 as unknown as string };
  assertThrows(() => it.send("message", wrong), client.EventSchemaError, "Expected a string");
  await it.send("message", { content: "hi" });
  assertEquals((await it.recvEvent())?.__dict__.content, "hi");
});

Deno.test("client.js reports the status of its connection, and reconnects when its page wakes up", async () => {
  using page = new FakePage();
  await using server = new WebServer({ ack: true, features: ["subscribe", "ack"] });
  const reconnect = { minDelay: 1e9, maxDelay: 1e9 };
  await using it = new client.EbsocketClient({ reconnect, sequence: false });
  await it.connectTo(server.url);
  const session = await server.session();
  it.send("a", { x: 1 });
  await session.lines(2);
  session.send({ control: "close", reason: "shutdown", detail: "bye" });
  session.socket.close();
  const types: string[] = [];
  for await (const status of it.status()) {
    types.push(status.type);
    if (status.type === "disconnected") {
      assertEquals(status.info.reason, "shutdown");
      assertEquals(status.info.detail, "bye");
      assertEquals(status.unconfirmed.map(({ event, __dict__ }) => [event, __dict__]), [
        ["a", { x: 1 }],
      ]);
      assertStrictEquals(status.waitsForReader, false);
      page.show(true);
    }
    if (status.type === "reconnected") break;
  }
  assertEquals(types, ["connected", "disconnected", "connecting", "reconnected"]);
});

Deno.test("client.js passes on the report of a relay", async () => {
  await using relay = webRelay();
  await using it = new client.EbsocketClient();
  await it.connectTo(urlOf(relay));
  const { relay: stats, clients } = await it.inspect();
  assertEquals(stats.clients, 1);
  assertEquals(clients[0]!.id, 1);
});

Deno.test("client.js that does not read is bounded by its window", async () => {
  await using relay = webRelay({ echo: false, writeTimeout: 1000 });
  await using it = new client.EbsocketClient({ maxUnreadEvents: 10 });
  await it.connectTo(urlOf(relay));
  await using sender = new client.EbsocketClient();
  await sender.connectTo(urlOf(relay));
  const text = "x".repeat(10_000);
  while (relay.clients.length === 2) await sender.send("tick", { text });
  await until(() => !it.connected);
  const received = (await Array.fromAsync(it)).length * text.length;
  assertEquals((await it.closed).reason, "slow-consumer");
  assertLess(received, 2_000_000);
});

/** The programs that can run JavaScript modules with WebSocket, and how to ask for that. */
const RUNTIMES = [
  ["node", ["-e", "if (!globalThis.WebSocket || !Promise.withResolvers) process.exit(1)"]],
  ["bun", ["--version"]],
  ["deno", ["--version"]],
] as const;

for (const [runtime, args] of RUNTIMES) {
  Deno.test({
    name: `client.js works in ${runtime}`,
    ignore: !canRun(runtime, [...args]),
    async fn() {
      await using relay = webRelay();
      using folder = new TempFolder();
      const file = `${folder.path}/client.mjs`;
      await Deno.writeTextFile(file, CLIENT_BUNDLE);
      const program = new URL("../support/web_program.mjs", import.meta.url).pathname;
      const flags = runtime === "deno" ? ["run", "-A", "--no-config"] : [];
      await using run = new Program(runtime, [...flags, program, file, urlOf(relay)]);
      const { code, stdout, stderr } = await run.end();
      assertEquals(stderr, "");
      assertEquals(stdout.trim().split("\n").map((line) => JSON.parse(line)), [
        ["chat.room", { text: "Grüße\u2028\\", list: [1, { a: null }] }],
        ["chat.room.more", {}],
        { sum: 2 },
        [true, "no-responders"],
        [4, 2],
        ["function"],
        ["local", "local"],
      ]);
      assertEquals(code, 0);
    },
  });
}
