/** The pages in docs: their programs run, and their tables agree with the code. */

import { assertArrayIncludes } from "@std/assert/array-includes";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { COMMAND_NAMES } from "../cli/main.ts";
import { INSTALL } from "../cli/program.ts";
import { EbsocketClient } from "../client.ts";
import config from "../deno.json" with { type: "json" };
import { EbsocketEvent } from "../protocol/event.ts";
import { METRICS, RUNTIME_METRICS } from "../protocol/metrics.ts";
import { Relay } from "../relay.ts";
import { StatsCollector } from "../relay/stats.ts";
import { EbsocketServer } from "../server.ts";
import { testRelay } from "../testing.ts";
import { metricsText, prometheusName } from "../web/metrics.ts";
import { makeCertificates } from "./support/certificates.ts";
import { Command } from "./support/command.ts";
import { Document } from "./support/document.ts";
import { TempFolder } from "./support/folder.ts";
import { freePort } from "./support/free_port.ts";
import { Peer } from "./support/peer.ts";
import { canRun, Program } from "./support/process.ts";
import { clusterStats, historyStats, relayReport } from "./support/report.ts";
import { eventually, until } from "./support/waiting.ts";

const ROOT = `${import.meta.dirname}/..`;

const hasPython = canRun("python3", ["-c", "import socket"]);
const hasNetcat = canRun("sh", ["-c", "nc -h 2>&1 | grep -q -- -N"]);

const pages = [...Deno.readDirSync(`${ROOT}/docs`)].map(({ name }) => `docs/${name}`).sort();
const documents = ["README.md", ...pages];

/** Returns all documents as one text. */
async function readAll(): Promise<string> {
  const texts = await Promise.all(documents.map((path) => Deno.readTextFile(`${ROOT}/${path}`)));
  return texts.join("\n");
}

/** Returns the code in a document: its fences, and its spans between backticks. */
function codeIn(text: string): string {
  const fences = [...text.matchAll(/^ *```.*\n([^]*?)^ *```$/gm)].map(([, code]) => code);
  const spans = [...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code);
  return [...fences, ...spans].join("\n");
}

Deno.test("The documents use the installed name of the command, and existing commands", async () => {
  const text = await readAll();
  assertStringIncludes(text, `\n${INSTALL}\n`);
  const code = codeIn(text);
  const calls = [...code.matchAll(/(?:^|[|] *)ebsockets ([a-z]+)/gm)];
  assertGreater(calls.length, 10);
  for (const [call, name] of calls) assertArrayIncludes(COMMAND_NAMES, [name!], call);
  assertEquals(/jsr:@ebsockets\/relay [a-z]|^relay ([a-z]|-)/m.exec(code)?.[0], undefined);
});

Deno.test("Every link in the documents leads to a file, and to a heading in it", async () => {
  for (const path of [...documents, "PROTOCOL.md", "CHANGELOG.md", "CONTRIBUTING.md"]) {
    const text = await Deno.readTextFile(`${ROOT}/${path}`);
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)|^\[\w+\]: (\S+)/gm)) {
      if (link === undefined || /^https?:/.test(link)) continue;
      const target = new URL(link, new URL(`../${path}`, import.meta.url));
      const { hash } = target;
      target.hash = "";
      await Deno.stat(target);
      if (hash === "") continue;
      const headings = (await Deno.readTextFile(target)).match(/^#+ .*$/gm) ?? [];
      assertArrayIncludes(headings.map(anchorOf), [hash], `${path}: ${link}`);
    }
  }
});

/** Returns the anchor of a heading. */
function anchorOf(heading: string): string {
  const words = heading.replace(/^#+ /, "").toLowerCase();
  return `#${words.replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")}`;
}

const withPrograms = documents.filter((path) =>
  /<!-- \S+\.ts -->/.test(Deno.readTextFileSync(`${ROOT}/${path}`))
);

/** A change that makes a program invalid, and the compiler's error. */
const wrong: [path: string, name: string, from: string, to: string, error: RegExp][] = [
  ["docs/typed_events.md", "typed.ts", 'name: "Ada"', "name: 1", /TS2322/],
  ["docs/typed_events.md", "typed.ts", "?.toUpperCase", ".toUpperCase", /TS(2532|18048)/],
  ["docs/typed_events.md", "typed.ts", '"join", {', '"joined", {', /TS23/],
  ["docs/typed_events.md", "checked.ts", 'name: "Ada"', "nickname: 1", /TS23/],
  ["docs/typed_events.md", "checked.ts", ".content.toUpperCase", ".name.toUpperCase", /TS2339/],
  ["docs/testing.md", "greeter.ts", "event.__dict__.name", "event.__dict__.content", /TS2339/],
];

/** The errors in the programs of each document, and in those of each document with a change. */
let compiled: Promise<string[][]> | null = null;

async function compile(): Promise<string[][]> {
  using opened = new DisposableStack();
  const open = async (path: string) => opened.use(await Document.open(path, 7982));
  const all = await Promise.all(withPrograms.map(open));
  for (const [path, name, from, to] of wrong) {
    const document = await open(path);
    await document.change(name, (source) => source.replace(from, to));
    all.push(document);
  }
  return await Document.check(all);
}

for (const [i, path] of withPrograms.entries()) {
  Deno.test(`${path}: all programs in TypeScript compile`, async () => {
    assertEquals((await (compiled ??= compile()))[i], []);
  });
}

for (const [i, [path, name, , to, error]] of wrong.entries()) {
  Deno.test(`${path}: ${name} does not compile with \`${to}\``, async () => {
    const errors = (await (compiled ??= compile()))[withPrograms.length + i]!.join("\n");
    assertMatch(errors, error);
    assertStringIncludes(errors, name);
  });
}

Deno.test("docs/chat.md: the clients in a room receive each other's events, and no others", async () => {
  await using relay = testRelay();
  using guide = await Document.open("docs/chat.md", relay.address[1]);
  await using ada = guide.run("chat.ts", ["lobby", "Ada"]);
  await using grace = guide.run("chat.ts", ["lobby", "Grace"]);
  await using elsewhere = guide.run("chat.ts", ["garden", "Bob"]);
  for (const program of [ada, grace, elsewhere]) await program.expect(/You are in the/);
  await ada.type("hello\n");
  await grace.expect(/"Ada" says "hello"\n/);
  await elsewhere.type("anybody here?\n");
  await elsewhere.expect(/"Bob" says "anybody here\?"\n/);
  await grace.type("hi, Ada\n");
  await ada.expect(/"Grace" says "hi, Ada"\n/);
  assertNotMatch((await grace.end()).stdout, /Bob/);
});

Deno.test("docs/requests.md: no service, a reply, an error", async () => {
  await using relay = testRelay();
  using guide = await Document.open("docs/requests.md", relay.address[1]);
  const ask = async (...args: string[]) => {
    await using program = guide.run("ask.ts", args);
    return (await program.end()).stdout;
  };
  assertEquals(await ask(), "No service tells the time\n");
  await using clock = guide.run("clock.ts", []);
  await clock.expect(/Ready/);
  await until(() => relay.relay.clients.length === 1);
  const isServing = async () => (await ask()) !== "No service tells the time\n";
  while (!await isServing());
  const answer = await ask("Europe/Paris");
  assertMatch(answer, /"time" .*time: "\d\d:\d\d:\d\d", zone: "Europe\/Paris"/);
  const error = await ask("Nowhere");
  assertMatch(error, /"error" .*message: "Unknown time zone"/);
});

Deno.test({
  name: "docs/work_queue.md: all jobs are done, although a worker is killed",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using relay = testRelay();
    using guide = await Document.open("docs/work_queue.md", relay.address[1]);
    await using early = guide.run("boss.ts", ["1"]);
    await early.expect(/: no-responders\n/);
    await using ada = guide.run("worker.ts", ["Ada"]);
    await using grace = guide.run("worker.ts", ["Grace"]);
    const watcher = await relay.connect();
    const working = async () => {
      const { clients } = await watcher.inspect();
      return clients.filter(({ subscriptions }) => subscriptions.some(({ queue }) => queue)).length;
    };
    while (await working() < 2);
    await using boss = guide.run("boss.ts", ["300"]);
    await ada.expect(/"Ada" resizes/);
    ada.kill("SIGKILL");
    const { stdout, code } = await boss.end();
    assertMatch(stdout, /All 300 are done\n$/);
    assertEquals(code, 0);
    const done = new Set(stdout.matchAll(/"(picture\d+\.jpg)" by/g).map(([, file]) => file));
    assertEquals(done.size, 300);
    await grace.expect(/"Grace" resizes/);
  },
});

Deno.test({
  name: "docs/devices.md: a client watches a sensor in the shell and one in Python",
  ignore: !hasPython || !hasNetcat,
  async fn() {
    await using relay = testRelay({ subscribeFirst: true });
    using guide = await Document.open("docs/devices.md", relay.address[1]);
    await using watch = guide.run("watch.ts", []);
    await watch.expect(/Watching\n/);
    await using shell = guide.run("sensor.sh", ["19.5"]);
    await watch.expect(/"sensor\.kitchen": 19\.5 °C\n/);
    await using python = guide.run("sensor.py", ["2"]);
    await watch.expect(/"sensor\.cellar": [\d.]+ °C\n[^]*"sensor\.cellar": [\d.]+ °C\n/);
    assertEquals((await shell.end()).code, 0);
    assertEquals((await python.end()).code, 0);
  },
});

Deno.test({
  name: "docs/devices.md: a device in Python replies",
  ignore: !hasPython,
  async fn() {
    await using relay = testRelay({ subscribeFirst: true });
    using guide = await Document.open("docs/devices.md", relay.address[1]);
    await using lamp = guide.run("lamp.py", []);
    await lamp.expect(/ready\n/);
    await using client = await relay.connect();
    for (const on of [true, false]) {
      const answer = await client.request(new EbsocketEvent("lamp.switch"));
      assertEquals(answer.event, "lamp");
      assertEquals(answer.getAttribute("on"), on);
    }
    const answer = await client.request(new EbsocketEvent("lamp.state"));
    assertStrictEquals(answer.getAttribute("on"), false);
  },
});

Deno.test("docs/testing.md: the test passes, and fails for a changed program", async () => {
  using guide = await Document.open("docs/testing.md", 7982);
  await using right = guide.test("greeter_test.ts");
  const { code, stdout } = await right.end();
  assertStringIncludes(stdout, "2 passed");
  assertEquals(code, 0, stdout);
  await guide.change("greeter.ts", (source) => source.replace("Hello", "Goodbye"));
  await using wrong = guide.test("greeter_test.ts");
  const failed = await wrong.end();
  assertStringIncludes(failed.stdout, "1 passed | 1 failed");
  assertEquals(failed.code, 1);
  assertStringIncludes(failed.stdout, "Goodbye, Ada!");
});

Deno.test("docs/testing.md: the test with a history passes, and fails for a changed program", async () => {
  using guide = await Document.open("docs/testing.md", 7982);
  await using right = guide.test("sums_test.ts", "--allow-read", "--allow-write");
  const { code, stdout } = await right.end();
  assertStringIncludes(stdout, "2 passed");
  assertEquals(code, 0, stdout);
  await guide.change("sums.ts", (source) => source.replace("sum +=", "sum ="));
  await using wrong = guide.test("sums_test.ts", "--allow-read", "--allow-write");
  assertStringIncludes((await wrong.end()).stdout, "1 passed | 1 failed");
});

Deno.test("docs/typed_events.md: a client with types receives events", async () => {
  await using relay = testRelay();
  using document = await Document.open("docs/typed_events.md", relay.address[1]);
  await using typed = document.run("typed.ts");
  await until(() => relay.relay.clients.length === 1);
  await using peer = await Peer.connect(relay.address);
  await peer.send('{"event":"message","__dict__":{"content":"loud"}}\n');
  await typed.expect(/LOUD\n/);
});

Deno.test("docs/typed_events.md: the client reports an event that violates its definition", async () => {
  await using relay = testRelay();
  using document = await Document.open("docs/typed_events.md", relay.address[1]);
  await using checked = document.run("checked.ts");
  await until(() => relay.relay.clients.length === 1);
  const client = await relay.connect();
  client.sendEvent(new EbsocketEvent("message", { content: 7 }));
  await checked.expect(/"message" does not fit: ".*content.*"\n/);
  client.sendEvent(new EbsocketEvent("message", { content: "loud" }));
  await checked.expect(/"LOUD"\n/);
});

Deno.test("docs/reconnecting.md: the client reconnects, and reports both changes", async () => {
  const port = freePort();
  using document = await Document.open("docs/reconnecting.md", port);
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

Deno.test({
  name:
    "docs/servers.md: a program passes events on unchanged, leaves out requests, and ends at Ctrl+C",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using source = testRelay();
    await using target = testRelay();
    using document = await Document.open("docs/servers.md", target.address[1]);
    await document.change(
      "forward.ts",
      (text) => text.replace(/"relay\.example", \d+/, `"127.0.0.1", ${source.address[1]}`),
    );
    await using program = document.run("forward.ts", [], "127.0.0.1");
    const watcher = await source.connect();
    const isSubscribed = async () => {
      const { clients } = await watcher.inspect();
      return clients.some(({ subscriptions }) => subscriptions.length > 0);
    };
    while (!await isSubscribed());
    await using reader = await Peer.connect(target.address);
    await until(() => target.relay.clients.length === 2);
    await using writer = await Peer.connect(source.address);
    const first = '{"event":"sensor.a", "__dict__":{"zeros":1.00,"long":12345678901234567890}}\n';
    const last = '{"event":"sensor.z"}\n';
    await writer.send(`${first}{"event":"sensor.b","id":"r1"}\n{"event":"other"}\n${last}`);
    await reader.sees(last);
    assertEquals(reader.text, first + last);
    program.kill("SIGINT");
    const { code, stdout, stderr } = await program.end();
    assertEquals(stderr, "");
    assertEquals(stdout, "");
    assertEquals(code, 0);
  },
});

Deno.test("docs/servers.md: a relay in another program passes events on", async () => {
  const port = freePort();
  using document = await Document.open("docs/servers.md", port);
  await using program = document.run("embedded.ts");
  await program.expect(/Relaying on port \d+\n/);
  await using one = await connect(port);
  await using two = await connect(port);
  // Sends until the relay has accepted the other client.
  const sending = setInterval(() => one.sendEvent(new EbsocketEvent("a")), 1);
  assertEquals((await two.recvEvent())?.event, "a");
  clearInterval(sending);
});

Deno.test({
  name:
    "docs/servers.md: the echo server returns each event to its client, and shuts down on SIGINT",
  ignore: Deno.build.os === "windows",
  async fn() {
    const port = freePort();
    using document = await Document.open("docs/servers.md", port);
    await using server = document.run("echo_server.ts");
    await using client = await connect(port);
    await server.expect(/EbsocketConnection\(127\.0\.0\.1:\d+\) has come\n/);
    client.sendEvent(new EbsocketEvent("a"));
    assertEquals((await client.recvEvent())?.event, "a");
    server.kill("SIGINT");
    assertEquals((await client.closed).reason, "shutdown");
    const { code, stdout } = await server.end();
    assertMatch(stdout, /: shutdown\n$/);
    assertEquals(code, 0);
  },
});

/** Returns a client of a program that is about to listen. */
async function connect(port: number): Promise<EbsocketClient> {
  const client = new EbsocketClient();
  await eventually(() => client.connectTo(["127.0.0.1", port]));
  return client;
}

/** Returns the text of `--help` for each option, by its name. */
async function readFlags(): Promise<Map<string, string>> {
  await using command = new Command(["--help"], []);
  const { stdout } = await command.end();
  const [, options] = /^Where:\n([^]*?)^Exit code:$/m.exec(stdout)!;
  const texts = options!.split(/^ {2}(?:-h, )?(?=--)/m).slice(1);
  return new Map(texts.map((text) => [/^--[a-z-]+/.exec(text)![0], text.replaceAll(/\s+/g, " ")]));
}

Deno.test("The documents name every flag of --help", async () => {
  const flags = await readFlags();
  assertGreater(flags.size, 25);
  const text = await readAll();
  for (const flag of flags.keys()) assertStringIncludes(text, flag);
});

Deno.test("docs/limits.md has the same defaults as --help", async () => {
  const text = await Deno.readTextFile(`${ROOT}/docs/limits.md`);
  const rows = [...text.matchAll(/^\|[^|]+\|([^|]+)\|[^|]+\| `(--[a-z-]+)` +\|$/gm)];
  const flags = await readFlags();
  const units: Record<string, number> = { MiB: 1_048_576, s: 1000 };
  let count = 0;
  for (const [, value, flag] of rows) {
    const [amount, unit = ""] = value!.trim().replaceAll(",", "").split(" ");
    const bare = amount === "none" ? "no limit" : String(Number(amount) * (units[unit] ?? 1));
    const [, stated] = /\(default:? (no limit|\d+)\)/.exec(flags.get(flag!)!) ?? [];
    assertEquals(bare, stated, flag);
    count++;
  }
  const limits = [...flags.values()].filter((text) => /\(default:? (no limit|\d+)\)/.test(text));
  assertEquals(count, limits.length);
});

Deno.test("docs/limits.md names every option that is a limit", async () => {
  const text = await Deno.readTextFile(`${ROOT}/docs/limits.md`);
  const limit =
    /^ {2}readonly ((?:max[A-Z]|\w+Timeout|keepAlive|retryAfter|\w+Delay)\w*)\?: number/gm;
  const names = new Set<string>();
  for (const folder of ["", "/net", "/server", "/client", "/relay", "/protocol"]) {
    for (const { name } of Deno.readDirSync(`${ROOT}${folder}`)) {
      if (!name.endsWith(".ts")) continue;
      const source = await Deno.readTextFile(`${ROOT}${folder}/${name}`);
      for (const [options] of source.matchAll(/^export interface \w+Options [^]*?^}/gm)) {
        for (const [, option] of options.matchAll(limit)) names.add(option!);
      }
    }
  }
  assertGreater(names.size, 20);
  const named = new Set(text.match(/\w+/g));
  const missing = [...names].filter((name) => !named.has(name) && name !== "maxTotalHold");
  assertEquals(missing, []);
});

Deno.test("docs/operations.md names every field of the statistics", async () => {
  const stats = new StatsCollector();
  const fields = Object.keys(stats.read([], 0));
  stats.stop();
  const text = await Deno.readTextFile(`${ROOT}/docs/operations.md`);
  for (const name of fields) assertStringIncludes(text, `\`${name}\``);
});

/** Returns the cells of the rows in the first table of a document. */
function tableIn(text: string): string[][] {
  const [table] = /(?:^\|.*\|\n)+/m.exec(text)!;
  const [, , ...rows] = table.trimEnd().split("\n");
  return rows.map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
}

Deno.test("docs/monitoring.md has a row for each metric, with its names, label and meaning", async () => {
  const text = await Deno.readTextFile(`${ROOT}/docs/monitoring.md`);
  const { relay } = relayReport({ cluster: clusterStats(), history: historyStats() });
  const code = (name: string | undefined) => name === undefined ? "" : `\`${name}\``;
  const rows = [...METRICS, ...RUNTIME_METRICS].map((metric) => {
    const { name, description } = metric;
    const [label] = Object.keys(metric.read(relay)[0]![1] ?? {});
    return [prometheusName(metric), name, label?.replaceAll(".", "_")].map(code)
      .concat(description);
  });
  assertEquals(tableIn(text).slice(0, -1), rows);
  const inText = [...metricsText(relay).matchAll(/^# HELP (\S+)/gm)].map(([, name]) => code(name));
  assertEquals(tableIn(text).map(([name]) => name), inText);
});

for (
  const [file, ...check] of [
    ["prometheus.yml", "check", "config", "--syntax-only"],
    ["prometheus-remote.yml", "check", "config", "--syntax-only"],
    ["alerts.yml", "check", "rules", "--lint-fatal"],
  ] as const
) {
  Deno.test({
    name: `docs/monitoring.md: ${file} passes promtool ${check.slice(0, 2).join(" ")}`,
    ignore: !canRun("promtool", ["--version"]),
    async fn() {
      const text = await Deno.readTextFile(`${ROOT}/docs/monitoring.md`);
      const source = text.split("```").find((fence) => fence.startsWith(`yaml\n# ${file}\n`))!;
      using folder = new TempFolder();
      await Deno.writeTextFile(`${folder.path}/${file}`, source.replace("yaml\n", ""));
      await using promtool = new Program("promtool", [...check, `${folder.path}/${file}`]);
      const { code, stdout, stderr } = await promtool.end();
      assertEquals(code, 0, stdout + stderr);
    },
  });
}

Deno.test("docs/monitoring.md: queries and alerts use metrics that exist", async () => {
  const text = await Deno.readTextFile(`${ROOT}/docs/monitoring.md`);
  const metrics = metricsText(
    relayReport({ cluster: clusterStats(), history: historyStats() }).relay,
  );
  const named = new Set(codeIn(text).match(/\bebsockets_(?!close_reason|cluster_…|history_…)\w+/g));
  assertGreater(named.size, 10);
  for (const name of named) assertStringIncludes(metrics, `# HELP ${name} `);
});

Deno.test("docs/monitoring.md: the health check of Docker succeeds for a relay that is well", async () => {
  const text = await Deno.readTextFile(`${ROOT}/docs/monitoring.md`);
  const [, words] = /^HEALTHCHECK CMD (\[.*\])$/m.exec(text)!;
  const port = freePort();
  const [program, ...args] = JSON.parse(words!.replace("7982", `${port}`));
  assertEquals(program, "deno");
  const check = async () => {
    await using health = new Program(Deno.execPath(), args);
    return (await health.end()).code;
  };
  assertEquals(await check(), 1);
  await using _ = new Relay(new EbsocketServer(["127.0.0.1", port]), { web: {} });
  assertEquals(await check(), 0);
});

const certificates = await makeCertificates();

/** Returns the systemd unit in docs/operations.md, and what a history changes in it. */
async function readUnits(): Promise<string[]> {
  const text = await Deno.readTextFile(`${ROOT}/docs/operations.md`);
  return [...text.matchAll(/^ *```ini\n([^]*?)^ *```$/gm)]
    .map(([, unit]) => unit!.replaceAll(/^ +(?=\S)/gm, ""));
}

/** Returns the command of a systemd unit. */
function commandIn(unit: string): string {
  const [, line] = /^ExecStart=(\S+ (?:.*\\\n)*.*)$/m.exec(unit)!;
  return line!.replaceAll(/\s*\\\n\s*/g, " ");
}

Deno.test("docs/operations.md: a history changes the command of the unit in nothing else", async () => {
  const [unit, change] = (await readUnits()).map(commandIn);
  const without = change!.replace(" --history %S/relay", "").replace(",%S/relay", "")
    .replace(" --allow-write=%S/relay", "");
  assertEquals(without, unit);
});

Deno.test({
  name: "docs/operations.md: the commands of the unit run a relay with TLS, a token, and a history",
  ignore: certificates === null || Deno.build.os === "windows",
  async fn() {
    const units = await readUnits();
    assertEquals(units.length, 2);
    for (const unit of units) await runUnit(commandIn(unit));
  },
});

/** Runs the command of a unit, and connects a client to its relay. */
async function runUnit(line: string): Promise<void> {
  using folder = new TempFolder();
  const { server, ca } = certificates!;
  await Deno.writeTextFile(`${folder.path}/token`, "s3cret\n");
  await Deno.writeTextFile(`${folder.path}/cert.pem`, server.cert);
  await Deno.writeTextFile(`${folder.path}/key.pem`, server.key);
  const port = freePort();
  const words = line.replaceAll("%d", folder.path).replaceAll("%S", folder.path)
    .replaceAll("7982", `${port}`).split(/\s+/);
  assertEquals(words.slice(0, 2), ["/usr/local/bin/deno", "run"]);
  const at = words.indexOf(`jsr:${config.name}@${config.version}`);
  const args = [...words.slice(at + 1), "--port", `${port}`];
  await using relay = new Command(args, words.slice(2, at));
  await relay.listens();
  const tls = { caCerts: [ca] };
  await using client = new EbsocketClient({ token: "s3cret", tls });
  await client.connectTo(["127.0.0.1", port]);
  const isKept = [...Deno.readDirSync(folder.path)].some(({ name }) => name === "relay");
  assertEquals(isKept, line.includes("--history %S/relay"));
}

Deno.test("docs/operations.md: the unit has a credential for each file that it reads", async () => {
  const [unit] = await readUnits();
  const read = [...unit!.matchAll(/ %d\/(\S+)/g)].map(([, name]) => name);
  const given = [...unit!.matchAll(/^LoadCredential=(.+):\/etc\/relay\/\1$/gm)].map(([, name]) =>
    name
  );
  assertEquals(read, given);
});

Deno.test({
  name: "docs/leaving.md: a worker replies to its pending jobs before a signal ends it",
  ignore: Deno.build.os === "windows",
  async fn() {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      await using relay = testRelay();
      using document = await Document.open("docs/leaving.md", relay.address[1]);
      await using worker = document.run("leaving.ts");
      const client = await relay.connect();
      await client.subscribe([]);
      const isServing = async () => {
        const { clients } = await client.inspect();
        return clients.some(({ subscriptions }) => subscriptions.some(({ queue }) => queue));
      };
      while (!await isServing());
      const asking = Array.from({ length: 3 }, (_, i) => client.request("jobs.a", { i }));
      await asking[0];
      worker.kill(signal);
      for (const answer of await Promise.all(asking)) assertEquals(answer.event, "done");
      const { code, stdout } = await worker.end();
      assertMatch(stdout, /Closed: local, 0 lines unsent\n$/);
      assertEquals(code, 0, stdout);
    }
  },
});

Deno.test("docs/binary.md: one program decodes the base64 of the other", async () => {
  await using relay = testRelay();
  using document = await Document.open("docs/binary.md", relay.address[1]);
  await using viewer = document.run("viewer.ts");
  await viewer.expect(/Viewing\n/);
  await using camera = document.run("camera.ts");
  await viewer.expect(/"camera\.frame": 1000 bytes of "image\/jpeg"\n/);
  assertEquals((await camera.end()).code, 0);
  const client = await relay.connect();
  client.send("camera.frame", { data: "?" });
  await viewer.expect(/"camera\.frame": invalid base64\n/);
});

Deno.test({
  name: "docs/runtimes.md: a program in Node sends, receives, and prints the close reason",
  ignore: !canRun("node", ["--version"]),
  async fn() {
    const relay = testRelay();
    using document = await Document.open("docs/runtimes.md", relay.address[1]);
    const client = await relay.connect();
    await using node = document.run("client.mjs");
    assertEquals((await client.recvEvent())?.getAttribute("text"), "hi");
    client.send("news");
    client.send("chat.garden", { text: "Grüße \u2028 \r" });
    await node.expect(/event: chat\.garden \{ text: 'Grüße/);
    assertNotMatch(node.stdout, /news/);
    await relay.close();
    await node.expect(/closed: shutdown\n/);
    assertEquals((await node.end()).code, 0);
  },
});
