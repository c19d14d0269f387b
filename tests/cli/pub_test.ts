import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertMatch } from "@std/assert/match";
import { formatAddress } from "../../protocol/address.ts";
import { defineEvents } from "../../schema/definitions.ts";
import { type TestRelay, testRelay } from "../../testing.ts";
import { CuttingProxy } from "../faults/cutting_proxy.ts";
import { Command } from "../support/command.ts";
import { FakeServer } from "../support/fake_server.ts";
import { keeping } from "../support/history_relay.ts";
import { Peer } from "../support/peer.ts";
import { pause, until } from "../support/waiting.ts";

/** Runs `pub` for a relay to its end, with `input`. */
async function pub(relay: Pick<TestRelay, "address">, args: string[], input = "") {
  await using command = new Command(["pub", formatAddress(relay.address), ...args]);
  if (input) await command.type(input);
  return await command.end();
}

Deno.test("pub sends an event with the attributes of the command line", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  await until(() => relay.relay.clients.length === 1);
  const outcome = await pub(relay, ["message", "content=Hello there", "n:=1.00"]);
  assertEquals(outcome, { code: 0, stdout: "", stderr: "" });
  await peer.sees('{"event":"message","__dict__":{"content":"Hello there","n":1.00}}\n');
});

Deno.test("pub - sends the lines of standard input unchanged", async () => {
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

Deno.test("pub - sends the events before the first bad line, and reports its position", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  await until(() => relay.relay.clients.length === 1);
  const input = '{"event":"a"}\n{"event":"b","__dict__":{"x" 1}}\n{"event":"c"}\n';
  const { code, stderr } = await pub(relay, ["-"], input);
  assertEquals(code, 1);
  assertEquals(
    stderr,
    'error: standard input:2:30: bad-json: expected ":", found "1"; events sent before it: 1\n',
  );
  await peer.sees('{"event":"a"}\n');
  assertEquals(relay.relay.stats().eventsIn, 1);
});

Deno.test("pub takes any argument after -- as a name", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  await until(() => relay.relay.clients.length === 1);
  assertEquals((await pub(relay, ["--", "--raw", "key=-1"])).code, 0);
  await peer.sees('{"event":"--raw","__dict__":{"key":"-1"}}\n');
});

Deno.test("pub --to and --confirm report how many clients each event reaches", async () => {
  await using server = new FakeServer({ ack: true, features: ["subscribe", "ack"] });
  await using command = new Command([
    "pub",
    formatAddress(server.address),
    "-",
    "--confirm",
    "--to=c7",
  ]);
  const session = await server.session();
  const { events, id } = JSON.parse((await session.line())!);
  assertEquals(events, []);
  await session.send({ control: "ack", id });
  await command.type('{"event":"a"}\n{"to":"x", "event":"b c","ack":"y","id":"z"}\n');
  for (const [rest, clients] of [['"event":"a"}', 1], ['"event":"b c","id":"z"}', 0]] as const) {
    const line = (await session.line())!;
    const { ack } = JSON.parse(line);
    assertEquals(line, `{"ack":"${ack}","to":"c7",${rest}`);
    await session.send({ control: "ack", id: "of another", clients: 9 });
    await session.send({ control: "ack", id: ack, clients });
  }
  await session.ack(2);
  const ending = command.end();
  assertEquals(await session.line(), null);
  await session.close();
  const { code, stdout, stderr } = await ending;
  assertEquals(code, 1);
  assertEquals(stdout, "1 a\n0 b c\n");
  const why = 'No client "c7": 1 of 2 events had no recipient';
  assertEquals(stderr, `error: ${why}; ebsockets top lists the clients\n`);
});

Deno.test("pub reports the events that the relay refuses, and exits with 1", async () => {
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

Deno.test("pub --to reaches one client, whatever its subscriptions", async () => {
  await using relay = testRelay();
  const one = await relay.connect();
  const other = await relay.connect();
  await one.subscribe([]);
  const { code, stdout } = await pub(relay, ["hello", `--to=${one.id}`, "--confirm"]);
  assertEquals(code, 0);
  assertEquals(stdout, "1 hello\n");
  const lost = await pub(relay, ["hello", "--to=c99"]);
  assertEquals(lost.code, 1);
  assertEquals(lost.stdout, "");
  const why = 'No client "c99": the event had no recipient; ebsockets top lists the clients';
  assertEquals(lost.stderr, `error: ${why}\n`);
  assertEquals((await one.recvEvent())?.event, "hello");
  assertEquals((await pub(relay, ["bye", "--confirm"])).stdout, "1 bye\n");
  assertEquals((await other.recvEvent())?.event, "bye");
});

Deno.test("pub sends lines with their envelopes, and subscribes to nothing", async () => {
  await using server = new FakeServer({ ack: true, features: ["subscribe", "ack"] });
  await using command = new Command(["pub", formatAddress(server.address), "-"]);
  const session = await server.session();
  const text = ' { "event" : "a", "id":"r1", "__dict__" : {"n":1.00} }';
  await command.type(`${text}\n`);
  const { control, events } = JSON.parse((await session.line())!);
  assertEquals(control, "subscribe");
  assertEquals(events, []);
  assertEquals(await session.line(), text);
  await session.ack(1);
  assertEquals(await command.end(), { code: 0, stdout: "", stderr: "" });
});

Deno.test("pub reports a server without acknowledgements, direct events or receipts", async () => {
  await using server = new FakeServer();
  const cases: [args: string[], why: RegExp][] = [
    [[], /^error: 127\.0\.0\.1:\d+ does not acknowledge events: they were sent, but may not /],
    [["--to=c1"], /^error: Cannot use --to: 127\.0\.0\.1:\d+ does not support direct events\n$/],
    [["--confirm"], /^error: Cannot use --confirm: 127\.0\.0\.1:\d+ does not support receipts\n$/],
  ];
  for (const [args, why] of cases) {
    const { code, stderr } = await pub(server, ["a", ...args]);
    assertEquals(code, 1);
    assertMatch(stderr, why);
  }
});

Deno.test("pub reports a line that is longer than the relay accepts", async () => {
  await using server = new FakeServer({ ack: true, limits: { max_line_bytes: 20 } });
  const { code, stderr } = await pub(server, ["xxxxxxxxx"]);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^error: Cannot send .*: its 21 bytes exceed the 20 that the server takes \([^\n]+\)\n$/,
  );
});

Deno.test("pub waits while too many receipts are outstanding", async () => {
  await using server = new FakeServer({ ack: true, features: ["subscribe", "ack"] });
  await using command = new Command(["pub", formatAddress(server.address), "-", "--confirm"]);
  const session = await server.session();
  await session.send({ control: "ack", id: JSON.parse((await session.line())!).id });
  const typing = command.type('{"event":"a"}\n'.repeat(20_000));
  const acks: string[] = [];
  const takeUpTo = async (count: number) => {
    while (acks.length < count) acks.push(JSON.parse((await session.line()) || "{}").ack);
  };
  await takeUpTo(10_001);
  for (const id of acks) await session.send({ control: "ack", id, clients: 1 });
  await takeUpTo(20_000);
  await session.ack(20_000);
  for (const id of acks.slice(10_001)) await session.send({ control: "ack", id, clients: 1 });
  await typing;
  assertEquals((await command.end()).stdout, "1 a\n".repeat(20_000));
});

Deno.test("pub fails when the relay has not accepted all events", async () => {
  await using server = new FakeServer({ ack: true });
  await using command = new Command(["pub", formatAddress(server.address), "-"]);
  const session = await server.session();
  await command.type('{"event":"a"}\n{"event":"b"}\n');
  await session.events(2);
  await session.ack(1);
  await session.close("shutdown");
  const { code, stderr } = await command.end();
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^error: The connection to \S+ ended with shutdown: it accepted 1 of 2 events\n$/,
  );
});

Deno.test({
  name: "pub ends on a signal",
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

Deno.test("pub --reconnect sends each event once to a relay with a history, however often it is cut off", async () => {
  await using relay = testRelay({ history: {} });
  await using proxy = new CuttingProxy([relay.address], 300);
  proxy.isCutting = false; // The first connection must be made.
  await using command = new Command(["pub", formatAddress(proxy.address), "--reconnect", "-"]);
  let count = 0;
  while (proxy.cuts < 3) {
    proxy.isCutting = relay.relay.stats().eventsIn > 0;
    const lines = Array.from({ length: 100 }, () => `{"event":"e","__dict__":{"i":${count++}}}\n`);
    await command.type(lines.join(""));
    await pause(2);
  }
  proxy.isCutting = false;
  const { code, stdout, stderr } = await command.end();
  assertEquals([code, stdout], [0, ""]);
  // The last cut may come after everything has arrived.
  const said = /^(Lost the connection to [^\n]+; reconnecting\n(Reconnected to \S+\n)?)+$/;
  assertMatch(stderr, said);
  await using reader = await relay.connect();
  const past = reader.history([">"], { since: "first" });
  const numbers = await Array.fromAsync(past, (event) => event.getAttribute("i"));
  assertEquals(numbers, Array.from({ length: count }, (_, i) => i));
});

Deno.test("pub --reconnect goes on at a relay that cannot tell what has arrived, and counts the rest", async () => {
  await using server = new FakeServer({ ack: true });
  await using command = new Command(["pub", formatAddress(server.address), "--reconnect", "-"]);
  const first = await server.session();
  await command.type('{"event":"a"}\n{"event":"b"}\n{"event":"c"}\n');
  await first.events(3);
  await first.ack(1);
  await first.close("shutdown");
  const second = await server.session();
  await command.type('{"event":"d"}\n');
  assertEquals(await second.events(1), ["d"]);
  await second.ack(1);
  const { code, stderr } = await command.end();
  assertEquals(code, 1);
  const [lost, ...rest] = stderr.split("\n");
  assertMatch(lost!, /^Lost the connection to \S+ \(shutdown\); reconnecting$/);
  assertEquals(rest, [
    "2 events may not have arrived",
    `Reconnected to ${formatAddress(server.address)}`,
    "error: 2 of 4 events may not have arrived",
    "",
  ]);
});

Deno.test("pub --reconnect reads no further while there is no relay, and ends on a signal", {
  ignore: Deno.build.os === "windows",
}, async () => {
  const server = new FakeServer({ ack: true });
  await using command = new Command(["pub", formatAddress(server.address), "--reconnect", "-"]);
  const session = await server.session();
  await server[Symbol.asyncDispose]();
  await session.close();
  await until(() => command.stderr.includes("reconnecting"));
  const line = `{"event":"e","__dict__":{"text":"${"x".repeat(1_000_000)}"}}\n`;
  let written = 0;
  const writing = (async () => {
    for (; written < 50; written++) await command.type(line);
  })().catch(() => {});
  await pause(500);
  assertLess(written, 5);
  command.kill("SIGINT");
  assertEquals((await command.end()).code, 130);
  await writing;
});

Deno.test("pub says that the relay accepts nothing for now, and on a signal how many it has", {
  ignore: Deno.build.os === "windows",
}, async () => {
  await using server = new FakeServer({ ack: true });
  await using command = new Command(["pub", formatAddress(server.address), "-"]);
  const session = await server.session();
  await command.type('{"event":"a"}\n{"event":"b"}\n');
  await session.events(2);
  await until(() => command.stderr !== "");
  const place = formatAddress(server.address);
  const waiting = `Waiting for ${place}, which accepts nothing for now (2 events)\n`;
  assertEquals(command.stderr, waiting);
  await session.ack(1);
  command.kill("SIGINT");
  const { code, stderr } = await command.end();
  assertEquals([code, stderr], [130, `${waiting}error: ${place} accepted 1 of 2 events\n`]);
});

Deno.test("pub --reconnect says on a signal how many events a relay has that is away", {
  ignore: Deno.build.os === "windows",
}, async () => {
  const server = new FakeServer({
    ...keeping(0),
    ack: true,
    producer: { taken: 0, exact: true },
  });
  const place = formatAddress(server.address);
  await using command = new Command(["pub", place, "--reconnect", "-"]);
  const session = await server.session();
  await command.type('{"event":"a"}\n{"event":"b"}\n');
  await session.events(2);
  await session.ack(1);
  await server[Symbol.asyncDispose]();
  await session.close();
  await until(() => command.stderr.includes("reconnecting"));
  command.kill("SIGINT");
  const { code, stderr } = await command.end();
  assertEquals(code, 130);
  assertMatch(stderr, /; reconnecting\nerror: \S+ accepted 1 of 2 events\n$/);
});

Deno.test("pub --confirm fails at once if the relay does not keep an event", async () => {
  await using server = new FakeServer({ ack: true, features: ["subscribe", "ack"] });
  await using command = new Command(["pub", formatAddress(server.address), "--confirm", "a"]);
  const session = await server.session();
  await session.send({ control: "ack", id: JSON.parse((await session.line())!).id });
  const { ack } = JSON.parse((await session.line())!);
  await session.send({ control: "ack", id: ack, clients: 1, incomplete: true });
  // It is not acknowledged either.
  const { code, stdout, stderr } = await command.end();
  assertEquals([code, stdout], [1, ""]);
  const place = formatAddress(server.address);
  const why = `could not keep "a", or a relay of its cluster did not answer`;
  assertEquals(stderr, `error: ${place} ${why}\n`);
});

Deno.test("pub reports invalid arguments in one line, and exits with 2", async () => {
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
    [["a", "--confirm", "--reconnect"], "--reconnect and --confirm exclude each other"],
    [["a", "--to", "c1", "--reconnect"], "--reconnect and --to exclude each other"],
    [[""], 'Invalid event: "event" must be a string of 1 to 255 bytes, found 0'],
  ];
  await Promise.all(cases.map(async ([args, complaint]) => {
    await using command = new Command(["pub", ...args], []);
    const { code, stdout, stderr } = await command.end();
    assertEquals(code, 2);
    assertEquals(stdout, "");
    assertEquals(stderr, `error: ${complaint}; ebsockets pub --help shows the options\n`);
  }));
});
