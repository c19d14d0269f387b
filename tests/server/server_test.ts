import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import type { EbsocketConnection } from "../../net/connection.ts";
import { ConnectionClosedError } from "../../errors.ts";
import { type ConnectionListener, EbsocketServer, type ServerSink } from "../../server.ts";
import { utf8 } from "../support/bytes.ts";
import { Peer } from "../support/peer.ts";
import { until } from "../support/waiting.ts";

const loopback = ["127.0.0.1", 0] as const;

/** A listener that fails as often as `failures` says, then accepts real connections. */
function failingListener(failures: Error[]): ConnectionListener {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return {
    addr: listener.addr,
    close: () => listener.close(),
    accept() {
      const failure = failures.shift();
      return failure ? Promise.reject(failure) : listener.accept();
    },
  };
}

function recordingSink() {
  const events: string[] = [];
  const connections: EbsocketConnection[] = [];
  const sink: ServerSink = {
    onOpen(connection) {
      connections.push(connection);
      events.push("open");
    },
    onRefuse: (_, reason) => void events.push(`refuse ${reason}`),
    onLines: (_, lines) => void events.push(`${[...lines].length} lines`),
    onClose: (_, { reason }) => void events.push(`close ${reason}`),
  };
  return { connections, events, sink };
}

Deno.test("EbsocketServer binds at once and knows its real port", async () => {
  await using server = new EbsocketServer(loopback);
  const [hostname, port] = server.address;
  assertEquals(hostname, "127.0.0.1");
  assertGreater(port, 0);
  assertThrows(() => new EbsocketServer([hostname, port]), Deno.errors.AddrInUse);
});

Deno.test({
  name: "EbsocketServer given a port alone binds to 127.0.0.1 if it may not ask for more",
  permissions: { net: ["127.0.0.1"], sys: false },
  async fn() {
    await using server = new EbsocketServer(0);
    assertEquals(server.address[0], "127.0.0.1");
  },
});

Deno.test("EbsocketServer binds to IPv6", async () => {
  await using server = new EbsocketServer({ hostname: "::1" });
  await using _ = await Peer.connect(server.address);
  const [connection, address] = await server.acceptConnection();
  assertEquals(address[0], "::1");
  await connection.abort();
});

Deno.test("EbsocketServer names a bad address", () => {
  assertThrows(() => new EbsocketServer(65536), RangeError, "65536");
  assertThrows(() => new EbsocketServer(["127.0.0.1", 1.5]), RangeError, "1.5");
  assertThrows(() => new EbsocketServer(["", 1]), TypeError, '""');
  const wrong = "7982" as unknown as number;
  assertThrows(() => new EbsocketServer(wrong), TypeError, '"7982"');
});

/** What `Deno.env.get()` gives of a variable that is not set, for those who silence the compiler. */
const UNSET = undefined as unknown as string;

Deno.test("EbsocketServer refuses a place that is not set, instead of listening for everyone", () => {
  const places: [where: unknown, name: string][] = [
    [[UNSET, 0], "host name, got undefined"],
    [[null, 0], "host name, got null"],
    [["127.0.0.1", UNSET], "port from 0 to 65535, got undefined"],
    [["127.0.0.1", null], "port from 0 to 65535, got null"],
    [["127.0.0.1"], "port from 0 to 65535, got undefined"],
    [["127.0.0.1", "7982"], 'port from 0 to 65535, got "7982"'],
    [UNSET, "got undefined"],
    [null, "got null"],
    [{ hostname: UNSET }, "Invalid hostname: expected a value, got undefined"],
    [{ hostname: null }, "Invalid hostname: expected a value, got null"],
    [{ hostname: "127.0.0.1", port: UNSET }, "Invalid port: expected a value, got undefined"],
    [{ path: UNSET }, "Invalid path: expected a value, got undefined"],
    [{ hostname: "127.0.0.1", path: UNSET }, "Invalid path: expected a value, got undefined"],
    [{ listener: UNSET }, "Invalid listener: expected a value, got undefined"],
    [{ hostname: "127.0.0.1", tls: UNSET }, "Invalid tls: expected a value, got undefined"],
  ];
  for (const [where, message] of places) {
    assertThrows(() => new EbsocketServer(where as [string, number]), TypeError, message);
  }
});

Deno.test("EbsocketServer has defaults for options that are left out", async () => {
  await using server = new EbsocketServer({ hostname: "127.0.0.1" });
  assertGreater(server.address[1], 0);
});

Deno.test("EbsocketServer.acceptConnection() resolves to the connection and its address", async () => {
  await using server = new EbsocketServer(loopback);
  await using peer = await Peer.connect(server.address);
  const [connection, address] = await server.acceptConnection();
  const local = peer.conn.localAddr;
  assertEquals(address, [local.hostname, local.port]);
  assertEquals(connection.address, address);
  await connection.abort();
});

Deno.test("EbsocketServer.acceptConnection() may be called again before it resolves", async () => {
  await using server = new EbsocketServer(loopback);
  const accepted = [server.acceptConnection(), server.acceptConnection()];
  await using one = await Peer.connect(server.address);
  await using two = await Peer.connect(server.address);
  const ports = (await Promise.all(accepted)).map(([connection, [, port]]) => {
    connection.abort();
    return port;
  });
  assertEquals(ports, [one.conn.localAddr.port, two.conn.localAddr.port]);
});

Deno.test("EbsocketServer.acceptConnection() rejects once the server is closed", async () => {
  const server = new EbsocketServer(loopback);
  const waiting = assertRejects(() => server.acceptConnection(), ConnectionClosedError);
  server.close();
  await waiting;
  await assertRejects(() => server.acceptConnection(), ConnectionClosedError, "is closed");
  await server.closed;
});

Deno.test("EbsocketServer survives every error of accept, and reports it", async () => {
  const failures = [
    new Error("Too many open files (os error 24)"),
    new Deno.errors.ConnectionAborted("reset before accept"),
    new Deno.errors.ConnectionReset("reset"),
  ];
  const reported: unknown[] = [];
  const expected = [...failures];
  await using server = new EbsocketServer({
    listener: failingListener(failures),
    onAcceptError: (error) => reported.push(error),
  });
  await using _ = await Peer.connect(server.address);
  const [connection] = await server.acceptConnection();
  assertEquals(reported, expected);
  await connection.abort();
});

Deno.test("EbsocketServer does not pause for peers that are gone before they are accepted", async () => {
  const failures = Array.from({ length: 50 }, () => new Deno.errors.NotConnected("os error 107"));
  await using server = new EbsocketServer({ listener: failingListener(failures) });
  await using _ = await Peer.connect(server.address);
  const start = performance.now();
  const [connection] = await server.acceptConnection();
  // With pauses it would be 40 seconds.
  assertLess(performance.now() - start, 20_000);
  await connection.abort();
});

Deno.test("EbsocketServer closes when the owner of its listener has closed that", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const server = new EbsocketServer({ listener });
  const waiting = assertRejects(() => server.acceptConnection(), ConnectionClosedError);
  listener.close();
  await waiting;
  await server.closed;
});

Deno.test("EbsocketServer.serve() can be called once, and rejects with the error of its sink", async () => {
  const server = new EbsocketServer(loopback);
  const sink: ServerSink = {
    onOpen() {
      throw new Error("no room on the stage");
    },
    onLines() {},
    onClose() {},
  };
  const served = assertRejects(() => server.serve(sink), Error, "no room on the stage");
  assertThrows(() => server.serve(sink), TypeError, "twice");
  await using peer = await Peer.connect(server.address);
  assertEquals(await peer.lines(), ['{"control":"close","reason":"shutdown"}']);
  peer.close();
  await served;
});

Deno.test("EbsocketServer.close() ends the pause after a failed accept", async () => {
  const failures = Array.from({ length: 20 }, () => new Error("Too many open files"));
  let failed = 0;
  const server = new EbsocketServer({
    listener: failingListener(failures),
    onAcceptError: () => failed++,
  });
  const waiting = assertRejects(() => server.acceptConnection(), ConnectionClosedError);
  await until(() => failed === 2);
  server.close();
  await waiting;
});

Deno.test("EbsocketServer is closed by its signal", async () => {
  const controller = new AbortController();
  const server = new EbsocketServer({ hostname: "127.0.0.1", signal: controller.signal });
  controller.abort();
  await server.closed;
  const late = new EbsocketServer({ hostname: "127.0.0.1", signal: controller.signal });
  await late.closed;
});

Deno.test("EbsocketServer iterates over connections until it is closed", async () => {
  const server = new EbsocketServer(loopback);
  await using peer = await Peer.connect(server.address);
  const ports: number[] = [];
  for await (const [connection, [, port]] of server) {
    ports.push(port);
    connection.abort();
    server.close();
  }
  assertEquals(ports, [peer.conn.localAddr.port]);
});

Deno.test("EbsocketServer.serve() passes each client to its sink, and closes all at the end", async () => {
  const server = new EbsocketServer(loopback);
  const { connections, events, sink } = recordingSink();
  const served = server.serve(sink);
  await using peer = await Peer.connect(server.address);
  await peer.send("one\ntwo\n");
  await until(() => events.length === 2);
  connections[0]!.send(utf8("last\n"));
  server.close();
  assertEquals(await peer.lines(), ["last", '{"control":"close","reason":"shutdown"}']);
  peer.close();
  await served;
  assertEquals(events, ["open", "2 lines", "close shutdown"]);
});

Deno.test("EbsocketServer.serve() refuses clients beyond maxClients, with the reason", async () => {
  const server = new EbsocketServer(loopback);
  const { events, sink } = recordingSink();
  const served = server.serve(sink, { maxClients: 1 });
  {
    await using one = await Peer.connect(server.address);
    await until(() => events.length === 1);
    await using two = await Peer.connect(server.address);
    assertEquals(await two.lines(), [
      '{"control":"close","reason":"too-many-clients",' +
      '"detail":"the server takes no more than 1"}',
    ]);
    assertEquals(one.text, "");
  }
  await until(() => events.includes("close eof"));
  await using _ = await Peer.connect(server.address);
  await until(() => events.length === 4);
  assertEquals(events, ["open", "refuse too-many-clients", "close eof", "open"]);
  server.close();
  await served;
});

Deno.test("EbsocketServer.serve() checks every option at the call", () => {
  const server = new EbsocketServer(loopback);
  const { sink } = recordingSink();
  assertThrows(() => server.serve(sink, { maxClients: 0 }), RangeError, "maxClients");
  assertThrows(() => server.serve(sink, { maxLineBytes: 0 }), RangeError, "maxLineBytes");
  assertThrows(() => server.serve(sink, { maxPendingBytes: 0 }), RangeError, "maxPendingBytes");
  server.close();
});
