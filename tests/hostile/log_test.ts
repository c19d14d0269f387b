/** What reaches the log must fool neither a terminal nor whoever reads the log. */

import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertNotMatch } from "@std/assert/not-match";
import { Command } from "../support/command.ts";
import { Peer } from "../support/peer.ts";
import { addressOf, assertPrintable, Target } from "./target.ts";

/** Ends a line, clears the screen, rings, changes the direction of text, forges a line, and so on. */
const NASTY = "\n\r\t\0\x07\x1b[2J\x1b]0;x\x07\x7f\x80\x85\x9b31m\u061c\u200e\u200f\u2028\u2029" +
  "\u202a\u202e\u2066\u2069\ufeff 2026-01-01T00:00:00.000Z client 1 left: eof \ud800" +
  "x".repeat(3000);

/** Everything that a peer can say and that might be shown. */
const ATTEMPTS: string[] = [
  JSON.stringify({ control: "close", reason: NASTY.slice(0, 200) }),
  JSON.stringify({ control: "close", reason: "shutdown", detail: NASTY }),
  JSON.stringify({ control: "close", reason: { toString: NASTY.slice(0, 200) } }),
  JSON.stringify({ control: "close", reason: ["\u202e"], retry_after_ms: NASTY.slice(0, 100) }),
  JSON.stringify({ control: "hello", token: NASTY.slice(0, 500), version: NASTY.slice(0, 500) }),
  JSON.stringify({ control: "hello", keep_alive_ms: -1, ack: NASTY.slice(0, 500) }) + "\nx",
  JSON.stringify({ control: NASTY.slice(0, 100) }) + "\n\u202e",
  JSON.stringify({ event: NASTY }),
  '{"event":"a","__dict__":"\u202e"}',
  ...[..."\x00\x07\x1b\x7f\u0085\u009b\u2028\u202e\u2066\ufeffé😀"],
  '{"event":"\x1b[2J"}',
  '{"event":"a"}\u202e',
  "GET /\u202e\x1b[2J HTTP/1.1\r\nHost: \x1b[2J\r\n\r",
  "GET /" + "%0a".repeat(5000) + " HTTP/1.1\r",
  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
];

for (const format of ["text", "json"]) {
  Deno.test(`relay --log ${format} writes one printable line for any text of a peer`, async () => {
    await using command = new Command(["--port", "0", "--log", format], ["--allow-all"]);
    const [, port] = await command.expect(/listening.*?(\d+)["}, ].*\n|listening.*?:(\d+)\n/)
      .then((match) => [match[0], Number(/(\d+)\D*$/.exec(match[0])![1])] as const);
    await command.expect(/\n|$/);
    const addresses: string[] = [];
    for (const text of ATTEMPTS) {
      await using peer = await Peer.connect(["127.0.0.1", port]);
      addresses.push(addressOf(peer));
      await peer.send(`${text}\n`);
      await peer.conn.closeWrite();
      await peer.lines().catch(() => {});
    }
    const { stdout } = command;
    for (const line of stdout.split("\n")) {
      assertPrintable(line);
      // Peers may say as much as they like.
      assertLess(line.length, 700, line);
    }
    command.kill("SIGTERM");
    const { stdout: all, stderr } = await command.end();
    assertEquals(stderr, "");
    const has = (words: RegExp) => all.split("\n").filter((line) => words.test(line)).length;
    // Whoever speaks HTTP or TLS is refused before it is a client.
    const isRefused = (text: string) => text.startsWith("GET ") || text.startsWith("\x16");
    const refused = ATTEMPTS.filter(isRefused).length;
    assertEquals(has(/client c\d+|"client":\d+/), 2 * (addresses.length - refused), all);
    assertEquals(has(/refused a client|"type":"refuse"/), refused, all);
  });
}

Deno.test("relay keeps its log lines short, however long the lines of a peer", async () => {
  await using target = await Target.start();
  const long = "y".repeat(1_000_000);
  for (
    const text of [
      `{"event":"${long}"}`,
      `{"control":"close","reason":"${long}"}`,
      `"${long}`,
      long,
    ]
  ) {
    await using peer = await target.peer();
    await peer.send(`${text}\n`);
    await peer.conn.closeWrite();
    await peer.lines().catch(() => {});
    peer.close();
    const entry = await target.left(addressOf(peer));
    assertLess(JSON.stringify(entry).length, 700);
  }
  await target.isCalm();
});

Deno.test("relay counts, and does not remember, the names of 10,000 kinds of events", async () => {
  await using target = await Target.start(["--no-echo"]);
  await using peer = await target.peer();
  let text = "";
  for (let i = 0; i < 10_000; i++) text += `{"event":"name-${i}-${"z".repeat(200)}"}\n`;
  await peer.send(text);
  await peer.conn.closeWrite();
  await peer.lines();
  peer.close();
  const entry = await target.left(addressOf(peer));
  assertEquals(entry.eventsIn, 10_000);
  assertNotMatch(JSON.stringify(target.log), /name-/);
  await target.isCalm({ passes: 20_000 });
});
