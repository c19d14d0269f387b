import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { Publisher } from "../../cli/publisher.ts";
import { Requester } from "../../cli/requester.ts";
import { Subscription } from "../../cli/subscription.ts";
import { Wire, type WireSink } from "../../cli/raw_connection.ts";
import type { ControlLine } from "../../protocol/control.ts";
import { type CloseInfo, ConnectError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { testRelay } from "../../testing.ts";
import { FakeServer } from "../support/fake_server.ts";
import { until } from "../support/waiting.ts";

const decoder = new TextDecoder();
const signal = new AbortController().signal;

/** Keeps all that it hears. */
class Heard implements WireSink {
  readonly events: [line: string, name: string, from: string | null][] = [];
  readonly controls: ControlLine[] = [];
  info: CloseInfo | null = null;

  onEvent({ bytes, name, from }: { bytes: Uint8Array; name: string; from: string | null }): void {
    this.events.push([decoder.decode(bytes), name, from]);
  }

  onControl(line: ControlLine): void {
    this.controls.push(line);
  }

  onEnd(info: CloseInfo): void {
    this.info = info;
  }
}

Deno.test("Wire gives the lines of events byte for byte, with their names and senders", async () => {
  await using server = new FakeServer();
  const heard = new Heard();
  const wire = await Wire.open(server.address, heard, { signal });
  const session = await server.session();
  const lines: [line: string, name: string, from: string | null][] = [
    ['{"event":"a"}\n', "a", null],
    ['{"from":"c3","event":"b","__dict__":{"2":1.00,"1":12345678901234567890}}\r\n', "b", "c3"],
    [' { "\\u0065vent" : "\\u0063" , "from" : "\\u0063\\n" } \n', "c", "c\n"],
    ['{"event":"d","from":7}\n', "d", null],
    [`{"event":"e","__dict__":${'{"a":'.repeat(100)}1${"}".repeat(101)}\n`, "e", null],
  ];
  await session.write(`\n${lines.map(([line]) => line).join("")}`);
  await until(() => heard.events.length === lines.length);
  assertEquals(heard.events, lines);
  await wire.close();
  await session.close();
  assertEquals(heard.info?.reason, "local");
});

Deno.test("Wire tells what the server says of itself, and what it says later", async () => {
  const limits = { max_line_bytes: 100 };
  await using server = new FakeServer({ ack: true, features: ["subscribe", "magic"], limits });
  const heard = new Heard();
  const wire = await Wire.open(server.address, heard, { signal, acks: true });
  const session = await server.session();
  assertEquals(session.hello.ack, true);
  assertEquals([wire.id, wire.hasAcks, wire.features, wire.maxLineBytes], [
    "c1",
    true,
    ["subscribe"],
    100,
  ]);
  assertEquals(wire.place, `127.0.0.1:${server.address[1]}`);
  await session.ack(5);
  await until(() => heard.controls.length === 2);
  assertEquals(heard.controls[1], { control: "ack", events: 5 });
  wire.send(new TextEncoder().encode('{"event":"mine"}\n'), 1);
  await wire.flush();
  assertEquals(await session.events(1), ["mine"]);
  await wire.close();
});

Deno.test("Wire waits longer for a server that should say what it can do", async () => {
  await using server = new FakeServer(null);
  const opening = Wire.open(server.address, new Heard(), { signal, welcome: "wanted" });
  const session = await server.session();
  await new Promise((resolve) => setTimeout(resolve, 700));
  await session.send({ control: "welcome", version: 1, id: "c1", features: ["subscribe"] });
  const wire = await opening;
  assertEquals(wire.features, ["subscribe"]);
  await wire.close();
});

Deno.test("Wire that needs a welcome does not take silence for a relay that is too old", async () => {
  await using server = new FakeServer(null);
  const { address } = server;
  const onRefused = () => {};
  const opens: ((signal: AbortSignal) => Promise<unknown>)[] = [
    (signal) => Requester.open(address, { signal }),
    (signal) => Publisher.open(address, { onRefused, to: "c1" }, { signal }),
    (signal) => Publisher.open(address, { onRefused, onReached: () => {} }, { signal }),
    (signal) => Subscription.open(address, { patterns: [], queue: "q" }, () => {}, { signal }),
  ];
  await Promise.all(opens.map(async (open) => {
    const stop = new AbortController();
    const opening = open(stop.signal);
    // Longer than a tool waits where it is not needed.
    setTimeout(() => stop.abort(new Error("enough")), 3500);
    await assertRejects(
      () => opening,
      ConnectError,
      "enough; the connection was made, but no welc",
    );
  }));
});

Deno.test("Wire ends at a line that is none, after those before it", async () => {
  await using server = new FakeServer();
  const heard = new Heard();
  await Wire.open(server.address, heard, { signal });
  const session = await server.session();
  await session.write('{"event":"a"}\nnonsense\n{"event":"b"}\n');
  await session.line(); // The reason comes, and the end.
  await until(() => heard.info !== null || heard.events.length > 1);
  await session.close();
  assertEquals([heard.events.map(([, name]) => name), heard.info?.reason], [["a"], "bad-json"]);
});

Deno.test("Wire.pause() keeps what comes away until resume()", async () => {
  await using relay = testRelay();
  const heard = new Heard();
  const wire = await Wire.open(relay.address, heard, { signal });
  wire.pause();
  await using client = await relay.connect();
  const large = new EbsocketEvent("large", { text: "x".repeat(1_000_000) });
  for (let i = 0; i < 4; i++) await client.sendEvent(large);
  await client.flush();
  assertEquals(heard.events.length < 4, true);
  wire.resume();
  await until(() => heard.events.length === 4);
  await wire.close();
});

Deno.test("Wire.open() fails as a client does", async () => {
  await using relay = testRelay({ token: "secret" });
  const error = await assertRejects(
    () => Wire.open(relay.address, new Heard(), { signal }),
    ConnectError,
  );
  assertEquals(error.reason, "unauthorized");
  const wire = await Wire.open(relay.address, new Heard(), {
    signal,
    secrets: { token: "secret" },
  });
  await wire.close();
});
