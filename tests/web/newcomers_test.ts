// Peers of which it is not known yet whether they are clients: how they end, and what that costs
// others.

import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import type { CloseInfo } from "../../errors.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer, type ServerSink } from "../../server.ts";
import { utf8 } from "../support/bytes.ts";
import { Peer } from "../support/peer.ts";
import { join, newRelay } from "../support/relay.ts";
import { canTell, openFiles } from "../support/usage.ts";
import { until } from "../support/waiting.ts";
import { clientFrame, UPGRADE, WebPeer } from "../support/web_peer.ts";

const EVENT = utf8('{"event":"gathered"}\n');

Deno.test("a request of a silent client drops what was gathered for it, and says so", async () => {
  const opened: string[] = [];
  const ends: CloseInfo[] = [];
  const sink: ServerSink = {
    onOpen: ({ transport }) => void opened.push(transport),
    // As a relay does, which still sends the gathered events.
    onEnd: (connection) => void connection.send(EVENT),
    onLines: (connection, { bytes }) => void connection.send(bytes),
    onClose(connection, info) {
      connection.send(EVENT);
      ends.push(info);
    },
  };
  const server = new EbsocketServer({ hostname: "127.0.0.1", web: {} });
  const served = server.serve(sink);
  {
    await using peer = await Peer.connect(server.address);
    await until(() => opened.length === 1);
    await peer.send(UPGRADE);
    await peer.sees("\r\n\r\n");
    await peer.send(clientFrame('{"event":"echo"}'));
    await peer.sees('{"event":"echo"}');
    assertMatch(peer.text, /^HTTP\/1\.1 101 /);
    assertEquals(peer.text.includes("gathered"), false);
  }
  await until(() => ends.length === 2);
  const { reason, unsentLines, unsentBytes } = ends[0]!;
  assertEquals([reason, unsentLines, unsentBytes], ["eof", 1, EVENT.length]);
  assertEquals(opened, ["tcp", "websocket"]);
  server.close();
  await served;
});

Deno.test("the counters of a client that turns out to be a WebSocket do not count anything twice", async () => {
  await using relay = newRelay({ web: {} });
  await using peer = await join(relay);
  await peer.send(UPGRADE);
  await peer.sees("\r\n\r\n");
  await peer.send(clientFrame('{"event":"a"}'));
  await peer.sees('{"event":"a"}');
  const sent = utf8(UPGRADE).length + clientFrame('{"event":"a"}').length;
  assertEquals(relay.stats().bytesIn, sent);
  assertEquals(relay.stats().eventsOut, 1);
});

Deno.test("the bytes of a WebSocket count from its response on", async () => {
  await using relay = newRelay({ web: {} });
  await using peer = await Peer.connect(relay.server.address);
  await peer.send(UPGRADE);
  await peer.sees("\r\n\r\n");
  const { length } = peer.text;
  await until(() => relay.stats().bytesOut === length);
  await peer.send(clientFrame('{"event":"a"}'));
  await peer.sees('{"event":"a"}');
  await until(() => relay.stats().bytesOut === length + 2 + '{"event":"a"}'.length);
});

Deno.test("a full server says once why it closes a peer that ends in the middle of a line", async () => {
  await using relay = newRelay({ web: {}, maxClients: 1 });
  await using _client = await join(relay);
  await using peer = await Peer.connect(relay.server.address);
  await peer.send('{"event":');
  await peer.conn.closeWrite();
  const lines = await peer.lines();
  assertEquals(lines.map((line) => JSON.parse(line).reason), ["too-many-clients"]);
});

Deno.test("a peer that connected to a full server is admitted if there is room when it speaks", async () => {
  await using relay = newRelay({ web: {}, maxClients: 1 });
  const client = await join(relay);
  await using peer = await Peer.connect(relay.server.address);
  await peer.send('{"event":');
  await client.conn.close();
  await until(() => relay.clients.length === 0);
  await peer.send('"a"}\n');
  await peer.sees('{"event":"a"}');
  assertEquals(relay.stats().clients, 1);
});

for (const first of ["", '{"event":"a"}\n']) {
  Deno.test(`an observer that fails for a client closes the relay, after ${first || "no line"}`, async () => {
    const relay = new Relay(new EbsocketServer(["127.0.0.1", 0]), {
      web: {},
      observer: {
        onJoin() {
          throw new Error("the observer fails");
        },
      },
    });
    await using peer = await Peer.connect(relay.server.address);
    await peer.send(first);
    await assertRejects(() => relay.closed, Error, "the observer fails");
  });
}

Deno.test("a request that has not ended is answered when the relay closes", async () => {
  const relay = newRelay({ web: {} });
  await using peer = await Peer.connect(relay.server.address);
  await peer.send("GET / HTTP/1.1\r\n");
  await using _late = await join(relay); // The relay has read the request by then.
  await relay.close();
  await peer.lines();
  assertMatch(peer.text, /^HTTP\/1\.1 503 [^]*\nThe server is shutting down\n$/);
});

Deno.test("a peer that ends in the middle of a request is sent no line", async () => {
  await using relay = newRelay({ web: {} });
  await using peer = await Peer.connect(relay.server.address);
  await peer.send("GET / HTTP/1.1\r\nHost: 127.");
  await peer.conn.closeWrite();
  assertEquals(await peer.lines(), []);
  assertEquals(peer.text, "");
});

Deno.test("a WebSocket that sends a Ping before its token has the whole send queue after it", async () => {
  const ends: CloseInfo[] = [];
  await using relay = newRelay({
    web: {},
    token: "s3cret",
    maxHold: 0,
    observer: { onLeave: (_, info) => void ends.push(info) },
  });
  await using web = await WebPeer.connect(relay.server.address, { silent: true });
  await web.send(clientFrame("", { opcode: 9 }));
  await web.say('{"control":"hello","token":"s3cret"}');
  await until(() => relay.clients.length === 1);
  await using publisher = await Peer.connect(relay.server.address);
  await publisher.send('{"control":"hello","token":"s3cret"}\n');
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(100_000)}"}}\n`;
  while (relay.stats().pendingBytes < 2_000_000 && ends.length === 0) await publisher.send(line);
  assertEquals(ends, []);
});

Deno.test("a request for a stream of events with bytes behind it is refused", async () => {
  await using relay = newRelay({ web: {} });
  const request = "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
  for (const extra of ["GET /events", request]) {
    await using peer = await Peer.connect(relay.server.address);
    await peer.send(request + extra);
    await peer.lines();
    assertMatch(peer.text, /^HTTP\/1\.1 400 [^]*\nBytes follow the request: /);
  }
});

Deno.test({
  name: "a relay keeps few connections that it has answered and that nobody closes",
  ignore: !canTell,
  async fn() {
    await using relay = newRelay({ web: {} });
    const before = openFiles(Deno.pid);
    await using peers = new AsyncDisposableStack();
    for (let i = 0; i < 400; i++) {
      const peer = peers.use(await Peer.connect(relay.server.address));
      await peer.send("GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
      await peer.sees("Nothing is at this path");
    }
    assertLess(openFiles(Deno.pid) - before, 400 + 300);
  },
});

Deno.test("a WebSocket that ends without a Close frame gets none", async () => {
  const ends: CloseInfo[] = [];
  await using relay = newRelay({
    web: {},
    observer: { onLeave: (_, info) => void ends.push(info) },
  });
  await using peer = await Peer.connect(relay.server.address);
  await peer.send(UPGRADE);
  await peer.sees("\r\n\r\n");
  await peer.conn.closeWrite();
  await peer.lines();
  assertMatch(peer.text, /\r\n\r\n$/);
  assertEquals(ends[0]?.reason, "eof");
});

Deno.test("a peer that was written to is a client, whatever its first line is", async () => {
  for (const [begin, end] of [["\x16\x03\x01", "\n"], ["POST / HT", "TP/1.1\r\nHost: x\r\n\r\n"]]) {
    const log: string[] = [];
    await using relay = newRelay({
      web: {},
      echo: false,
      observer: {
        onJoin: ({ id }) => void log.push(`join ${id}`),
        onLeave: ({ id }, { reason }) => void log.push(`leave ${id} ${reason}`),
        onRefuse: (_, reason) => void log.push(`refuse ${reason}`),
      },
    });
    await using publisher = await join(relay);
    await using peer = await Peer.connect(relay.server.address);
    await peer.send(begin!);
    // More than is held for a peer that has begun a line.
    const event = `{"event":"a","__dict__":{"x":"${"x".repeat(100_000)}"}}\n`;
    await publisher.send(event.repeat(20));
    await peer.sees('{"event":"a"');
    await until(() => relay.stats().eventsIn === 20);
    await peer.send(end!);
    await peer.lines();
    assertEquals(peer.text.split(event).length - 1, 20);
    await until(() => log.length === 3);
    assertEquals(log, ["join 1", "join 2", "leave 2 bad-json"]);
  }
});

Deno.test("a request that was sent while the process stood still is answered as any other", async () => {
  const log: string[] = [];
  await using relay = newRelay({
    web: {},
    observer: { onJoin: ({ id }) => void log.push(`${id}`) },
  });
  await using publisher = await join(relay);
  // From another thread, as this one cannot write while it stands still.
  const worker = new Worker(new URL("./late_requester.ts", import.meta.url), { type: "module" });
  try {
    const next = () =>
      new Promise<string>((resolve) => worker.onmessage = ({ data }) => resolve(data));
    let message = next();
    worker.postMessage(relay.server.address);
    assertEquals(await message, "connected");
    message = next();
    await publisher.send('{"event":"held"}\n');
    await publisher.sees('{"event":"held"}');
    for (const start = performance.now(); performance.now() - start < 1500;);
    assertMatch(await message, /^HTTP\/1\.1 200 OK\r\n/);
    assertEquals(log, ["1"]);
  } finally {
    worker.terminate();
  }
});
