// HTTP on the port of a server: what is answered, what becomes a client, and who notices.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import type { CloseInfo } from "../../errors.ts";
import type { RelayOptions } from "../../relay.ts";
import { EventStreamCodec } from "../../net/event_stream.ts";
import type { AdmissionSink } from "../../server/options.ts";
import { EbsocketServer, type ServerSink } from "../../server.ts";
import type { WebAnswer } from "../../web/answer.ts";
import { Peer } from "../support/peer.ts";
import { join, newRelay } from "../support/relay.ts";
import { pause, until } from "../support/waiting.ts";
import { clientFrame, WebPeer } from "../support/web_peer.ts";

/** A relay that browsers may use, with a record of its clients. */
function newWebRelay(options: RelayOptions = {}) {
  const log: string[] = [];
  const ends: CloseInfo[] = [];
  const relay = newRelay({
    web: {},
    ...options,
    observer: {
      onJoin: ({ id }) => void log.push(`join ${id}`),
      onLeave({ id }, info) {
        log.push(`leave ${id} ${info.reason}`);
        ends.push(info);
      },
      onRefuse: (_, reason, detail) => void log.push(`refuse ${reason}: ${detail}`),
    },
  });
  return { relay, log, ends };
}

/** Sends one request and gives the whole answer. */
async function ask(address: readonly [string, number], request: string): Promise<string> {
  await using peer = await Peer.connect(address);
  await peer.send(request);
  await peer.lines();
  return peer.text;
}

/** Returns a request with a Host field. */
function get(path: string, fields = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${fields}\r\n`;
}

Deno.test("an HTTP request is answered and is no client", async () => {
  const { relay, log } = newWebRelay();
  await using _relay = relay;
  const answer = await ask(relay.server.address, get("/nowhere"));
  assertMatch(answer, /^HTTP\/1\.1 404 Not Found\r\n/);
  assertStringIncludes(answer, "Connection: close\r\n");
  assertEquals(log, []);
  assertEquals(relay.stats().clientsTotal, 0);
});

Deno.test("a relay without web refuses HTTP as before", async () => {
  await using relay = newRelay();
  assertMatch(await ask(relay.server.address, get("/")), /^HTTP\/1\.1 400 .*--web/s);
});

Deno.test("events for a peer that turns out to speak HTTP never precede the answer", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using browser = await Peer.connect(relay.server.address);
  await using publisher = await Peer.connect(relay.server.address);
  await publisher.send('{"event":"a"}\n'.repeat(100));
  await publisher.sees('{"event":"a"}');
  await browser.send(get("/nowhere"));
  await browser.lines();
  assertMatch(browser.text, /^HTTP/);
  assertEquals(browser.text.includes('"event"'), false);
});

Deno.test("a silent peer receives what was sent from the moment that it connected", async () => {
  const { relay, log } = newWebRelay();
  await using _relay = relay;
  await using listener = await Peer.connect(relay.server.address);
  await using publisher = await Peer.connect(relay.server.address);
  await publisher.send('{"event":"early"}\n');
  await listener.sees('{"event":"early"}\n');
  assertEquals(log.filter((line) => line.startsWith("join")).length, 2);
});

Deno.test("a browser may use a connection that it has opened long before", async () => {
  const { relay, log } = newWebRelay();
  await using _relay = relay;
  await using browser = await Peer.connect(relay.server.address);
  await until(() => log.length === 1);
  await browser.send(get("/nowhere"));
  await browser.lines();
  assertMatch(browser.text, /^HTTP\/1\.1 404 /);
  assertEquals(log, ["join 1", "leave 1 eof"]);
  assertEquals(relay.stats().clients, 0);
});

Deno.test("a request on a connection that has received events is a bad line", async () => {
  const { relay, log } = newWebRelay();
  await using _relay = relay;
  await using late = await Peer.connect(relay.server.address);
  await using publisher = await Peer.connect(relay.server.address);
  await publisher.send('{"event":"a"}\n');
  await late.sees('{"event":"a"}\n');
  await late.send(get("/nowhere"));
  await late.lines();
  assertMatch(late.text, /^{"event":"a"}\nHTTP\/1\.1 400 /);
  await until(() => log.includes("leave 1 bad-json"));
});

Deno.test("a silent peer does not become a slow consumer while it is held", async () => {
  const { relay, log } = newWebRelay({ echo: false, maxPendingBytes: 1_000_000 });
  await using _relay = relay;
  await using silent = await Peer.connect(relay.server.address);
  await using publisher = await Peer.connect(relay.server.address);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(1000)}"}}\n`;
  for (let i = 0; i < 30; i++) await publisher.send(line.repeat(100));
  await publisher.send('{"event":"last"}\n');
  await silent.sees('{"event":"last"}\n');
  assertEquals(log.filter((line) => line.startsWith("leave")), []);
});

Deno.test("a peer that begins its first line slowly misses no event", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using slow = await Peer.connect(relay.server.address);
  await using publisher = await Peer.connect(relay.server.address);
  await slow.send('{"eve');
  await publisher.send('{"event":"a"}\n');
  await pause(1200);
  assertEquals(slow.text, "");
  await slow.send('nt":"b"}\n');
  await slow.sees('{"event":"a"}\n{"event":"b"}\n');
});

Deno.test("a peer that connects and leaves without a byte is a client that has left", async () => {
  const { relay, log } = newWebRelay();
  await using _relay = relay;
  (await Peer.connect(relay.server.address)).close();
  await until(() => log.length === 2);
  assertEquals(log, ["join 1", "leave 1 eof"]);
  assertEquals(relay.stats().silentPeers, 1);
});

Deno.test("a WebSocket and a TCP client talk through the relay", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  await using tcp = await join(relay);
  await web.say('{"control":"hello"}');
  await web.sees(({ messages }) => messages.length === 1);
  assertEquals(JSON.parse(web.messages[0]!).control, "welcome");
  await web.say('{"event":"one"}\n{"event":"two","__dict__":{"x":1}}');
  await tcp.sees('{"event":"one"}\n{"event":"two","__dict__":{"x":1}}\n');
  await tcp.send('{"event":"three"}\n{"event":"four"}\n');
  await web.sees(({ messages }) => messages.length === 5);
  assertEquals(web.messages.slice(1), [
    '{"event":"one"}',
    '{"event":"two","__dict__":{"x":1}}',
    '{"event":"three"}',
    '{"event":"four"}',
  ]);
  assertEquals(relay.clients.map(({ transport }) => transport).sort(), ["tcp", "websocket"]);
});

Deno.test("a WebSocket of the platform talks with the relay", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  const [, port] = relay.server.address;
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  const { promise: opened, resolve: onOpen } = Promise.withResolvers<unknown>();
  socket.onopen = onOpen;
  await opened;
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.onmessage = ({ data }) => resolve(data);
  socket.send('{"event":"echo"}');
  assertEquals(await promise, '{"event":"echo"}');
  const { promise: closed, resolve: onClose } = Promise.withResolvers<CloseEvent>();
  socket.onclose = onClose;
  await relay.close();
  const { code, reason, wasClean } = await closed;
  assertEquals(code, 1001);
  assertEquals(reason, "shutdown");
  assert(wasClean);
});

Deno.test("a bad line in a message ends the WebSocket; the lines before it count", async () => {
  const { relay, log } = newWebRelay();
  await using _relay = relay;
  await using tcp = await join(relay);
  await using web = await WebPeer.connect(relay.server.address);
  await web.say('{"event":"good"}\nbad\n{"event":"late"}');
  await web.end();
  await tcp.sees('{"event":"good"}');
  assertEquals(tcp.text.includes("late"), false);
  const [good, close] = web.messages;
  assertEquals(good, '{"event":"good"}');
  assertEquals(JSON.parse(close!).reason, "bad-json");
  assertEquals(web.closed, [1003, "bad-json"]);
  await until(() => log.includes("leave 2 bad-json"));
});

Deno.test("a frame that is not masked ends the WebSocket with 1002", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  await web.send(new Uint8Array([0x81, 2, 0x7b, 0x7d]));
  await web.end();
  assertEquals(web.closed, [1002, "bad-frame"]);
});

Deno.test("a Ping is answered, and the end of the peer's choice too", async () => {
  const { relay, ends } = newWebRelay();
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  await web.send(clientFrame("are you there", { opcode: 9 }));
  await web.sees(({ control }) => control.length === 1);
  assertEquals(web.control, ["pong are you there"]);
  await web.send(clientFrame(new Uint8Array([0x03, 0xe9]), { opcode: 8 }));
  await web.end();
  assertEquals(web.closed, [1000, "eof"]);
  assertEquals(ends.map(({ reason, detail }) => [reason, detail]), [
    ["eof", "WebSocket close code 1001"],
  ]);
});

Deno.test("a WebSocket that sends nothing but Pings is closed", async () => {
  const { relay, ends } = newWebRelay();
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  const pings = new Uint8Array(6 * 1000).map((_, i) => [0x89, 0x80, 0, 0, 0, 0][i % 6]!);
  for (let i = 0; i < 10_000 && !web.hasEnded; i++) await web.send(pings).catch(() => {});
  await web.end();
  await until(() => ends.length === 1);
  assertEquals(ends[0]!.reason, "rate-limited");
  assertMatch(ends[0]!.detail, /^it sent \d+ frames without text within \d+ ms$/);
});

Deno.test("an idle WebSocket is pinged, and one that does not answer is closed", async () => {
  const { relay, ends } = newWebRelay({ keepAliveInterval: 600, keepAliveTimeout: 500 });
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  await web.end();
  assertEquals(web.control[0], "ping");
  assertEquals(web.closed, [1001, "idle-timeout"]);
  await until(() => ends.length === 1);
  assertEquals(ends[0]!.reason, "idle-timeout");
});

Deno.test("a WebSocket that answers Pings stays", async () => {
  const { relay, ends } = newWebRelay({ keepAliveInterval: 600, keepAliveTimeout: 500 });
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  for (let i = 1; i <= 5; i++) {
    await web.sees(({ control }) => control.length === i);
    await web.send(clientFrame("", { opcode: 10 }));
  }
  assertEquals(ends, []);
});

Deno.test("a WebSocket that has promised signs of life gets empty messages", async () => {
  const { relay } = newWebRelay({ keepAliveInterval: 600 });
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  await web.say('{"control":"hello","keep_alive_ms":60000}');
  await web.sees(({ messages }) => messages.length === 2);
  assertEquals(web.messages[1], "");
  assertEquals(web.control, []);
});

Deno.test("a WebSocket that asks for numbers gets them", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  await using tcp = await join(relay);
  await web.say('{"control":"hello","sequence":true}');
  await web.sees(({ messages }) => messages.length === 1);
  const texts = ["x", "x".repeat(80), "x".repeat(125), "x".repeat(65_500), "x".repeat(900_000)];
  const lines = texts.map((x) => `{"event":"a","__dict__":{"x":"${x}"}}`);
  await tcp.send(`${lines.join("\n")}\n`);
  await web.sees(({ messages }) => messages.length === 1 + lines.length);
  const numbered = lines.map((line, i) => line.replace("{", `{"seq":${i + 1},`));
  assertEquals(web.messages.slice(1), numbered);
});

Deno.test("a WebSocket with a window gets no more events than it has read", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  await using tcp = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(966)}"}}`;
  assertEquals(line.length, 999);
  await web.say(
    '{"control":"hello","window":20000}\n{"control":"subscribe","events":["a"],"id":"1"}',
  );
  await web.sees(({ messages }) => messages.length === 2);
  await tcp.send(`${line}\n`.repeat(100));
  await tcp.send('{"event":"b"}\n');
  await tcp.sees('{"event":"b"}');
  await web.sees(({ messages }) => messages.length === 22);
  await web.say('{"control":"read","bytes":20000}');
  await web.sees(({ messages }) => messages.length === 42);
  await web.say('{"control":"read","bytes":5500}');
  await web.sees(({ messages }) => messages.length === 48);
  for (const count of [68, 88, 102]) {
    await web.say('{"control":"read","bytes":20000}');
    await web.sees(({ messages }) => messages.length === count);
  }
  assertEquals(new Set(web.messages.slice(2)), new Set([line]));
});

Deno.test("a WebSocket without room for events is a slow consumer after the write time-out, and nobody waits for it", async () => {
  const { relay, ends } = newWebRelay({ writeTimeout: 1000, maxPendingBytes: 100_000 });
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  await using tcp = await join(relay);
  await web.say('{"control":"hello","window":1}\n{"control":"subscribe","events":["a"],"id":"1"}');
  await web.sees(({ messages }) => messages.length === 2);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(966)}"}}\n`;
  await tcp.send(line.repeat(80));
  const before = performance.now();
  await tcp.send('{"event":"b"}\n');
  await tcp.sees('{"event":"b"}');
  const waited = performance.now() - before;
  await web.end();
  assertEquals(web.closed, [1013, "slow-consumer"]);
  await until(() => ends.length === 1);
  assertEquals(ends[0]!.detail, "the peer made no room for events within 1000 ms");
  assert(waited < 900, `${waited} ms`);
});

Deno.test("a relay with a token lets a WebSocket in that says it", async () => {
  const { relay, log } = newWebRelay({ token: "s3cret" });
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  await web.say('{"control":"hello","token":"s3cret"}\n{"event":"a"}');
  await web.sees(({ messages }) => messages.length === 2);
  assertEquals(log, ["join 1"]);
});

Deno.test("a relay with a token refuses a WebSocket that does not say it", async () => {
  const { relay, log } = newWebRelay({ token: "s3cret" });
  await using _relay = relay;
  await using web = await WebPeer.connect(relay.server.address);
  await web.say('{"control":"hello","token":"guess"}');
  await web.end();
  assertEquals(JSON.parse(web.messages[0]!).reason, "unauthorized");
  assertEquals(web.closed, [1008, "unauthorized"]);
  assertEquals(log, ["refuse unauthorized: the token is wrong"]);
});

Deno.test("a relay with a token answers HTTP", async () => {
  const { relay } = newWebRelay({ token: "s3cret" });
  await using _relay = relay;
  assertMatch(await ask(relay.server.address, get("/nowhere")), /^HTTP\/1\.1 404 /);
});

Deno.test("a page of another origin is told in words that name the flag", async () => {
  const { relay, log } = newWebRelay();
  await using _relay = relay;
  const fields = { Origin: "https://evil.example" };
  await using web = await WebPeer.connect(relay.server.address, { fields });
  await web.say('{"event":"a"}');
  await web.end();
  const { control, reason, detail } = JSON.parse(web.messages[0]!);
  assertEquals([control, reason], ["close", "unauthorized"]);
  assertStringIncludes(detail, "--web-origin");
  assertEquals(web.closed, [1008, "unauthorized"]);
  assertEquals(log.length, 1);
  assertEquals(relay.stats().eventsIn, 0);
});

Deno.test("a page of a listed origin joins", async () => {
  const { relay } = newWebRelay({ web: { origins: ["https://chat.example"] } });
  await using _relay = relay;
  const fields = { Origin: "https://chat.example" };
  await using web = await WebPeer.connect(relay.server.address, { fields });
  await web.say('{"event":"a"}');
  await web.sees(({ messages }) => messages.length === 1);
});

Deno.test("a full relay answers HTTP, and tells a WebSocket that it is full", async () => {
  const { relay, log } = newWebRelay({ maxClients: 1 });
  await using _relay = relay;
  await using _client = await join(relay);
  assertMatch(await ask(relay.server.address, get("/nowhere")), /^HTTP\/1\.1 404 /);
  await using web = await WebPeer.connect(relay.server.address);
  await web.end();
  assertEquals(web.closed, [1013, "too-many-clients"]);
  await using tcp = await Peer.connect(relay.server.address);
  assertStringIncludes((await tcp.lines())[0]!, "too-many-clients");
  assertEquals(log.filter((line) => line.startsWith("refuse too-many")).length, 2);
});

Deno.test("a request that does not end in time is answered with 408", async () => {
  const { relay } = newWebRelay({ helloTimeout: 300 });
  await using _relay = relay;
  await using peer = await Peer.connect(relay.server.address);
  await peer.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n");
  await peer.lines();
  assertMatch(peer.text, /^HTTP\/1\.1 408 /);
});

Deno.test("a head that is too long is answered with 431", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  const long = `X-Long: ${"x".repeat(9000)}`;
  assertMatch(await ask(relay.server.address, get("/", `${long}\r\n`)), /^HTTP\/1\.1 431 /);
  const endless = get("/", long).slice(0, -4);
  assertMatch(await ask(relay.server.address, endless), /^HTTP\/1\.1 431 /);
});

Deno.test("a second request on a connection is not read", async () => {
  const { relay, log } = newWebRelay();
  await using _relay = relay;
  const answer = await ask(relay.server.address, get("/nowhere") + get("/elsewhere"));
  assertEquals(answer.match(/HTTP\/1\.1/g)!.length, 1);
  assertEquals(log, []);
});

Deno.test("a WebSocket that does not wait for the answer is refused", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const request = new TextEncoder().encode(get("/ws", upgrade));
  await using peer = await Peer.connect(relay.server.address);
  await peer.send(new Uint8Array([...request, ...clientFrame('{"event":"a"}')]));
  await peer.lines();
  assertMatch(peer.text, /^HTTP\/1\.1 400 /);
  assertEquals(relay.stats().eventsIn, 0);
});

Deno.test("a POST is a bad line of a peer that is no client", async () => {
  const { relay, log } = newWebRelay();
  await using _relay = relay;
  const answer = await ask(
    relay.server.address,
    'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 14\r\n\r\n{"event":"a"}\n',
  );
  assertMatch(answer, /^HTTP\/1\.1 400 /);
  assertEquals(log, ["refuse bad-json: this looks like HTTP"]);
  assertEquals(relay.stats().eventsIn, 0);
});

Deno.test("a server of one's own hands out WebSocket clients", async () => {
  const calls: string[] = [];
  const sink: ServerSink = {
    onOpen: ({ transport }) => void calls.push(`open ${transport}`),
    onLines: (connection, lines) => {
      calls.push(new TextDecoder().decode(lines.bytes));
      connection.send(new TextEncoder().encode('{"event":"answer"}\n'));
    },
    onClose: (_, { reason }) => void calls.push(`close ${reason}`),
  };
  const server = new EbsocketServer({ hostname: "127.0.0.1", web: {} });
  const served = server.serve(sink);
  {
    await using web = await WebPeer.connect(server.address);
    await web.say('{"event":"question"}');
    await web.sees(({ messages }) => messages.length === 1);
    assertEquals(web.messages, ['{"event":"answer"}']);
  }
  await until(() => calls.length === 3);
  assertEquals(calls, ["open websocket", '{"event":"question"}\n', "close eof"]);
  server.close();
  await served;
});

Deno.test("a relay refuses what pages of other sites and hidden names send, on every path", async () => {
  const { relay, log } = newWebRelay();
  await using _relay = relay;
  const attacks: [name: string, host: string, fields: string][] = [
    ["another origin", "127.0.0.1", "Origin: https://evil.example\r\n"],
    ["another port of this machine", "localhost", "Origin: http://localhost:3000\r\n"],
    ["no origin", "127.0.0.1", "Origin: null\r\n"],
    ["a file", "127.0.0.1", "Origin: file://\r\n"],
    ["a rebound name", "evil.example", ""],
    ["a rebound name and its own origin", "evil.example", "Origin: http://evil.example\r\n"],
    ["an image or a script", "127.0.0.1", "Sec-Fetch-Site: cross-site\r\n"],
    ["a proxy that hides the name", "127.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n"],
    ["a proxy that tells another name", "127.0.0.1", "X-Forwarded-Host: evil.example\r\n"],
  ];
  for (const path of ["/", "/events", "/metrics", "/healthz", "/nowhere"]) {
    for (const [name, host, fields] of attacks) {
      const request = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`;
      const answer = await ask(relay.server.address, request);
      assertMatch(answer, /^HTTP\/1\.1 403 .*--web-(?:host|origin) /s, `${name} at ${path}`);
    }
  }
  for (const [name, host, fields] of attacks.slice(4)) {
    const answer = await ask(
      relay.server.address,
      `GET /ws HTTP/1.1\r\nHost: ${host}\r\n${fields}Connection: Upgrade\r\n` +
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert(/^HTTP\/1\.1 (403|101) /.test(answer), name);
    assertEquals(answer.includes("welcome"), false);
  }
  assertEquals(log.filter((line) => line.startsWith("join")), []);
});

Deno.test("a relay answers a wrong upgrade with what it expected", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  const upgrade = (version: string, key: string) =>
    get(
      "/ws",
      `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: ${version}\r\n` +
        `Sec-WebSocket-Key: ${key}\r\n`,
    );
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  const old = await ask(relay.server.address, upgrade("8", key));
  assertMatch(old, /^HTTP\/1\.1 426 .*Sec-WebSocket-Version: 13\r\n.*expected 13/s);
  const short = await ask(relay.server.address, upgrade("13", "c2hvcnQ="));
  assertMatch(short, /^HTTP\/1\.1 400 .*16 bytes/s);
  assertMatch(await ask(relay.server.address, get("/ws")), /^HTTP\/1\.1 426 /);
});

Deno.test("any bytes to a relay with web end in lines or one answer, and hurt nobody", async () => {
  const { relay } = newWebRelay({ helloTimeout: 500 });
  await using _relay = relay;
  await using calm = await join(relay);
  const heads = ["", "GET / HTTP/1.1\r\n", "HEAD /ws HTTP/1.1\r\nHost: a\r\n\r\n", "GET ", "G"];
  await Promise.all(heads.flatMap((head) =>
    Array.from({ length: 20 }, async (_, i) => {
      await using peer = await Peer.connect(relay.server.address);
      const bytes = crypto.getRandomValues(new Uint8Array(1 + 37 * i));
      await peer.send(new Uint8Array([...new TextEncoder().encode(head), ...bytes]));
      await peer.conn.closeWrite().catch(() => {});
      await peer.lines().catch(() => {});
    })
  ));
  await calm.send('{"event":"still here"}\n');
  await calm.sees('{"event":"still here"}');
});

Deno.test("a request that the program fails to answer is told why, and the next one is answered", async () => {
  const answers: (() => Promise<WebAnswer | null>)[] = [
    () => Promise.reject(new Error("no such file")),
    () => Promise.resolve({ kind: "response", status: 200, headers: {}, body: "here" }),
  ];
  const refused: string[] = [];
  const sink: AdmissionSink = {
    onOpen: () => {},
    onLines: () => {},
    onClose: () => {},
    onRefuse: (_, reason, detail) => void refused.push(`${reason}: ${detail}`),
    onRequest: () => answers.shift()!(),
  };
  const server = new EbsocketServer({ hostname: "127.0.0.1", web: {} });
  const served = server.serve(sink);
  const failed = await ask(server.address, get("/"));
  assertMatch(failed, /^HTTP\/1\.1 500 Internal Server Error\r\n/);
  assertStringIncludes(failed, "The server failed to answer. Its log says why");
  assertEquals(refused, ["aborted: no such file"]);
  assertMatch(await ask(server.address, get("/")), /^HTTP\/1\.1 200 OK\r\n.*here$/s);
  server.close();
  await served;
});

Deno.test("a peer may leave before its answer is ready, or wait longer than a head may take", async () => {
  const { promise, resolve } = Promise.withResolvers<WebAnswer>();
  const sink: AdmissionSink = {
    onOpen: () => {},
    onLines: () => {},
    onClose: () => {},
    onRequest: () => promise,
  };
  const server = new EbsocketServer({ hostname: "127.0.0.1", web: {} });
  const served = server.serve(sink, { helloTimeout: 300 });
  {
    await using gone = await Peer.connect(server.address);
    await gone.send(get("/"));
  }
  await using patient = await Peer.connect(server.address);
  await patient.send(get("/"));
  await pause(1000);
  resolve({ kind: "response", status: 200, headers: {}, body: "late" });
  await patient.lines();
  assertMatch(patient.text, /^HTTP\/1\.1 200 OK\r\n.*late$/s);
  server.close();
  await served;
});

Deno.test("bytes behind a request that waits for its answer are never read, however many", async () => {
  const refused: string[] = [];
  const answer: WebAnswer = { kind: "response", status: 200, headers: {}, body: "here" };
  const codec = new EventStreamCodec();
  const stream: WebAnswer = { kind: "events", headers: {}, codec, lines: new Uint8Array(0) };
  const sink: AdmissionSink = {
    onOpen: () => {},
    onLines: () => {},
    onClose: () => {},
    onRefuse: (_, reason) => void refused.push(reason),
    onRequest: ({ path }) => Promise.resolve(path === "/events" ? stream : answer),
  };
  const server = new EbsocketServer({ hostname: "127.0.0.1", web: {} });
  const served = server.serve(sink);
  const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  for (
    const [request, status] of [
      [get("/"), "200 OK"],
      [get("/events"), "400 Bad Request"],
      [get("/ws", upgrade), "400 Bad Request"],
      [get("/", "Origin: http://x.example\r\n"), "403 Forbidden"],
    ]
  ) {
    // The end of a long head is read together with much of what follows.
    for (const length of [0, 6000, 7000, 7800]) {
      const head = request!.replace("\r\n", `\r\nX-Pad: ${"x".repeat(length)}\r\n`);
      const text = await ask(server.address, head + "x".repeat(60_000));
      assertStringIncludes(text.slice(0, 40), `HTTP/1.1 ${status}\r\n`, `${request}${length}`);
    }
  }
  assertEquals(refused.length, 12);
  server.close();
  await served;
});

Deno.test("600 requests that are answered together all get a long answer", async () => {
  const { promise, resolve } = Promise.withResolvers<WebAnswer>();
  let waiting = 0;
  const sink: AdmissionSink = {
    onOpen: () => {},
    onLines: () => {},
    onClose: () => {},
    onRequest() {
      waiting++;
      return promise;
    },
  };
  const server = new EbsocketServer({ hostname: "127.0.0.1", web: {} });
  const served = server.serve(sink);
  const answers = Array.from({ length: 600 }, () => ask(server.address, get("/")));
  await until(() => waiting === 600);
  resolve({ kind: "response", status: 200, headers: {}, body: "x".repeat(70_000) });
  for (const answer of await Promise.all(answers)) assertGreater(answer.length, 70_000);
  server.close();
  await served;
});
