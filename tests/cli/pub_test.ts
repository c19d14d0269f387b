import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { formatAddress } from "../../protocol/address.ts";
import { defineEvents } from "../../schema/definitions.ts";
import { type TestRelay, testRelay } from "../../testing.ts";
import { Command } from "../support/command.ts";
import { FakeServer } from "../support/fake_server.ts";
import { Peer } from "../support/peer.ts";
import { until } from "../support/waiting.ts";

/** Runs `pub` for a relay to its end, with `input`. */
async function pub(relay: Pick<TestRelay, "address">, args: string[], input = "") {
  await using command = new Command(["pub", formatAddress(relay.address), ...args]);
  if (input) await command.type(input);
  return await command.end();
}

Deno.test("pub sends an event with the attributes that it is given", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  await until(() => relay.relay.clients.length === 1);
  const outcome = await pub(relay, ["message", "content=Hello there", "n:=1.00"]);
  assertEquals(outcome, { code: 0, stdout: "", stderr: "" });
  await peer.sees('{"event":"message","__dict__":{"content":"Hello there","n":1.00}}\n');
});

Deno.test("pub - sends what standard input has, as it is", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  await until(() => relay.relay.clients.length === 1);
  const text = '{"event":"a","__dict__":{"2":1.00,"1":2}}\n {"event":"b"}\n';
  assertEquals(await pub(relay, ["-"], `${text}\n{"event":"c"}`), {
    code: 0,
    stdout: "",
    stderr: "",
  });
  await peer.sees("c");
  assertEquals(peer.text, `${text}{"event":"c"}\n`);
});

Deno.test("pub - sends up to the first bad line, and says where it is", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  await until(() => relay.relay.clients.length === 1);
  const input = '{"event":"a"}\n{"event":"b","__dict__":{"x" 1}}\n{"event":"c"}\n';
  const { code, stderr } = await pub(relay, ["-"], input);
  assertEquals([code, stderr], [
    1,
    'error: standard input:2:30: bad-json: expected ":", found "1"; events sent before it: 1\n',
  ]);
  await peer.sees('{"event":"a"}\n');
  assertEquals(relay.relay.stats().eventsIn, 1);
});

Deno.test("pub takes a name for one, whatever it looks like, behind --", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  await until(() => relay.relay.clients.length === 1);
  assertEquals((await pub(relay, ["--", "--raw", "key=-1"])).code, 0);
  await peer.sees('{"event":"--raw","__dict__":{"key":"-1"}}\n');
});

Deno.test("pub --to and --confirm say what becomes of the events", async () => {
  await using server = new FakeServer({ ack: true, features: ["subscribe", "ack"] });
  await using command = new Command([
    "pub",
    formatAddress(server.address),
    "-",
    "--confirm",
    "--to=c7",
  ]);
  const session = await server.session();
  await command.type('{"event":"a"}\n{"event":"b c"}\n');
  const lines: string[] = [];
  while (lines.length < 3) lines.push((await session.line())!);
  assertEquals(lines, [
    '{"control":"subscribe","events":[]}',
    '{"to":"c7","ack":"e1","event":"a"}',
    '{"to":"c7","ack":"e2","event":"b c"}',
  ]);
  for (const [i, clients] of [1, 0].entries()) {
    await session.send({ control: "ack", id: `e${i + 1}`, clients });
  }
  await session.ack(2);
  const ending = command.end();
  assertEquals(await session.line(), null);
  await session.close();
  const { code, stdout, stderr } = await ending;
  assertEquals([code, stdout], [1, "1 a\n0 b c\n"]);
  const why = 'No client "c7": 1 of 2 events had no recipient';
  assertEquals(stderr, `error: ${why}; ebsockets top lists the clients\n`);
});

Deno.test("pub says which events the relay refuses, and exits with 1", async () => {
  const validate = (value: unknown) =>
    typeof (value as { n?: unknown }).n === "number"
      ? { value: value as { n: number } }
      : { issues: [{ path: ["n"], message: "No number" }] };
  const tick = { "~standard": { version: 1 as const, vendor: "test", validate } };
  await using relay = testRelay({ events: defineEvents({ tick }) });
  for (const options of [[], ["--confirm"]]) {
    const outcome = await pub(relay, ["-", ...options], '{"event":"tick"}\n');
    assertEquals(outcome, {
      code: 1,
      stdout: "",
      stderr: 'error: The relay refuses "tick": bad-attributes: n: No number\n',
    });
  }
  assertEquals(await pub(relay, ["tick", "n:=1", "--confirm"]), {
    code: 0,
    stdout: "0 tick\n",
    stderr: "",
  });
});

Deno.test("pub --to reaches one client, whatever that wants to hear", async () => {
  await using relay = testRelay();
  const one = await relay.connect();
  const other = await relay.connect();
  await one.subscribe([]);
  const { code, stdout } = await pub(relay, ["hello", `--to=${one.id}`, "--confirm"]);
  assertEquals([code, stdout], [0, "1 hello\n"]);
  const lost = await pub(relay, ["hello", "--to=c99"]);
  assertEquals([lost.code, lost.stdout], [1, ""]);
  const why = 'No client "c99": the event had no recipient; ebsockets top lists the clients';
  assertEquals(lost.stderr, `error: ${why}\n`);
  assertEquals((await one.recvEvent())?.event, "hello");
  assertEquals((await pub(relay, ["bye", "--confirm"])).stdout, "1 bye\n");
  assertEquals((await other.recvEvent())?.event, "bye");
});

Deno.test("pub fails when the relay has not taken all", async () => {
  await using server = new FakeServer({ ack: true });
  await using command = new Command(["pub", formatAddress(server.address), "a"]);
  const session = await server.session();
  await session.events(1);
  await session.close("shutdown");
  const { code, stderr } = await command.end();
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^error: The connection to \S+ ended with shutdown: it accepted 0 of 1 events\n$/,
  );
});

Deno.test({
  name: "pub gives up on a signal",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using relay = testRelay();
    await using command = new Command(["pub", formatAddress(relay.address), "-"]);
    await command.type('{"event":"a"}\n');
    await until(() => relay.relay.stats().eventsIn === 1);
    command.kill("SIGINT");
    await until(() => relay.relay.stats().closes.eof === 1);
    assertEquals((await command.end()).code, 130);
  },
});

Deno.test("pub says in one line what is wrong with its words, with exit code 2", async () => {
  const cases: [args: string[], complaint: string][] = [
    [[], "pub needs the NAME of an event, or - for standard input"],
    [["127.0.0.1:1"], "pub needs the NAME of an event, or - for standard input"],
    [["a", "b"], '"b" is neither KEY=TEXT nor KEY:=JSON; try content=b'],
    [["-", "file"], 'Unknown argument "file"; to send a file, use ebsockets pub - < FILE'],
    [
      ["--port", "1", "a"],
      'Unknown option "--port": the relay is the first argument, such as 127.0.0.1:7982',
    ],
    [
      ["-t", "a", "-m", "b"],
      'Unknown option "-t": the event is NAME and KEY=TEXT without an option, such as message content=hi',
    ],
    [["a", "--confirm=yes"], "--confirm takes no value"],
    [[""], 'Invalid event: "event" must be a string of 1 to 255 bytes, found 0'],
  ];
  await Promise.all(cases.map(async ([args, complaint]) => {
    await using command = new Command(["pub", ...args], []);
    const { code, stdout, stderr } = await command.end();
    assertEquals([code, stdout, stderr], [
      2,
      "",
      `error: ${complaint}; ebsockets pub --help shows the options\n`,
    ]);
  }));
});
