// A client that reads a long history slowly, from a relay that keeps it on disk.

import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { EbsocketClient } from "../../client.ts";
import { LF } from "../../protocol/ascii.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { TempFolder } from "../support/folder.ts";
import { size } from "../support/size.ts";
import { canTell, residentBytes } from "../support/usage.ts";
import { pause } from "../support/waiting.ts";
import { RelayProcess } from "./relay_process.ts";

/** The number of events, and how many bytes of them the reader takes in 10 ms. */
const COUNT = size(50_000, 1_000_000);
const BYTES = size(100_000, 10_000);

/** How much more memory the relay may have meanwhile, in bytes. */
const MAX_GROWTH = 48 * 2 ** 20;

/** Yields the offsets of all events of a relay, read slowly. */
async function* offsetsOf([hostname, port]: RelayProcess["address"]): AsyncGenerator<number> {
  using conn = await Deno.connect({ hostname, port });
  await conn.write(utf8(
    '{"control":"hello","version":1,"offsets":true}\n' +
      '{"control":"subscribe","events":["old"],"id":"s","since":{"first":true}}\n',
  ));
  const buffer = new Uint8Array(BYTES);
  for (let used = 0;;) {
    used += (await conn.read(buffer.subarray(used)))!;
    const end = buffer.lastIndexOf(LF, used - 1) + 1;
    for (const [, offset] of textOf(buffer.subarray(0, end)).matchAll(/^\{"offset":(\d+),/gm)) {
      yield Number(offset);
    }
    buffer.copyWithin(0, end, used);
    used -= end;
    await pause(10);
  }
}

Deno.test({
  name: "A client that reads a long history slowly costs little memory, and slows no sender down",
  ignore: !canTell,
  async fn() {
    using folder = new TempFolder();
    await using relay = await RelayProcess.start({ args: ["--history", `${folder.path}/log`] });
    await using sender = new EbsocketClient({ reconnect: true });
    await sender.subscribe([]);
    await sender.connectTo(relay.address);
    const text = "x".repeat(90);
    for (let i = 1; i <= COUNT; i++) {
      const sent = sender.send("old", { i, text });
      if (i % 1000 === 0) await sent;
    }
    await sender.flush();
    await pause(1000);
    const before = residentBytes(relay.pid);
    let isOver = false;
    let sent = 0;
    let slowest = 0;
    const sending = (async () => {
      for (; !isOver; sent++) {
        const since = performance.now();
        await sender.send("new", { text }, { confirm: true });
        slowest = Math.max(slowest, performance.now() - since);
        await pause(10);
      }
    })();
    let growth = 0;
    let next = 1;
    for await (const offset of offsetsOf(relay.address)) {
      assertEquals(offset, next);
      if (next++ === COUNT) break;
      if (next % 1000 === 0) growth = Math.max(growth, residentBytes(relay.pid) - before);
    }
    isOver = true;
    await sending;
    assertLess(growth, MAX_GROWTH);
    assertLess(slowest, 5000); // 10 s would be a timeout.
  },
});
