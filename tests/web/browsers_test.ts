// What pages of real browsers can do with a relay besides a WebSocket, and what others are refused.

import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { type Browser, CHROMIUM, FIREFOX, type Page } from "../support/browser.ts";
import { needingTest } from "../support/needs.ts";
import { join, newRelay } from "../support/relay.ts";
import { soon } from "../support/waiting.ts";

/** Waits for the value of a script, which may be a promise. */
async function valueOf(page: Page, script: string): Promise<unknown> {
  const text = page.value(`(async () => JSON.stringify(await ${script} ?? null))()`);
  return JSON.parse(await soon(text, script) as string);
}

/** A page of another server. */
class OtherSite implements AsyncDisposable {
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("<title>Other</title>", { headers: { "Content-Type": "text/html" } }),
  );
  readonly origin = `http://127.0.0.1:${this.#server.addr.port}`;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

for (const browser of [CHROMIUM, FIREFOX] satisfies Browser[]) {
  needingTest(`An EventSource in ${browser.name} is a client`, browser.needs, async () => {
    await using relay = newRelay({ web: {} });
    await using tcp = await join(relay);
    await using page = await browser.open();
    const origin = `http://127.0.0.1:${relay.server.address[1]}`;
    await page.goTo(`${origin}/healthz`);
    await valueOf(
      page,
      `new Promise((resolve) => {
      globalThis.heard = [];
      globalThis.source = new EventSource("/events?name=chat.*");
      source.onopen = () => resolve(null);
      source.onmessage = ({ data }) => heard.push(data);
      globalThis.ended = new Promise((end) => source.addEventListener("close", ({ data }) => {
        source.close();
        end(data);
      }));
    })`,
    );
    await tcp.send(
      '{"event":"other"}\n{"event":"chat.a","__dict__":{"x":"grüß 👋"}}\n{"event":"chat.b"}\n',
    );
    await tcp.sees("chat.b");
    tcp.close();
    await relay.close();
    assertStringIncludes(await valueOf(page, "ended") as string, '"reason":"shutdown"');
    assertEquals(await valueOf(page, "heard"), [
      '{"event":"chat.a","__dict__":{"x":"grüß 👋"}}',
      '{"event":"chat.b"}',
    ]);
  });

  needingTest(
    `A page of another site in ${browser.name} is told why it may not join`,
    browser.needs,
    async () => {
      await using relay = newRelay({ web: {} });
      await using site = new OtherSite();
      await using page = await browser.open();
      await page.goTo(site.origin);
      const port = relay.server.address[1];
      const heard = await valueOf(
        page,
        `new Promise((resolve) => {
      const heard = [];
      const socket = new WebSocket("ws://127.0.0.1:${port}/ws");
      socket.onopen = () => socket.send('{"event":"intrusion"}');
      socket.onmessage = ({ data }) => heard.push(data);
      socket.onclose = ({ code, reason }) => resolve([...heard, code, reason]);
    })`,
      );
      const [line, code, reason] = heard as [string, number, string];
      assertStringIncludes(line, "--web-origin");
      assertEquals([code, reason], [1008, "unauthorized"]);
      assertEquals(relay.stats().eventsIn, 0);
    },
  );

  needingTest(
    `A page of another site in ${browser.name} reads nothing of a relay`,
    browser.needs,
    async () => {
      await using relay = newRelay({ web: {} });
      await using site = new OtherSite();
      await using page = await browser.open();
      await page.goTo(site.origin);
      const base = `http://127.0.0.1:${relay.server.address[1]}`;
      for (const path of ["/", "/healthz", "/metrics", "/events"]) {
        const outcome = await valueOf(
          page,
          `fetch("${base}${path}").then(() => "read", () => "refused")`,
        );
        assertEquals(outcome, "refused", path);
      }
      const source = await valueOf(
        page,
        `new Promise((resolve) => {
      const source = new EventSource("${base}/events");
      source.onopen = () => resolve("open");
      source.onerror = () => resolve("refused");
    })`,
      );
      assertEquals(source, "refused");
    },
  );

  needingTest(
    `client.js talks in ${browser.name}, in a page of a listed site`,
    browser.needs,
    async () => {
      await using site = new OtherSite();
      await using relay = newRelay({ web: { origins: [site.origin] } });
      await using tcp = await join(relay);
      await using page = await browser.open();
      await page.goTo(site.origin);
      const base = `127.0.0.1:${relay.server.address[1]}`;
      await valueOf(
        page,
        `import("http://${base}/client.js").then(async ({ EbsocketClient }) => {
      globalThis.client = new EbsocketClient();
      await client.connectTo("ws://${base}");
      await client.send("hello", { from: "a page" });
      return null;
    })`,
      );
      await tcp.sees('{"event":"hello","__dict__":{"from":"a page"}}\n');
      await tcp.send('{"event":"answer","__dict__":{"n":1}}\n');
      const event =
        "(async () => { for (;;) { const e = await client.recvEvent(); if (e.event === 'answer') return e; } })()";
      assertEquals((await valueOf(page, event) as { event: string }).event, "answer");
      await valueOf(page, "client.close()");
    },
  );
}
