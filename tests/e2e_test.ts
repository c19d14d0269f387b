/** The relay as a process, its clients as programs: what its users rely on. */

import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertStringIncludes } from "@std/assert/string-includes";
import { equals } from "@std/bytes/equals";
import type { Address } from "../protocol/address.ts";
import { EbsocketClient } from "../client.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { utf8 } from "./support/bytes.ts";
import { Command } from "./support/command.ts";
import { Peer } from "./support/peer.ts";
import { residentBytes } from "./support/usage.ts";
import { soon } from "./support/waiting.ts";

const isLinux = Deno.build.os === "linux";

/** Reads until all of `expected` has come, and fails at the first byte that differs. */
async function receiveExactly(conn: Deno.Conn, expected: Uint8Array): Promise<void> {
  const buffer = new Uint8Array(262_144);
  for (let received = 0; received < expected.length;) {
    const length = await conn.read(buffer);
    if (length === null) throw new Error(`The stream ended after ${received} bytes`);
    const end = received + length;
    if (!equals(buffer.subarray(0, length), expected.subarray(received, end))) {
      throw new Error(`What came differs between bytes ${received} and ${end}`);
    }
    received = end;
  }
}

/** Two clients that talk to each other, to see that nothing disturbs them. */
class Pair implements AsyncDisposable {
  readonly one = new EbsocketClient();
  readonly two = new EbsocketClient();
  #rounds = 0;

  /** Joins a relay that `others` clients have joined before. */
  static async join(command: Command, address: Address, others = 0): Promise<Pair> {
    const pair = new Pair();
    await pair.one.connectTo(address);
    await pair.two.connectTo(address);
    await command.expect(new RegExp(`client c${others + 2} joined`));
    await pair.talk();
    return pair;
  }

  /** Sends an event each way, and sees that both get both. */
  async talk(): Promise<void> {
    const round = ++this.#rounds;
    for (const [sender, other] of [[this.one, this.two], [this.two, this.one]] as const) {
      await sender.sendEvent(new EbsocketEvent("round", { round }));
      for (const receiver of [sender, other]) {
        let event;
        do event = await soon(receiver.recvEvent(), "an event"); while (
          event && event.event !== "round"
        );
        assertEquals(event?.getAttribute("round"), round);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.one.close();
    await this.two.close();
  }
}

Deno.test("relay delivers 100,000 events to 10 clients, complete, in order, byte for byte", async () => {
  // The publisher does not get its own events. On a busy machine it may be too slow to read them, and
  // is then closed.
  await using command = new Command(["--port", "0", "--no-echo"]);
  const address = await command.listens();
  const [hostname, port] = address;
  const lines: string[] = [];
  for (let i = 0; i < 100_000; i++) {
    const head = `{"event":"message","__dict__":{"number":${i},"text":"`;
    lines.push(head + "x".repeat(150 - head.length - 3) + '"}}\n');
  }
  const expected = utf8(lines.join(""));
  const subscribers: Deno.TcpConn[] = [];
  for (let i = 0; i < 10; i++) subscribers.push(await Deno.connect({ hostname, port }));
  await command.expect(/client c10 joined/);
  await using publisher = await Peer.connect(address);
  const receiving = subscribers.map((conn) => receiveExactly(conn, expected));
  await Promise.all([publisher.send(expected), ...receiving]);
  for (const conn of subscribers) conn.close();
});

Deno.test("relay refuses a web page, and says why", async () => {
  await using command = new Command(["--port", "0"]);
  const [hostname, port] = await command.listens();
  await using pair = await Pair.join(command, [hostname, port]);
  await using browser = await Peer.connect([hostname, port]);
  const body = '{"event":"x"}\n';
  await browser.send(`POST / HTTP/1.1\r\nHost: ${hostname}\r\n\r\n${body}`);
  const [status, ...rest] = await browser.lines();
  assertEquals(status, "HTTP/1.1 400 Bad Request\r");
  assertStringIncludes(rest.join("\n"), "lines of JSON over TCP");
  browser.close();
  await command.expect(/refused a client.*: bad-json/);
  await pair.talk();
  const [events] = await pair.two.pump();
  assertEquals(events, []);
});

Deno.test({
  name: "relay goes on undisturbed when a client is killed",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using command = new Command(["--port", "0"]);
    const address = await command.listens();
    await using pair = await Pair.join(command, address);
    const source = `
      const conn = await Deno.connect({ hostname: "${address[0]}", port: ${address[1]} });
      await conn.write(new TextEncoder().encode('{"event":"alive"}\\n{"event":"half'));
      for (;;) await conn.read(new Uint8Array(1000));`;
    const child = new Deno.Command(Deno.execPath(), { args: ["eval", source] }).spawn();
    assertEquals((await soon(pair.one.recvEvent(), "an event"))?.event, "alive");
    child.kill("SIGKILL");
    await child.status;
    await command.expect(/client c3 left: (reset|truncated)/);
    await pair.talk();
  },
});

Deno.test("relay does not wait for a client that sends half a line", async () => {
  await using command = new Command(["--port", "0"]);
  const address = await command.listens();
  await using half = await Peer.connect(address);
  await half.send('{"event":"ha');
  await using pair = await Pair.join(command, address, 1);
  await pair.talk();
  await half.send('lf"}\n');
  await half.sees('{"event":"half"}\n');
});

Deno.test({
  name: "relay bounds its memory and closes a client that sends no newline",
  ignore: !isLinux,
  async fn() {
    await using command = new Command(["--port", "0"]);
    const address = await command.listens();
    await using pair = await Pair.join(command, address);
    const before = residentBytes(command.pid);
    await using flood = await Peer.connect(address);
    const chunk = new Uint8Array(1_048_576).fill(0x78);
    let sent = 0;
    try {
      while (sent < 10e9) {
        await flood.conn.write(chunk);
        sent += chunk.length;
      }
    } catch {
      // The relay has hung up.
    }
    assertLess(sent, 1e9);
    await command.expect(/client c3 left: line-too-long/);
    await pair.talk();
    const grown = residentBytes(command.pid) - before;
    assertLess(grown, 100e6);
  },
});

Deno.test({
  name: "relay bounds its memory and closes a client that never reads, while others get all",
  ignore: !isLinux,
  async fn() {
    await using command = new Command(["--port", "0", "--no-echo"]);
    const address = await command.listens();
    await using silent = await Peer.connect(address, { silent: true });
    const reader = await Deno.connect({ hostname: address[0], port: address[1] });
    await using publisher = await Peer.connect(address);
    await command.expect(/client c3 joined/);
    const before = residentBytes(command.pid);
    const line = `{"event":"n","__dict__":{"text":"${"x".repeat(1000)}"}}\n`;
    const block = utf8(line.repeat(1000));
    for (let i = 0; i < 60; i++) {
      await Promise.all([publisher.send(block), receiveExactly(reader, block)]);
    }
    reader.close();
    await command.expect(/client c1 left: slow-consumer/);
    const grown = residentBytes(command.pid) - before;
    assertLess(grown, 150e6);
    silent.close();
  },
});

Deno.test({
  name: "relay bounds its memory also when events are few among much else",
  ignore: !isLinux,
  async fn() {
    await using command = new Command(["--port", "0", "--no-echo"]);
    const address = await command.listens();
    await using silent = await Peer.connect(address, { silent: true });
    await using publisher = await Peer.connect(address);
    await using reader = await Peer.connect(address);
    await command.expect(/client c3 joined/);
    const before = residentBytes(command.pid);
    const filler = `{"control":"unknown","x":"${"x".repeat(60_000)}"}\n`;
    const block = utf8(`${filler}{"event":"a"}\n`);
    for (let i = 0; i < 5000; i++) await publisher.send(block);
    await publisher.send('{"event":"last"}\n');
    await reader.sees("last");
    const grown = residentBytes(command.pid) - before;
    assertLess(grown, 100e6);
    silent.close();
  },
});
