import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertRejects } from "@std/assert/rejects";
import { Relay } from "../relay.ts";
import { EbsocketServer } from "../server.ts";
import { Flood } from "./flood.ts";
import { LINE_BYTES } from "./fixtures.ts";
import { bytesOf, writeAll } from "./wire.ts";

const LOCAL = "127.0.0.1";

/** Starts a flood that gives up after a while, whatever happens. */
function start(port: number): Promise<Flood> {
  return Flood.start("ebsockets", port, false, { signal: AbortSignal.timeout(60_000) });
}

Deno.test("Flood.received() goes up, and Flood.finish() resolves when every event has been checked", async () => {
  await using relay = new Relay(new EbsocketServer([LOCAL, 0]), { echo: false });
  await using flood = await start(relay.server.address[1]);
  let count = 0;
  while (count < 100_000) {
    const next = await flood.received();
    assertGreaterOrEqual(next, count);
    count = next;
  }
  assertGreaterOrEqual(await flood.finish(), count);
});

/** What becomes of line number 1,000, and of the next. */
const FAULTS: Record<string, (lines: Uint8Array) => Uint8Array> = {
  "is lost": (lines) => lines.subarray(LINE_BYTES),
  "comes twice": (lines) => Uint8Array.from([...lines.subarray(0, LINE_BYTES), ...lines]),
  "has changed": (lines) => lines.with(50, lines[50]! ^ 1),
};

for (const [fault, spoil] of Object.entries(FAULTS)) {
  Deno.test(`Flood.received() rejects when an event ${fault}`, async () => {
    using listener = Deno.listen({ hostname: LOCAL, port: 0 });
    const served = serve(listener, spoil);
    {
      await using flood = await start(listener.addr.port);
      await assertRejects(
        async () => {
          for (;;) await flood.received();
        },
        Error,
        "The flood has ended: Subscriber 1 ",
      );
    }
    await served;
  });
}

/** A relay for a subscriber and then a publisher that spoils the publisher's lines from 1,000 on. */
async function serve(
  listener: Deno.TcpListener,
  spoil: (lines: Uint8Array) => Uint8Array,
): Promise<void> {
  using subscriber = await accept(listener);
  using publisher = await accept(listener);
  const position = 1000 * LINE_BYTES;
  const head = new Uint8Array(position + 2 * LINE_BYTES);
  for (let filled = 0; filled < head.length;) {
    filled += (await publisher.read(head.subarray(filled))) ?? head.length;
  }
  await writeAll(subscriber, head.subarray(0, position));
  await writeAll(subscriber, spoil(head.subarray(position)));
  await publisher.readable.pipeTo(subscriber.writable).catch(() => {}); // until the flood has ended
}

/** Takes a client, and says that it has subscribed. */
async function accept(listener: Deno.TcpListener): Promise<Deno.TcpConn> {
  const connection = await listener.accept();
  await connection.read(new Uint8Array(1024));
  await writeAll(connection, bytesOf('{"control":"ack","id":"s"}\n'));
  return connection;
}
