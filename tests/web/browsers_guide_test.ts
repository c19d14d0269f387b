/** The guide for browsers: its pages, its functions for frameworks, and its settings of proxies. */

import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import config from "../../deno.json" with { type: "json" };
import { EbsocketClient } from "../../client.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { expectEvents } from "../../testing.ts";
import { RootConfig } from "../support/root_config.ts";
import { TempFolder } from "../support/folder.ts";
import { freePort } from "../support/free_port.ts";
import { canRun, Program } from "../support/process.ts";
import { CHROMIUM_PROGRAM, type ChromiumPage } from "../support/chromium.ts";
import { needingTest } from "../support/needs.ts";
import { REPORTER, ReportingPage } from "../support/reporting_page.ts";
import { eventually, until } from "../support/waiting.ts";

const ROOT = new URL("../../", import.meta.url);
const guide = await Deno.readTextFile(new URL("docs/browsers.md", ROOT));

/** The code with this name in the guide, with another port for the relay. */
function codeOf(name: string, port = 7982): string {
  const [, code] = guide.split(`<!-- ${name} -->`)[1]!.match(/```\w+(?: ignore)?\n([^]*?)```/)!;
  return code!.replaceAll("7982", `${port}`);
}

/** Reports the text of the page whenever it changes. */
const OBSERVER = `${REPORTER}<script>
  new MutationObserver(() => report(document.body.innerText))
    .observe(document, { childList: true, subtree: true });
  console.log = report;
</script>`;

for (const name of ["page.html", "plain.html"]) {
  needingTest(`docs/browsers.md: ${name} works in Chromium`, [CHROMIUM_PROGRAM], async () => {
    const port = freePort();
    await using page = new ReportingPage(`${OBSERVER}<meta charset="utf-8">${codeOf(name, port)}`);
    const web = { origins: [page.origin] };
    await using relay = new Relay(new EbsocketServer(["127.0.0.1", port]), { web });
    await using client = new EbsocketClient();
    await client.connectTo(["127.0.0.1", port]);
    await page.open();
    const event = await client.recvEvent();
    assertStringIncludes(`${event?.getAttribute("text")}`, "hi");
    await until(() => relay.clients.length === 2);
    await client.send("chat.lobby", { text: "Grüße <b>" });
    const said = () => page.log.some((words) => JSON.stringify(words).includes("Grüße <b>"));
    await until(said, { everyMs: 10 });
  });
}

needingTest(
  "examples/browser_chat.html is a chat, and tells of a restart",
  [CHROMIUM_PROGRAM],
  async () => {
    const port = freePort();
    const example = await Deno.readTextFile(new URL("examples/browser_chat.html", ROOT));
    const html = example.replaceAll("7982", `${port}`);
    await using one = new ReportingPage(html.replace("</body>", `${OBSERVER}</body>`));
    await using other = new ReportingPage(html.replace('value="Ada"', 'value="Bob"'));
    const web = { origins: [one.origin, other.origin] };
    const relay = new Relay(new EbsocketServer(["127.0.0.1", port]), { web });
    const left = await one.open();
    const right = await other.open();
    await until(() => relay.clients.length === 2);
    const status = async (page: ChromiumPage, text: string) => {
      await eventually(async () => {
        assertStringIncludes(`${await page.value("document.body.innerText")}`, text);
      });
    };
    await status(left, "Connected");
    await status(right, "Ada");
    await right.value('text.value = "<i>hi</i>", document.forms[0].requestSubmit(), 0');
    await status(left, "Bob: <i>hi</i>");
    await relay.close();
    await status(left, "Lost (shutdown)");
    await using again = new Relay(new EbsocketServer(["127.0.0.1", port]), { web });
    await until(() => again.clients.length === 2);
    await status(left, "Connected");
  },
);

needingTest(
  "examples/browser_chat.html asks whether the relay is running, if it cannot be reached",
  [CHROMIUM_PROGRAM],
  async () => {
    const example = await Deno.readTextFile(new URL("examples/browser_chat.html", ROOT));
    await using page = new ReportingPage(example.replaceAll("7982", `${freePort()}`));
    const shown = await page.open();
    await shown.shows("#status", /^Not connected: is the relay running\?$/);
  },
);

/** The parts of the frameworks that the guide uses, with their types. */
const FRAMEWORKS = {
  "react": `export declare function useState<T>(first: T):
      [value: T, set: (value: T | ((before: T) => T)) => void];
    export declare function useEffect(effect: () => void | (() => void), on?: unknown[]): void;`,
  "vue": `export interface ShallowRef<T> { value: T }
    export declare function shallowRef<T>(first: T): ShallowRef<T>;
    export declare function onScopeDispose(end: () => void): void;`,
  "svelte/store": `export interface Readable<T> { subscribe(run: (value: T) => void): () => void }
    export declare function readable<T>(
      first: T, start: (set: (value: T) => void) => void | (() => void)): Readable<T>;`,
};

Deno.test("docs/browsers.md: the functions for frameworks compile", async () => {
  using folder = new TempFolder();
  const imports: Record<string, string> = {
    ...config.imports,
    "@ebsockets/relay/web": "./web.ts",
  };
  for (const [name, types] of Object.entries(FRAMEWORKS)) {
    const path = `${folder.path}/${name.replace("/", "_")}.d.ts`;
    await Deno.writeTextFile(path, types);
    imports[name] = `file://${path}`;
  }
  await Deno.writeTextFile(`${folder.path}/client.ts`, codeOf("client.ts"));
  const files = ["react", "vue", "svelte"].map((name) => `${folder.path}/use_${name}.ts`);
  for (const path of files) await Deno.writeTextFile(path, codeOf(/_(\w+)/.exec(path)![1]!));
  const { compilerOptions, vendor, nodeModulesDir } = config;
  await using settings = await RootConfig.write({
    imports,
    compilerOptions,
    vendor,
    nodeModulesDir,
    lock: false,
  });
  await using check = new Program(Deno.execPath(), ["check", "--config", settings.path, ...files]);
  const { code, stderr } = await check.end();
  assertEquals(code, 0, stderr);
});

Deno.test("docs/browsers.md: listen() passes on the events of its pattern until it is ended", async () => {
  await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]), { web: {} });
  const port = relay.server.address[1];
  using folder = new TempFolder();
  const path = `${folder.path}/client.ts`;
  const source = codeOf("client.ts", port);
  await Deno.writeTextFile(path, source.replace("@ebsockets/relay/web", `${ROOT.href}web.ts`));
  const { client, listen } = await import(`file://${path}`);
  const heard: string[] = [];
  const stop = listen("chat.*", ({ event }: { event: string }) => heard.push(event));
  await using other = new EbsocketClient();
  await other.connectTo(relay.server.address);
  const subscriptions = (count: number) =>
    eventually(async () => {
      const { clients } = await other.inspect();
      assertEquals(clients.map((each) => each.subscriptionCount).toSorted(), [count, null]);
    });
  await subscriptions(1);
  await other.send("chat.a");
  await other.send("news.a");
  await until(() => heard.length === 1);
  stop();
  await subscriptions(0);
  await other.send("chat.b");
  await expectEvents(other, ["chat.a", "news.a", "chat.b"]);
  assertEquals(heard, ["chat.a"]);
  await client.close();
});

/** Proxies: the program, its name in the guide, and how to run it with the settings in a file. */
const PROXIES = [
  {
    program: "nginx",
    name: "nginx.conf",
    settings: (port: number, folder: string, code: string) =>
      `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}
      http {
        access_log off;
        ${
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((each) =>
          `${each}_temp_path ${folder};`
        ).join("\n")
      }
        ${code.replace("443 ssl", `127.0.0.1:${port}`).replace(/ssl_.*/g, "")}
      }`,
    args: (file: string) => ["-c", file],
  },
  {
    program: "haproxy",
    name: "haproxy.cfg",
    settings: (port: number, _: string, code: string) =>
      code.replace(/:443 ssl .*/, `127.0.0.1:${port}`),
    args: (file: string) => ["-f", file],
  },
];

for (const { program, name, settings, args } of PROXIES) {
  Deno.test({
    name: `docs/browsers.md: a relay is behind ${program}, under a path`,
    ignore: !canRun(program, ["-v"]),
    async fn() {
      const web = { hosts: ["events.localhost"] };
      await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]), { web });
      const port = freePort();
      using folder = new TempFolder();
      const file = `${folder.path}/settings`;
      const code = codeOf(name, relay.server.address[1]).replace(
        "events.example",
        "events.localhost",
      );
      await Deno.writeTextFile(file, settings(port, folder.path, code));
      await using _proxy = new Program(program, args(file));
      const url = `ws://127.0.0.1:${port}/relay/ws`;
      await using client = new EbsocketClient();
      await eventually(() => client.connectTo(url));
      client.send("chat", { text: "through" });
      await expectEvents(client, [["chat", { text: "through" }]]);
      const script = await fetch(`http://127.0.0.1:${port}/relay/client.js`);
      assertStringIncludes(await script.text(), "EbsocketClient");
    },
  });
}
