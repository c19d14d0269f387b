import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { formatAddress } from "../../protocol/address.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { type TestRelay, testRelay } from "../../testing.ts";
import { Command } from "../support/command.ts";
import { FakeServer } from "../support/fake_server.ts";
import { freePort } from "../support/free_port.ts";
import { Peer } from "../support/peer.ts";
import { pause, soon, until } from "../support/waiting.ts";

const isWindows = Deno.build.os === "windows";

/** Starts `sub` for a relay, and waits until it listens. */
async function listen(relay: Pick<TestRelay, "address">, ...args: string[]): Promise<Command> {
  const command = new Command(["sub", formatAddress(relay.address), ...args]);
  await until(() => command.stderr.includes("Listening to "));
  return command;
}

Deno.test("sub prints lines unchanged, up to --count", async () => {
  await using relay = testRelay();
  await using sub = await listen(relay, "--count", "3");
  await using peer = await Peer.connect(relay.address);
  const lines = [
    '{"event":"a","__dict__":{"2":1.00,"1":12345678901234567890,"1":"\\u0041"}}',
    ' { "event" : "é\u202e" } ',
    '{"event":"c"}',
  ];
  await peer.send(`${lines.join("\n")}\n{"event":"d"}\n`);
  const { code, stdout, stderr } = await sub.end();
  assertEquals(code, 0);
  assertEquals(stdout, `${lines.join("\n")}\n`);
  assertMatch(stderr, /^Listening to 127\.0\.0\.1:\d+ as c\d+\n$/);
});

Deno.test("sub without a pattern subscribes to all events at a relay that requires a subscription", async () => {
  await using relay = testRelay({ subscribeFirst: true });
  await using sub = await listen(relay, "--count=1");
  await using peer = await Peer.connect(relay.address);
  await peer.send('{"event":"a"}\n');
  assertEquals((await sub.end()).stdout, '{"event":"a"}\n');
});

Deno.test("sub prints only events that match a pattern", async () => {
  await using relay = testRelay();
  await using sub = await listen(relay, "--count=2", "--", "chat.*", "b:1");
  await using peer = await Peer.connect(relay.address);
  await peer.send('{"event":"chat"}\n{"event":"chat.x"}\n{"event":"chat.x.y"}\n{"event":"b:1"}\n');
  assertEquals((await sub.end()).stdout, '{"event":"chat.x"}\n{"event":"b:1"}\n');
});

Deno.test("sub filters events until its subscription is in force, and prints direct events", async () => {
  await using server = new FakeServer({ features: ["subscribe"] });
  await using sub = new Command(["sub", formatAddress(server.address), "a.*", "b"]);
  const session = await server.session();
  const { control, events, id } = JSON.parse((await session.line())!);
  assertEquals(control, "subscribe");
  assertEquals(events, ["a.*", "b"]);
  await session.write('{"event":"a.x"}\n{"event":"c"}\n{"event":"b"}\n');
  assertEquals(sub.stderr, "");
  await session.send({ control: "ack", id });
  await until(() => sub.stderr.includes("Listening to "));
  await session.write('{"event":"sent","to":"c1"}\n');
  await sub.expect(/^{"event":"a\.x"}\n{"event":"b"}\n{"event":"sent","to":"c1"}\n$/);
});

Deno.test("sub filters events of a server without subscriptions, and rejects --queue there", async () => {
  await using server = new FakeServer();
  await using sub = await listen(server, "--count=1", "a");
  const session = await server.session();
  await session.write('{"event":"b"}\n{"event":"a"}\n');
  assertEquals((await sub.end()).stdout, '{"event":"a"}\n');
  await using sharing = new Command(["sub", formatAddress(server.address), "--queue=workers"]);
  const { code, stderr } = await sharing.end();
  assertEquals(code, 1);
  assertMatch(stderr, /^error: Cannot use --queue: 127\.0\.0\.1:\d+ does not support queues\n$/);
});

Deno.test("sub waits for a late welcome", async () => {
  await using server = new FakeServer(null);
  await using sub = new Command(["sub", formatAddress(server.address), "--count=1"]);
  const session = await server.session();
  await pause(700); // longer than a client waits for it by default
  const features = ["subscribe", "subscribe-first"];
  await session.send({ control: "welcome", version: 1, id: "c1", features });
  const { control, events, id } = JSON.parse((await session.line())!);
  assertEquals(control, "subscribe");
  assertEquals(events, [">"]);
  await session.write(`{"control":"ack","id":"${id}"}\n{"event":"a"}\n`);
  assertEquals((await sub.end()).stdout, '{"event":"a"}\n');
});

Deno.test("sub reports a refused subscription, and prints its ID without control characters", async () => {
  await using server = new FakeServer({ id: "c1\x1b[2J", features: ["subscribe"] });
  await using sub = await listen(server);
  assertMatch(sub.stderr, /^Listening to \S+:\d+ as c1\\u001b\[2J\n$/);
  await server.session();
  for (const options of [["--queue=q"], []]) {
    await using refused = new Command(["sub", formatAddress(server.address), "a", ...options]);
    const session = await server.session();
    const { id } = JSON.parse((await session.line())!);
    await session.send({ control: "error", id, reason: "too-many", detail: "1\x1b" });
    const { code, stderr } = await refused.end();
    const why = "error: The relay refuses the subscription: too-many: 1\\u001b\n";
    assertEquals(code, 1);
    assertEquals(stderr, why);
  }
});

Deno.test("sub ends at a final close reason, after the events before it", async () => {
  await using server = new FakeServer();
  await using sub = await listen(server);
  const session = await server.session();
  await session.write('{"event":"a"}\n');
  await sub.expect(/"a"}\n/);
  await session.close("unauthorized", { detail: "who are you?" });
  const { code, stderr } = await sub.end();
  assertEquals(code, 1);
  assertMatch(stderr, /\nerror: Lost the connection to \S+ \(unauthorized: who are you\?\)\n$/);
});

Deno.test("sub stops reading while its output is not read", async () => {
  await using server = new FakeServer();
  const sub = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-net", "mod.ts", "sub", formatAddress(server.address)],
    cwd: `${import.meta.dirname}/../..`,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const session = await server.session();
  const lines = `{"event":"a","__dict__":{"x":"${"x".repeat(1_000_000)}"}}\n`.repeat(64);
  let isWritten = false;
  const writing = session.write(lines).then(() => isWritten = true);
  // Reads a little, to know that events have arrived; the rest of what is sent fits nowhere.
  const output = sub.stdout.getReader();
  let { length } = (await soon(output.read(), "output")).value!;
  assertEquals(isWritten, false);
  while (length < lines.length) length += (await soon(output.read(), "output")).value!.length;
  await writing;
  assertEquals(length, lines.length);
  await output.cancel();
  sub.kill("SIGKILL");
  await sub.status;
});

Deno.test("sub notes a wildcard that is part of a name, and listens to that name", async () => {
  await using relay = testRelay();
  await using sub = await listen(relay, "--count=1", "ch*");
  await using peer = await Peer.connect(relay.address);
  await peer.send('{"event":"chat"}\n{"event":"ch*"}\n');
  const { stdout, stderr } = await sub.end();
  assertEquals(stdout, '{"event":"ch*"}\n');
  assertMatch(stderr, /^Note: in "ch\*", \* is part of a name; [^\n]*\nListening to [^\n]*\n$/);
});

Deno.test("sub --queue shares the events with the other members of the queue", async () => {
  await using relay = testRelay();
  await using one = await listen(relay, "--queue=workers", "--count=2");
  await using other = await listen(relay, "--queue=workers", "--count=2");
  await using peer = await Peer.connect(relay.address);
  const lines = ["a", "b", "c", "d"].map((name) => `{"event":"${name}"}\n`);
  await peer.send(lines.join(""));
  const outputs = [await one.end(), await other.end()].map(({ stdout }) => stdout);
  assertEquals(
    outputs.join("").split("\n").toSorted().join(""),
    lines.join("").replaceAll("\n", ""),
  );
});

Deno.test("sub --from prints only the events that the relay attributes to that client", async () => {
  await using relay = testRelay();
  await using sub = await listen(relay, "--from=c3", "--count=1");
  const ask = '"event":"ask","id":"r1"}\n';
  await using other = await Peer.connect(relay.address);
  await other.send(`{"from":"c3","ack":"e1",${ask}`);
  await other.sees('"clients":1');
  await using peer = await Peer.connect(relay.address);
  await peer.send(`{${ask}`);
  assertEquals((await sub.end()).stdout, `{"from":"c3",${ask}`);
});

Deno.test("sub reconnects to a relay that was restarted", async () => {
  const relay = new Relay(new EbsocketServer(["127.0.0.1", freePort()]));
  const { address } = relay.server;
  await using sub = await listen({ address }, "--count=1");
  await relay.close();
  await using again = new Relay(new EbsocketServer(address));
  await until(() => sub.stderr.includes("Reconnected to "));
  await using peer = await Peer.connect(again.server.address);
  await peer.send('{"event":"a"}\n');
  const { code, stdout, stderr } = await sub.end();
  assertEquals(code, 0);
  assertEquals(stdout, '{"event":"a"}\n');
  assertMatch(
    stderr,
    /\nLost the connection to \S+ \(shutdown\); reconnecting\nReconnected to \S+ as c1; /,
  );
});

Deno.test({
  name:
    "sub closes its connection on a signal, and exits with its code only before --count is reached",
  ignore: isWindows,
  async fn() {
    const cases: [args: string[], signal: Deno.Signal, code: number][] = [
      [[], "SIGINT", 0],
      [[], "SIGTERM", 0],
      [["--count=5"], "SIGINT", 130],
      [["--count=5"], "SIGTERM", 143],
    ];
    for (const [args, signal, expected] of cases) {
      await using relay = testRelay();
      await using sub = await listen(relay, ...args);
      await using peer = await Peer.connect(relay.address);
      await peer.send('{"event":"a"}\n');
      await sub.expect(/"a"}\n/);
      sub.kill(signal);
      const { code, stdout } = await sub.end();
      assertEquals(code, expected);
      assertEquals(stdout, '{"event":"a"}\n');
      await until(() => relay.relay.stats().closes.eof === 1);
    }
  },
});

Deno.test({
  name: "sub ends without a message when its output is closed",
  ignore: isWindows,
  async fn() {
    await using relay = testRelay();
    const script = `"$0" run --quiet --allow-net mod.ts sub "$1" 2>"$2" | head -n 1; ` +
      "echo ${PIPESTATUS[0]}";
    const log = await Deno.makeTempFile();
    const shell = new Deno.Command("bash", {
      args: ["-c", script, Deno.execPath(), formatAddress(relay.address), log],
      cwd: `${import.meta.dirname}/../..`,
      stdout: "piped",
    }).spawn();
    await until(() => relay.relay.clients.length === 1);
    await using peer = await Peer.connect(relay.address);
    const sending = setInterval(() => peer.send('{"event":"a"}\n'), 10);
    const { stdout } = await soon(shell.output(), "the end of sub");
    clearInterval(sending);
    assertEquals(new TextDecoder().decode(stdout), '{"event":"a"}\n0\n');
    assertMatch(await Deno.readTextFile(log), /^Listening to [^\n]*\n$/);
    await Deno.remove(log);
  },
});

Deno.test("sub reports an error in one line, and exits with 1 or 2", async () => {
  await using relay = testRelay({ token: "secret" });
  const address = formatAddress(relay.address);
  const cases: [args: string[], code: number, complaint: RegExp][] = [
    [
      ["a.>.b"],
      2,
      /^"a\.>\.b" is not a name or pattern: .*; ebsockets sub --help shows the options$/,
    ],
    [
      ["--cuont=1"],
      2,
      /^Unknown option "--cuont" \(did you mean --count\?\); ebsockets sub --help /,
    ],
    [["--unix=/a", ":1"], 2, /^HOST:PORT and --unix exclude each other; /],
    [[address], 1, /unauthorized.*; pass its token with --token-file or EBSOCKETS_TOKEN$/],
    [[address, "--token=guess"], 1, /unauthorized.*; pass the right token with --token-file/],
    [["127.0.0.1:1"], 1, /^Cannot connect to 127\.0\.0\.1:1: connection refused/],
    [
      ["192.0.2.1:1"],
      1,
      /: Deno does not permit it; run it with -A or --allow-net=192\.0\.2\.1:1$/,
    ],
    [["--token-file=/no/such"], 1, /^Cannot read the token from \/no\/such: Deno does not permit/],
  ];
  await Promise.all(cases.map(async ([args, expected, complaint]) => {
    await using command = new Command(["sub", ...args]);
    const { code, stdout, stderr } = await command.end();
    assertEquals(code, expected, stderr);
    assertEquals(stdout, "", stderr);
    assertMatch(stderr.replace(/^error: /, "").trimEnd(), complaint);
    assertEquals(stderr.includes("guess"), false);
  }));
});

Deno.test("sub reads the relay and the token from the environment if Deno permits it", async () => {
  await using relay = testRelay({ token: "secret" });
  const url = `tcp://secret@${formatAddress(relay.address)}`;
  const flags = ["--allow-net=127.0.0.1", "--allow-env=EBSOCKETS_URL"];
  await using sub = new Command(["sub", "--count=1"], flags, "mod.ts", { EBSOCKETS_URL: url });
  await until(() => sub.stderr.includes("Listening to "));
  await using peer = await Peer.connect(relay.address);
  await peer.send('{"control":"hello","token":"secret"}\n{"event":"a"}\n');
  assertEquals((await sub.end()).stdout, '{"event":"a"}\n');
});

Deno.test("sub treats an empty EBSOCKETS_TOKEN or EBSOCKETS_URL as unset", async () => {
  const env = { EBSOCKETS_URL: "", EBSOCKETS_TOKEN: "" };
  const flags = ["--allow-net=127.0.0.1:1", "--allow-env=EBSOCKETS_URL,EBSOCKETS_TOKEN"];
  await using sub = new Command(["sub"], flags, "mod.ts", env);
  const { code, stderr } = await sub.end();
  assertEquals(code, 1);
  assertMatch(stderr, /^error: Cannot connect to 127.0.0.1:7982: Deno does not permit it; /);
});
