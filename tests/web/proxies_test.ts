// nginx and haproxy between a relay and those who use it: with TLS, a path of its own, and a time-out
// for silence.

import { assertEquals } from "@std/assert/equals";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { CHROMIUM } from "../support/browser.ts";
import { Command } from "../support/command.ts";
import { TempFolder } from "../support/folder.ts";
import { CHROMIUM_SOCKET, WS } from "../support/foreign_kinds.ts";
import { needingTest } from "../support/needs.ts";
import { Peer } from "../support/peer.ts";
import { HAPROXY, NGINX, type Proxy } from "../support/proxies.ts";
import { soon } from "../support/waiting.ts";

const made = await makeCertificates();
/** Only used by tests that are skipped without them. */
const certificates = made as Certificates;
const OPENSSL = { name: "openssl", isMet: made !== null };

/** A folder with the certificate to trust, in the file `ca.pem`. */
async function caFolder(): Promise<TempFolder> {
  const folder = new TempFolder();
  await Deno.writeTextFile(`${folder.path}/ca.pem`, certificates.ca);
  return folder;
}

/** Fetches through a proxy, and gives the status and the text. */
async function get(proxy: Proxy, path: string): Promise<[number, string]> {
  using client = Deno.createHttpClient({ caCerts: [certificates.ca] });
  const response = await fetch(`https://${proxy.host}/relay/${path}`, { client });
  return [response.status, await response.text()];
}

/** Reads a stream of events through a proxy until `count` parts that match have come. */
async function readStream(proxy: Proxy, pattern: RegExp, count: number): Promise<void> {
  using client = Deno.createHttpClient({ caCerts: [certificates.ca] });
  const response = await fetch(`https://${proxy.host}/relay/events`, { client });
  let text = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.split(pattern).length > count) return;
  }
  throw new Error(`The stream has ended after ${text}`);
}

const EVENT = '{"event":"a","__dict__":{"x":"grüß dich"}}';

for (const kind of [NGINX, HAPROXY]) {
  const needs = [...kind.needs, OPENSSL];

  needingTest(
    `${kind.name} passes a WebSocket on, to a path of its own`,
    [...needs, ...WS.needs],
    async () => {
      await using relay = new Command(["--port", "0", "--web-host", "localhost"]);
      const address = await relay.listens();
      await using proxy = await kind.start(certificates, { upstream: address[1] });
      using folder = await caFolder();
      await using socket = await WS.start("", `${folder.path}/ca.pem`);
      await using tcp = await Peer.connect(address);
      await tcp.send('{"control":"hello"}\n');
      await tcp.sees("welcome");
      await socket.open(`wss://${proxy.host}/relay/ws`);
      await socket.send(`{"control":"hello"}\n${EVENT}`);
      await tcp.sees(EVENT);
      await socket.sees(({ messages }) => messages.length === 2);
      const long = `{"event":"b","__dict__":{"x":"${"x".repeat(1_000_000)}"}}`;
      await tcp.send(`${long}\n`);
      await socket.sees(({ messages }) => messages.length === 3);
      assertEquals(socket.messages[2] === long, true, "the long line");
      tcp.close();
      relay.kill("SIGTERM");
      await socket.sees(({ closed }) => closed !== null);
      assertEquals(socket.closed, { code: 1001, reason: "shutdown", isClean: true });
    },
  );

  needingTest(
    `Chromium uses a relay behind ${kind.name}`,
    [...needs, ...CHROMIUM.needs],
    async (t) => {
      await using relay = new Command(["--port", "0", "--web-host", "localhost", "--metrics-open"]);
      const address = await relay.listens();
      await using proxy = await kind.start(certificates, { upstream: address[1] });
      await using tcp = await Peer.connect(address);
      const origin = `https://${proxy.host}/relay/`;

      await t.step("by a WebSocket", async () => {
        await using socket = await CHROMIUM_SOCKET.start(origin);
        await socket.open(`wss://${proxy.host}/relay/ws`);
        await socket.send(EVENT);
        await tcp.sees(EVENT);
        await socket.close(1000, "");
        await socket.sees(({ closed }) => closed !== null);
        assertEquals(socket.closed, { code: 1000, reason: "eof", isClean: true });
      });

      await t.step("by its page, its client and a stream of events", async () => {
        await using page = await CHROMIUM.open();
        await page.goTo(origin);
        await page.value(`
        globalThis.source = new EventSource("events?name=chat");
        globalThis.heard = new Promise((resolve) => source.onmessage = ({ data }) => resolve(data));
        new Promise((resolve) => source.onopen = () => resolve(""))
      `);
        await page.value(`import("./client.js").then(async ({ EbsocketClient }) => {
        const client = new EbsocketClient();
        await client.connectTo(new URL("ws", location.href.replace("http", "ws")).href);
        client.send("chat", { text: "hi" });
      })`);
        const heard = await soon(page.value("heard"), "an event");
        assertEquals(heard, '{"event":"chat","__dict__":{"text":"hi"}}');
      });
    },
  );

  needingTest(
    `${kind.name} does not close what the relay keeps alive`,
    [...needs, ...WS.needs],
    async () => {
      await using relay = new Command(["--port", "0", "--web-host=localhost", "--keep-alive=1000"]);
      const upstream = (await relay.listens())[1];
      await using proxy = await kind.start(certificates, { upstream, timeout: 2 });
      using folder = await caFolder();
      await using socket = await WS.start("", `${folder.path}/ca.pem`);
      await socket.open(`wss://${proxy.host}/relay/ws`);
      await Promise.all([
        socket.sees(({ pings }) => pings.length >= 5),
        readStream(proxy, /^:/m, 5),
      ]);
      assertEquals(socket.closed, null);
    },
  );

  needingTest(`${kind.name} closes what is silent for longer than its time-out`, [
    ...needs,
    ...WS.needs,
  ], async () => {
    await using relay = new Command(["--port", "0", "--web-host", "localhost"]);
    const upstream = (await relay.listens())[1];
    await using proxy = await kind.start(certificates, { upstream, timeout: 2 });
    using folder = await caFolder();
    await using socket = await WS.start("", `${folder.path}/ca.pem`);
    await socket.open(`wss://${proxy.host}/relay/ws`);
    await socket.sees(({ closed }) => closed !== null);
    assertEquals(socket.closed, { code: 1006, reason: "", isClean: false });
  });

  needingTest(`${kind.name} must not hide the name in the browser`, needs, async () => {
    await using relay = new Command(["--port", "0", "--web-host", "localhost", "--metrics-open"]);
    const upstream = (await relay.listens())[1];
    {
      await using proxy = await kind.start(certificates, { upstream, hidesHost: true });
      for (const path of ["", "healthz", "events", "ws"]) {
        const [status, text] = await get(proxy, path);
        assertEquals(status, 403, path);
        assertStringIncludes(text, "Let the proxy pass Host on, and give the name with --web-host");
      }
    }
    await using proxy = await kind.start(certificates, { upstream });
    assertEquals(await get(proxy, "healthz"), [200, "ok\n"]);
  });

  needingTest(`${kind.name} needs the name that a relay was given`, needs, async () => {
    await using relay = new Command(["--port", "0", "--metrics-open"]);
    const upstream = (await relay.listens())[1];
    await using proxy = await kind.start(certificates, { upstream });
    const [status, text] = await get(proxy, "healthz");
    assertEquals(status, 403);
    assertStringIncludes(text, "--web-host NAME");
  });

  needingTest(
    `${kind.name} passes requests on to a Unix socket`,
    [...needs, ...WS.needs],
    async () => {
      using folder = await caFolder();
      const path = `${folder.path}/relay.sock`;
      const flags = ["--unix", path, "--web", "--web-host", "localhost", "--metrics-open"];
      await using relay = new Command([...flags, "--token", "s3cret"], [
        "--allow-net",
        "--allow-read",
        "--allow-write",
      ]);
      await relay.expect(/Relay listening on .*\n/);
      await using proxy = await kind.start(certificates, { upstream: path });
      assertEquals(await get(proxy, "healthz"), [200, "ok\n"]);
      await using socket = await WS.start("", `${folder.path}/ca.pem`);
      await socket.open(`wss://${proxy.host}/relay/ws`);
      await socket.send('{"control":"hello","token":"s3cret"}\n{"event":"a"}');
      await socket.sees(({ messages }) => messages.length === 2);
      assertObjectMatch(JSON.parse(socket.messages[0]!), { control: "welcome" });
    },
  );
}
