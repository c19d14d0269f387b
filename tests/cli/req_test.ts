import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { formatAddress } from "../../protocol/address.ts";
import type { EbsocketClient } from "../../client.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { EbsocketServer } from "../../server.ts";
import { EbsocketSystem } from "../../system.ts";
import { type TestRelay, testRelay } from "../../testing.ts";
import { Command } from "../support/command.ts";
import { FEATURES } from "../support/fake_relay.ts";
import { FakeServer } from "../support/fake_server.ts";
import { Peer } from "../support/peer.ts";

/** Runs `req` to its end. */
async function req({ address }: Pick<TestRelay, "address">, ...args: string[]) {
  await using command = new Command(["req", formatAddress(address), ...args]);
  return await command.end();
}

/** A client that answers requests called `name`. */
async function answering(
  relay: TestRelay,
  name: string,
  answer: (event: EbsocketEvent) => object,
): Promise<EbsocketClient> {
  const client = await relay.connect();
  await client.subscribe([name]);
  const loop = async () => {
    for await (const event of client) {
      await client.reply(event, new EbsocketEvent(event.event, { ...answer(event) }));
    }
  };
  loop();
  return client;
}

Deno.test("req prints the first answer unchanged, and exits with 0", async () => {
  await using relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  const asking = req(relay, "user.find", "id:=12345678901234567890", "name=Ada");
  await peer.sees('"__dict__":{"id":12345678901234567890,"name":"Ada"}}\n');
  const { id, from, event } = JSON.parse(peer.text);
  assertEquals(event, "user.find");
  const answer =
    `{"event":"user.found","__dict__":{"age": 1e400},"to":"${from}","reply_to":"${id}"}`;
  await peer.send(`{"event":"other"}\n${answer}\n`);
  const { code, stdout, stderr } = await asking;
  assertEquals(code, 0);
  assertEquals(stderr, "");
  assertEquals(stdout.replace(/"from":"c\d+",/, ""), `${answer}\n`);
});

Deno.test("req reports at once that no client receives the request, and what to do", async () => {
  await using relay = testRelay();
  const { code, stdout, stderr } = await req(relay, "time.now", "--timeout", "600000");
  assertEquals(code, 1);
  assertEquals(stdout, "");
  assertEquals(
    stderr,
    'error: No client receives "time.now": start a service for it, such as ebsockets serve time.now --exec CMD\n',
  );
});

Deno.test("req reports a time-out, and how many clients received the request", async () => {
  await using relay = testRelay();
  await using _ = await Peer.connect(relay.address);
  const { code, stdout, stderr } = await req(relay, "time.now", "--timeout", "200");
  assertEquals(code, 1);
  assertEquals(stdout, "");
  assertEquals(
    stderr,
    'error: No answer to "time.now" within 200 ms, although 1 client received it, perhaps only ' +
      "subscribers; use --timeout to wait longer\n",
  );
});

Deno.test("req --to asks only one client, and reports if there is no such client", async () => {
  await using relay = testRelay();
  await using one = await answering(relay, "name", () => ({ is: "one" }));
  await using two = await answering(relay, "name", () => ({ is: "two" }));
  for (const [client, name] of [[one, "one"], [two, "two"]] as const) {
    const { stdout } = await req(relay, "name", "--to", client.id!);
    assertEquals(JSON.parse(stdout).__dict__, { is: name });
  }
  const { code, stderr } = await req(relay, "name", "--to", "c99");
  assertEquals(code, 1);
  assertEquals(stderr, 'error: No client "c99"; ebsockets top lists the clients\n');
});

Deno.test("req sends the line unchanged after an envelope, and prints only replies to it", async () => {
  await using server = new FakeServer(FEATURES);
  const asking = req(server, "time.now", "n:=1.00", "--to=c7", "--count=2", "--raw");
  const session = await server.session();
  const { id: subscription } = JSON.parse((await session.line())!);
  await session.send({ control: "ack", id: subscription });
  const line = (await session.line())!;
  const { id } = JSON.parse(line);
  const request = '"event":"time.now","__dict__":{"n":1.00}}';
  assertEquals(line, `{"id":"${id}","to":"c7","ack":"${id}",${request}`);
  const answer = `{"event":"time", "reply_to":"${id}"}\n`;
  const others = '{"event":"x","reply_to":"r1"}\n{"event":"y"}\n';
  await session.send({ control: "ack", id, clients: 2 });
  await session.write(`${answer}${others}${answer}${answer}`);
  assertEquals((await asking).stdout, `${answer}${answer}`);
});

Deno.test("req reports why the relay refuses the request", async () => {
  await using server = new FakeServer({ ...FEATURES, limits: { max_line_bytes: 100 } });
  const long = req(server, "time.now", `zone=${"x".repeat(100)}`);
  const first = await server.session();
  await first.send({ control: "ack", id: JSON.parse((await first.line())!).id });
  assertMatch(
    (await long).stderr,
    /^error: Cannot send .*: its \d+ bytes exceed the 100 that the /,
  );
  const asking = req(server, "time.now");
  const session = await server.session();
  await session.send({ control: "ack", id: JSON.parse((await session.line())!).id });
  const { id } = JSON.parse((await session.line())!);
  await session.send({ control: "error", id, reason: "bad-attributes", detail: "zone: No" });
  const { code, stderr } = await asking;
  assertEquals(code, 1);
  assertEquals(stderr, 'error: The relay refuses "time.now": bad-attributes: zone: No\n');
});

Deno.test("req --count prints that many answers", async () => {
  await using relay = testRelay();
  await using _one = await answering(relay, "name", () => ({ is: "one" }));
  await using _two = await answering(relay, "name", () => ({ is: "two" }));
  const { code, stdout, stderr } = await req(relay, "name", "--count", "2");
  const names = stdout.trimEnd().split("\n").map((line) => JSON.parse(line).__dict__.is);
  assertEquals(code, 0);
  assertEquals(stderr, "");
  assertEquals(names.toSorted(), ["one", "two"]);
});

Deno.test("req --count prints the answers that arrive in time, and reports that some are missing", async () => {
  await using relay = testRelay();
  await using _ = await answering(relay, "name", () => ({}));
  const { code, stdout, stderr } = await req(relay, "name", "--count=3", "--timeout=1000");
  assertEquals(code, 0);
  assertEquals(stdout.split("\n").length, 2);
  assertEquals(stderr, "1 of 3 answers arrived within 1000 ms\n");
});

Deno.test("req reports a server that does not support requests", async () => {
  await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
  const { code, stderr } = await req(system.server, "name");
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^error: The server at 127\.0\.0\.1:\d+ does not support requests; upgrade/,
  );
});

Deno.test("req reports why the relay ended the connection", async () => {
  const relay = testRelay();
  await using peer = await Peer.connect(relay.address);
  const asking = req(relay, "name");
  await peer.sees("name");
  const closing = relay.close();
  peer.close();
  const { code, stderr } = await asking;
  assertEquals(code, 1);
  assertEquals(stderr, "error: The connection ended with shutdown before an answer arrived\n");
  await closing;
});

Deno.test("req --count reports that the connection ended after some of the answers", async () => {
  await using server = new FakeServer(FEATURES);
  const asking = req(server, "name", "--count=2");
  const session = await server.session();
  await session.send({ control: "ack", id: JSON.parse((await session.line())!).id });
  const { id } = JSON.parse((await session.line())!);
  await session.send({ event: "name", reply_to: id });
  await session.close("shutdown");
  const { code, stdout, stderr } = await asking;
  assertEquals(code, 1);
  assertEquals(stdout.trimEnd().split("\n").length, 1);
  assertEquals(stderr, "error: The connection ended with shutdown before another answer arrived\n");
});

Deno.test("req reports invalid arguments in one line, and exits with 2", async () => {
  const cases: [args: string[], complaint: RegExp][] = [
    [[], /^error: req needs the NAME of an event; ebsockets req --help shows the options\n$/],
    [["a", "b"], /^error: "b" is neither KEY=TEXT nor KEY:=JSON; try content=b; /],
    [["a", "b:=c"], /^error: The value of "b" is not JSON: /],
    [["a", "--count", "0"], /^error: --count must be an integer of at least 1, not "0"; /],
  ];
  await Promise.all(cases.map(async ([args, complaint]) => {
    await using command = new Command(["req", ...args]);
    const { code, stdout, stderr } = await command.end();
    assertEquals(code, 2);
    assertEquals(stdout, "");
    assertMatch(stderr, complaint);
  }));
});
