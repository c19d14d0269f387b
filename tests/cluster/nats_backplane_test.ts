// The backplane over a real nats-server: one that is killed, frozen, protected, or something else.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertLess } from "@std/assert/less";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { EbsocketClient } from "../../client.ts";
import { NatsBackplane } from "../../cluster/nats_backplane.ts";
import type { BackplaneSink } from "../../cluster/backplane.ts";
import type { ClusterOptions } from "../../cluster/options.ts";
import { ConnectError } from "../../errors.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { type Certificates, type KeyPair, makeCertificates } from "../support/certificates.ts";
import { numbersOf } from "../support/cluster.ts";
import { makeCredentials } from "../support/nats_credentials.ts";
import { freePort } from "../support/free_port.ts";
import { NATS_SERVER, TestNatsServer } from "../support/nats_server.ts";
import { needingTest } from "../support/needs.ts";
import { eventually, pause, soon, until } from "../support/waiting.ts";

const made = await makeCertificates();
/** Only used by tests that are skipped without them. */
const certificates = made as Certificates;
const OPENSSL = { name: "openssl", isMet: made !== null };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A relay without clients: all that its backplane reports. */
class TestMember implements BackplaneSink, AsyncDisposable {
  readonly backplane: NatsBackplane;
  /** Whether messages are kept. */
  keeps = true;
  readonly messages: string[] = [];
  bytes = 0;
  readonly states: string[] = [];
  readonly faults: string[] = [];

  constructor(options: ClusterOptions) {
    this.backplane = new NatsBackplane(options);
  }

  static async join(id: string, options: ClusterOptions): Promise<TestMember> {
    const member = new TestMember(options);
    await member.backplane.join(id, member);
    return member;
  }

  announce(text: string): void {
    this.backplane.announce(encoder.encode(text));
  }

  send(to: string, text: string): void {
    const half = text.length >> 1;
    this.backplane.send(to, encoder.encode(text.slice(0, half)), encoder.encode(text.slice(half)));
  }

  onMessage(message: Uint8Array): void {
    this.bytes += message.length;
    if (this.keeps) this.messages.push(decoder.decode(message));
  }

  onConnect(): void {
    assert(this.backplane.isConnected);
    this.states.push("connected");
  }

  onDisconnect(): void {
    assert(!this.backplane.isConnected);
    this.states.push("disconnected");
  }

  onFault(fault: string): void {
    this.faults.push(fault);
  }

  /** Waits until `text` is among the messages. */
  sees(text: string): Promise<void> {
    const what = () => `${text} among ${this.messages}; faults: ${this.faults.join(", ")}`;
    return until(() => this.messages.includes(text), { what });
  }

  /** Waits until it is connected again, `times` times in total. */
  reconnects(times = 1): Promise<void> {
    const what = () => `${times} reconnects; ${this.states}; faults: ${this.faults.join(", ")}`;
    const isConnected = () => this.states.filter((each) => each === "connected").length >= times;
    return until(isConnected, { what });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backplane.close();
  }
}

/** Fails to join, and returns the text of the error. */
async function refusal(options: ClusterOptions): Promise<string> {
  const member = new TestMember(options);
  const error = await assertRejects(() => member.backplane.join("r1", member), ConnectError);
  await member.backplane.close();
  assertEquals(member.backplane.isConnected, false);
  assertMatch(error.message, /^Cannot join cluster "[\w-]+": (nats|tls):\/\/\S+: [^\n]+$/);
  assert(!error.message.includes("secret"), error.message);
  return error.message;
}

needingTest("Relays exchange messages, and do not hear themselves", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start();
  const options = { servers: server.url() };
  await using a = await TestMember.join("ra", options);
  await using b = await TestMember.join("rb", options);
  await using c = await TestMember.join("rc", options);
  assertEquals(a.backplane.maxMessageBytes, 1_048_576);
  a.announce("to all");
  a.send("rb", "to b");
  a.send("ra", "to myself");
  a.announce("end");
  b.announce("from b");
  await Promise.all([a.sees("from b"), b.sees("end"), c.sees("end"), c.sees("from b")]);
  assertEquals(a.messages, ["from b"]);
  assertEquals(b.messages, ["to all", "to b", "end"]);
  assertEquals(c.messages.toSorted(), ["end", "from b", "to all"]);
  for (const member of [a, b, c]) assertEquals([member.states, member.faults], [[], []]);
});

needingTest("Clusters of different names do not hear each other", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start();
  await using a = await TestMember.join("ra", { servers: server.url(), name: "one" });
  await using b = await TestMember.join("rb", { servers: [server.url()], name: "one" });
  await using other = await TestMember.join("rb", { servers: server.url(), name: "one-two" });
  a.announce("x");
  a.send("rb", "y");
  await b.sees("y");
  other.announce("z");
  await pause(50);
  assertEquals([a.messages, b.messages, other.messages], [[], ["x", "y"], []]);
});

needingTest("A message may be as long as the server permits", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start("max_payload: 5000");
  await using a = await TestMember.join("ra", { servers: server.url() });
  await using b = await TestMember.join("rb", { servers: server.url() });
  assertEquals(a.backplane.maxMessageBytes, 5000);
  a.announce("x".repeat(5001));
  a.announce("x".repeat(5000));
  await b.sees("x".repeat(5000));
  assertEquals(b.bytes, 5000);
  assertMatch(
    a.faults.join(),
    /^nats:\S+: cannot send a message of 5001 bytes, at most 5000 here$/,
  );
  assertEquals(a.states, []);
});

needingTest("A relay uses messages of 1 MiB at most", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start("max_payload: 4000000");
  await using a = await TestMember.join("ra", { servers: server.url() });
  await using b = await TestMember.join("rb", { servers: server.url() });
  const { maxMessageBytes } = a.backplane;
  assertEquals(maxMessageBytes, 1_048_576);
  const message = "y".repeat(maxMessageBytes);
  a.send("rb", message);
  await b.sees(message);
});

needingTest("A relay connects again to a server that was killed", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start();
  await using a = await TestMember.join("ra", { servers: server.url() });
  await using b = await TestMember.join("rb", { servers: server.url() });
  for (let times = 1; times <= 2; times++) {
    await server.kill();
    await until(() => a.states.length === 2 * times - 1 && b.states.length === 2 * times - 1);
    a.announce(`lost ${times}`);
    await server.configure(`max_payload: ${10_000 * times}`);
    await server.restart();
    await Promise.all([a.reconnects(times), b.reconnects(times)]);
    assertEquals(a.backplane.maxMessageBytes, 10_000 * times);
    a.announce(`all ${times}`);
    b.send("ra", `one ${times}`);
    await Promise.all([a.sees(`one ${times}`), b.sees(`all ${times}`)]);
  }
  assertEquals(b.messages, ["all 1", "all 2"]);
  assertEquals(a.states, ["disconnected", "connected", "disconnected", "connected"]);
});

needingTest(
  "A relay uses any of its servers, and those that they name",
  [NATS_SERVER],
  async () => {
    await using first = await TestNatsServer.start();
    const routes = (port: number, other: number) => `
    cluster { name: x, listen: "127.0.0.1:${port}", routes: ["nats://127.0.0.1:${other}"] }`;
    const ports = [freePort(), freePort()] as const;
    await using second = await TestNatsServer.start();
    await first.kill();
    await second.kill();
    await first.configure(routes(ports[0], ports[1]));
    await second.configure(routes(ports[1], ports[0]));
    await Promise.all([first.restart(), second.restart()]);
    const dead = "nats://127.0.0.1:1";
    await using a = await TestMember.join("ra", { servers: [dead, first.url()] });
    await using b = await TestMember.join("rb", { servers: [second.url(), dead] });
    await until(() => (a.announce("hi"), b.messages.includes("hi")));
    await pause(1000); // until the server has named the other one
    await first.kill();
    await a.reconnects();
    a.send("rb", "through the other one");
    await b.sees("through the other one");
  },
);

needingTest("A relay notices within 20 s that its server is frozen", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start();
  await using a = await TestMember.join("ra", { servers: server.url() });
  await using b = await TestMember.join("rb", { servers: server.url() });
  b.keeps = false;
  server.freeze();
  const before = performance.now();
  // Far more than the sockets hold: what nobody takes must neither pile up nor keep it connected.
  const message = "x".repeat(1_000_000);
  for (let i = 0; i < 100; i++) a.announce(message);
  const ready = a.backplane.whenReady()!;
  assertInstanceOf(ready, Promise);
  await until(() => a.states.length > 0 && b.states.length > 0, { everyMs: 50 });
  assertLess(performance.now() - before, 20_000);
  await ready;
  server.thaw();
  await Promise.all([a.reconnects(), b.reconnects()]);
  b.keeps = true;
  a.announce("after");
  await b.sees("after");
  assertLess(b.bytes, 20_000_000);
});

needingTest("What a slow server does not take is dropped", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start();
  await using a = await TestMember.join("ra", { servers: server.url() });
  await using b = await TestMember.join("rb", { servers: server.url() });
  b.keeps = false;
  server.freeze();
  const message = "x".repeat(1_000_000);
  assertEquals(a.backplane.whenReady(), null);
  for (let i = 0; i < 100; i++) a.announce(message);
  const ready = a.backplane.whenReady()!;
  assertInstanceOf(ready, Promise);
  server.thaw();
  await soon(ready, "the server to take what was sent");
  b.keeps = true;
  await until(() => (a.announce("after"), b.messages.includes("after")));
  assertLess(b.bytes, 20_000_000); // Sockets hold some, too.
  assertEquals([a.states, b.states], [[], []]);
});

needingTest("A relay that is cut as a slow consumer connects again", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start("max_payload: 100000\nmax_pending: 200000");
  await using a = await TestMember.join("ra", { servers: server.url() });
  const worker = new Worker(new URL("../support/nats_flood.ts", import.meta.url), {
    type: "module",
    name: server.url(),
  });
  await a.sees("flood");
  for (const end = performance.now() + 1000; performance.now() < end;);
  worker.terminate();
  await a.reconnects();
  await using b = await TestMember.join("rb", { servers: server.url() });
  b.announce("after");
  await a.sees("after");
});

Deno.test("Options that cannot be right are refused, without the password", () => {
  const cases: [unknown, string][] = [
    [undefined, "Invalid cluster: expected options"],
    [{ servers: undefined }, "Invalid cluster.servers"],
    [{ servers: [] }, "Invalid cluster.servers: expected one URL or several, got []"],
    [{ servers: [5] }, "got 5"],
    ...[
      "127.0.0.1:4222",
      "localhost:4222",
      "http://localhost:4222",
      "ws://localhost:4222",
      "nats://",
      "nats://:4222",
      "nats://localhost:0",
      "nats://localhost:65536",
      "nats://localhost/x",
      "nats://localhost?x",
      "nats://a:4222,nats://b:4222",
      "",
    ].map((url): [unknown, string] => [
      { servers: url },
      "Invalid cluster.servers: expected a URL such as nats://10.0.0.1:4222 or " +
      `tls://nats.example.com, got "${url}"`,
    ]),
    [{ servers: "htp://user:secret@host" }, 'got "htp://…@host"'],
    [{ servers: "nats://user:sec@secret@ho st" }, 'got "nats://…@ho st"'],
    [{ servers: "user:secret@host:4222" }, 'got "…@host:4222"'],
    [{ servers: "nats://user:secret%@host" }, "write a % in them as %25"],
    [{ servers: "nats://host", name: "" }, "Invalid cluster.name: expected 1 to 64"],
    [{ servers: "nats://host", name: "a.b" }, 'and _, got "a.b"'],
    [{ servers: "nats://host", name: "a".repeat(65) }, "Invalid cluster.name"],
    [{ servers: "nats://host", name: 5 }, "got 5"],
    [{ servers: "nats://host", credentials: "secret" }, "Invalid cluster.credentials: expected"],
    [{ servers: "nats://host", ca: "x" }, "Invalid cluster.ca: no server has a URL with tls://"],
    [{ servers: "tls://host", ca: "x" }, "Invalid cluster.ca: expected certificates in PEM"],
    [{ servers: "tls://host", cert: "x" }, "Invalid cluster.cert: cluster.key is missing"],
    [{ servers: "tls://host", key: "x" }, "Invalid cluster.key: cluster.cert is missing"],
    [{ servers: "tls://host", ca: undefined }, "Invalid cluster.ca: expected a value"],
  ];
  for (const [options, expected] of cases) {
    const error = assertThrows(() => new NatsBackplane(options as ClusterOptions), TypeError);
    assertStringIncludes(error.message, expected);
    assert(!error.message.includes("secret"), error.message);
  }
});

Deno.test("A server that cannot be reached is named, without the password", async () => {
  const closed = "nats://user:secret@127.0.0.1:1";
  assertStringIncludes(
    await refusal({ servers: closed }),
    "nats://127.0.0.1:1: connection refused; is a NATS server running there?",
  );
  const unknown = await refusal({ servers: [closed, "nats://nowhere.invalid"] });
  assertStringIncludes(unknown, "nats://127.0.0.1:1: ");
  assertStringIncludes(unknown, "nats://nowhere.invalid:4222: ");
});

/** Listens, greets each peer with `greeting`, and is silent after that, or ends when spoken to. */
function fakeServer(greeting: string, ends = false): { url: string } & Disposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  (async () => {
    for await (const conn of listener) {
      conns.push(conn);
      await conn.write(encoder.encode(greeting));
      if (ends) await conn.read(new Uint8Array(1000));
      if (ends) await conn.closeWrite();
    }
  })();
  return {
    url: `nats://127.0.0.1:${listener.addr.port}`,
    [Symbol.dispose]() {
      listener.close();
      for (const conn of conns) conn.close();
    },
  };
}

Deno.test("Another kind of server is not taken for NATS", async () => {
  for (
    const [greeting, expected] of [
      ["HTTP/1.1 400 Bad Request\r\n\r\n", 'not a NATS server: it begins with "HTTP/1.1 400 Bad'],
      ["INFO x\r\n", 'not a NATS server: it begins with "INFO x"'],
      ["INFO {}\r\n", "its max_payload is undefined, expected at least 4096"],
      ["-ERR 'maximum connections exceeded'\r\n", "the server refuses: \"'maximum connections"],
      ["\x1b[31m\n", 'it begins with "\\u001b[31m"'],
      ["x".repeat(70_000), "its first line exceeds 65536 bytes"],
    ] as const
  ) {
    using server = fakeServer(greeting);
    assertStringIncludes(await refusal({ servers: server.url }), expected);
  }
});

Deno.test("A server that ends the connection before the login is named", async () => {
  using server = fakeServer('INFO {"version":"2.9.10","proto":1,"max_payload":5000}\r\n', true);
  assertStringIncludes(await refusal({ servers: server.url }), "the server closed the connection");
});

Deno.test("A server that says nothing is given up after 5 s", async () => {
  using server = fakeServer("");
  const before = performance.now();
  const text = await refusal({ servers: server.url });
  assertStringIncludes(text, "no answer within 5 s; is a NATS server running there?");
  assertLess(performance.now() - before, 60_000);
});

Deno.test("close() ends an attempt to join at once", async () => {
  using server = fakeServer("");
  const member = new TestMember({ servers: server.url });
  const joining = member.backplane.join("r1", member);
  const refused = assertRejects(() => joining, ConnectError, "the relay has left the cluster");
  const before = performance.now();
  await pause(50);
  await member.backplane.close();
  await refused;
  assertLess(performance.now() - before, 4500); // It would take 5 s.
});

needingTest("close() ends the attempts to connect again", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start();
  const member = await TestMember.join("ra", { servers: server.url() });
  await server.kill();
  await until(() => member.faults.length > 0);
  await member.backplane.close();
  await member.backplane.close();
  assertEquals(member.states, ["disconnected"]);
});

needingTest("What is sent before close() arrives", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start();
  await using a = await TestMember.join("ra", { servers: server.url() });
  const b = await TestMember.join("rb", { servers: server.url() });
  for (let i = 0; i < 1000; i++) b.announce(`${i}`);
  b.send("ra", "bye");
  await b.backplane.close();
  b.announce("too late");
  await a.sees("bye");
  assertEquals(a.messages.length, 1001);
  assertEquals(b.states, []);
});

needingTest("A server with a small max_payload is refused", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start("max_payload: 4095");
  const expected = "its max_payload is 4095, expected at least 4096";
  assertStringIncludes(await refusal({ servers: server.url() }), expected);
});

needingTest("A server without room for a relay is named", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start("max_connections: 1");
  // The server may still count the connection of the test that has waited for it.
  await using _ = await eventually(() => TestMember.join("ra", { servers: server.url() }));
  const text = await refusal({ servers: server.url() });
  assertMatch(text, /maximum connections exceeded|reset by peer/);
});

needingTest("A relay logs in with a user and a password, or a token", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start(
    'authorization: { user: "us:r", password: "p@ss" }',
  );
  const login = "us%3Ar:p%40ss";
  await using a = await TestMember.join("ra", { servers: server.url(login) });
  await using b = await TestMember.join("rb", { servers: server.url(login) });
  a.announce("hi");
  await b.sees("hi");
  const wants = "the server wants a login: a user and a password in the URL, or credentials";
  assertStringIncludes(await refusal({ servers: server.url() }), wants);
  const refuses = "the server refuses the login in the URL or in the credentials";
  assertStringIncludes(await refusal({ servers: server.url("me:secret") }), refuses);
  assertStringIncludes(await refusal({ servers: server.url("secret") }), refuses);

  await using other = await TestNatsServer.start('authorization: { token: "t0ken" }');
  await using _ = await TestMember.join("ra", { servers: other.url("t0ken") });
});

needingTest("A relay never gives up a server that refuses its login", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start();
  await using a = await TestMember.join("ra", { servers: server.url("me:secret") });
  await server.kill();
  await server.configure("authorization: { user: me, password: other }");
  await server.restart();
  const isRefusal = (fault: string) => fault.includes("the server refuses the login");
  await until(() => a.faults.filter(isRefusal).length >= 3, { what: () => a.faults.join() });
  await server.kill();
  await server.configure("authorization: { user: me, password: secret }");
  await server.restart();
  await a.reconnects();
  assert(!a.faults.join().includes("secret"));
});

const PERMISSIONS = (publish: string, subscribe: string) => `
  authorization: { users: [{ user: me, password: pass, permissions: {
    publish: { ${publish} }, subscribe: { ${subscribe} }
  } }] }`;

needingTest("A relay without the right to its subjects cannot join", [NATS_SERVER], async () => {
  const all = 'allow: ["eb.relays.>"]';
  for (
    const [publish, subscribe, expected] of [
      [all, 'deny: ["eb.relays.all"]', "subscribe to eb.relays.all"],
      [all, 'allow: ["eb.relays.all"]', "subscribe to eb.relays.to.*"],
      ['allow: ["eb.relays.all"]', all, "publish to eb.relays.to.*"],
      ['allow: ["eb.relays.to.*"]', all, "publish to eb.relays.all"],
    ] as const
  ) {
    await using server = await TestNatsServer.start(PERMISSIONS(publish, subscribe));
    const text = await refusal({ servers: server.url("me:pass") });
    assertStringIncludes(text, `the server does not permit this relay to ${expected}`);
  }
});

needingTest("A relay that loses its rights says so, and tries again", [NATS_SERVER], async () => {
  const all = 'allow: ["eb.relays.>"]';
  await using server = await TestNatsServer.start(PERMISSIONS(all, all));
  await using a = await TestMember.join("ra", { servers: server.url("me:pass") });
  await using b = await TestMember.join("rb", { servers: server.url("me:pass") });
  await server.configure(PERMISSIONS(all, 'allow: ["eb.relays.all"]'));
  server.reload();
  await until(() => a.faults.length > 0 && b.faults.length > 0);
  assertEquals(a.states, ["disconnected"]);
  assertStringIncludes(a.faults[0]!, "not permit this relay to subscribe to eb.relays.to.*");
  await server.configure(PERMISSIONS(all, all));
  server.reload();
  await Promise.all([a.reconnects(), b.reconnects()]);
  a.send("rb", "hi");
  await b.sees("hi");
});

needingTest("A relay logs in with credentials", [NATS_SERVER], async () => {
  const { text, config } = makeCredentials();
  await using server = await TestNatsServer.start(config);
  const options = { servers: server.url(), credentials: text };
  await using a = await TestMember.join("ra", options);
  await using b = await TestMember.join("rb", options);
  a.announce("hi");
  await b.sees("hi");
  const strange = { servers: server.url(), credentials: makeCredentials().text };
  assertStringIncludes(await refusal(strange), "the server refuses the login");
});

/** Starts a server with TLS. */
function startTls(pair: KeyPair, more = ""): Promise<TestNatsServer> {
  const files = { "cert.pem": pair.cert, "key.pem": pair.key, "ca.pem": certificates.ca };
  return TestNatsServer.start(`tls { cert_file: cert.pem, key_file: key.pem, ${more} }`, files);
}

needingTest("Connections with tls:// are encrypted", [NATS_SERVER, OPENSSL], async () => {
  const { ca, otherCa, server: pair, expiredServer, strangeServer } = certificates;
  await using server = await startTls(pair);
  const servers = server.url("", "tls");
  await using a = await TestMember.join("ra", { servers, ca: `${otherCa}${ca}` });
  const byName = servers.replace("127.0.0.1", "localhost");
  await using b = await TestMember.join("rb", { servers: byName, ca });
  a.announce("hi");
  await b.sees("hi");
  await server.kill();
  await server.restart();
  await Promise.all([a.reconnects(), b.reconnects()]);

  const plain = await refusal({ servers: server.url() });
  assertStringIncludes(plain, "the server wants TLS; write tls:// for nats://");
  const unknown = await refusal({ servers });
  assertStringIncludes(unknown, "; if its CA is your own, give it in cluster.ca");
  for (const each of [expiredServer, strangeServer]) {
    await using other = await startTls(each);
    const text = await refusal({ servers: other.url("", "tls"), ca });
    assertStringIncludes(text, "TLS handshake failed: the certificate of the server is not");
  }
  await using open = await TestNatsServer.start();
  const mute = await refusal({ servers: open.url("", "tls") });
  assertStringIncludes(mute, "the server does not speak TLS; write nats:// for tls://");
});

needingTest("The certificate must be for the address", [NATS_SERVER, OPENSSL], async () => {
  await using server = await startTls(certificates.server);
  const servers = server.url("", "tls").replace("127.0.0.1", "127.1");
  // Another spelling of the address, so that the server is there and its certificate is not for it.
  const text = await refusal({ servers, ca: certificates.ca });
  assertStringIncludes(text, "the certificate of the server is not for");
});

needingTest("A server may ask for a certificate", [NATS_SERVER, OPENSSL], async () => {
  const { ca, server: pair, client, strangeClient, expiredClient } = certificates;
  await using server = await startTls(pair, "ca_file: ca.pem, verify: true");
  const servers = server.url("", "tls");
  await using a = await TestMember.join("ra", { servers, ca, ...client });
  await using b = await TestMember.join("rb", { servers, ca, ...client });
  a.announce("hi");
  await b.sees("hi");
  const none = await refusal({ servers, ca });
  assertStringIncludes(none, "the server wants a certificate, in cluster.cert and cluster.key");
  for (const each of [strangeClient, expiredClient]) {
    const text = await refusal({ servers, ca, ...each });
    assertStringIncludes(text, "it may not accept the client certificate in cluster.cert");
  }
});

needingTest("Programs may use nats.js itself, with the same transport", [
  NATS_SERVER,
  OPENSSL,
], async () => {
  await using server = await startTls(certificates.server);
  const servers = server.url("", "tls");
  await using a = await TestMember.join("ra", { servers, ca: certificates.ca });
  const tls = { ca: certificates.ca };
  const client = await NatsConnectionImpl.connect({ servers: `localhost:${server.port}`, tls });
  client.publish("eb.relays.all", "hi");
  await a.sees("hi");
  await client.close();
});

/** Two relays of a cluster over a NATS server, each with a client. */
async function startRelays(server: TestNatsServer) {
  const relays = [0, 1].map(() => {
    const cluster = new NatsBackplane({ servers: server.url() });
    return new Relay(new EbsocketServer(["127.0.0.1", 0]), { cluster });
  });
  const clients = [new EbsocketClient(), new EbsocketClient()];
  for (const [i, client] of clients.entries()) await client.connectTo(relays[i]!.server.address);
  return {
    relays,
    sender: clients[0]!,
    reader: clients[1]!,
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.close()));
      await Promise.all(relays.map((relay) => relay.close()));
    },
  };
}

needingTest("Relays lose no event when their NATS server is killed", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start();
  await using pair = await startRelays(server);
  const { sender, reader } = pair;
  await sender.subscribe(["none"]);
  await reader.subscribe(["e"]);
  const count = 20_000;
  const numbers = numbersOf(reader, count);
  for (let i = 0; i < count;) {
    for (const end = i + 2000; i < end; i++) sender.send("e", { i });
    if (i === 8000) await server.kill();
    if (i === 12_000) await server.restart();
    await pause(100);
  }
  assertEquals(await numbers, Array.from({ length: count }, (_, i) => i));
});
