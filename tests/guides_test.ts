/** The guides: each program in them runs, and does what they say. */

import { assertArrayIncludes } from "@std/assert/array-includes";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { COMMAND_NAMES } from "../cli/commands.ts";
import { INSTALL } from "../cli/program.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { testRelay } from "../testing.ts";
import { Document } from "./support/document.ts";
import { until } from "./support/waiting.ts";

const hasPython = canRun("python3", ["-c", "import socket"]);
const hasNetcat = canRun("sh", ["-c", "nc -h 2>&1 | grep -q -- -N"]);

function canRun(command: string, args: string[]): boolean {
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const documents = [
  "README.md",
  ...["chat", "devices", "requests", "testing", "work_queue"].map((name) => `guides/${name}.md`),
];

Deno.test("README.md and the guides call the command as it is installed, with commands that there are", async () => {
  const texts = await Promise.all(
    [...documents, "guides/README.md"].map((path) => Deno.readTextFile(path)),
  );
  assertStringIncludes(texts[0]!, `\n${INSTALL}\n`);
  for (const text of texts) {
    const calls = [...text.matchAll(/(?:^|`)ebsockets ([a-z]+)/gm)];
    for (const [call, name] of calls) assertArrayIncludes(COMMAND_NAMES, [name!], call);
    assertEquals(/jsr:@ebsockets\/relay [a-z]|(^|`)relay ([a-z]|-)/m.exec(text)?.[0], undefined);
  }
});

for (const path of documents) {
  Deno.test(`${path}: all programs in TypeScript compile`, async () => {
    await using document = await Document.open(path, 7982);
    await using check = document.check();
    const { code, stderr } = await check.end();
    assertEquals(code, 0, stderr);
  });
}

/** A change to a program that makes it wrong, and what the compiler says of that. */
const wrong: [path: string, name: string, from: string, to: string, error: RegExp][] = [
  ["README.md", "typed.ts", 'name: "Ada"', "name: 1", /TS2322/],
  ["README.md", "typed.ts", "?.toUpperCase", ".toUpperCase", /TS(2532|18048)/],
  ["README.md", "typed.ts", '"join", {', '"joined", {', /TS23/],
  ["README.md", "checked.ts", 'name: "Ada"', "nickname: 1", /TS23/],
  ["README.md", "checked.ts", ".content.toUpperCase", ".name.toUpperCase", /TS2339/],
  ["guides/testing.md", "greeter.ts", "event.__dict__.name", "event.__dict__.content", /TS2339/],
];

for (const [path, name, from, to, error] of wrong) {
  Deno.test(`${path}: ${name} does not compile with \`${to}\``, async () => {
    await using document = await Document.open(path, 7982);
    await document.change(name, (source) => source.replace(from, to));
    await using check = document.check();
    const { code, stderr } = await check.end();
    assertEquals(code, 1);
    assertMatch(stderr, error);
    assertEquals(stderr.includes(name), true);
  });
}

Deno.test("guides/chat.md: those in a room hear each other, and nobody else", async () => {
  await using relay = testRelay();
  await using guide = await Document.open("guides/chat.md", relay.address[1]);
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
  assertEquals((await grace.end()).stdout.includes("Bob"), false);
});

Deno.test("guides/requests.md: nobody, an answer, an error, several services", async () => {
  await using relay = testRelay();
  await using guide = await Document.open("guides/requests.md", relay.address[1]);
  const ask = async (...args: string[]) => {
    await using program = guide.run("ask.ts", args);
    return (await program.end()).stdout;
  };
  assertEquals(await ask(), "Nobody tells the time\n");
  await using clock = guide.run("clock.ts", []);
  await clock.expect(/Ready/);
  await until(() => relay.relay.clients.length === 1);
  const isServing = async () => (await ask()) !== "Nobody tells the time\n";
  while (!await isServing());
  const answer = await ask("Europe/Paris");
  assertEquals(/"time" .*time: "\d\d:\d\d:\d\d", zone: "Europe\/Paris"/.test(answer), true, answer);
  const error = await ask("Nowhere");
  assertEquals(/"error" .*message: "Unknown time zone"/.test(error), true, error);
});

Deno.test({
  name: "guides/work_queue.md: all work is done, though a worker is killed",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using relay = testRelay();
    await using guide = await Document.open("guides/work_queue.md", relay.address[1]);
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
    assertEquals([code, /All 300 are done\n$/.test(stdout)], [0, true]);
    const done = new Set(stdout.matchAll(/"(picture\d+\.jpg)" by/g).map(([, file]) => file));
    assertEquals(done.size, 300);
    await grace.expect(/"Grace" resizes/);
  },
});

Deno.test({
  name: "guides/devices.md: a sensor in the shell, one in Python, and somebody who watches",
  ignore: !hasPython || !hasNetcat,
  async fn() {
    await using relay = testRelay({ subscribeFirst: true });
    await using guide = await Document.open("guides/devices.md", relay.address[1]);
    await using watch = guide.run("watch.ts", []);
    await watch.expect(/Watching\n/);
    await using shell = guide.run("sensor.sh", ["19.5"]);
    await watch.expect(/"sensor\.kitchen": 19\.5 °C\n/);
    await using python = guide.run("sensor.py", ["2"]);
    await watch.expect(/"sensor\.cellar": [\d.]+ °C\n[^]*"sensor\.cellar": [\d.]+ °C\n/);
    assertEquals([(await shell.end()).code, (await python.end()).code], [0, 0]);
  },
});

Deno.test({
  name: "guides/devices.md: a device in Python answers",
  ignore: !hasPython,
  async fn() {
    await using relay = testRelay({ subscribeFirst: true });
    await using guide = await Document.open("guides/devices.md", relay.address[1]);
    await using lamp = guide.run("lamp.py", []);
    await lamp.expect(/ready\n/);
    await using client = await relay.connect();
    for (const on of [true, false]) {
      const answer = await client.request(new EbsocketEvent("lamp.switch"));
      assertEquals([answer.event, answer.getAttribute("on")], ["lamp", on]);
    }
    const answer = await client.request(new EbsocketEvent("lamp.state"));
    assertEquals(answer.getAttribute("on"), false);
  },
});

Deno.test("guides/testing.md: the test passes, and fails if the program does something else", async () => {
  await using guide = await Document.open("guides/testing.md", 7982);
  await using right = guide.test("greeter_test.ts");
  const { code, stdout } = await right.end();
  assertEquals([code, stdout.includes("2 passed")], [0, true], stdout);
  await guide.change("greeter.ts", (source) => source.replace("Hello", "Goodbye"));
  await using wrong = guide.test("greeter_test.ts");
  const failed = await wrong.end();
  assertEquals([failed.code, failed.stdout.includes("1 passed | 1 failed")], [1, true]);
  assertEquals(failed.stdout.includes("Goodbye, Ada!"), true);
});
