// The routes of a relay besides WebSocket, as programs use them: fetch, curl, Prometheus, and a
// reader of server-sent events.

import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertMatch } from "@std/assert/match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { EventStreamReader, type Message } from "../support/event_stream.ts";
import { TempFolder } from "../support/folder.ts";
import { freePort } from "../support/free_port.ts";
import { Peer } from "../support/peer.ts";
import { canRun, Program } from "../support/process.ts";
import { join, newRelay } from "../support/relay.ts";
import { eventually, until } from "../support/waiting.ts";

const hasCurl = canRun("curl", ["--version"]);

/** A relay that answers HTTP, and the beginning of its URLs. */
function newWebRelay(options: RelayOptions = {}): { relay: Relay; url: string } {
  const relay = newRelay({ web: {}, ...options });
  return { relay, url: `http://127.0.0.1:${relay.server.address[1]}` };
}

/** The answer to one request with these fields. */
async function ask(relay: Relay, path: string, ...fields: string[]): Promise<string> {
  await using peer = await request(relay, path, ...fields);
  await peer.lines();
  return peer.text;
}

async function request(relay: Relay, path: string, ...fields: string[]): Promise<Peer> {
  const peer = await Peer.connect(relay.server.address);
  const hasHost = fields.some((field) => field.startsWith("Host:"));
  const lines = [`GET ${path} HTTP/1.1`, ...(hasHost ? [] : ["Host: 127.0.0.1"]), ...fields];
  await peer.send(`${lines.join("\r\n")}\r\n\r\n`);
  return peer;
}

/** Asks for a stream, and waits until its client has subscribed. */
async function listen(relay: Relay, path: string, ...fields: string[]): Promise<Peer> {
  const before = relay.clients.length;
  const peer = await request(relay, path, ...fields);
  await peer.sees("\r\n\r\n");
  await until(() => relay.clients.length > before);
  return peer;
}

function readerOf({ text }: Peer): EventStreamReader {
  return new EventStreamReader().push(text.slice(text.indexOf("\r\n\r\n") + 4));
}

function messagesOf(peer: Peer): Message[] {
  return readerOf(peer).messages;
}

Deno.test("/metrics has the figures of the relay", async () => {
  const { relay, url } = newWebRelay();
  await using _relay = relay;
  await using one = await join(relay);
  await using two = await join(relay);
  await one.send('{"event":"a"}\n');
  await two.sees("a");
  const response = await fetch(`${url}/metrics`);
  const text = await response.text();
  assertStrictEquals(response.status, 200);
  assertStringIncludes(response.headers.get("content-type")!, "text/plain; version=0.0.4");
  assertStringIncludes(text, "\nebsockets_clients 2\n");
  assertStringIncludes(text, '\nebsockets_events_total{network_io_direction="receive"} 1\n');
  assertStringIncludes(text, '\nebsockets_events_total{network_io_direction="transmit"} 2\n');
});

Deno.test("A request for /metrics is no client", async () => {
  const { relay, url } = newWebRelay();
  await using _relay = relay;
  for (let i = 0; i < 3; i++) await (await fetch(`${url}/metrics`)).body!.cancel();
  assertStrictEquals(relay.stats().clientsTotal, 0);
});

Deno.test({
  name: "/metrics passes promtool check metrics",
  ignore: !hasCurl || !canRun("promtool", ["--version"]),
  async fn() {
    const { relay, url } = newWebRelay();
    await using _relay = relay;
    const pipe = `curl -sS ${url}/metrics | promtool check metrics`;
    await using shell = new Program("sh", ["-c", pipe]);
    const { code, stdout, stderr } = await shell.end();
    assertEquals(stdout + stderr, "");
    assertStrictEquals(code, 0);
  },
});

/** The value of a metric, by Prometheus. */
async function query(port: number, metric: string): Promise<string | undefined> {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${metric}`);
  const { data } = await response.json();
  return data?.result[0]?.value[1];
}

Deno.test({
  name: "Prometheus collects the metrics with the settings in docs/monitoring.md",
  ignore: !canRun("prometheus", ["--version"]),
  async fn() {
    const { relay } = newWebRelay();
    await using _relay = relay;
    await using _client = await join(relay);
    const page = await Deno.readTextFile(new URL("../../docs/monitoring.md", import.meta.url));
    const [, settings] = /```yaml\n(# prometheus\.yml\n[^]*?)```/.exec(page)!;
    using folder = new TempFolder();
    const file = `${folder.path}/prometheus.yml`;
    const often = "global: { scrape_interval: 1s, scrape_timeout: 1s }\n";
    await Deno.writeTextFile(
      file,
      often + settings!.replace("7982", `${relay.server.address[1]}`),
    );
    const port = freePort();
    await using _prometheus = new Program("prometheus", [
      `--config.file=${file}`,
      `--storage.tsdb.path=${folder.path}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]);
    await eventually(async () => {
      assertStrictEquals(await query(port, "ebsockets_clients"), "1");
      assertStrictEquals(await query(port, "up"), "1");
    }, 100);
  },
});

Deno.test("/healthz is 200 and ok", async () => {
  const { relay, url } = newWebRelay();
  await using _relay = relay;
  const response = await fetch(`${url}/healthz`);
  assertStrictEquals(response.status, 200);
  assertStrictEquals(await response.text(), "ok\n");
});

Deno.test("/healthz answers a check with HTTP/1.0 and without a Host", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using peer = await Peer.connect(relay.server.address);
  await peer.send("GET /healthz HTTP/1.0\r\n\r\n");
  await peer.lines();
  assertMatch(peer.text, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok\n$/);
});

Deno.test("/healthz is 503 with the reason while the queues are nearly full", async () => {
  const { relay, url } = newWebRelay({ maxTotalPendingBytes: 4_000_000 });
  await using _relay = relay;
  await using _silent = await join(relay, { silent: true });
  await using publisher = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(50_000)}"}}\n`;
  const isNearlyFull = () => relay.stats().pendingBytes > 3_600_000;
  for (let sent = 0; !isNearlyFull(); sent++) {
    await publisher.send(line);
    await until(() => relay.stats().eventsIn > sent);
  }
  const response = await fetch(`${url}/healthz`);
  assertMatch(await response.text(), /^\d+ bytes are queued .* at most 3600000: /);
  assertStrictEquals(response.status, 503);
});

Deno.test({
  name: "curl -f succeeds for a relay that is well, and HEAD has no body",
  ignore: !hasCurl,
  async fn() {
    const { relay, url } = newWebRelay();
    await using _relay = relay;
    await using curl = new Program("curl", ["-fsS", `${url}/healthz`]);
    assertEquals(await curl.end(), { code: 0, stdout: "ok\n", stderr: "" });
    await using head = new Program("curl", ["-sSI", `${url}/healthz`]);
    const { stdout } = await head.end();
    assertMatch(stdout, /^HTTP\/1\.1 200 OK\r\n[^]*Content-Length: 3\r\n\r\n$/);
  },
});

Deno.test({
  name: "A relay at a Unix socket lets this machine watch",
  ignore: !hasCurl || Deno.build.os === "windows",
  async fn() {
    using folder = new TempFolder();
    const path = `${folder.path}/relay.sock`;
    await using _relay = new Relay(new EbsocketServer({ path }), { web: {} });
    const args = ["-fsS", "--unix-socket", path, "http://localhost/healthz"];
    await using curl = new Program("curl", args);
    assertEquals(await curl.end(), { code: 0, stdout: "ok\n", stderr: "" });
  },
});

/** What a request has that a proxy passes on. */
const PROXIED = ["Host: relay.example", "X-Forwarded-For: 203.0.113.7"];

Deno.test("A request from elsewhere needs the token, or open metrics", async () => {
  const web = { hosts: ["relay.example"] };
  const bearer = "Authorization: Bearer s3cret";
  for (const path of ["/metrics", "/healthz"]) {
    const table = [
      [{ web }, [], /^HTTP\/1\.1 403 [^]*--metrics-open/],
      [{ web, token: "s3cret" }, [], /^HTTP\/1\.1 401 [^]*WWW-Authenticate: Bearer\r\n/],
      [{ web, token: "s3cret" }, ["Authorization: Bearer x"], /^HTTP\/1\.1 401 /],
      [{ web, token: "s3cret" }, [bearer], /^HTTP\/1\.1 200 /],
      [{ web: { ...web, metricsOpen: true } }, [], /^HTTP\/1\.1 200 /],
    ] as const;
    for (const [options, fields, expected] of table) {
      const { relay } = newWebRelay(options);
      await using _relay = relay;
      assertMatch(await ask(relay, path, ...PROXIED, ...fields), expected);
    }
  }
});

Deno.test("This machine needs no token to watch", async () => {
  const { relay, url } = newWebRelay({ token: "s3cret" });
  await using _relay = relay;
  assertStrictEquals(await (await fetch(`${url}/healthz`)).text(), "ok\n");
});

Deno.test("/events sends the events that match, in order, and no others", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using listener = await listen(relay, "/events?name=chat.*&name=news");
  await using publisher = await join(relay);
  const lines = [
    '{"event":"chat.a","__dict__":{"text":"Grüße"}}',
    '{"event":"chat.a.b"}',
    '{"event":"other"}',
    '{"event":"news"}',
  ];
  await publisher.send(`${lines.join("\n")}\n`);
  await listener.sees("news");
  assertEquals(messagesOf(listener), [
    { type: "message", data: lines[0]! },
    { type: "message", data: lines[3]! },
  ]);
});

Deno.test("/events without a name sends every event, also where clients hear nothing at first", async () => {
  const { relay } = newWebRelay({ subscribeFirst: true });
  await using _relay = relay;
  await using listener = await listen(relay, "/events");
  await using publisher = await join(relay);
  await publisher.send('{"event":"a"}\n{"event":"b.c"}\n');
  await listener.sees("b.c");
  assertEquals(messagesOf(listener).map(({ data }) => JSON.parse(data).event), ["a", "b.c"]);
});

Deno.test("/events leaves the carriage returns in an event out of the stream", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using listener = await listen(relay, "/events");
  await using publisher = await join(relay);
  await publisher.send('{\r"event":\r"a"}\r\n');
  await listener.sees("}\n\n");
  const [message] = messagesOf(listener);
  assertEquals(JSON.parse(message!.data), { event: "a" });
});

Deno.test("/events ends with the reason as a message of its own type", async () => {
  const { relay } = newWebRelay();
  await using listener = await listen(relay, "/events");
  await relay.close();
  await listener.lines();
  const [message, ...others] = messagesOf(listener);
  assertStrictEquals(message!.type, "close");
  assertStrictEquals(JSON.parse(message!.data).reason, "shutdown");
  assertEquals(others, []);
});

Deno.test("/events closes a reader that reads nothing, as any other client", async () => {
  const left: string[] = [];
  const observer: RelayOptions["observer"] = {
    onLeave: ({ transport }, { reason }) => void left.push(`${transport} ${reason}`),
  };
  const { relay } = newWebRelay({ maxPendingBytes: 1_000_000, maxHold: 0, observer });
  await using _relay = relay;
  await using publisher = await join(relay);
  await publisher.send('{"control":"subscribe","events":[]}\n');
  await using silent = await Peer.connect(relay.server.address, { silent: true });
  await silent.send("GET /events?name=a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  await until(() => relay.clients.length === 2);
  const lines = `{"event":"a","__dict__":{"x":"${"x".repeat(50_000)}"}}\n`.repeat(10);
  while (left.length === 0) {
    const { eventsIn } = relay.stats();
    await publisher.send(lines);
    await until(() => relay.stats().eventsIn === eventsIn + 10);
  }
  assertEquals(left, ["event-stream slow-consumer"]);
});

Deno.test("/events is a client of the relay, which counts and names it", async () => {
  const log: string[] = [];
  const { relay } = newWebRelay({
    observer: {
      onJoin: () => void log.push("join"),
      onLeave: (_, { reason }) => void log.push(`leave ${reason}`),
    },
  });
  await using _relay = relay;
  const listener = await listen(relay, "/events?name=a");
  const [client] = relay.clients;
  assertStrictEquals(client!.transport, "event-stream");
  await using publisher = await join(relay);
  await publisher.send('{"event":"a"}\n{"event":"b"}\n');
  await listener.sees("data:");
  assertStrictEquals(client!.eventsOut, 1);
  assertStrictEquals(client!.eventsIn, 0);
  listener.close();
  await until(() => log.length === 3);
  assertMatch(log[2]!, /^leave (eof|reset)$/);
});

Deno.test("/events takes nothing from its reader after the request", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using listener = await listen(relay, "/events?name=a");
  await listener.send('{"event":"evil"}\nGET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  await using publisher = await join(relay);
  await publisher.send('{"event":"a"}\n');
  await listener.sees("data:");
  assertEquals(messagesOf(listener), [{ type: "message", data: '{"event":"a"}' }]);
  assertStrictEquals(relay.stats().eventsIn, 1);
});

Deno.test("/events sends comments while there is nothing to send", async () => {
  const { relay } = newWebRelay({ keepAliveInterval: 300 });
  await using _relay = relay;
  await using listener = await listen(relay, "/events");
  await listener.sees("\n:\n\n:\n\n:\n\n");
  assertEquals(messagesOf(listener), []);
});

Deno.test("/events begins with a comment, before there is anything to send", async () => {
  const { relay } = newWebRelay();
  await using _relay = relay;
  await using listener = await listen(relay, "/events");
  await listener.sees("\r\n\r\n:\n\n");
});

Deno.test("/events sends no event to a client whose patterns are refused, but the reason", async () => {
  const { relay } = newWebRelay({ maxSubscriptions: 2 });
  await using _relay = relay;
  await using listener = await listen(relay, "/events?name=a&name=b&name=c");
  await using publisher = await join(relay);
  await publisher.send('{"event":"a"}\n');
  await publisher.sees("a");
  await listener.sees("control");
  const [message, ...others] = messagesOf(listener);
  assertStrictEquals(message!.type, "control");
  assertStrictEquals(JSON.parse(message!.data).reason, "too-many-subscriptions");
  assertEquals(others, []);
});

Deno.test("/events names the parameter or the pattern that is wrong", async () => {
  const { relay, url } = newWebRelay();
  await using _relay = relay;
  for (
    const [query, expected] of [
      ["nam=a", 'Unknown parameter "nam"'],
      ["name=%3E.a", 'Invalid pattern ">.a"'],
    ] as const
  ) {
    const response = await fetch(`${url}/events?${query}`);
    assertStrictEquals(response.status, 400);
    assertStringIncludes(await response.text(), expected);
  }
  assertStrictEquals(relay.stats().clientsTotal, 0);
});

Deno.test("/events of a relay with a token needs it, from this machine too", async () => {
  const { relay } = newWebRelay({ token: "s3cret" });
  await using _relay = relay;
  assertMatch(await ask(relay, "/events"), /^HTTP\/1\.1 401 [^]*WWW-Authenticate: Bearer\r\n/);
  await using listener = await listen(relay, "/events", "Authorization: Bearer s3cret");
  await using publisher = await Peer.connect(relay.server.address);
  await publisher.send('{"control":"hello","token":"s3cret"}\n{"event":"a"}\n');
  await listener.sees("data:");
  assertEquals(messagesOf(listener), [{ type: "message", data: '{"event":"a"}' }]);
});

Deno.test({
  name: "curl -N is a client",
  ignore: !hasCurl,
  async fn() {
    const { relay, url } = newWebRelay();
    await using curl = new Program("curl", ["-sSN", `${url}/events?name=chat.*`]);
    await until(() => relay.clients.length === 1);
    await using publisher = await join(relay);
    await publisher.send('{"event":"chat.a"}\n');
    await curl.expect(/^:\n\ndata: \{"event":"chat\.a"\}\n\n/);
    await relay.close();
    const { code, stdout, stderr } = await curl.end();
    assertStringIncludes(stdout, '"reason":"shutdown"');
    assertMatch(stdout, /\nevent: close\n\n$/);
    assertStrictEquals(stderr, "");
    assertStrictEquals(code, 0);
  },
});

Deno.test({
  name: "HEAD of /events has the head of a stream, and makes no client",
  ignore: !hasCurl,
  async fn() {
    const { relay, url } = newWebRelay();
    await using _relay = relay;
    await using curl = new Program("curl", ["-sSI", `${url}/events`]);
    const { stdout } = await curl.end();
    assertMatch(stdout, /^HTTP\/1\.1 200 OK\r\n[^]*Content-Type: text\/event-stream\r\n/);
    assertFalse(stdout.includes("data:"));
    assertStrictEquals(relay.stats().clientsTotal, 0);
  },
});
