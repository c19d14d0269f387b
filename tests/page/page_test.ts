// The page in a real browser, at a real relay.

import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { EbsocketClient } from "../../client.ts";
import type { Relay, RelayOptions } from "../../relay.ts";
import { CHROMIUM_PROGRAM, ChromiumPage } from "../support/chromium.ts";
import { needingTest } from "../support/needs.ts";
import { join, newRelay } from "../support/relay.ts";

/** Defines a test with a page that is connected to a relay. */
function test(
  name: string,
  fn: (page: ChromiumPage, relay: Relay) => Promise<void>,
  options: RelayOptions = {},
): void {
  needingTest(name, [CHROMIUM_PROGRAM], async () => {
    // Otherwise the spare connections of a browser, which never say a word, hear every event.
    await using relay = newRelay({ web: {}, subscribeFirst: true, ...options });
    await using page = await ChromiumPage.open(`http://127.0.0.1:${relay.server.address[1]}/`);
    await fn(page, relay);
    assertEquals(await page.complaints(), []);
  });
}

/** Waits for the connection of a page, and returns its ID. A browser may open others before. */
async function connected(page: ChromiumPage): Promise<string> {
  await page.shows("#state", /^Connected as c\d+$/);
  return (await page.text("#state")).slice("Connected as ".length);
}

test("The page shows the figures, clients, names and queues of a relay", async (page, relay) => {
  const id = await connected(page);
  await using one = await join(relay);
  await one.send('{"control":"subscribe","events":["chat.*"]}\n');
  await one.send('{"control":"subscribe","events":["jobs.>"],"queue":"workers"}\n');
  await using two = await join(relay);
  await two.send('{"control":"subscribe","events":[]}\n');
  await page.shows("#clients", /c\d+\t.*\ttcp\t.*\tchat\.\*, jobs\.> \[workers\]/);
  await page.shows("#clients", new RegExp(`${id} \\(you\\)\t.*\twebsocket\t.*\tnone`));
  await page.shows("#tiles", new RegExp(`Clients\\s+${relay.clients.length}\\s`));
  await page.shows("#queues", /workers\t1\tjobs\.>/);
  for (let isShown = false; !isShown;) {
    await two.send('{"event":"chat.a"}\n{"event":"lonely"}\n');
    isShown =
      await page.value("document.querySelectorAll('#names tbody tr').length === 2") === true;
  }
  await page.shows("#names", /chat\.a\t.*\/s\t1(\n|$)/);
  await page.shows("#names", /lonely\t.*\/s\tunheard(\n|$)/);
  await one.send("{}\n");
  await one.lines();
  one.close();
  await page.shows("#departures-count", /\b1 bad-event\b/);
  await page.click("#departures-box summary");
  await page.shows("#departures", /c\d+\t.*\tbad-event\t.*"event"/);
  assertMatch(
    await page.text("#health-facts"),
    /^Up .*, since .*Version \d.*Closed for a fault: 1 bad-event/s,
  );
});

test(
  "The page publishes an event and tails it, as text whatever it contains",
  async (page) => {
    await connected(page);
    const html = '<img src="x" onerror="complaints.push(1)"><script>complaints.push(2)</script>';
    assertStrictEquals(await page.text("#tail-count"), "");
    await page.fill("#pattern", "evil.>");
    await page.click("#tail-open");
    await page.shows("#tail-open", /^Stop$/);
    await page.fill("#name", `evil.${html}`);
    await page.fill("#attributes", '{"html":');
    await page.click("#send-form button[value=publish]");
    await page.shows("#attributes-fault", /^This is not JSON/);
    await page.fill("#attributes", JSON.stringify({ html, n: 1 }));
    await page.shows("#attributes-fault", /^$/);
    await page.click("#send-form button[value=publish]");
    await page.shows("#send-result", /^Published to 1 client$/);
    await page.shows("#tail", /evil\.<img.*\n?.*\{"html":"<img/);
    await page.click("#tail summary");
    await page.shows("#tail .body", /"n": 1/);
    await page.shows("#tail-note", /^Paused while an event is open/);
    await page.value("navigator.clipboard.writeText = (text) => { copied = text; }; copied = null");
    await page.click("#tail .body button");
    await page.sees("copied !== null");
    assertMatch(
      await page.value("copied") as string,
      /^ebsockets pub 127\.0\.0\.1:\d+ -- 'evil\.<img .*' n:=1$/,
    );
    assertStrictEquals(await page.value("document.querySelectorAll('img, main script').length"), 0);
  },
);

test(
  "The page hears nothing until a tail is opened, and after it is closed or hidden",
  async (page, relay) => {
    const id = Number((await connected(page)).slice(1));
    await using client = new EbsocketClient();
    await client.subscribe([]);
    await client.connectTo(relay.server.address);
    const heard = async () =>
      (await client.inspect()).clients.find((each) => each.id === id)!.subscriptions;
    assertEquals(await heard(), []);
    const hears = async (patterns: string[]) => {
      for (;;) {
        const found = (await heard()).map(({ pattern }) => pattern);
        if (found.join() === patterns.join()) return;
      }
    };
    await page.press("t");
    await page.type("a.*");
    await page.press("Enter");
    await hears(["a.*"]);
    await page.press("Escape");
    await page.press("p");
    await hears([]);
    await page.press("p");
    await hears(["a.*"]);
    const hide = (isHidden: boolean) =>
      page.value(
        `Object.defineProperty(document, "hidden", { value: ${isHidden}, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"))`,
      );
    await hide(true);
    await hears([]);
    await hide(false);
    await hears(["a.*"]);
    await page.fill("#pattern", "a.>.b");
    await page.press("Enter");
    await page.shows("#tail-note", /a\.>\.b/);
    await hears([]);
  },
);

test("The page sends requests, and shows the reply or why there is none", async (page, relay) => {
  await connected(page);
  await page.press("s");
  await page.type("sum");
  await page.fill("#attributes", '{"a":1}');
  await page.click("#send-form button[value=request]");
  await page.shows("#send-result", /^Cannot request sum: no other client is there/);
  await using worker = new EbsocketClient();
  const work = (async () => {
    for await (const event of worker.serve("sum")) await worker.reply(event, "done", { b: 2 });
  })();
  await worker.connectTo(relay.server.address);
  await page.click("#send-form button[value=request]");
  await page.shows("#send-result", /^Reply done from c\d+$/);
  assertStrictEquals(await page.text("#send-reply"), '{\n  "b": 2\n}');
  await worker.close();
  await work;
});

test("A new attempt to send replaces the result of those before", async (page, relay) => {
  await connected(page);
  await using worker = new EbsocketClient();
  await worker.subscribe(["slow"]);
  await worker.connectTo(relay.server.address);
  await page.fill("#name", "slow");
  await page.click("#send-form button[value=request]");
  await page.shows("#send-result", /^Waiting for a reply$/);
  const first = await worker.recvEvent();
  await page.click("#send-form button[value=publish]");
  await page.shows("#send-result", /^Published to 1 client$/);
  await worker.reply(first!, "late");
  await worker.send("barrier", {}, { confirm: true });
  await page.value("new Promise((resolve) => setTimeout(resolve, 300))");
  assertStrictEquals(await page.text("#send-result"), "Published to 1 client");
  await page.fill("#attributes", "[");
  await page.click("#send-form button[value=publish]");
  await page.shows("#send-result", /^$/);
});

test("The page tells since when there is no relay, and dims the figures", async (page, relay) => {
  await connected(page);
  const opacity = "getComputedStyle(document.getElementById('tiles')).opacity";
  assertStrictEquals(await page.value(opacity), "1");
  await relay.close();
  await page.shows("#state", /^No relay since \d\d:\d\d:\d\d; trying again$/);
  await page.value("new Promise((resolve) => setTimeout(resolve, 1000))");
  assertMatch(await page.text("#state"), /^No relay since /);
  assertStrictEquals(await page.value(opacity), "0.5");
});

test("The ID of this page fits into its cell in a narrow window", async (page) => {
  await page.tools.send("Emulation.setDeviceMetricsOverride", {
    width: 390,
    height: 800,
    deviceScaleFactor: 1,
    mobile: true,
  });
  await connected(page);
  await page.shows("#clients", /\(you\)/);
  const isOver = `(() => {
    const cell = document.querySelector("#clients td");
    cell.textContent = cell.textContent.replace(/c\\d+/, "c1234567");
    return cell.scrollWidth > cell.clientWidth;
  })()`;
  assertStrictEquals(await page.value(isOver), false);
});

test("The page is used by keys: search, and leave a field", async (page, relay) => {
  await connected(page);
  await using one = await join(relay);
  await one.send('{"control":"subscribe","events":["Needle.*"]}\n');
  await page.shows("#clients", /Needle/);
  await page.press("/");
  await page.type("needle");
  await page.shows("#clients-count", /^1 of \d$/);
  assertStrictEquals(await page.value("document.querySelectorAll('#clients tbody tr').length"), 1);
  await page.press("p"); // a letter in a field, and no key of the page
  await page.shows("#clients", /No client/);
  await page.press("Escape");
  await page.sees("document.activeElement === document.body");
});

test("The page asks for a token, until it has the right one", async (page) => {
  await page.shows("#token-why", /^This relay asks for a token\.$/);
  await page.sees("document.activeElement.id === 'token'");
  for (const token of ["wrong", "s3cret"]) {
    await page.type(token);
    await page.press("Enter");
    if (token === "wrong") await page.shows("#token-why", /^This token is wrong\.$/);
  }
  await connected(page);
  await page.sees("document.getElementById('token-form').hidden");
  assertStrictEquals(await page.value("sessionStorage.getItem('ebsockets-token')"), "s3cret");
}, { token: "s3cret" });

test("The page tells that a relay does not report its state", async (page) => {
  await connected(page);
  await page.shows("#health-facts", /^This relay gives no figures \(--no-inspect\)/);
}, { inspect: false });
