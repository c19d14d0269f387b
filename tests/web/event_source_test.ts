// The EventSource of a real browser reads a relay's events, as docs/monitoring.md says.

import { assertEquals } from "@std/assert/equals";
import { CHROMIUM_PROGRAM } from "../support/chromium.ts";
import { freePort } from "../support/free_port.ts";
import { needingTest } from "../support/needs.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { join } from "../support/relay.ts";
import { ReportingPage } from "../support/reporting_page.ts";
import { until } from "../support/waiting.ts";

/** Returns the program in the documentation, for a relay at `port`, with its output sent back. */
async function readPage(port: number): Promise<string> {
  const text = await Deno.readTextFile(new URL("../../docs/monitoring.md", import.meta.url));
  const [, script] = /```js\n([^]*?)```/.exec(text)!;
  return `<!DOCTYPE html><meta charset="utf-8"><script>
    const report = (...words) => fetch("/log", { method: "POST", body: JSON.stringify(words) });
    console.log = report;
    ${script!.replace("7982", `${port}`)}
    source.onopen = () => report("open");
    source.onerror = () => source.close();
  </script>`;
}

const title = "The EventSource of Chromium receives events, and the reason of the end";
needingTest(title, [CHROMIUM_PROGRAM], async () => {
  const port = freePort();
  await using page = new ReportingPage(await readPage(port));
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
