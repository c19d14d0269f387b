/**
 * Peers that may not come in: nothing that they send reaches anybody, nothing but the reason is sent
 * to them, and the log has one line for each.
 */

import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertLess } from "@std/assert/less";
import { assertMatch } from "@std/assert/match";
import { withNewline } from "../support/bytes.ts";
import { Peer } from "../support/peer.ts";
import { newRelay } from "../support/relay.ts";
import { Attacker } from "./attacker.ts";
import { hello, TOKEN, TokenFile } from "./secret.ts";
import { size } from "../support/size.ts";
import { until } from "../support/waiting.ts";
import { addressOf, Target } from "./target.ts";

const EVENT = '{"event":"intrusion"}\n';

/** What a browser or a library for TLS sends first, with a newline somewhere. */
const CLIENT_HELLO =
  "\x16\x03\x01\x00\x7f\x01\x00\x00\x7b\x03\x03 x\n\x00\x00\x02\x13\x01\x01\x00\n";

const HTTP_ANSWER =
  /^HTTP\/1\.1 400 Bad Request\r\n([A-Za-z-]+: [^\r\n]+\r\n)+\r\n[^\r\n]*@ebsockets\/relay[^\r\n]*\n$/;

/** What a stranger sends, and what it is told; `close` stands for a `close` line. */
type Stranger = [what: string, sent: string | Uint8Array, told: "close" | "http" | "nothing"];

const STRANGERS: Stranger[] = [
  ["a wrong token", hello("wrong"), "close"],
  ["a beginning of the token", hello(TOKEN.slice(0, -1)), "close"],
  ["the token and more", hello(`${TOKEN} `), "close"],
  ["the token in capitals", hello(TOKEN.toUpperCase()), "close"],
  ["an empty token", hello(""), "close"],
  ["the token in an array", hello([TOKEN]), "close"],
  ["no token", hello(undefined), "close"],
  ["a token that is null", hello(null), "close"],
  ["a token that is true", hello(true), "close"],
  ["the longest wrong token", hello("x".repeat(4096 - hello("").length + 1)), "close"],
  ["a token that is too long", hello("x".repeat(4097 - hello("").length + 1)), "close"],
  ["a line without an end", "x".repeat(4097), "close"],
  ["the token as an attribute", `{"control":"hello","__dict__":{"token":"${TOKEN}"}}\n`, "close"],
  ["the token twice, wrong last", `{"control":"hello","token":"${TOKEN}","token":"x"}\n`, "close"],
  ["a hello that is an event", `{"event":"hello","token":"${TOKEN}"}\n`, "close"],
  ["another control line", `{"control":"welcome","token":"${TOKEN}"}\n`, "close"],
  ["an event", EVENT, "close"],
  ["an empty line", "\n", "close"],
  ["a hello behind an event", `${EVENT}${hello(TOKEN)}`, "close"],
  ["a mark, and half a hello", `\ufeff${hello(TOKEN).slice(0, -1)}`, "close"],
  ["a farewell", '{"control":"close","reason":"shutdown"}\n', "close"],
  ["no byte", "", "nothing"],
  ["GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http"],
  ["POST with events", `POST /x?y HTTP/1.1\r\nHost: x\r\n\r\n${hello(TOKEN)}`, "http"],
  ["HEAD", "HEAD / HTTP/1.0\r\n\r\n", "http"],
  ["OPTIONS", "OPTIONS * HTTP/1.1\r\nOrigin: null\r\n\r\n", "http"],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http"],
  ["TLS", CLIENT_HELLO, "close"],
  ...Array.from({ length: 4 }, (): Stranger => {
    const bytes = crypto.getRandomValues(new Uint8Array(200));
    return [`random bytes ${bytes.toHex()}`, withNewline(bytes), "close"];
  }),
];

/** Of more refusals in a second, the log only says how many there were. */
const TOLD_ONE_BY_ONE = 10;

Deno.test("relay --token-file accepts nothing from peers without the token, and sends them no event", async () => {
  using file = new TokenFile();
  for (let i = 0; i < STRANGERS.length; i += TOLD_ONE_BY_ONE) {
    const args = ["--token-file", file.path, "--no-web"];
    await using target = await Target.start(args, { hello: hello(TOKEN) });
    for (const [what, sent, told] of STRANGERS.slice(i, i + TOLD_ONE_BY_ONE)) {
      await using peer = await target.peer();
      await target.pair.talk();
      await peer.send(sent);
      if (sent.at(-1) === "\n" || typeof sent !== "string") await peer.send(EVENT);
      await target.pair.talk();
      await peer.conn.closeWrite();
      const text = (await peer.lines()).map((line) => `${line}\n`).join("");
      const address = addressOf(peer);
      peer.close();

      // Nothing out.
      if (told === "nothing") assertEquals(text, "", what);
      else if (told === "http") assertMatch(text, HTTP_ANSWER, what);
      else {
        assertEquals(text.match(/\n/g)?.length, 1, what);
        assertEquals(JSON.parse(text).control, "close", what);
      }
      // One line, but for who has not said anything.
      if (sent.length === 0) continue;
      await target.left(address);
      const entries = target.entriesOf(address);
      assertEquals(entries.map(({ type }) => type), ["refuse"], what);
      assertFalse(JSON.stringify(entries).includes(TOKEN), what);
    }
    // Nothing in.
    await target.isCalm();
  }
});

Deno.test("relay --token-file admits a client with the token in any JSON spelling", async () => {
  using file = new TokenFile();
  await using target = await Target.start(["--token-file", file.path], { hello: hello(TOKEN) });
  const escaped = [...TOKEN].map((char) => `\\u00${char.charCodeAt(0).toString(16)}`).join("");
  const greetings = [
    hello(TOKEN),
    hello(TOKEN).replace("\n", "\r\n"),
    `\ufeff${hello(TOKEN)}`,
    `\r\n\n${hello(TOKEN)}`, // empty lines mean nothing
    `{"tok\\u0065n":"${escaped}","\\u0063ontrol":"hell\\u006f"}\n`,
    // The longest first line.
    hello(TOKEN).replace("}", `,"x":"${"x".repeat(4096 - hello(TOKEN).length - 6)}"}`),
  ];
  for (const greeting of greetings) {
    await using peer = await target.peer();
    await peer.send(greeting + EVENT);
    await peer.sees(EVENT);
    // Any other hello is ignored: a right one, a wrong one, and a flood of them.
    await peer.send(hello(TOKEN) + hello("wrong") + hello("wrong").repeat(20) + EVENT);
    await peer.sees(EVENT + EVENT);
    assertEquals(peer.text.match(/"welcome"/g)?.length, 1);
    const address = addressOf(peer);
    peer.close();
    await target.left(address);
  }
  await target.isCalm({ passes: 4 * greetings.length });
});

Deno.test("relay --no-web answers HTTP, and hangs up on other protocols", async () => {
  await using target = await Target.start(["--no-web"]);
  for (const [what, sent, told] of STRANGERS.filter(([what]) => /^[A-Z]/.test(what))) {
    await using peer = await target.peer();
    await target.joined(addressOf(peer));
    await peer.send(sent);
    await peer.send(EVENT);
    const text = (await peer.lines()).map((line) => `${line}\n`).join("");
    if (told === "http") assertMatch(text, HTTP_ANSWER, what);
    else assertEquals(JSON.parse(text).reason, "bad-json", what);
    const address = addressOf(peer);
    peer.close();
    const { reason } = await target.left(address);
    assertEquals(reason, "bad-json", what);
    assertEquals(target.entriesOf(address).length, 2, what);
  }
  await target.isCalm();
});

Deno.test("Relay with a token closes peers that do not send it in time", async () => {
  const refused: string[] = [];
  await using relay = newRelay({
    token: TOKEN,
    helloTimeout: 400,
    observer: { onRefuse: (address, reason) => void refused.push(`${address[1]} ${reason}`) },
  });
  await using silent = await Peer.connect(relay.server.address);
  await using slow = await Peer.connect(relay.server.address);
  await slow.send(hello(TOKEN).slice(0, 20));
  await using client = await Peer.connect(relay.server.address);
  await client.send(hello(TOKEN) + EVENT);
  for (const peer of [silent, slow]) {
    const [line, ...others] = await peer.lines();
    assertEquals(JSON.parse(line!).reason, "idle-timeout");
    assertEquals(others, []);
  }
  const ports = [silent, slow].map((peer) => `${peer.conn.localAddr.port} idle-timeout`);
  assertEquals(refused.toSorted(), ports.toSorted());
  await client.send(EVENT);
  await client.sees(EVENT + EVENT);
});

Deno.test("relay --token-file summarises a flood of refused peers in its log", async () => {
  using file = new TokenFile();
  const flags = ["--token-file", file.path];
  await using target = await Target.start(flags, { hello: hello(TOKEN) });
  const [hostname, port] = target.address;
  const count = size(500, 20_000);
  using attacker = new Attacker({
    kind: "flood",
    hostname,
    port,
    count,
    texts: [hello("wrong") + EVENT, EVENT, "\n", "GET / HTTP/1.1\r\n\r\n"],
  });
  await target.pair.rounds(attacker.done);
  const { connected } = await attacker.done;
  await target.isCalm();
  const told = () => target.log.filter(({ type }) => type === "refuse").length;
  const counted = () =>
    target.log.filter(({ type }) => type === "refuse-more")
      .reduce((sum, { refused }) => sum + (refused as number), 0);
  await until(() => told() + counted() >= connected, { everyMs: 20 });
  assertEquals(told() + counted(), connected);
  assertLess(target.log.length, 100 + connected / 10);
});

Deno.test("relay summarises in its log what pages of other sites send to it", async () => {
  await using target = await Target.start();
  const requests = [
    `POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 22\r\n\r\n${EVENT}`,
    "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    CLIENT_HELLO,
  ];
  const before = target.log.length;
  for (let i = 0; i < 100; i++) {
    await using peer = await target.peer();
    await peer.send(requests[i % requests.length]!);
    await peer.lines();
  }
  await target.isCalm();
  // Some in each second, and how many more there were.
  assertLess(target.log.length - before, 60);
});
