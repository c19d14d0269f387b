import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertNotMatch } from "@std/assert/not-match";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import type { Address } from "../../protocol/address.ts";
import { EbsocketError } from "../../errors.ts";
import { MemoryListener } from "../../net/memory.ts";
import { EbsocketServer } from "../../server.ts";
import { EbsocketSystem } from "../../system.ts";
import {
  addressOf,
  type ConnectionListener,
  dial,
  listen,
  type Place,
  type Socket,
  type TlsClientOptions,
  type TlsServerOptions,
} from "../../net/transport.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { type Certificates, type KeyPair, makeCertificates } from "../support/certificates.ts";
import { TempFolder } from "../support/folder.ts";
import { turn } from "../support/turns.ts";
import { soon, until, untilStill } from "../support/waiting.ts";

const loopback = ["127.0.0.1", 0] as const;

const made = await makeCertificates();
/** Only used by tests that are skipped without them. */
const certificates = made as Certificates;

/** A test that needs certificates; it is skipped, and says why, where they cannot be made. */
function tlsTest(name: string, fn: () => void | Promise<void>): void {
  Deno.test({ name: made ? name : `${name} (skipped: no openssl)`, ignore: !made, fn });
}

/** A test of Unix sockets, which Windows does not have. */
function unixTest(name: string, fn: (folder: string) => Promise<void>): void {
  const ignore = Deno.build.os === "windows";
  Deno.test({
    name: ignore ? `${name} (skipped: no Unix sockets on Windows)` : name,
    ignore,
    async fn() {
      using folder = new TempFolder();
      await fn(folder.path);
      assertEquals([...Deno.readDirSync(folder.path)], [], "what is left in the folder");
    },
  });
}

/** A listener that writes a secret to whoever it accepts, and notes all that it hears. */
class SecretKeeper implements AsyncDisposable {
  readonly refused: string[] = [];
  readonly accepted: Socket[] = [];
  heard = "";
  readonly address: Address;
  readonly #listener: ConnectionListener;
  readonly #running: Promise<void>;
  readonly #conversations: Promise<void>[] = [];

  constructor(tls: TlsServerOptions) {
    this.#listener = listen(loopback, {
      tls,
      onRefuse: (address, error) => {
        assertEquals(address[0], "127.0.0.1");
        this.refused.push(error.message);
      },
    });
    const { hostname, port } = this.#listener.addr as Deno.NetAddr;
    this.address = [hostname, port];
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    for (;;) {
      let socket: Socket;
      try {
        socket = await this.#listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) return;
        throw error;
      }
      this.accepted.push(socket);
      this.#conversations.push(this.#talk(socket));
    }
  }

  async #talk(socket: Socket): Promise<void> {
    const buffer = new Uint8Array(1000);
    try {
      await socket.write(utf8("secret"));
      for (;;) {
        const length = await socket.read(buffer);
        if (length === null) break;
        this.heard += textOf(buffer.subarray(0, length));
        if (this.heard.endsWith("\n")) break; // openssl does not end by itself
      }
      await socket.write(utf8(" last word"));
      await socket.closeWrite();
    } catch {
      // The peer has broken it off.
    }
  }

  /** Waits for one refusal, and makes sure that nothing else has happened. */
  async refuses(text: string): Promise<void> {
    await until(() => this.refused.length > 0);
    assertEquals(this.refused.length, 1);
    assertStringIncludes(this.refused[0]!, text);
    assertEquals(this.accepted.length, 0);
    assertEquals(this.heard, "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#running;
    for (const socket of this.accepted) socket.close();
    await Promise.all(this.#conversations);
  }
}

/** All that `socket` receives until it ends, however it does. */
async function everything(socket: Socket): Promise<string> {
  const buffer = new Uint8Array(1000);
  let text = "";
  try {
    for (;;) {
      const length = await soon(socket.read(buffer), "the end of the stream");
      if (length === null) return text;
      text += textOf(buffer.subarray(0, length));
    }
  } catch {
    return text;
  }
}

/** What a peer gets that speaks plain TCP. */
async function plain(address: Address, text: string): Promise<string> {
  using peer = await Deno.connect({ hostname: address[0], port: address[1] });
  await peer.write(utf8(text));
  return await everything(peer);
}

async function pairOver(where: Place, tls?: true | TlsClientOptions, server?: KeyPair) {
  const listener = listen(where, server ? { tls: server } : {});
  const { addr } = listener;
  const there: Place = "hostname" in addr ? [addr.hostname, addr.port] : where;
  const [near, far] = await Promise.all([dial(there, tls ? { tls } : {}), listener.accept()]);
  return {
    near,
    far,
    [Symbol.dispose]() {
      near.close();
      far.close();
      listener.close();
    },
  };
}

// TLS

tlsTest("dial() and listen() speak TLS, and each direction ends by itself", async () => {
  await using keeper = new SecretKeeper(certificates.server);
  const socket = await dial(keeper.address, { tls: { caCerts: certificates.ca } });
  assertEquals((socket.remoteAddr as Deno.NetAddr).port, keeper.address[1]);
  const buffer = new Uint8Array(100);
  assertEquals(await socket.read(buffer), 6);
  assertEquals(await socket.write(utf8("hello")), 5);
  await socket.closeWrite();
  assertEquals(await everything(socket), " last word");
  assertEquals(keeper.heard, "hello");
  socket.close();
  await assertRejects(() => socket.read(buffer), Deno.errors.BadResource);
});

tlsTest("listen() with TLS understands the TLS of Deno", async () => {
  await using keeper = new SecretKeeper(certificates.server);
  const [hostname, port] = keeper.address;
  using conn = await Deno.connectTls({ hostname, port, caCerts: [certificates.ca] });
  await conn.write(utf8("hello"));
  await conn.closeWrite();
  assertEquals(await everything(conn), "secret last word");
  assertEquals(keeper.heard, "hello");
});

tlsTest(
  "EbsocketServer serves a client over TLS besides one that does not speak it",
  async () => {
    const faults: string[] = [];
    await using system = new EbsocketSystem(
      new EbsocketServer({
        hostname: "127.0.0.1",
        tls: certificates.server,
        onHandshakeError: (_, error) => faults.push(error.message),
      }),
    );
    const [hostname, port] = system.server.address;
    // Its handshake never ends, and holds nobody up.
    using silent = await Deno.connect({ hostname, port });
    assertNotMatch(await plain(system.server.address, "GET / HTTP/1.1\r\n\r\n"), /\{/);
    using conn = await Deno.connectTls({ hostname, port, caCerts: [certificates.ca] });
    await conn.write(utf8('{"event":"hi"}\n'));
    const names: string[] = [];
    while (names.length === 0) {
      const [, events] = await system.pump();
      names.push(...events.map(({ event }) => event));
    }
    assertEquals(names, ["hi"]);
    assertEquals(faults, ["TLS handshake failed: the client does not speak TLS"]);
    assertEquals(silent.remoteAddr.port, port);
  },
);

for (
  const [offered, chosen] of [
    [["h2", "http/1.1"], "http/1.1"],
    [["http/1.1", "h2"], "http/1.1"],
    [["lines", "http/1.1"], "http/1.1"],
    [["h2", "lines"], "lines"],
    [[], null],
  ] as const
) {
  tlsTest(`listen() with TLS answers the ALPN list [${offered}] with ${chosen}`, async () => {
    await using keeper = new SecretKeeper(certificates.server);
    const [hostname, port] = keeper.address;
    const caCerts = [certificates.ca];
    using conn = await Deno.connectTls({ hostname, port, caCerts, alpnProtocols: [...offered] });
    const { alpnProtocol } = await conn.handshake();
    assertEquals(alpnProtocol, chosen);
    await conn.closeWrite();
    assertEquals(await everything(conn), "secret last word");
  });
}

tlsTest("listen() with TLS refuses a client that speaks no HTTP but another version", async () => {
  await using keeper = new SecretKeeper(certificates.server);
  const [hostname, port] = keeper.address;
  const caCerts = [certificates.ca];
  const alpnProtocols = ["h2", "http/1.0"];
  await assertRejects(async () => {
    using conn = await Deno.connectTls({ hostname, port, caCerts, alpnProtocols });
    await conn.handshake();
  });
  await keeper.refuses('the client speaks nothing but "h2", "http/1.0": expected http/1.1, or');
});

tlsTest("listen() with TLS refuses peers that speak something else or break off", async () => {
  for (const text of ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", '{"event":"hi"}\n', "\x16\x03\x01"]) {
    await using keeper = new SecretKeeper(certificates.server);
    if (text.startsWith("\x16")) {
      const peer = await Deno.connect({ hostname: "127.0.0.1", port: keeper.address[1] });
      await peer.write(utf8(text));
      peer.close();
      await keeper.refuses("closed the connection in the middle");
    } else {
      assertNotMatch(await plain(keeper.address, text), /secret/);
      await keeper.refuses("the client does not speak TLS");
    }
  }
});

tlsTest("listen() with TLS closes a socket whose handshake takes longer than 5 s", async () => {
  await using keeper = new SecretKeeper(certificates.server);
  using peer = await Deno.connect({ hostname: "127.0.0.1", port: keeper.address[1] });
  const start = performance.now();
  assertEquals(await everything(peer), "");
  assertGreater(performance.now() - start, 4900);
  await keeper.refuses("longer than 5000 ms");
});

tlsTest("listen() with TLS admits a client besides a thousand silent sockets", async () => {
  await using keeper = new SecretKeeper(certificates.server);
  const [hostname, port] = keeper.address;
  const silent: Deno.TcpConn[] = [];
  try {
    for (let i = 0; i < 1000; i++) silent.push(await Deno.connect({ hostname, port }));
    const socket = await dial(keeper.address, { tls: { caCerts: certificates.ca } });
    assertEquals(await socket.read(new Uint8Array(100)), 6);
    socket.close();
    // The place of the second is for whoever comes next.
    const text = "TLS handshake failed: it was slow, and too many others were waiting";
    assertEquals(keeper.refused, [text, text]);
  } finally {
    for (const conn of silent) conn.close();
  }
});

tlsTest("listen() with TLS closes handshakes under way when it is closed", async () => {
  const listener = listen(loopback, { tls: certificates.server });
  const accepting = assertRejects(() => listener.accept(), Deno.errors.BadResource);
  const { port } = listener.addr as Deno.NetAddr;
  using peer = await Deno.connect({ port });
  using second = await Deno.connect({ port });
  await peer.write(new Uint8Array([22, 3, 1]));
  await second.write(new Uint8Array([22, 3, 1]));
  listener.close();
  await accepting;
  assertEquals(await everything(peer), "");
});

tlsTest("listen() with TLS slows down a peer whose bytes are not read", async () => {
  using pair = await pairOver(loopback, { caCerts: certificates.ca }, certificates.server);
  for (const [from, to] of [[pair.near, pair.far], [pair.far, pair.near]] as const) {
    const bytes = new Uint8Array(65_536);
    const total = 64 * 1_048_576;
    let sent = 0;
    const sending = (async () => {
      while (sent < total) sent += await from.write(bytes);
    })();
    // Until a write has been waiting for long; what has been sent by then, something holds.
    await untilStill(() => sent, 200);
    assertLess(sent, 32 * 1_048_576);
    let received = 0;
    while (received < total) received += await to.read(bytes) ?? total;
    await sending;
    assertEquals(sent, total);
    assertEquals(received, total);
  }
});

tlsTest("TlsSocket.close() ends a read and a write that wait", async () => {
  using pair = await pairOver(loopback, { caCerts: certificates.ca }, certificates.server);
  const reading = assertRejects(() => pair.far.read(new Uint8Array(10)), Deno.errors.BadResource);
  const writing = assertRejects(async () => {
    for (;;) await pair.far.write(new Uint8Array(65_536));
  }, Error);
  await turn();
  pair.far.close();
  await soon(Promise.all([reading, writing]), "both to end");
});

// Mutual TLS

const clients: [name: string, pick: () => KeyPair | null, refusal: string][] = [
  ["no certificate", () => null, "the client has no certificate"],
  ["a certificate of another CA", () => certificates.strangeClient, "not signed by"],
  ["an expired certificate", () => certificates.expiredClient, "or has expired"],
  ["a certificate for servers", () => certificates.server, "or not one for clients"],
];

function mutual(): TlsServerOptions {
  return { ...certificates.server, clientCa: certificates.ca };
}

tlsTest("listen() with clientCa accepts a client with the right certificate", async () => {
  await using keeper = new SecretKeeper(mutual());
  const tls = { caCerts: [certificates.ca], ...certificates.client };
  const socket = await dial(keeper.address, { tls });
  await socket.write(utf8("hello"));
  await socket.closeWrite();
  assertEquals(await everything(socket), "secret last word");
  assertEquals(keeper.heard, "hello");
  assertEquals(keeper.refused, []);
  socket.close();
});

for (const [name, pick, refusal] of clients) {
  tlsTest(`listen() with clientCa lets no byte in or out for a client with ${name}`, async () => {
    await using keeper = new SecretKeeper(mutual());
    const pair = pick();
    // With TLS 1.3 the handshake is over for the client before the server has seen its certificate.
    const socket = await dial(keeper.address, { tls: { caCerts: certificates.ca, ...pair } });
    await socket.write(utf8("let me in")).catch(() => {});
    await assertRejects(
      () => soon(socket.read(new Uint8Array(100)), "the refusal"),
      Error,
      pair ? "may not accept the client certificate" : "may want a client certificate",
    );
    socket.close();
    await keeper.refuses(refusal);
  });

  for (const version of ["-tls1_2", "-tls1_3"]) {
    tlsTest(`listen() with clientCa refuses openssl ${version} with ${name}`, async () => {
      await using keeper = new SecretKeeper(mutual());
      const { stdout } = await openssl(keeper.address, version, pick());
      assertNotMatch(stdout, /secret/);
      await keeper.refuses(refusal);
    });
  }
}

for (const version of ["-tls1_2", "-tls1_3"]) {
  tlsTest(`listen() with clientCa accepts openssl ${version} with a certificate`, async () => {
    await using keeper = new SecretKeeper(mutual());
    const { stdout } = await openssl(keeper.address, version, certificates.client);
    assertStringIncludes(stdout, "secret");
    assertEquals(keeper.heard, "let me in\n");
  });
}

/** `openssl s_client`, which says "let me in". */
async function openssl([hostname, port]: Address, version: string, pair: KeyPair | null) {
  using folder = new TempFolder();
  const args = ["s_client", "-connect", `${hostname}:${port}`, version, "-quiet"];
  if (pair) {
    await Deno.writeTextFile(`${folder.path}/cert.pem`, pair.cert);
    await Deno.writeTextFile(`${folder.path}/key.pem`, pair.key);
    args.push("-cert", `${folder.path}/cert.pem`, "-key", `${folder.path}/key.pem`);
  }
  const options = { args, stdin: "piped", stdout: "piped", stderr: "null" } as const;
  const child = new Deno.Command("openssl", options).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(utf8("let me in\n")).catch(() => {});
  await writer.close().catch(() => {}); // It may have been sent away by now.
  const { stdout } = await soon(child.output(), "openssl to end");
  return { stdout: textOf(stdout) };
}

// Whom a client trusts

tlsTest("dial() with TLS refuses a server without a valid certificate, with a hint", async () => {
  const { ca, otherCa, server, expiredServer, strangeServer } = certificates;
  const cases: [server: KeyPair, tls: true | TlsClientOptions, text: string][] = [
    [server, true, "or has expired; if its CA is your own, give it in tls.caCerts"],
    [server, { caCerts: otherCa }, "is not signed by a trusted authority"],
    [strangeServer, { caCerts: [ca] }, "is not signed by a trusted authority"],
    [
      expiredServer,
      { caCerts: ca },
      "the certificate of the server is not signed by a trusted authority, or has expired",
    ],
    [server, { caCerts: ca, hostname: "example.org" }, "is not for example.org; connect by a name"],
  ];
  for (const [pair, tls, text] of cases) {
    await using keeper = new SecretKeeper(pair);
    const error = await assertRejects(() => dial(keeper.address, { tls }), EbsocketError, text);
    assertEquals(error.code, "tls-failed");
    await until(() => keeper.refused.length + keeper.accepted.length > 0);
    assertEquals(keeper.heard, "");
  }
});

tlsTest(
  "dial() checks the certificate for tls.hostname, or for the host of the address",
  async () => {
    const { ca, otherCa, server } = certificates;
    const both = [otherCa, ca];
    for (const tls of [{ caCerts: both }, { caCerts: ca + otherCa, hostname: "localhost" }]) {
      using pair = await pairOver(loopback, tls, server);
      await pair.near.write(utf8("x"));
      assertEquals(await pair.far.read(new Uint8Array(10)), 1);
    }
  },
);

Deno.test("dial() with TLS reports a server that does not speak it, or closes", async () => {
  for (const answer of ['{"control":"close"}\n', ""]) {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const dialling = assertRejects(
      () => dial(["127.0.0.1", listener.addr.port], { tls: true }),
      EbsocketError,
      answer ? "does not speak TLS; connect without tls" : "closed the connection",
    );
    const conn = await listener.accept();
    await conn.read(new Uint8Array(1000));
    if (answer) await conn.write(utf8(answer));
    await conn.closeWrite();
    await dialling;
    conn.close();
  }
});

Deno.test("dial() with TLS can be aborted in the middle of the handshake, and leaks nothing", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const controller = new AbortController();
  const { signal } = controller;
  const dialling = assertRejects(
    () => dial(["127.0.0.1", listener.addr.port], { tls: true, signal }),
    Error,
    "enough",
  );
  using conn = await listener.accept();
  const buffer = new Uint8Array(1000);
  assertGreater((await conn.read(buffer))!, 0);
  controller.abort(new Error("enough"));
  await dialling;
  assertStrictEquals(await soon(conn.read(buffer), "the end of the socket"), null);
  await assertRejects(() => dial(["127.0.0.1", listener.addr.port], { signal }), Error, "enough");
});

tlsTest("dial() and listen() with TLS need no permission but net", async () => {
  const code = `
    import { dial, listen } from "./net/transport.ts";
    const { ca, client, server } = JSON.parse(Deno.args[0]);
    const listener = listen(["127.0.0.1", 0], { tls: { ...server, clientCa: ca } });
    const [near, far] = await Promise.all([
      dial(["127.0.0.1", listener.addr.port], { tls: { caCerts: ca, ...client } }),
      listener.accept(),
    ]);
    await near.write(new Uint8Array(3));
    console.log(await far.read(new Uint8Array(10)));
    for (const open of [near, far, listener]) open.close();
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", "-", JSON.stringify(made)],
    cwd: `${import.meta.dirname}/../..`,
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  await input.write(utf8(code));
  await input.close();
  const { stdout, stderr } = await soon(child.output(), "the program to end");
  assertEquals(textOf(stdout), "3\n");
  assertEquals(textOf(stderr), "");
});

// Wrong options

tlsTest("listen() names a TLS option that is wrong", () => {
  const { ca, client, server } = certificates;
  const { cert, key } = server;
  const cases: [tls: unknown, text: string][] = [
    [true, "Invalid tls: expected options, got true"],
    [{}, "cert and key are missing"],
    [{ cert }, "tls.key is missing"],
    [{ key }, "tls.cert is missing"],
    [{ clientCa: ca }, "cert and key are missing"],
    [{ cert: "server.pem", key }, "Invalid tls.cert: expected certificates in PEM text"],
    [{ cert: key, key }, "Invalid tls.cert: expected certificates in PEM text"],
    [{ cert: cert.replace(/\n\w+/, "\n"), key }, "Invalid tls.cert: a certificate cannot be read"],
    [{ cert, key: "server.key" }, "Invalid tls.key: expected a private key in PEM text"],
    [{ cert, key: key.replace(/\n\w+/, "\n") }, "Invalid tls.key: the private key cannot be read"],
    [{ cert, key: client.key }, "Invalid tls.key: it is not the key of tls.cert"],
    [{ cert, key, clientCa: "ca.pem" }, "Invalid tls.clientCa: expected certificates in PEM text"],
    [{ cert, key, clientCa: "" }, "Invalid tls.clientCa"],
    [{ cert, key, clientCa: undefined }, "Invalid tls.clientCa: expected a value, got undefined"],
  ];
  for (const [tls, text] of cases) {
    assertThrows(() => listen(loopback, { tls: tls as TlsServerOptions }), TypeError, text);
  }
});

tlsTest("dial() names a TLS option that is wrong, before it connects", async () => {
  const { ca, client } = certificates;
  const cases: [tls: unknown, text: string][] = [
    [false, "Invalid tls: expected true or options, got false"],
    [{ cert: client.cert }, "tls.key is missing"],
    [{ key: client.key }, "tls.cert is missing"],
    [{ caCerts: [] }, "Invalid tls.caCerts: expected a certificate, got none"],
    [{ caCerts: [ca, "ca.pem"] }, "Invalid tls.caCerts: expected certificates in PEM text"],
    [{ hostname: "" }, 'Invalid tls.hostname: expected a name, got ""'],
  ];
  for (const [tls, text] of cases) {
    await assertRejects(() => dial(["127.0.0.1", 1], { tls: tls as true }), TypeError, text);
  }
});

Deno.test("dial(), listen() and EbsocketServer refuse options that do not go together", async () => {
  const path = "/nowhere/socket";
  const tls = {} as TlsServerOptions;
  const listener = listen(loopback);
  assertThrows(() => listen({ path }, { tls }), TypeError, "not with path");
  assertThrows(() => listen({ path: "" }), TypeError, 'got ""');
  await assertRejects(() => dial({ path }, { tls: true }), TypeError, "not with path");
  await assertRejects(() => dial(["127.0.0.1", 0]), RangeError, "from 1");
  for (const options of [{ path, port: 0 }, { path, hostname: "::1" }]) {
    assertThrows(() => new EbsocketServer(options), TypeError, "does not go with path");
  }
  for (const options of [{ listener, path }, { listener, tls }]) {
    assertThrows(() => new EbsocketServer(options), TypeError, "does not go with listener");
  }
  listener.close();
});

Deno.test({
  name: "dial() and listen() pass NotCapable on",
  permissions: { net: false, read: false, write: false },
  async fn() {
    const { NotCapable } = Deno.errors;
    assertThrows(() => listen(loopback), NotCapable);
    assertThrows(() => listen({ path: "/nowhere/socket" }), NotCapable);
    await assertRejects(() => dial(["127.0.0.1", 1], { tls: true }), NotCapable);
    await assertRejects(() => dial({ path: "/nowhere/socket" }), NotCapable);
  },
});

// Unix sockets

unixTest(
  "EbsocketServer listens on a Unix socket with mode 0600, and removes it",
  async (folder) => {
    const path = `${folder}/relay.sock`;
    await using system = new EbsocketSystem(new EbsocketServer({ path }));
    assertEquals(system.server.address, [path, 0]);
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["relay.sock"]);
    const socket = await dial({ path });
    await socket.write(utf8('{"event":"hi"}\n'));
    const names: string[] = [];
    while (names.length === 0) {
      const [, events] = await system.pump();
      names.push(...events.map(({ event }) => event));
      for (const { fromConnection } of events) assertEquals(fromConnection?.address, [path, 0]);
    }
    await socket.closeWrite();
    await everything(socket);
    socket.close();
  },
);

unixTest(
  "listen() accepts no connection before the mode is set, whatever the umask",
  async (folder) => {
    const before = Deno.umask(0);
    const path = `${folder}/s`;
    try {
      using pair = await pairOver({ path });
      assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
      await pair.far.write(utf8("x"));
      assertEquals(await pair.near.read(new Uint8Array(10)), 1);
    } finally {
      Deno.umask(before);
    }
  },
);

unixTest("listen() replaces the socket of a dead server", async (folder) => {
  const path = `${folder}/s`;
  const dead = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "Deno.listen({ transport: 'unix', path: Deno.args[0] }); Deno.exit()", path],
  }).output();
  assert(dead.success);
  assert(Deno.lstatSync(path).isSocket);
  using pair = await pairOver({ path });
  await pair.near.write(utf8("x"));
  assertEquals(await pair.far.read(new Uint8Array(10)), 1);
});

unixTest("listen() keeps the socket of a running server", async (folder) => {
  const path = `${folder}/s`;
  const first = listen({ path });
  assertThrows(() => listen({ path }), Deno.errors.AddrInUse, "another program listens there");
  const accepted = (await first.accept()) as Socket; // the one who asked
  const [near, far] = await Promise.all([dial({ path }), first.accept()]);
  for (const socket of [accepted, near, far]) socket.close();
  first.close();
});

unixTest("listen() never removes a file that is not a socket", async (folder) => {
  const path = `${folder}/precious`;
  await Deno.writeTextFile(path, "precious");
  await Deno.symlink(path, `${folder}/link`);
  for (const taken of [path, `${folder}/link`, folder]) {
    assertThrows(() => listen({ path: taken }), Deno.errors.AlreadyExists, "no socket");
  }
  assertEquals(await Deno.readTextFile(path), "precious");
  await Deno.remove(`${folder}/link`);
  await Deno.remove(path);
});

unixTest("listen() refuses a path that is too long to connect to", async (folder) => {
  // Short, so that it is the name of the socket that counts.
  const near = await Deno.makeTempDir({ dir: "/tmp" });
  const most = Deno.build.os === "darwin" ? 103 : 107;
  const pathOf = (bytes: number) => `${near}/`.padEnd(bytes, "x");
  assertThrows(() => listen({ path: pathOf(most + 1) }), RangeError, `exceed the ${most} that`);
  const listener = listen({ path: pathOf(most) });
  const [socket, accepted] = await Promise.all([dial({ path: pathOf(most) }), listener.accept()]);
  for (const each of [socket, accepted as Socket]) each.close();
  listener.close();
  // It is bound beside that path first, under a name that is not as short.
  const deep = `${near}/`.padEnd(most - 6, "x");
  await Deno.mkdir(deep);
  assertThrows(() => listen({ path: `${deep}/short` }), RangeError, "take a shorter folder");
  await Deno.remove(deep);
  await Deno.remove(near);
  const missing = `${folder}/missing/s`;
  assertThrows(() => listen({ path: missing }), Deno.errors.NotFound, "there is no folder");
});

unixTest("listen() keeps a socket that has replaced its own", async (folder) => {
  const path = `${folder}/s`;
  const first = listen({ path });
  await Deno.remove(path);
  const second = listen({ path });
  first.close();
  assert(Deno.lstatSync(path).isSocket);
  second.close();
  const gone = listen({ path });
  await Deno.remove(path);
  gone.close();
});

unixTest("listen() ignores the leftovers of a crash, however long the path", async (folder) => {
  const near = await Deno.makeTempDir({ dir: "/tmp" });
  const most = Deno.build.os === "darwin" ? 103 : 107;
  const deep = `${near}/`.padEnd(most - 7, "x");
  await Deno.mkdir(`${deep}/.0`, { recursive: true });
  const path = `${deep}/socket`;
  using pair = await pairOver({ path });
  await pair.near.write(utf8("x"));
  assertEquals(await pair.far.read(new Uint8Array(10)), 1);
  assertEquals([...Deno.readDirSync(deep)].map(({ name }) => name).sort(), [".0", "socket"]);
  await Deno.remove(near, { recursive: true });
  assertEquals([...Deno.readDirSync(folder)], []);
});

unixTest("listen() leaves nothing behind when it fails", async (folder) => {
  assertThrows(() => listen({ path: `${folder}/none/s` }), Deno.errors.NotFound);
  // The path of a Unix socket has about a hundred bytes.
  const deep = `${folder}/${"x".repeat(120)}`;
  await Deno.mkdir(deep);
  assertThrows(() => listen({ path: `${deep}/s` }), Error);
  assertEquals([...Deno.readDirSync(deep)], []);
  await Deno.remove(deep);
});

Deno.test("dial() rejects with ConnectionRefused if no server listens", async () => {
  const listener = listen(loopback);
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  await assertRejects(() => dial(["127.0.0.1", port]), Deno.errors.ConnectionRefused);
  assertThrows(() => listen(["127.0.0.1", 65536]), RangeError);
});

Deno.test("dial() leaves no socket behind if it is aborted just as it succeeds", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = (async () => {
    for await (const conn of listener) conn.close();
  })();
  for (let i = 0; i < 100; i++) {
    const controller = new AbortController();
    const dialling = dial(["127.0.0.1", listener.addr.port], controller);
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    setTimeout(() => {
      controller.abort(new Error("enough"));
      resolve();
    }, 0);
    // Both are over when the event loop looks again; the sanitizer counts the sockets.
    for (const start = performance.now(); performance.now() - start < 3;);
    try {
      (await dialling).close();
    } catch (error) {
      assertEquals((error as Error).message, "enough");
    }
    await aborted;
  }
  listener.close();
  await accepting;
});

Deno.test("dial() passes its signal to a dialer, and refuses TLS with one", async () => {
  const seen: (AbortSignal | undefined)[] = [];
  const listener = new MemoryListener();
  const dialer = {
    address: ["nowhere", 0] as Address,
    dial(signal?: AbortSignal) {
      seen.push(signal);
      return listener.dial();
    },
  };
  const { signal } = new AbortController();
  const socket = await dial(dialer, { signal });
  assertEquals(seen, [signal]);
  assertEquals(addressOf(dialer), ["nowhere", 0]);
  socket.close();
  await assertRejects(() => dial(dialer, { tls: true }), TypeError, "does not go with a dialer");
  await assertRejects(
    () => dial({ ...dialer, address: ["", 0] as Address }),
    TypeError,
    "expected a host name",
  );
});
