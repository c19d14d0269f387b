import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { formatAddress } from "../../protocol/address.ts";
import { EbsocketClient } from "../../client.ts";
import { defineEvents } from "../../schema/definitions.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { type TestRelay, testRelay } from "../../testing.ts";
import { toAttributes } from "../../cli/serve.ts";
import { Command } from "../support/command.ts";
import { FakeServer } from "../support/fake_server.ts";
import { freePort } from "../support/free_port.ts";
import { Peer } from "../support/peer.ts";
import { script } from "../support/script.ts";
import { schemaOf } from "../support/schemas.ts";
import { pause, soon, until } from "../support/waiting.ts";

const isWindows = Deno.build.os === "windows";

/** A `serve` that runs a program of JavaScript. */
async function serve(
  relay: Pick<TestRelay, "address">,
  options: string[],
  source: string,
): Promise<Command> {
  return await serveWith(relay, [...options, "--exec", script(source)]);
}

/** A `serve` that has begun. */
async function serveWith(
  { address }: Pick<TestRelay, "address">,
  args: string[],
  env: Record<string, string> = {},
): Promise<Command> {
  const words = ["serve", formatAddress(address), ...args];
  const command = new Command(words, ["-A"], "mod.ts", env);
  await command.expect(/Serving .* at 127\.0\.0\.1:\d+; Ctrl\+C ends it\n/);
  return command;
}

/** Whether there is a process of this id, which a harmless signal tells. */
function isRunning(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

async function connected({ address }: Pick<TestRelay, "address">): Promise<EbsocketClient> {
  const client = new EbsocketClient();
  await client.subscribe([]);
  await client.connectTo(address);
  return client;
}

Deno.test("serve passes the event to a command, and answers with its output", async () => {
  await using relay = testRelay();
  const source = "await Deno.stdin.readable.pipeTo(Deno.stdout.writable, { preventClose: true });" +
    "console.log('$HOME `id`')";
  await using _ = await serve(relay, ["echo.*"], source);
  await using client = await connected(relay);
  const answer = await client.request(new EbsocketEvent("echo.a", { text: "$(id)" }));
  assertEquals(answer.event, "echo.a");
  assertEquals(answer.getAttribute("code"), 0);
  const [line, words] = (answer.getAttribute("output") as string).split("\n");
  const { event, __dict__, id, from } = JSON.parse(line!);
  assertEquals(event, "echo.a");
  assertEquals(__dict__, { text: "$(id)" });
  assertEquals(from, client.id);
  assertEquals(id, answer.replyTo);
  assertEquals(words, "$HOME `id`");
});

Deno.test("serve answers with the object that a command prints as attributes", async () => {
  await using relay = testRelay();
  await using _ = await serve(relay, ["sum"], "console.log(JSON.stringify({ sum: 3 }))");
  await using client = await connected(relay);
  assertEquals((await client.request(new EbsocketEvent("sum"))).__dict__, { sum: 3 });
});

Deno.test("serve keeps numbers and the order of keys as they were written, in requests and answers", async () => {
  await using relay = testRelay();
  const source = "await Deno.stdin.readable.pipeTo(Deno.stdout.writable)";
  await using _ = await serve(relay, ["echo"], source);
  await using peer = await Peer.connect(relay.address);
  await peer.send('{"control":"subscribe","events":[]}\n');
  const attributes = '{"b":9007199254740993,"1":1e400,"a":1.0,"0":-0}';
  await peer.send(`{"event":"echo","id":"r1","__dict__":${attributes}}\n`);
  await peer.sees('"reply_to":"r1",');
  await peer.sees(`"__dict__":${attributes}}}\n`);
});

Deno.test("serve answers a request whose command fails, reports it, and continues", async () => {
  await using relay = testRelay();
  const source = "const line = await new Response(Deno.stdin.readable).text();" +
    "if (line.includes('hang')) await new Promise((r) => setTimeout(r, 1e6));" +
    "if (line.includes('deep')) console.log('{\"a\":'.repeat(70) + '1' + '}'.repeat(70));" +
    "if (line.includes('fail')) Deno.exit(3)";
  await using command = await serve(relay, ["job", "--timeout", "15000"], source);
  await using client = await connected(relay);
  const ask = async (what: string) =>
    (await client.request(new EbsocketEvent("job", { what }), { timeout: 60_000 })).__dict__;
  assertEquals(await ask("fail"), { output: "", code: 3, error: "it ended with code 3" });
  await command.expect(/Z failed at job for c\d+ in .*s: it ended with code 3\n/);
  assertEquals(await ask("hang"), {
    output: "",
    code: 124,
    error: "it took longer than 15000 ms",
  });
  assertMatch(`${(await ask("deep")).error}`, /nests deeper than 62 levels/);
  assertEquals(await ask("nothing"), { output: "", code: 0 });
  await command.expect(/Z answered job for c\d+ in /);
});

Deno.test("serve answers with the reason why a command cannot be started", async () => {
  await using relay = testRelay();
  await using command = await serveWith(relay, ["job", "--exec", "no-such-command"]);
  await using client = await connected(relay);
  const code = isWindows ? 1 : 127;
  for (let i = 0; i < 2; i++) {
    const { __dict__ } = await client.request(new EbsocketEvent("job"));
    assertEquals(__dict__, { output: "", code, error: `it ended with code ${code}` });
  }
  await until(() => command.stderr.includes("no-such-command"));
});

Deno.test({
  name: "serve answers that there is no shell",
  ignore: isWindows,
  async fn() {
    await using relay = testRelay();
    await using _ = await serveWith(relay, ["job", "--exec=date"], { PATH: "/no/such/folder" });
    await using client = await connected(relay);
    const { __dict__ } = await client.request(new EbsocketEvent("job"));
    const error = "it could not be started: there is no sh";
    assertEquals(__dict__, { output: "", code: 127, error });
  },
});

Deno.test({
  name: "serve gives the command line to a shell, and nothing of an event to that",
  ignore: isWindows,
  async fn() {
    await using relay = testRelay();
    const commandLine = 'printf \'%s|\' "$#" "$(env | grep -c pwned)" && cat | wc -l';
    await using _ = await serveWith(relay, ["job.*", "--exec", commandLine]);
    await using client = await connected(relay);
    const hostile = "$(touch pwned) `touch pwned`; touch pwned; '\n\"\0pwned";
    const answer = await client.request(
      new EbsocketEvent(`job.${hostile}`, { [hostile]: hostile }),
    );
    assertMatch(`${answer.getAttribute("output")}`, /^0\|0\| *1$/);
  },
});

Deno.test("serve runs no command for an event that is not a request", async () => {
  await using relay = testRelay();
  await using command = await serve(relay, ["job"], "console.log('{}')");
  await using client = await connected(relay);
  assertEquals(await client.sendEvent(new EbsocketEvent("job"), { confirm: true }), 1);
  await client.request(new EbsocketEvent("job"));
  await command.expect(/answered job/);
  assertEquals(command.stdout.match(/answered|failed/g), ["answered"]);
});

Deno.test("serve --queue shares the requests", async () => {
  await using relay = testRelay();
  const options = ["--queue", "workers", "job"];
  const servers = await Promise.all(
    ["one", "two"].map((name) => serve(relay, options, `console.log('{"is":"${name}"}')`)),
  );
  await using _one = servers[0]!;
  await using _two = servers[1]!;
  await using client = await connected(relay);
  const names = new Set<unknown>();
  while (names.size < 2) {
    const answers = await Array.fromAsync(
      client.requestMany(new EbsocketEvent("job"), { count: 1 }),
      (answer) => answer.getAttribute("is"),
    );
    names.add(answers[0]);
  }
  assertEquals(
    await client.sendEvent(new EbsocketEvent("job"), { confirm: true }),
    1,
  );
});

Deno.test("serve --jobs limits the number of commands that run at a time", async () => {
  await using relay = testRelay();
  const folder = await Deno.makeTempDir();
  // Each waits for the others, of which one at a time would never come.
  const source = `await Deno.writeTextFile('${folder.replaceAll("\\", "/")}/' + Deno.pid, '');` +
    `while ([...Deno.readDirSync('${folder.replaceAll("\\", "/")}')].length < 3) {` +
    "await new Promise((r) => setTimeout(r, 10)) }";
  await using _ = await serve(relay, ["job", "--jobs", "3", "--timeout", "60000"], source);
  await using client = await connected(relay);
  const answers = await Promise.all(
    [1, 2, 3].map(() => client.request(new EbsocketEvent("job"), { timeout: 60_000 })),
  );
  assertEquals(answers.map((answer) => answer.getAttribute("code")), [0, 0, 0]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("serve reconnects to a relay", async () => {
  const relay = new Relay(new EbsocketServer(["127.0.0.1", freePort()]));
  const { address } = relay.server;
  await using command = await serve({ address }, ["job"], "console.log('{}')");
  await relay.close();
  await command.expect(/Z lost the connection to .* \(shutdown\); reconnecting\n/);
  await using again = new Relay(new EbsocketServer(address));
  await command.expect(/Z reconnected to /);
  await using client = await connected(again.server);
  assertEquals((await client.request(new EbsocketEvent("job"))).__dict__, {});
});

Deno.test({
  name: "serve on Ctrl+C answers the received requests, then ends with 0",
  ignore: isWindows,
  async fn() {
    await using relay = testRelay();
    const gate = await Deno.makeTempFile();
    const source = `console.error('begun'); while ((await Deno.stat('${gate}')).size === 0) {` +
      "await new Promise((r) => setTimeout(r, 10)) }; console.log('{}')";
    const options = ["job", "--jobs", "1", "--timeout", "60000"];
    await using command = await serve(relay, options, source);
    await using client = await connected(relay);
    const answers = [1, 2, 3].map(() =>
      client.request(new EbsocketEvent("job"), { timeout: 60_000 })
    );
    // All three come in one read, so the others are there as well.
    await until(() => command.stderr.includes("begun"));
    command.kill("SIGINT");
    await command.expect(/Z stopping \(1 running\); a second signal ends at once\n/);
    await Deno.writeTextFile(gate, "open");
    for (const answer of await soon(Promise.all(answers), "all answers")) {
      assertEquals(answer.__dict__, {});
    }
    assertEquals((await command.end()).code, 0);
    await Deno.remove(gate);
  },
});

Deno.test({
  name: "serve on a second Ctrl+C ends at once, and kills the running commands",
  ignore: isWindows,
  async fn() {
    await using relay = testRelay();
    const source = "console.error('pid', Deno.pid); await new Promise((r) => setTimeout(r, 1e6))";
    await using command = await serve(relay, ["job", "--timeout", "600000"], source);
    await using client = await connected(relay);
    const asking = client.request(new EbsocketEvent("job"), { timeout: 600_000 }).catch(() => {});
    await until(() => /pid \d+\n/.test(command.stderr));
    const pid = Number(/pid (\d+)/.exec(command.stderr)![1]);
    command.kill("SIGINT");
    await command.expect(/Z stopping \(1 running\)/);
    // One that comes right behind the first is its echo.
    await pause(600);
    command.kill("SIGINT");
    assertEquals((await command.end()).code, 130);
    await until(() => !isRunning(pid));
    await client.abort();
    await asking;
  },
});

Deno.test("serve reports the answers that the relay refuses", async () => {
  const events = defineEvents({
    ask: schemaOf<object>((value) =>
      "output" in (value as object)
        ? { issues: [{ path: ["output"], message: "No attribute of it" }] }
        : { value: value as object }
    ),
  });
  await using relay = testRelay({ events });
  await using command = await serve(relay, ["ask"], "console.log('hi')");
  await using client = await connected(relay);
  const asking = client.request(new EbsocketEvent("ask"), { timeout: 60_000 }).catch(() => {});
  await command.expect(/Z The relay refuses "ask": bad-attributes: output: No attribute of it\n/);
  await client.abort();
  await asking;
});

Deno.test("serve replies with the reason why an answer cannot be sent", async () => {
  await using relay = testRelay({ maxLineBytes: 1000 });
  await using command = await serve(relay, ["job"], "console.log('x'.repeat(2000))");
  await using client = await connected(relay);
  const { __dict__ } = await client.request(new EbsocketEvent("job"), { timeout: 60_000 });
  const error = /^its 20\d\d bytes exceed the 1000 that the server takes \(maxLineBytes, /;
  assertMatch(`${__dict__.error}`, error);
  assertEquals(__dict__.output, "");
  assertEquals(__dict__.code, 0);
  await command.expect(/Z cannot send the answer to job for c\d+: its 20\d\d bytes exceed /);
});

Deno.test("serve reports an answer whose connection has ended", async () => {
  await using server = new FakeServer({ ack: true, features: ["subscribe", "ack"] });
  const gate = await Deno.makeTempFile();
  const source = `while ((await Deno.stat('${gate.replaceAll("\\", "/")}')).size === 0) {` +
    "await new Promise((r) => setTimeout(r, 10)) }";
  const words = ["serve", formatAddress(server.address), "job", "--exec", script(source)];
  await using command = new Command([...words, "--timeout=60000"], ["-A"]);
  const session = await server.session();
  await session.send({ control: "ack", id: JSON.parse((await session.line())!).id });
  await command.expect(/Serving /);
  await session.write('{"event":"job","id":"r1","from":"c3"}\n');
  await session.close();
  await command.expect(/Z lost the connection to /);
  await Deno.writeTextFile(gate, "open");
  await command.expect(/Z cannot send the answer to job for c3: the connection of the request has/);
  await Deno.remove(gate);
});

Deno.test("serve reports a server that does not support requests", async () => {
  await using server = new FakeServer();
  await using command = new Command(
    ["serve", formatAddress(server.address), "job", "--exec=date"],
    ["-A"],
  );
  const { code, stderr } = await command.end();
  assertEquals(code, 1);
  assertMatch(stderr, /^error: The server at \S+ does not support requests; upgrade the relay\n$/);
});

Deno.test("toAttributes() accepts one JSON object as it was written, and describes any other output", () => {
  const cases: [output: string, attributes: string][] = [
    ['{"a":1,"event":"x"}', '{"a":1,"event":"x"}'],
    ['{"id":9007199254740993,"b":1.0,"1":1e400}', '{"id":9007199254740993,"b":1.0,"1":1e400}'],
    ['{"a": "\\u00e9\u2028", "a": -0}', '{"a": "\\u00e9\u2028", "a": -0}'],
    [' \n{\r\n  "a": {}\n}', '{    "a": {} }'],
    ["{}", "{}"],
    ["", '{"output":"","code":0}'],
    ["12:00", '{"output":"12:00","code":0}'],
    ["[1]", '{"output":"[1]","code":0}'],
    ["null", '{"output":"null","code":0}'],
    ['{"a":1}{"b":2}', '{"output":"{\\"a\\":1}{\\"b\\":2}","code":0}'],
    ['{"a":', '{"output":"{\\"a\\":","code":0}'],
  ];
  for (const [output, attributes] of cases) {
    assertEquals(toAttributes({ output, code: 0, fault: null }), attributes);
  }
});

Deno.test("toAttributes() never uses the output of a failed command as a reply", () => {
  const fault = "it ended with code 3";
  const attributes = toAttributes({ output: '{"a":1}', code: 3, fault });
  assertEquals(JSON.parse(attributes), { output: '{"a":1}', code: 3, error: fault });
});

Deno.test("serve reports in one line why it cannot start", async () => {
  const cases: [args: string[], flags: string[], code: number, complaint: RegExp][] = [
    [
      ["a", "--exec=date", "+%s"],
      ["-A"],
      2,
      /^error: Unknown argument "\+%s"; quote a command .*, such as --exec "df/,
    ],
    [[], ["-A"], 2, /^error: serve needs the NAME of requests; ebsockets serve --help/],
    [["--exec", "date"], ["-A"], 2, /^error: serve needs the NAME of requests; /],
    [
      ["job"],
      ["-A"],
      2,
      /^error: serve needs --exec CMD, the command to run for each request, such as --exec date; /,
    ],
    [["job", "--", "date"], ["-A"], 2, /^error: serve needs --exec CMD, /],
    [["job", "--exec"], ["-A"], 2, /^error: --exec needs a value: CMD; /],
    [["job", "--exec", "df", "/"], ["-A"], 2, /^error: Unknown argument "\/"; /],
    [["job.>.x", "--exec=date"], ["-A"], 2, /^error: "job\.>\.x" is not a name or pattern: /],
    [
      ["job", "--exec=date"],
      ["--allow-net"],
      1,
      /^error: Cannot run commands: Deno does not permit it; run it with -A or --allow-run=(sh|cmd)\n$/,
    ],
    [["127.0.0.1:1", "job", "--exec=date"], ["-A"], 1, /^error: Cannot connect to 127\.0\.0\.1:1/],
  ];
  await Promise.all(cases.map(async ([args, flags, code, complaint]) => {
    await using command = new Command(["serve", ...args], flags);
    const outcome = await command.end();
    assertEquals(outcome.code, code, args.join(" "));
    assertEquals(outcome.stdout, "", args.join(" "));
    assertMatch(outcome.stderr, complaint);
  }));
});
