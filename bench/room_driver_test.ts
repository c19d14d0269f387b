import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { Relay } from "../relay.ts";
import { EbsocketServer } from "../server.ts";
import { output } from "./programs.ts";
import { ROOM_DRIVER, RoomDriver, type RoomFrames } from "./room_driver.ts";
import { bytesOf, readUntil, writeAll } from "./wire.ts";
import { textOf } from "../tests/support/bytes.ts";

const LOCAL = "127.0.0.1";
const CLIENTS = 3;
const EVENTS = 60;
const PER_SECOND = 1000;

/** Whether the program can be made here. */
const ignore = Deno.build.os !== "linux" || await output("cc", "--version") === null;

/** A test with the program, which is ended after a while, whatever happens. */
function testDriver(
  name: string,
  test: (start: (port: number) => Promise<RoomDriver>) => Promise<void>,
): void {
  Deno.test({
    name,
    ignore,
    async fn() {
      const folder = await Deno.makeTempDir();
      const signal = AbortSignal.timeout(60_000);
      try {
        await ROOM_DRIVER.prepare(folder);
        await test((port) => RoomDriver.start(folder, port, { signal }));
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

/** Event after event; the clients take turns. */
const LINES = Array.from(
  { length: EVENTS },
  (_, i) => `{"event":"e","__dict__":{"from":"${i % CLIENTS}","seq":${1000 + i}}}\n`,
);

const FRAMES: RoomFrames = {
  clients: CLIENTS,
  senders: [0, 1, 2],
  published: LINES.map(bytesOf),
  delivered: LINES.map(bytesOf),
  markAt: LINES[0]!.indexOf('"0"') + 1,
  markDigits: 1,
  ack: new Uint8Array(0),
  farewell: new Uint8Array(0),
};

/** Connects everyone, and hands the frames over. */
async function join(room: RoomDriver, frames = FRAMES): Promise<void> {
  const connections = Math.max(...frames.senders) + 1;
  for (let i = 0; i < connections; i++) await room.connect();
  await room.load(frames);
}

testDriver(
  "RoomDriver.run() has every event at every client, and a time for each",
  async (start) => {
    await using relay = new Relay(new EbsocketServer([LOCAL, 0]));
    await using room = await start(relay.server.address[1]);
    await join(room);
    for (const events of [1, EVENTS - 1]) {
      await room.run(events, PER_SECOND);
      const { latencies, lateness } = await room.times();
      assertEquals(latencies.length, events * CLIENTS);
      assertEquals(lateness.length, events);
      for (const micros of [...latencies, ...lateness]) assertGreaterOrEqual(micros, 0);
    }
    await room.finish();
  },
);

testDriver("RoomDriver.run() rejects when there is no event left", async (start) => {
  await using relay = new Relay(new EbsocketServer([LOCAL, 0]));
  await using room = await start(relay.server.address[1]);
  await join(room);
  await assertRejects(() => room.run(EVENTS + 1, PER_SECOND), Error, `than ${EVENTS} events`);
});

testDriver("RoomDriver.connect() has sockets to join through", async (start) => {
  await using server = serve((line) => [line]);
  await using room = await start(server.port);
  const sockets = [await room.connect(), await room.connect()];
  await writeAll(sockets[1]!, bytesOf("hello\n"));
  for (const socket of sockets) {
    assertEquals(await readUntil(socket, (text) => text.endsWith("\n")), "hello\n");
  }
  server.end();
  assertStrictEquals(await sockets[0]!.read(new Uint8Array(10)), null);
});

/** What the first client gets instead of an event in the middle. */
const FAULTS: Record<string, (line: string) => string[]> = {
  "is lost": () => [],
  "comes twice": (line) => [line, line],
  "has changed": (line) => [line.replace('"e"', '"f"')],
  "comes from another sender": (line) => [line.replace(/"from":"\d"/, '"from":"7"')],
  "comes before an earlier one": (line) => [LINES[LINES.indexOf(line) + CLIENTS]!, line],
};

for (const [fault, spoil] of Object.entries(FAULTS)) {
  testDriver(`RoomDriver.run() rejects when an event ${fault}`, async (start) => {
    await using server = serve((line, client) =>
      client === 0 && line === LINES[EVENTS / 2] ? spoil(line) : [line]
    );
    await using room = await start(server.port);
    await join(room);
    await assertRejects(() => room.run(EVENTS, PER_SECOND), Error, "Client 0 received what is not");
  });
}

testDriver("RoomDriver.finish() rejects when an event comes too many", async (start) => {
  await using server = serve((line) => [line], LINES[EVENTS - 1]);
  await using room = await start(server.port);
  await join(room);
  await room.run(EVENTS, PER_SECOND);
  await assertRejects(() => room.finish(), Error, "received what is not the next event");
});

for (const [more, works] of [["bye", true], ["by", false], ["bee", false]] as const) {
  const outcome = works ? "resolves after the" : "rejects after another";
  testDriver(`RoomDriver.finish() ${outcome} farewell ${more}`, async (start) => {
    await using server = serve((line) => [line], more);
    await using room = await start(server.port);
    await join(room, { ...FRAMES, farewell: bytesOf("bye") });
    await room.run(EVENTS, PER_SECOND);
    if (works) await room.finish();
    else await assertRejects(() => room.finish(), Error, "received something else before its end");
  });
}

/** Each client has a second connection to send through. */
const APART = { ...FRAMES, senders: [3, 4, 5], ack: bytesOf(":3\n") };

testDriver("RoomDriver.run() has an acknowledgement for each event", async (start) => {
  await using server = serve((line, client, own) =>
    client < CLIENTS ? [line] : own ? [":3\n"] : []
  );
  await using room = await start(server.port);
  await join(room, APART);
  await room.run(EVENTS, PER_SECOND);
  await room.finish();
});

testDriver("RoomDriver.run() rejects when an acknowledgement is wrong", async (start) => {
  await using server = serve((line, client, own) =>
    client < CLIENTS ? [line] : own ? [":2\n"] : []
  );
  await using room = await start(server.port);
  await join(room, APART);
  await assertRejects(() => room.run(EVENTS, PER_SECOND), Error, "wrong acknowledgement");
});

testDriver("RoomDriver.run() rejects when the server closes a connection", async (start) => {
  await using server = serve((line) => [line]);
  await using room = await start(server.port);
  await join(room);
  await room.run(1, PER_SECOND);
  server.end();
  await assertRejects(() => room.run(1, PER_SECOND), Error);
});

/**
 * A server that passes each line on to all clients, as what `toLines` makes of it for a client, by
 * number, and whether it has sent the line itself. In the end, each gets `more`.
 */
function serve(
  toLines: (line: string, client: number, own: boolean) => string[],
  more = "",
): { port: number; end: () => void } & AsyncDisposable {
  const listener = Deno.listen({ hostname: LOCAL, port: 0 });
  const clients: Deno.TcpConn[] = [];
  const write = (client: Deno.TcpConn, text: string) =>
    writeAll(client, bytesOf(text)).catch(() => {}); // the program has ended
  const receive = async (sender: Deno.TcpConn) => {
    let text = "";
    const buffer = new Uint8Array(4096);
    for (;;) {
      const length = await sender.read(buffer).catch(() => null);
      if (length === null) break;
      const parts = (text + textOf(buffer.subarray(0, length))).split("\n");
      text = parts.pop()!;
      for (const line of parts) {
        clients.forEach((client, i) => {
          const lines = toLines(`${line}\n`, i, client === sender);
          queue = queue.then(() => write(client, lines.join("")));
        });
      }
    }
    queue = queue.then(() => write(sender, more));
    await queue;
    close(sender);
  };
  let queue: Promise<void> = Promise.resolve();
  const served = (async () => {
    const receiving: Promise<void>[] = [];
    for await (const client of listener) {
      clients.push(client);
      receiving.push(receive(client));
    }
    await Promise.all(receiving);
  })();
  const end = () => clients.forEach(close);
  return {
    port: listener.addr.port,
    end,
    async [Symbol.asyncDispose]() {
      listener.close();
      end();
      await served;
    },
  };
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error; // it is closed already
  }
}
