import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertMatch } from "@std/assert/match";
import type { CloseInfo } from "../../errors.ts";
import { EbsocketServer } from "../../server.ts";
import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketSystem } from "../../system.ts";
import { Peer } from "../support/peer.ts";
import { newRelay } from "../support/relay.ts";
import { until } from "../support/waiting.ts";

const EVENT = '{"event":"a"}\n';
const HELLO = '{"control":"hello","version":1}\n';
const ACK_HELLO = '{"control":"hello","version":1,"ack":true}\n';

/** What answers a hello, of either kind of server. */
const SERVERS = {
  relay: (options: RelayOptions) => newRelay(options),
  system: (options: RelayOptions) =>
    new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]), options),
};

for (const [name, start] of Object.entries(SERVERS)) {
  Deno.test(`Handshake of a ${name} answers the first hello, and no other`, async () => {
    await using server = start({ maxLineBytes: 5000, maxEventsPerSecond: 50, echo: false });
    await using peer = await Peer.connect(server.server.address);
    await peer.send(HELLO + HELLO + ACK_HELLO + EVENT);
    await peer.sees("\n");
    await server.close();
    const [welcome, ...rest] = (await peer.lines()).map((line) => JSON.parse(line));
    assertEquals(welcome, {
      control: "welcome",
      version: 1,
      id: "c1",
      keep_alive_ms: 25_000,
      features: name === "relay" ? ["subscribe", "ack", "sequence", "stats", "window"] : ["window"],
      limits: {
        max_line_bytes: 5000,
        max_depth: 64,
        max_pending_bytes: 8_388_608,
        max_events_per_second: 50,
      },
    });
    assertEquals(rest, [{ control: "close", reason: "shutdown" }]);
  });

  Deno.test(`Handshake of a ${name} acknowledges events on request`, async () => {
    await using server = start({ echo: false });
    await using peer = await Peer.connect(server.server.address);
    await peer.send(ACK_HELLO + EVENT + EVENT);
    await peer.sees('{"control":"ack","events":2}\n');
    await peer.send(`\n${EVENT}`);
    await peer.sees('{"control":"ack","events":3}\n');
  });

  Deno.test(`Handshake of a ${name} acknowledges the events before a bad line`, async () => {
    await using server = start({ echo: false });
    await using peer = await Peer.connect(server.server.address);
    await peer.send(`${ACK_HELLO}${EVENT}${EVENT}{}\n${EVENT}`);
    const lines = (await peer.lines()).slice(1).map((line) => JSON.parse(line));
    assertEquals(lines[0], { control: "ack", events: 2 });
    assertEquals(lines[1].reason, "bad-event");
    assertEquals(lines.length, 2);
  });

  Deno.test(`Handshake of a ${name} shows no control line to a peer that sends no hello`, async () => {
    await using server = start({});
    await using peer = await Peer.connect(server.server.address);
    await peer.send(EVENT);
    if (server instanceof Relay) await peer.sees(EVENT);
    else await server.pump();
    await server.close();
    const controls = (await peer.lines()).filter((line) => line.includes("control"));
    assertEquals(controls, ['{"control":"close","reason":"shutdown"}']);
  });

  Deno.test(`Handshake of a ${name} ignores close reasons that only a server can have`, async () => {
    const ends: CloseInfo[] = [];
    const onClose = (info: CloseInfo) => void ends.push(info);
    await using server = start({ observer: { onLeave: (_, info) => onClose(info) } });
    if (server instanceof EbsocketSystem) {
      (async () => {
        for await (const notice of server) if (notice.type === "disconnected") onClose(notice.info);
      })();
    }
    for (const reason of ["local", "aborted", "unauthorized", "rate-limited", "idle-timeout"]) {
      await using peer = await Peer.connect(server.server.address);
      await peer.send(`{"control":"close","reason":"${reason}","detail":"x"}\n`);
      await peer.conn.closeWrite();
      await peer.lines();
    }
    await until(() => ends.length === 5);
    const words = (reason: string) =>
      `the client gave the reason "${reason}", which no client can give`;
    assertEquals(ends.map(({ reason, detail }) => [reason, detail]), [
      ["eof", words("local")],
      ["eof", words("aborted")],
      ["eof", words("unauthorized")],
      ["eof", words("rate-limited")],
      ["idle-timeout", "the client says: x"],
    ]);
  });

  Deno.test(`Handshake of a ${name} answers HTTP and TLS at the start of a connection, and only there`, async () => {
    await using server = start({ echo: false });
    await using web = await Peer.connect(server.server.address);
    await web.send("GET / HTTP/1.1\r\n\r\n");
    assertEquals((await web.lines())[0], "HTTP/1.1 400 Bad Request\r");
    await using tls = await Peer.connect(server.server.address);
    await tls.send(new Uint8Array([0x16, 0x03, 0x01, 0x00, 0x0a]));
    assertMatch(JSON.parse((await tls.lines())[0]!).detail, /^this looks like TLS/);
    await using client = await Peer.connect(server.server.address);
    await client.send(`${EVENT}GET / HTTP/1.1\r\n`);
    assertEquals(JSON.parse((await client.lines())[0]!).reason, "bad-json");
  });

  Deno.test(`A ${name} sends keep-alive lines, and closes a client that breaks its keep-alive promise`, async () => {
    await using server = start({ keepAliveInterval: 100, keepAliveTimeout: 100 });
    await using member = await Peer.connect(server.server.address);
    await using liar = await Peer.connect(server.server.address);
    await liar.send('{"control":"hello","keep_alive_ms":1}\n');
    const line = (await liar.lines()).at(-1)!;
    assertEquals(JSON.parse(line).reason, "idle-timeout");
    await member.sees("\n\n\n");
    assertEquals(member.text.trim(), "");
  });

  Deno.test(`A ${name} closes a client that does not finish a line`, async () => {
    await using server = start({ lineTimeout: 100 });
    await using peer = await Peer.connect(server.server.address);
    await peer.send('{"event":');
    const [line] = await peer.lines();
    const detail = "the peer did not finish a line within 100 ms";
    assertEquals(JSON.parse(line!), { control: "close", reason: "idle-timeout", detail });
  });

  Deno.test(`A ${name} slows down a client over its rate limit, and loses nothing`, async () => {
    await using server = start({ maxEventsPerSecond: 50, echo: false });
    await using peer = await Peer.connect(server.server.address);
    const begun = performance.now();
    await peer.send(ACK_HELLO + EVENT.repeat(20));
    for (let i = 1; i < 4; i++) await peer.send(EVENT.repeat(20));
    await peer.sees('{"control":"ack","events":80}\n');
    await peer.send(EVENT);
    await peer.sees('{"control":"ack","events":81}\n');
    assertGreaterOrEqual(performance.now() - begun, 550);
  });

  Deno.test(`A ${name} closes a client far over its rate limit`, async () => {
    await using server = start({ maxEventsPerSecond: 1, echo: false });
    await using peer = await Peer.connect(server.server.address);
    await peer.send(EVENT.repeat(100));
    const last = (await peer.lines()).at(-1)!;
    assertEquals(JSON.parse(last).reason, "rate-limited");
  });

  Deno.test(`A ${name} closes a client that floods it with empty lines`, async () => {
    await using server = start({});
    await using peer = await Peer.connect(server.server.address);
    await peer.send("\n".repeat(50));
    await peer.send("\n".repeat(5000));
    const [line] = await peer.lines();
    assertEquals(JSON.parse(line!).reason, "rate-limited");
  });
}
