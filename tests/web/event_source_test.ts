// The EventSource of a real browser reads a relay's events, as docs/monitoring.md says.

import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { CHROMIUM_PROGRAM } from "../support/chromium.ts";
import { TempFolder } from "../support/folder.ts";
import { freePort } from "../support/free_port.ts";
import { needingTest } from "../support/needs.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { join } from "../support/relay.ts";
import { REPORTER, ReportingPage } from "../support/reporting_page.ts";
import { until } from "../support/waiting.ts";

/**
 * Returns the program in the documentation, for a relay at `port`, with its output sent back.
 *
 * @param onError What it does when the stream ends.
 */
async function readPage(port: number, onError: string): Promise<string> {
  const text = await Deno.readTextFile(new URL("../../docs/monitoring.md", import.meta.url));
  const [, script] = /```js\n([^]*?)```/.exec(text)!;
  return `<!DOCTYPE html><meta charset="utf-8">${REPORTER}<script>
    console.log = report;
    ${script!.replace("7982", `${port}`)}
    source.onopen = () => report("open");
    source.onerror = () => ${onError};
  </script>`;
}

const title = "The EventSource of Chromium receives events, and the reason of the end";
needingTest(title, [CHROMIUM_PROGRAM], async () => {
  const port = freePort();
  await using page = new ReportingPage(await readPage(port, "source.close()"));
  const web = { origins: [page.origin] };
  await using relay = new Relay(new EbsocketServer(["127.0.0.1", port]), { web });
  await page.open();
  await page.reported("open");
  await using publisher = await join(relay);
  await publisher.send('{"event":"chat.a","__dict__":{"text":"Grüße"}}\n{"event":"other"}\n');
  await until(() => page.log.length === 1, { everyMs: 20 });
  await relay.close();
  await until(() => page.log.length === 2, { everyMs: 20 });
  assertEquals(page.log, [["chat.a", { text: "Grüße" }], ["Closed:", "shutdown"]]);
});

const again = "The EventSource of Chromium receives what it has missed while its relay was away";
needingTest(again, [CHROMIUM_PROGRAM], async () => {
  using folder = new TempFolder();
  const port = freePort();
  await using page = new ReportingPage(await readPage(port, 'report("away")'));
  const options = { web: { origins: [page.origin] }, history: { folder: folder.path } };
  const start = async () => {
    const relay = new Relay(new EbsocketServer(["127.0.0.1", port]), options);
    await relay.ready;
    return relay;
  };
  const texts = (...numbers: number[]) =>
    numbers.map((text) => `{"event":"chat.a","__dict__":{"text":${text}}}\n`).join("");
  const received = () => page.log.filter(([name]) => name === "chat.a");
  {
    await using relay = await start();
    await page.open();
    await until(() => relay.clients.length === 1);
    await using publisher = await join(relay);
    await publisher.send(texts(1, 2));
    await until(() => received().length === 2, { everyMs: 20 });
  }
  await until(() => page.log.some(([word]) => word === "away"), { everyMs: 20 });
  await using relay = await start();
  await using publisher = await join(relay);
  await publisher.send(texts(3, 4));
  await until(() => relay.stats().history!.offset === 4);
  await until(() => relay.clients.length === 2, { everyMs: 20 });
  await publisher.send(texts(5));
  await until(() => received().length >= 5, { everyMs: 20 });
  assertEquals(received(), [1, 2, 3, 4, 5].map((text) => ["chat.a", { text }]));
  assertFalse(page.log.some(([word]) => word === "Events are missing:"));
});
