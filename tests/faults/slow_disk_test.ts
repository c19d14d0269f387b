// A relay whose disk takes long for everything, under load.

import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { EbsocketClient } from "../../client.ts";
import { newRelay } from "../support/relay.ts";
import { TempFolder } from "../support/folder.ts";
import { pause, until } from "../support/waiting.ts";

/** How long each sync takes at least, in milliseconds. */
const SLOW_MS = 150;

/** Makes the disk of this process slow, until it is disposed. */
class SlowDisk implements Disposable {
  readonly #syncData = Deno.FsFile.prototype.syncData;

  constructor() {
    const syncData = this.#syncData;
    Deno.FsFile.prototype.syncData = async function () {
      await pause(SLOW_MS);
      await syncData.call(this);
    };
  }

  [Symbol.dispose](): void {
    Deno.FsFile.prototype.syncData = this.#syncData;
  }
}

/** How many events of 100 KB are sent, and how many of them may wait for the disk: 8 MiB, and 1 MiB. */
const LOADS = { ack: { count: 240, maxUnsynced: 120 }, always: { count: 60, maxUnsynced: 25 } };

for (const sync of ["ack", "always"] as const) {
  const { count, maxUnsynced } = LOADS[sync];
  Deno.test(`A relay with sync ${sync} and a slow disk acknowledges what is there, and slows senders down`, async () => {
    using folder = new TempFolder();
    using _disk = new SlowDisk();
    await using relay = newRelay({ history: { folder: `${folder.path}/log`, sync } });
    await relay.ready;
    const { address } = relay.server;
    await using reader = new EbsocketClient({ history: true });
    await reader.connectTo(address);
    await reader.subscribe([">"]);
    const received: number[] = [];
    const receivedAt: number[] = [];
    const reading = (async () => {
      for await (const event of reader) {
        received.push(event.offset!);
        receivedAt.push(performance.now());
      }
    })();
    await using sender = new EbsocketClient({ reconnect: true }); // flush() waits for its acks
    await sender.connectTo(address);
    await sender.subscribe([]);
    const sentAt = performance.now();
    await sender.send("small", {}, { confirm: true });
    const took = performance.now() - sentAt;
    assertGreater(took, SLOW_MS - 10);
    await until(() => received.length === 1);
    const waited = receivedAt[0]! - sentAt;
    if (sync === "always") assertGreater(waited, SLOW_MS - 10);
    else assertLess(waited, took); // It did not wait for the disk.
    const text = "x".repeat(100_000);
    let unsynced = 0;
    for (let i = 0; i < count; i++) {
      await sender.send("large", { text });
      const { offset, synced } = relay.stats().history!;
      unsynced = Math.max(unsynced, offset - synced);
    }
    await sender.flush();
    assertEquals(relay.stats().history!.synced, count + 1);
    assertLess(unsynced, maxUnsynced); // and what was read at once
    await until(() => received.length === count + 1);
    assertEquals(received, Array.from({ length: count + 1 }, (_, i) => i + 1));
    assertEquals(relay.stats().history!.isBroken, false);
    await reader.close();
    await reading;
  });
}
