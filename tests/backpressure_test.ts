import { assertEquals } from "@std/assert/equals";
import { Backpressure } from "../backpressure.ts";
import { EbsocketConnection } from "../connection.ts";
import { FakeDuplex } from "./support/duplex.ts";
import { until } from "./support/waiting.ts";

const LINE = new TextEncoder().encode("x".repeat(599) + "\n");

class Player {
  readonly duplex = new FakeDuplex();
  readonly connection = new EbsocketConnection(this.duplex, ["127.0.0.1", 1]);
  received = 0;

  constructor() {
    this.connection.start({
      onLines: () => void this.received++,
      onClose() {},
    }, { maxPendingBytes: 1000 });
  }

  /** Sends a line, and says whether it was read. */
  async says(): Promise<boolean> {
    const before = this.received;
    this.duplex.receive("line\n");
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    return this.received > before;
  }
}

/** A reader that takes nothing and has more than half of the most waiting for it. */
function laggard(backpressure: Backpressure): Player {
  const reader = new Player();
  reader.duplex.writeSize = 0;
  reader.connection.send(LINE);
  backpressure.observe(reader.connection);
  return reader;
}

Deno.test("Backpressure holds nobody while every reader keeps up", async () => {
  const backpressure = new Backpressure();
  const publisher = new Player();
  backpressure.observe(publisher.connection);
  backpressure.hold(publisher.connection);
  assertEquals([await publisher.says(), await publisher.says()], [true, true]);
  await publisher.connection.abort();
});

Deno.test("Backpressure holds a publisher until the reader that lags has caught up", async () => {
  const backpressure = new Backpressure();
  const publisher = new Player();
  const reader = laggard(backpressure);
  backpressure.hold(publisher.connection);
  await publisher.says(); // the read that was under way
  assertEquals(await publisher.says(), false);
  reader.duplex.take();
  await until(() => publisher.received === 2);
  await Promise.all([publisher.connection.abort(), reader.connection.abort()]);
});

Deno.test("Backpressure waits no longer for a reader that takes nothing", async () => {
  const backpressure = new Backpressure();
  const publisher = new Player();
  const reader = laggard(backpressure);
  backpressure.hold(publisher.connection);
  await publisher.says();
  assertEquals(await publisher.says(), false);
  await until(() => publisher.received === 2);
  backpressure.hold(publisher.connection);
  assertEquals([await publisher.says(), await publisher.says()], [true, true]);
  await Promise.all([publisher.connection.abort(), reader.connection.abort()]);
});

Deno.test("Backpressure waits again for a reader that has begun to take something", async () => {
  const backpressure = new Backpressure();
  const publisher = new Player();
  const reader = laggard(backpressure);
  backpressure.hold(publisher.connection);
  await publisher.says();
  assertEquals(await publisher.says(), false);
  await until(() => publisher.received === 2);
  reader.duplex.takeOnce(1);
  for (let isHeld = false; !isHeld;) {
    backpressure.hold(publisher.connection);
    await publisher.says();
    isHeld = !await publisher.says();
  }
  await Promise.all([publisher.connection.abort(), reader.connection.abort()]);
});

Deno.test("Backpressure lets publishers go on when the reader that lags has gone", async () => {
  const backpressure = new Backpressure();
  const publisher = new Player();
  const gone = new Player();
  const reader = laggard(backpressure);
  backpressure.hold(publisher.connection);
  backpressure.hold(gone.connection);
  await publisher.says();
  assertEquals(await publisher.says(), false);
  backpressure.forget(gone.connection);
  await gone.connection.abort();
  await reader.connection.abort();
  await until(() => publisher.received === 2);
  await publisher.connection.abort();
});
