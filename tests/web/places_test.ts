// WebSockets and HTTP at the other places where a relay can listen: with TLS, and at a Unix socket.

import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertObjectMatch } from "@std/assert/object-match";
import { EbsocketClient } from "../../client.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { CHROMIUM } from "../support/browser.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { TempFolder } from "../support/folder.ts";
import { FOREIGN_KINDS, WS } from "../support/foreign_kinds.ts";
import { type Need, needingTest, program } from "../support/needs.ts";
import { Program } from "../support/process.ts";
import { until } from "../support/waiting.ts";

const made = await makeCertificates();
/** Only used by tests that are skipped without them. */
const certificates = made as Certificates;
const OPENSSL = { name: "openssl", isMet: made !== null };
const CURL = program("curl");

/** A relay with TLS that browsers may use. */
function newTlsRelay(): Relay {
  const server = new EbsocketServer({ hostname: "127.0.0.1", tls: certificates.server });
  return new Relay(server, { web: {} });
}

for (const kind of FOREIGN_KINDS) {
  needingTest(`${kind.name} talks with a relay over TLS`, [...kind.needs, OPENSSL], async () => {
    await using relay = newTlsRelay();
    using folder = new TempFolder();
    const ca = `${folder.path}/ca.pem`;
    await Deno.writeTextFile(ca, certificates.ca);
    const host = `localhost:${relay.server.address[1]}`;
    await using socket = await kind.start(`https://${host}/`, ca);
    await socket.open(`wss://${host}/ws`);
    await socket.send('{"control":"hello"}\n{"event":"a"}');
    await socket.sees(({ messages }) => messages.length === 2);
    assertObjectMatch(JSON.parse(socket.messages[0]!), { control: "welcome" });
    assertEquals(relay.clients.length, 1);
    await relay.close();
    await socket.sees(({ closed }) => closed !== null);
    assertEquals(socket.closed, { code: 1001, reason: "shutdown", isClean: true });
  });
}

needingTest("Chromium speaks HTTP/1.1 with a relay over TLS, and loads its page", [
  ...CHROMIUM.needs,
  OPENSSL,
], async () => {
  await using relay = newTlsRelay();
  await using page = await CHROMIUM.open();
  await page.goTo(`https://localhost:${relay.server.address[1]}/`);
  const script = 'performance.getEntriesByType("navigation")[0].nextHopProtocol';
  assertEquals(await page.value(script), "http/1.1");
  await until(() => relay.clients.length === 1); // The page itself.
});

needingTest(
  "curl, which would rather speak HTTP/2, asks a relay over TLS",
  [CURL, OPENSSL],
  async () => {
    await using relay = newTlsRelay();
    using folder = new TempFolder();
    const ca = `${folder.path}/ca.pem`;
    await Deno.writeTextFile(ca, certificates.ca);
    const url = `https://localhost:${relay.server.address[1]}/healthz`;
    await using curl = new Program("curl", ["-sSv", "--http2", "--cacert", ca, url]);
    const { stdout, stderr } = await curl.end();
    assertEquals(stdout, "ok\n");
    assertMatch(stderr, /ALPN.*server accepted http\/1\.1/);
  },
);

/** A test of a relay at a Unix socket, at the path given. */
function unixTest(
  name: string,
  needs: readonly Need[],
  fn: (relay: Relay, path: string) => Promise<void>,
) {
  const system = { name: "Unix sockets", isMet: Deno.build.os !== "windows" };
  needingTest(name, [...needs, system], async () => {
    using folder = new TempFolder();
    const path = `${folder.path}/relay.sock`;
    await using relay = new Relay(new EbsocketServer({ path }), { web: {} });
    await fn(relay, path);
  });
}

unixTest("ws talks with a relay at a Unix socket", WS.needs, async (relay, path) => {
  await using socket = await WS.start("");
  await socket.open(`ws+unix:${path}:/ws`);
  await socket.send('{"control":"hello"}\n{"event":"a"}');
  await socket.sees(({ messages }) => messages.length === 2);
  assertEquals(relay.clients.map(({ transport }) => transport), ["websocket"]);
  await relay.close();
  await socket.sees(({ closed }) => closed !== null);
  assertEquals(socket.closed, { code: 1001, reason: "shutdown", isClean: true });
});

unixTest("curl hears the events of a relay at a Unix socket", [CURL], async (relay, path) => {
  const url = "http://localhost/events?name=chat.*";
  await using curl = new Program("curl", ["-sSN", "--unix-socket", path, url]);
  await until(() => relay.clients.length === 1);
  await using client = new EbsocketClient();
  await client.connectTo({ path });
  client.send("chat.a", { x: 1 });
  await curl.expect(/data: \{"event":"chat\.a","__dict__":\{"x":1\}\}\n\n/);
  await relay.close();
  assertMatch((await curl.end()).stdout, /\nevent: close\n\n$/);
});
