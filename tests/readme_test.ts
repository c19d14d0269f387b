/** The README: its programs run, and it has the commands of the checks. */

import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { EbsocketClient } from "../client.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { testRelay } from "../testing.ts";
import { Document } from "./support/document.ts";
import { freePort } from "./support/free_port.ts";
import { newRelay } from "./support/relay.ts";
import { soon, until } from "./support/waiting.ts";

Deno.test("README.md is short, and has the two commands that the checks run", async () => {
  const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
  assertLess(readme.split("\n").length, 262);
  for (const task of ["relay", "test"]) assertStringIncludes(readme, `npx --yes deno task ${task}`);
});

Deno.test("README.md: the server and two clients work together", async () => {
  const port = freePort();
  using document = await Document.open("README.md", port);
  await using server = document.run("chat_server.ts");
  await server.expect(/Listening on 127\.0\.0\.1:\d+\n/);
  await using one = document.run("hello.ts");
  await server.expect(/has connected/);
  await using two = new EbsocketClient();
  await two.connectTo(["127.0.0.1", port]);
  // An event of the first client may reach the second before the server's welcome.
  const events = [await two.recvEvent()];
  if (events[0]?.event === "message") events.push(await two.recvEvent());
  assertEquals(events.at(-1)?.event, "welcome");
  two.sendEvent(new EbsocketEvent("message", { content: "from two" }));
  await one.expect(/"from two"\n/);
  await two.close();
  await server.expect(/has gone: eof\n/);
});

Deno.test("README.md: the clients work with the relay", async () => {
  await using relay = newRelay();
  const port = relay.server.address[1];
  using document = await Document.open("README.md", port);
  await using client = document.run("hello.ts");
  await client.expect(/"hi"\n/);
  await soon(relay.close(), "the end of the relay");
  await client.expect(/The connection has ended: shutdown/);
});

Deno.test("README.md: a subscriber receives only matching events", async () => {
  await using relay = testRelay();
  using document = await Document.open("README.md", relay.address[1]);
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
  assertNotMatch(subscriber.stdout, /news/);
});

Deno.test("README.md: a service replies to a request", async () => {
  await using relay = testRelay();
  using document = await Document.open("README.md", relay.address[1]);
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
