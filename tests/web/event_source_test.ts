// The EventSource of a real browser reads a relay's events, as docs/monitoring.md says.

import { assertEquals } from "@std/assert/equals";
import { TempFolder } from "../support/folder.ts";
import { canRun, Program } from "../support/process.ts";
import { join, newRelay } from "../support/relay.ts";
import { until } from "../support/waiting.ts";

const [browser] = ["chromium", "chromium-browser", "google-chrome"]
  .filter((name) => canRun(name, ["--version"]));

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

Deno.test({
  name: "The EventSource of Chromium receives events, and the reason of the end",
  ignore: browser === undefined,
  async fn() {
    const log: unknown[][] = [];
    let page = "";
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async (request) => {
        if (request.method === "POST") log.push(await request.json());
        return new Response(page, { headers: { "Content-Type": "text/html" } });
      },
    );
    const origin = `http://127.0.0.1:${server.addr.port}`;
    const relay = newRelay({ web: { origins: [origin] } });
    page = await readPage(relay.server.address[1]);
    using folder = new TempFolder();
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", `--user-data-dir=${folder.path}`];
    await using _chromium = new Program(browser!, [...flags, origin]);
    await until(() => log.length === 1, { everyMs: 20 });
    await using publisher = await join(relay);
    await publisher.send('{"event":"chat.a","__dict__":{"text":"Grüße"}}\n{"event":"other"}\n');
    await until(() => log.length === 2, { everyMs: 20 });
    await relay.close();
    await until(() => log.length === 3, { everyMs: 20 });
    assertEquals(log, [
      ["open"],
      ["chat.a", { text: "Grüße" }],
      ["Closed:", "shutdown"],
    ]);
  },
});
