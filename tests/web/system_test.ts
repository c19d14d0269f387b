// Browsers as clients of a system, and the option `web` of a server that a relay uses.

import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { EbsocketSystem } from "../../system.ts";
import { Peer } from "../support/peer.ts";
import { WebPeer } from "../support/web_peer.ts";

const local = { hostname: "127.0.0.1", port: 0, web: {} };

/** Sends a GET and gives the whole answer. */
async function get(address: readonly [string, number], path: string): Promise<string> {
  await using peer = await Peer.connect(address);
  await peer.send(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  await peer.lines();
  return peer.text;
}

Deno.test("EbsocketSystem has WebSocket clients beside others, and no page", async () => {
  await using system = new EbsocketSystem(new EbsocketServer(local));
  const { address } = system.server;
  assertMatch(await get(address, "/"), /^HTTP\/1\.1 404 /);
  await using web = await WebPeer.connect(address);
  await using tcp = await Peer.connect(address);
  await tcp.send('{"event":"from tcp"}\n');
  await web.say('{"event":"from a browser"}');
  const seen: string[] = [];
  const transports: string[] = [];
  while (seen.length < 2) {
    const [newClients, newEvents] = await system.pump();
    for (const [connection] of newClients) transports.push(connection.transport);
    for (const event of newEvents) {
      seen.push(event.event);
      system.sendEventToClients(event, { except: event.fromConnection });
    }
  }
  await web.sees(({ messages }) => messages.length === 1);
  await tcp.sees("from a browser");
  assertEquals(web.messages, ['{"event":"from tcp","__dict__":{}}']);
  assertEquals(transports.sort(), ["tcp", "websocket"]);
  assertEquals(system.clients.size, 2);
});

Deno.test("EbsocketSystem reports a WebSocket that leaves", async () => {
  await using system = new EbsocketSystem(new EbsocketServer(local));
  const types: string[] = [];
  {
    await using web = await WebPeer.connect(system.server.address);
    await web.say('{"event":"a"}');
    for await (const notice of system) {
      types.push(notice.type);
      if (notice.type === "event") break;
    }
  }
  for await (const notice of system) {
    types.push(notice.type);
    break;
  }
  assertEquals(types, ["connected", "event", "disconnected"]);
  assertEquals(system.clients.size, 0);
});

Deno.test("Relay on a server with web has a page", async () => {
  await using relay = new Relay(new EbsocketServer(local));
  assertMatch(await get(relay.server.address, "/"), /^HTTP\/1\.1 200 OK\r\n.*<!DOCTYPE html>/s);
});

Deno.test("EbsocketServer and Relay name an invalid origin or host at the call", () => {
  const origins = ["https://chat.example/path"];
  assertThrows(
    () => new EbsocketServer({ hostname: "127.0.0.1", web: { origins } }),
    TypeError,
    'got "https://chat.example/path"',
  );
  const server = new EbsocketServer({ hostname: "127.0.0.1" });
  assertThrows(() => new Relay(server, { web: { hosts: ["*"] } }), TypeError, 'got "*"');
  server.close();
});
