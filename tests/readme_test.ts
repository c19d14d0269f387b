/** The README: its programs run, and what it says of flags and limits is what the code does. */

import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { EbsocketClient } from "../client.ts";
import { ConnectError } from "../errors.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { Relay } from "../relay.ts";
import { EbsocketServer } from "../server.ts";
import { StatsCollector } from "../relay/stats.ts";
import { testRelay } from "../testing.ts";
import { Command } from "./support/command.ts";
import { Document } from "./support/document.ts";
import { freePort } from "./support/free_port.ts";
import { Peer } from "./support/peer.ts";
import { soon, until } from "./support/waiting.ts";

const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));

Deno.test("README.md: the server and two clients work together", async () => {
  const port = freePort();
  await using document = await Document.open("README.md", port);
  await using server = document.run("chat_server.ts");
  await server.expect(/Listening on 127\.0\.0\.1:\d+\n/);
  await using one = document.run("hello.ts");
  await server.expect(/has connected/);
  await using two = new EbsocketClient();
  await two.connectTo(["127.0.0.1", port]);
  // What the first client says may be sent to the second before the server has seen that it came.
  const events = [await two.recvEvent()];
  if (events[0]?.event === "message") events.push(await two.recvEvent());
  assertEquals(events.at(-1)?.event, "welcome");
  two.sendEvent(new EbsocketEvent("message", { content: "from two" }));
  await one.expect(/"from two"\n/);
  await two.close();
  await server.expect(/has gone: eof\n/);
});

Deno.test({
  name: "README.md: the other server gives each client its own events, until it is stopped",
  ignore: Deno.build.os === "windows",
  async fn() {
    const port = freePort();
    await using document = await Document.open("README.md", port);
    await using server = document.run("echo_server.ts");
    await using client = await connect(port);
    await server.expect(/EbsocketConnection\(127\.0\.0\.1:\d+\) has come\n/);
    client.sendEvent(new EbsocketEvent("a"));
    assertEquals((await client.recvEvent())?.event, "a");
    server.kill("SIGINT");
    assertEquals((await client.closed).reason, "shutdown");
    const { code, stdout } = await server.end();
    assertEquals([code, stdout.endsWith(": shutdown\n")], [0, true]);
  },
});

Deno.test("README.md: a relay inside another program relays", async () => {
  const port = freePort();
  await using document = await Document.open("README.md", port);
  await using program = document.run("embedded.ts");
  await program.expect(/Relaying on port \d+\n/);
  await using one = await connect(port);
  await using two = await connect(port);
  // Sends until the relay has accepted the other one.
  const sending = setInterval(() => one.sendEvent(new EbsocketEvent("a")), 1);
  assertEquals((await two.recvEvent())?.event, "a");
  clearInterval(sending);
});

Deno.test("README.md: the client that finds its way back does, and says what happens", async () => {
  const port = freePort();
  await using document = await Document.open("README.md", port);
  const where = ["127.0.0.1", port] as const;
  await using client = await (async () => {
    await using _ = new Relay(new EbsocketServer(where));
    const client = document.run("steady.ts");
    await client.expect(/EbsocketEvent<tick> \{ count: 1 \}\n/);
    return client;
  })();
  await client.expect(/Lost the connection \(shutdown\), trying again in \d+ ms\n/);
  await using _ = new Relay(new EbsocketServer(where));
  await client.expect(/Back after \d+ ms\n/);
  await client.expect(/EbsocketEvent<tick> \{ count: \d+ \}\n/);
  if (Deno.build.os === "windows") return;
  client.kill("SIGINT");
  assertEquals((await client.end()).code, 0);
});

/** A client of a program that is about to listen. */
async function connect(port: number): Promise<EbsocketClient> {
  const client = new EbsocketClient();
  for (;;) {
    try {
      await client.connectTo(["127.0.0.1", port]);
      return client;
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

Deno.test("README.md: the clients work with the relay", async () => {
  await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
  const port = relay.server.address[1];
  await using document = await Document.open("README.md", port);
  await using client = document.run("hello.ts");
  await client.expect(/"hi"\n/);
  await using typed = document.run("typed.ts");
  await until(() => relay.clients.length === 2);
  await using peer = await Peer.connect(relay.server.address);
  await peer.send('{"event":"message","__dict__":{"content":"loud"}}\n');
  await typed.expect(/LOUD\n/);
  await soon(relay.close(), "the end of the relay");
  await client.expect(/The connection has ended: shutdown/);
});

Deno.test("README.md: a subscriber hears what it has asked for", async () => {
  await using relay = testRelay();
  await using document = await Document.open("README.md", relay.address[1]);
  await using subscriber = document.run("subscriber.ts");
  const client = await relay.connect();
  await client.subscribe([]);
  const hears = async () => {
    const event = new EbsocketEvent("game.move.left", { n: 1 });
    return await client.sendEvent(event, { confirm: true }) === 1;
  };
  while (!await hears());
  await client.sendEvent(new EbsocketEvent("news", { n: 2 }));
  await client.sendEvent(new EbsocketEvent("chat.lobby", { n: 3 }));
  await subscriber.expect(/"chat\.lobby" \{ n: 3 \}\n/);
  assertEquals(subscriber.stdout.includes("news"), false);
});

Deno.test("README.md: a service answers who asks", async () => {
  await using relay = testRelay();
  await using document = await Document.open("README.md", relay.address[1]);
  await using service = document.run("service.ts");
  await until(() => relay.relay.clients.length === 1);
  for (;;) {
    await using asker = document.run("asker.ts");
    const { code, stdout, stderr } = await asker.end();
    if (code !== 0 && stderr.includes("NoRespondersError")) continue;
    assertMatch(stdout, /^"\d{4}-\d\d-\d\dT.*Z"\n$/);
    break;
  }
  assertEquals(service.stderr, "");
});

Deno.test("README.md: definitions are checked at both ends", async () => {
  await using relay = testRelay();
  await using document = await Document.open("README.md", relay.address[1]);
  await using checked = document.run("checked.ts");
  await until(() => relay.relay.clients.length === 1);
  const client = await relay.connect();
  client.sendEvent(new EbsocketEvent("message", { content: 7 }));
  await checked.expect(/"message" does not fit: ".*content.*"\n/);
  client.sendEvent(new EbsocketEvent("message", { content: "loud" }));
  await checked.expect(/"LOUD"\n/);
});

Deno.test("README.md names every flag that --help does, with the same defaults", async () => {
  await using command = new Command(["--help"], []);
  const { stdout } = await command.end();
  for (const [flag] of stdout.matchAll(/--[a-z]+(-[a-z]+)*/g)) {
    if (flag === "--version") continue;
    assertEquals(readme.includes(flag), true, `${flag} is not there`);
  }
  const mebibytes = { "1 MiB": 1_048_576, "8 MiB": 8_388_608, "512 MiB": 536_870_912 };
  for (const [text, bytes] of Object.entries(mebibytes)) {
    assertEquals([readme.includes(text), stdout.includes(`${bytes}`)], [true, true]);
  }
});

Deno.test("README.md names every field of the stats, and every metric", async () => {
  const stats = new StatsCollector();
  const fields = Object.keys(stats.read([], 0));
  stats.stop();
  const source = await Deno.readTextFile(new URL("../cli/telemetry.ts", import.meta.url));
  const metrics = [...source.matchAll(/\b(?:counter|sum|gauge)\("([a-z.]+)"/g)].map(([, name]) =>
    name!.replace(/^(?!ebsockets|process)/, "ebsockets.")
  );
  assertEquals(metrics.length, 12);
  for (const name of [...fields, ...metrics]) {
    const isNamed = readme.includes(`\`${name}\``) || name === "ebsockets.eventloop.delay.mean";
    assertEquals(isNamed, true, `${name} is not there`);
  }
});
