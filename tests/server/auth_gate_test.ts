import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import type { Address } from "../../protocol/address.ts";
import { EbsocketServer } from "../../server.ts";
import { Relay, type RelayOptions } from "../../relay.ts";
import { utf8 } from "../support/bytes.ts";
import { Peer } from "../support/peer.ts";
import { newRelay } from "../support/relay.ts";
import { pause, soon, until } from "../support/waiting.ts";

const TOKEN = "corréct horse";
const HELLO = `{"control":"hello","token":"${TOKEN}"}\n`;
const EVENT = '{"event":"a"}\n';

/** A relay that asks for a token, with a member that has shown it. */
async function setUp(options: RelayOptions = {}) {
  const refused: string[] = [];
  const relay = newRelay({
    token: TOKEN,
    ...options,
    observer: { onRefuse: (_: Address, reason, detail) => refused.push(`${reason}: ${detail}`) },
  });
  const member = await Peer.connect(relay.server.address);
  await member.send(HELLO);
  await member.sees('"welcome"');
  return {
    refused,
    relay,
    member,
    async [Symbol.asyncDispose]() {
      await member[Symbol.asyncDispose]();
      await relay.close();
    },
  };
}

/** What a stranger is told that sends `text`, while a member sends an event. */
async function askWith(text: string | Uint8Array, options: RelayOptions = {}): Promise<{
  told: string[];
  refused: string[];
}> {
  await using set = await setUp(options);
  await using stranger = await Peer.connect(set.relay.server.address);
  await set.member.send(EVENT);
  await set.member.sees(EVENT);
  await stranger.send(text);
  const told = await stranger.lines();
  assertEquals(set.relay.clients.length, 1);
  await set.member.send(EVENT);
  await set.member.sees(EVENT + EVENT);
  return { told, refused: set.refused };
}

Deno.test("AuthGate admits a client with the token, along with the lines right after its hello", async () => {
  await using set = await setUp();
  await using one = await Peer.connect(set.relay.server.address);
  const long = `{"event":"long","__dict__":{"x":"${"x".repeat(500_000)}"}}\n`;
  await one.send(HELLO + EVENT + long);
  await set.member.sees(EVENT + long);
  await one.sees(EVENT + long);
  assertEquals(one.text.indexOf('{"control":"welcome","version":1,"id":"c2"'), 0);
  assertEquals(set.refused, []);
});

Deno.test("AuthGate overlooks empty lines before the hello", async () => {
  await using set = await setUp();
  for (const before of [["\n\r\n"], ["\n", "\r\n\n"]]) {
    await using peer = await Peer.connect(set.relay.server.address);
    for (const text of before) await peer.send(text);
    await peer.send(`\n${HELLO}${EVENT}`);
    await peer.sees('"welcome"');
    await peer.sees(EVENT);
  }
});

Deno.test("AuthGate lets no line in or out for a peer without the token", async () => {
  const cases: [text: string, detail: string][] = [
    [EVENT, "the first line must be a hello with a token"],
    [`{"control":"hello"}\n${EVENT}`, "no token"],
    [`{"control":"hello","token":7}\n${EVENT}`, "no token"],
    [`{"control":"hello","token":"${TOKEN}!"}\n${EVENT}`, "the token is wrong"],
    [`{"control":"hello","token":""}\n${EVENT}`, "the token is wrong"],
    [`\n${EVENT}${HELLO}`, "the first line must be a hello with a token"],
    [`{"control":"close"}\n${HELLO}${EVENT}`, "the first line must be a hello with a token"],
    [`${EVENT}${HELLO}`, "the first line must be a hello with a token"],
    [`\xff\xfe\n${EVENT}`, "the first line must be a hello with a token"],
    ["\x16\x03\x01\n", "this looks like TLS"],
  ];
  for (const [text, detail] of cases) {
    const { told, refused } = await askWith(text);
    const line = JSON.stringify({ control: "close", reason: "unauthorized", detail });
    assertEquals(told, [line], text);
    assertEquals(refused, [`unauthorized: ${detail}`], text);
  }
});

Deno.test("AuthGate answers HTTP in HTTP", async () => {
  const { told, refused } = await askWith(`GET / HTTP/1.1\r\nHost: x\r\n\r\n${HELLO}`);
  assertEquals(told[0], "HTTP/1.1 400 Bad Request\r");
  assertEquals(refused, ["unauthorized: an HTTP request"]);
});

Deno.test("AuthGate reads a first line of 4,096 bytes, and none that is longer", async () => {
  const hello = (bytes: number) => {
    const line = (x: string) => HELLO.replace("}", `,"x":"${x}"}`);
    return line("x".repeat(bytes - utf8(line("")).length + 1));
  };
  assertEquals(utf8(hello(4096)).length, 4096 + 1);
  await using set = await setUp();
  await using one = await Peer.connect(set.relay.server.address);
  await one.send(hello(4096));
  await one.sees("welcome");
  for (const text of [hello(4097), "x".repeat(4097)]) {
    const { told, refused } = await askWith(text);
    assertEquals(JSON.parse(told[0]!).reason, "line-too-long");
    assertEquals(refused.map((line) => line.split(":")[0]), ["line-too-long"]);
  }
});

Deno.test("AuthGate waits for a hello no longer than helloTimeout, however many bytes drip in", async () => {
  await using set = await setUp({ helloTimeout: 300 });
  await using quiet = await Peer.connect(set.relay.server.address);
  await using slow = await Peer.connect(set.relay.server.address);
  const dripping = (async () => {
    try {
      for (;;) {
        await slow.send(" ");
        await pause(20);
      }
    } catch {
      // It has been sent away.
    }
  })();
  for (const peer of [quiet, slow]) {
    const [line] = await peer.lines();
    assertEquals(JSON.parse(line!).reason, "idle-timeout"); // It may come again.
  }
  slow.close();
  await soon(dripping, "the end of the drip");
  assertEquals(set.refused, Array(2).fill("idle-timeout: no hello came within 300 ms"));
});

Deno.test("AuthGate reports a peer that leaves before its hello", async () => {
  await using set = await setUp();
  await using one = await Peer.connect(set.relay.server.address);
  one.close();
  await until(() => set.refused.length === 1);
  assertEquals(set.refused, ["eof: it went before it had said hello"]);
});

Deno.test("AuthGate gives places to peers with the token before all others", async () => {
  await using set = await setUp({ maxClients: 2 });
  await using _waiting = await Peer.connect(set.relay.server.address);
  await using second = await Peer.connect(set.relay.server.address);
  await second.send(HELLO);
  await second.sees("welcome");
  await using third = await Peer.connect(set.relay.server.address);
  await third.send(HELLO + EVENT);
  assertEquals(JSON.parse((await third.lines())[0]!).reason, "too-many-clients");
  assertEquals(set.refused, ["too-many-clients: the server takes no more than 2"]);
});

Deno.test("Relay refuses a token that cannot be one", async () => {
  await using server = new EbsocketServer(["127.0.0.1", 0]);
  assertThrows(
    () => new Relay(server, { token: "" }),
    RangeError,
    "it must have from 1 to 1024 bytes, not 0",
  );
  assertThrows(() => new Relay(server, { token: "é".repeat(513) }), RangeError, "not 1026");
  assertThrows(() => new Relay(server, { token: 7 as unknown as string }), TypeError, "got number");
});

Deno.test("AuthGate hands on a connection to which time passes no faster than to others", async () => {
  await using set = await setUp({ keepAliveTimeout: 1 });
  await using client = await Peer.connect(set.relay.server.address);
  const begun = performance.now();
  await client.send(HELLO.replace("}", ',"keep_alive_ms":2000}'));
  const last = (await client.lines()).at(-1)!;
  assertEquals(JSON.parse(last).reason, "idle-timeout");
  assertGreaterOrEqual(performance.now() - begun, 1900);
});

Deno.test("Relay is closed by an observer that throws, also when it asks for a token", async () => {
  const relay = newRelay({
    token: TOKEN,
    observer: {
      onJoin() {
        throw new Error("no room");
      },
    },
  });
  const closed = assertRejects(() => relay.closed, Error, "no room");
  await using client = await Peer.connect(relay.server.address);
  await client.send(HELLO);
  await closed;
});
