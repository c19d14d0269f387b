/** `client.js` in a real browser: pages of another origin, a restart, and a page that is frozen. */

import { assert } from "@std/assert/assert";
import { assertArrayIncludes } from "@std/assert/array-includes";
import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { EbsocketClient } from "../../client.ts";
import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { freePort } from "../support/free_port.ts";
import { CHROMIUM_PROGRAM, type ChromiumPage } from "../support/chromium.ts";
import { REPORTER, ReportingPage } from "../support/reporting_page.ts";
import { needingTest } from "../support/needs.ts";
import { soon, until } from "../support/waiting.ts";

/** A page that imports `client.js` from the relay at `port`, and reports what happens to it. */
function pageOf(port: number): string {
  return `<!DOCTYPE html><meta charset="utf-8">${REPORTER}<script type="module">
    import { EbsocketClient } from "http://127.0.0.1:${port}/client.js";
    const client = new EbsocketClient({ reconnect: { minDelay: 10, maxDelay: 100 } });
    globalThis.client = client;
    globalThis.events = 0;
    (async () => {
      for await (const status of client.status()) {
        const { type, info, unconfirmed = [] } = status;
        report(type, info?.reason ?? null, unconfirmed.length);
      }
    })();
    await client.subscribe(["chat.*"]);
    await client.connectTo("ws://127.0.0.1:${port}").catch((error) => report(error.message));
    for await (const event of client) {
      events++;
      if (event.event === "chat.text") report(event.__dict__.text);
    }
  </script>`;
}

async function withPage(
  options: RelayOptions,
  run: (page: ReportingPage, relay: Relay, port: number, chromium: ChromiumPage) => Promise<void>,
): Promise<void> {
  const port = freePort();
  await using page = new ReportingPage(pageOf(port));
  const web = { origins: [page.origin] };
  await using relay = new Relay(new EbsocketServer(["127.0.0.1", port]), { ...options, web });
  await run(page, relay, port, await page.open());
}

needingTest("client.js chats in Chromium, and is back after a restart of the relay", [
  CHROMIUM_PROGRAM,
], async () => {
  await withPage({}, async (page, relay, port, chromium) => {
    await page.reported("connected");
    await using other = new EbsocketClient({ reconnect: { minDelay: 10, maxDelay: 100 } });
    await other.connectTo(["127.0.0.1", port]);
    await other.send("chat.text", { text: "Grüße 😀" });
    await page.reported("Grüße 😀");
    await chromium.value('client.send("chat.answer", { text: "hi" }), 0');
    for (let event; (event = await soon(other.recvEvent(), "an event"));) {
      if (event.event === "chat.answer") break;
    }
    await relay.close();
    assertEquals(await page.reported("disconnected"), ["disconnected", "shutdown", 0]);
    const web = { origins: [page.origin] };
    await using _again = new Relay(new EbsocketServer(["127.0.0.1", port]), { web });
    await page.reported("reconnected");
    await other.send("chat.text", { text: "again" });
    await page.reported("again");
  });
});

needingTest(
  "client.js tells a page in Chromium why its origin is refused",
  [CHROMIUM_PROGRAM],
  async () => {
    const port = freePort();
    await using page = new ReportingPage(pageOf(port));
    await using _relay = new Relay(new EbsocketServer(["127.0.0.1", port]), { web: {} });
    await page.open();
    const words = () => page.log.flat().find((word) => String(word).includes("Cannot connect"));
    await until(() => words() !== undefined, { everyMs: 10 });
    assert(/unauthorized: .*--web-origin/.test(String(words())), String(words()));
  },
);

needingTest("A page of Chromium that is frozen under load is bounded, and comes back", [
  CHROMIUM_PROGRAM,
], async () => {
  const limits = { echo: false, writeTimeout: 1000, maxPendingBytes: 1_000_000 };
  await withPage(limits, async (page, relay, port, chromium) => {
    await page.reported("connected");
    await using sender = new EbsocketClient();
    await sender.connectTo(["127.0.0.1", port]);
    await sender.send("chat.first");
    await until(() => relay.clients.length === 2);
    await chromium.tools.send("Page.setWebLifecycleState", { state: "frozen" });
    const text = "x".repeat(10_000);
    let sent = 0;
    for (; relay.clients.length === 2 && sent < 100_000; sent++) {
      await sender.send("chat.load", { text });
    }
    assertLess(sent, 100_000);
    await chromium.tools.send("Page.setWebLifecycleState", { state: "active" });
    // What the page sends when it goes on may destroy the last line of the relay.
    const [, reason] = await page.reported("disconnected");
    assertArrayIncludes(["slow-consumer", "idle-timeout", "reset"], [reason]);
    await page.reported("reconnected");
    // A page of a busy machine may be slow once more, and miss an event.
    const again = setInterval(() => sender.send("chat.text", { text: "again" }), 500);
    await page.reported("again").finally(() => clearInterval(again));
  });
});
