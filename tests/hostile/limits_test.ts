/** Peers that want more than a relay gives to one: more connections, more events, more lines. */

import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { Attacker } from "./attacker.ts";
import { hello, TOKEN, TokenFile } from "./secret.ts";
import { isFull, size } from "../support/size.ts";
import { addressOf, Target } from "./target.ts";
import { canTell, openFiles } from "../support/usage.ts";
import { pause } from "../support/waiting.ts";

for (const flag of ["--max-clients", "--max-clients-per-address"]) {
  Deno.test(`relay ${flag} refuses clients beyond the limit, and admits one when another has left`, async () => {
    await using target = await Target.start([flag, "3"]);
    await using third = await target.peer();
    await target.joined(addressOf(third));
    for (let i = 0; i < 3; i++) {
      await using fourth = await target.peer();
      const [line, ...others] = await fourth.lines();
      assertEquals(JSON.parse(line!).reason, "too-many-clients");
      assertEquals(others, []);
      const address = addressOf(fourth);
      fourth.close();
      await target.left(address);
      assertEquals(target.entriesOf(address).map(({ type }) => type), ["refuse"]);
    }
    const address = addressOf(third);
    third.close();
    await target.left(address);
    await using next = await target.peer();
    await next.send('{"event":"next"}\n');
    await next.sees('{"event":"next"}\n');
    next.close();
    await target.isCalm({ passes: 2 });
  });
}

Deno.test({
  name: "relay --max-clients spends no more than some hundred sockets on a flood of refused peers",
  ignore: !canTell,
  async fn() {
    await using target = await Target.start(["--max-clients", "2"]);
    const [hostname, port] = target.address;
    using attacker = new Attacker({
      kind: "hold",
      hostname,
      port,
      count: size(1000, 15_000),
      texts: [""],
      trickle: "",
      reads: false,
    });
    let most = 0;
    const timer = setInterval(() => most = Math.max(most, openFiles(target.command.pid)), 10);
    await target.pair.rounds(attacker.done);
    clearInterval(timer);
    assertLess(most, 400);
    attacker[Symbol.dispose]();
    await target.isCalm();
  },
});

Deno.test("relay --max-clients with a token keeps its places for clients with the token", async () => {
  using file = new TokenFile();
  const args = ["--max-clients", "4", "--token-file", file.path];
  await using target = await Target.start(args, { hello: hello(TOKEN) });
  const [hostname, port] = target.address;
  using strangers = new Attacker({
    kind: "hold",
    hostname,
    port,
    count: size(50, 5000),
    texts: [""],
    trickle: "",
    reads: true,
  });
  await strangers.done;
  await using client = await target.peer();
  await client.send(`${hello(TOKEN)}{"event":"in"}\n`);
  await client.sees('{"event":"in"}\n');
  client.close();
  strangers[Symbol.dispose]();
  await target.isCalm({ passes: 2 });
});

Deno.test("relay --rate slows down clients over the limit, and loses nothing", async () => {
  await using target = await Target.start(["--rate", "2000", "--no-echo"]);
  await using peer = await target.peer();
  const start = performance.now();
  let text = "";
  for (let i = 0; i < 5000; i++) text += `{"event":"${i}"}\n`;
  const sending = peer.send(text);
  await target.pair.rounds(sending);
  await peer.conn.closeWrite();
  await peer.lines();
  // One second's worth may come at once.
  assertGreater(performance.now() - start, 1000);
  peer.close();
  await target.isCalm({ passes: 10_000 });
  assertEquals(target.pair.one.others.slice(0, 3), [0, 1, 2].map((i) => `{"event":"${i}"}`));
});

const FAR_OVER: [what: string, args: string[], line: string][] = [
  ["events", ["--rate", "100"], '{"event":"a"}\n'],
  ["bytes", ["--rate-bytes", "1000"], `{"event":"${"a".repeat(200)}"}\n`],
  ["control lines, each with an event", [], '{"control":"hello"}\n{"event":"a"}\n'],
  ["empty lines", [], "\n"],
  ["empty lines that end in CRLF", [], "\r\n"],
  ["control lines", [], '{"control":"hello"}\n'],
  ["pairs of empty lines and events", [], '\n\n\n{"event":"a"}\n'],
];

/** Sends `line` over and over until it is cut off; that must be for the rate. */
async function exceed(what: string, args: string[], line: string): Promise<void> {
  await using target = await Target.start([...args, "--no-echo"]);
  await using peer = await target.peer();
  const text = line.repeat(Math.ceil(60_000 / line.length));
  try {
    for (let sent = 0; sent < 20e6; sent += text.length) await peer.send(text);
  } catch {
    // The relay has hung up.
  }
  const lines = await peer.lines().catch(() => []);
  const address = addressOf(peer);
  peer.close();
  const entry = await target.left(address);
  assertEquals(entry.reason, "rate-limited", `${what}: ${JSON.stringify(entry)}`);
  const last = lines.at(-1);
  if (last) assertEquals(JSON.parse(last).reason, "rate-limited", what);
  await target.isCalm({ passes: "some" });
}

Deno.test("relay closes clients far over a limit with rate-limited", async () => {
  const cases = isFull ? FAR_OVER : FAR_OVER.slice(0, 4);
  await Promise.all(cases.map((each) => exceed(...each)));
});

Deno.test("relay keeps a client that sends an empty line now and then", async () => {
  await using target = await Target.start();
  await using peer = await target.peer();
  for (let i = 0; i < 50; i++) await peer.send("\n\r\n");
  await peer.send('{"event":"still here"}\n');
  await peer.sees('{"event":"still here"}\n');
  peer.close();
  await target.isCalm({ passes: 2 });
});

Deno.test("relay --line-timeout closes a client that never finishes a line, even if bytes drip in", async () => {
  await using target = await Target.start(["--line-timeout", "500"]);
  await using stalled = await target.peer();
  await stalled.send('{"event":"half');
  await using slow = await target.peer();
  let isOver = false;
  const trickling = (async () => {
    while (!isOver) {
      await slow.send(" ").catch(() => {});
      await pause(50);
    }
  })();
  for (const peer of [stalled, slow]) {
    const [line] = await peer.lines();
    assertEquals(JSON.parse(line!).reason, "idle-timeout");
  }
  isOver = true;
  await trickling;
  for (const peer of [stalled, slow]) {
    const address = addressOf(peer);
    peer.close();
    assertEquals((await target.left(address)).reason, "idle-timeout");
  }
  await target.isCalm();
});
