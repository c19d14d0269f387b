/** Pages in a real browser at several relays, which are restarted one after the other. */

import { assertArrayIncludes } from "@std/assert/array-includes";
import { assertEquals } from "@std/assert/equals";
import { EbsocketClient } from "../../client.ts";
import { RelayProcess } from "../faults/relay_process.ts";
import { CHROMIUM_PROGRAM, type ChromiumPage } from "../support/chromium.ts";
import { freePort } from "../support/free_port.ts";
import { NATS_SERVER, TestNatsServer } from "../support/nats_server.ts";
import { needingTest } from "../support/needs.ts";
import { REPORTER, ReportingPage } from "../support/reporting_page.ts";
import { until } from "../support/waiting.ts";

/** A page that chats through the relay at `port`, and reports all that happens to it. */
function pageOf(port: number): string {
  return `<!DOCTYPE html><meta charset="utf-8">${REPORTER}<script type="module">
    import { EbsocketClient } from "http://127.0.0.1:${port}/client.js";
    const client = new EbsocketClient({ reconnect: { minDelay: 10, maxDelay: 100 } });
    globalThis.client = client;
    (async () => {
      for await (const { type, info, unconfirmed = [] } of client.status()) {
        report(type, info?.reason ?? null, unconfirmed.length);
      }
    })();
    await client.subscribe(["chat.*"]);
    await client.connectTo("ws://127.0.0.1:${port}");
    for await (const event of client) report(event.__dict__.text);
  </script>`;
}

/** The statuses that a chat may show while relays and NATS are restarted. */
const HARMLESS = ["connecting", "connected", "disconnected", "reconnected", "cluster"];

needingTest("A chat of two browsers and a program goes on while relays and NATS are restarted", [
  CHROMIUM_PROGRAM,
  NATS_SERVER,
], async () => {
  await using nats = await TestNatsServer.start();
  await using stack = new AsyncDisposableStack();
  const relays: RelayProcess[] = [];
  const pages: { page: ReportingPage; chromium: ChromiumPage }[] = [];
  for (let i = 0; i < 3; i++) {
    const port = freePort();
    const page = stack.use(new ReportingPage(pageOf(port)));
    const args = ["--cluster", nats.url(), "--web-origin", page.origin];
    const relay = stack.use(await RelayProcess.start({ args, port }));
    relays.push(relay);
    if (i < 2) pages.push({ page, chromium: await page.open() });
  }
  for (const { page } of pages) await page.reported("connected");
  await using program = new EbsocketClient({ reconnect: { minDelay: 10, maxDelay: 100 } });
  const heard: string[] = [];
  await program.connectTo(relays[2]!.address);
  await program.subscribe(["chat.*"]);
  const listening = (async () => {
    for await (const event of program) heard.push(event.getAttribute("text") as string);
  })();

  let said = 0;
  /** Each says something, and all hear it. */
  const chat = async () => {
    const texts = [1, 2, 3].map((who) => `${who} says ${said}`);
    said++;
    for (const [i, { chromium }] of pages.entries()) {
      await chromium.value(`client.send("chat.text", { text: "${texts[i]}" }), 0`);
    }
    program.send("chat.text", { text: texts[2]! });
    for (const { page } of pages) {
      await until(() => texts.every((text) => page.log.some(([word]) => word === text)));
    }
    await until(() => texts.every((text) => heard.includes(text)));
  };
  await chat();
  const isBack = pages.map(({ page }) => () => page.log.some(([type]) => type === "reconnected"));
  let isProgramBack = false;
  const watching = (async () => {
    for await (const { type } of program.status()) isProgramBack ||= type === "reconnected";
  })();
  for (const [i, relay] of relays.entries()) {
    const { code, stderr } = await relay.stop();
    assertEquals([code, stderr], [0, ""]);
    await relay.restart();
    await until(isBack[i] ?? (() => isProgramBack));
    await chat();
  }
  await nats.kill();
  await nats.restart();
  await chat();
  for (const { page } of pages) {
    const statuses = page.log.filter(([word]) => !/says/.test(String(word)));
    assertArrayIncludes(HARMLESS, statuses.map(([type]) => type as string));
    for (const [, , unconfirmed] of statuses) assertEquals(unconfirmed, 0);
  }
  await program.close();
  await Promise.all([listening, watching]);
});
