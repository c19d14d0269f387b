// The dashboard of docs/history.md, whose number is right whatever is killed.

import { assertEquals } from "@std/assert/equals";
import { EbsocketClient } from "../../client.ts";
import { Document } from "../support/document.ts";
import { TempFolder } from "../support/folder.ts";
import type { Program } from "../support/process.ts";
import { size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";
import { RelayProcess } from "./relay_process.ts";

const KILLS = size(3, 10);

/** The files that it may read and write according to the document. */
const [, FILES] = /--allow-read=(dashboard\S+) \\\n +--allow-write=\1 dashboard.ts/.exec(
  await Deno.readTextFile(new URL("../../docs/history.md", import.meta.url)),
)!;

/** Returns the number of orders that a dashboard has shown last. */
function shown({ stdout }: Program): number {
  return Number(/.*Orders: (\d+)\n$/s.exec(stdout)?.[1] ?? 0);
}

Deno.test(`docs/history.md: the dashboard is right after its relay and itself were killed ${KILLS} times`, async () => {
  using folder = new TempFolder();
  await using relay = await RelayProcess.start({ args: ["--history", `${folder.path}/log`] });
  const [, port] = relay.address;
  using guide = await Document.open("docs/history.md", port);
  let dashboard = guide.runThere("dashboard.ts", FILES);
  await using sender = new EbsocketClient({ reconnect: { minDelay: 20, maxDelay: 100 } });
  await sender.connectTo(relay.address);
  await sender.subscribe([]);
  const kept = new Set<number>();
  const receipts: Promise<void>[] = [];
  let isDone = false;
  const sending = (async () => {
    for (let n = 0; !isDone; n++) {
      const receipt = sender.send("orders.new", { n }, { confirm: true, timeout: 5000 });
      receipts.push(receipt.then(() => void kept.add(n), () => {}));
      await pause(3);
    }
    await Promise.all(receipts);
  })();
  /** Waits until a dashboard shows something. One that starts over is started again. */
  const shows = async (isShown: (orders: number) => boolean) => {
    for (;;) {
      const startsOver = () => dashboard.stdout.includes("Starts over");
      await until(() => startsOver() || isShown(shown(dashboard)));
      if (!startsOver()) return;
      await dashboard[Symbol.asyncDispose]();
      dashboard = guide.runThere("dashboard.ts", FILES);
    }
  };
  for (let i = 0; i < KILLS; i++) {
    await shows((orders) => orders > 20 * i);
    await relay.stop("SIGKILL");
    await relay.restart();
    await shows((orders) => orders > 20 * (i + 1));
    await dashboard[Symbol.asyncDispose](); // kills it
    dashboard = guide.runThere("dashboard.ts", FILES);
  }
  await shows((orders) => orders > 0);
  isDone = true;
  await sending;
  let orders = 0;
  await using past = new EbsocketClient();
  await past.connectTo(relay.address);
  await past.subscribe([]);
  for await (const event of past.history("orders.*", { since: "first" })) {
    kept.delete(event.getAttribute("n") as number);
    orders++; // Also those that were kept although their sender did not learn it.
  }
  assertEquals(kept.size, 0);
  await shows((count) => count >= orders);
  await pause(100);
  assertEquals(shown(dashboard), orders);
  await dashboard[Symbol.asyncDispose]();
});
