// A relay that keeps events in a folder, and is killed again and again under load.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { EbsocketClient } from "../../client.ts";
import { TempFolder } from "../support/folder.ts";
import { isFull, size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";
import { ConfirmedPublisher } from "./confirmed_publisher.ts";
import { RelayProcess } from "./relay_process.ts";

const KILLS = size(4, 200);
const RECONNECT = { minDelay: 20, maxDelay: 100 };

/** Returns a publisher whose events have the numbers after `first`. */
function publisherFrom(first: number): ConfirmedPublisher {
  return new ConfirmedPublisher({ first, burst: 5, everyMs: 2, timeout: 5_000 });
}

/** Receives events, and compares what it was told. */
class Reader {
  readonly #sync: string;
  /** By offset, the numbers of the events since the last loss that it was told of. */
  readonly seen = new Map<number, number>();
  resumed = 0;
  lost = 0;
  readonly client = new EbsocketClient({ reconnect: RECONNECT, history: true });

  constructor(sync: string) {
    this.#sync = sync;
  }

  async run(relay: RelayProcess): Promise<void> {
    await this.client.subscribe(["numbered"]);
    await this.client.connectTo(relay.address);
    const watching = this.#watch();
    let last = 0;
    let repeats = 0; // Each has a loss of its own, which is reported first.
    for await (const event of this.client) {
      const offset = event.offset!;
      if (offset <= last) assertGreater(this.lost, repeats++, `offset ${offset} after ${last}`);
      last = offset;
      this.seen.set(offset, event.getAttribute("n") as number);
    }
    await watching;
  }

  async #watch(): Promise<void> {
    for await (const status of this.client.status()) {
      if (status.type !== "resumed") continue;
      this.resumed++;
      if (status.recovered) continue;
      assertEquals(this.#sync, "ack"); // With "always", it sees only what the disk has.
      assertEquals(status.reason, "ahead");
      this.lost++;
      this.seen.clear();
    }
  }
}

for (const sync of ["ack", "always"]) {
  Deno.test(`A relay with sync ${sync} that is killed ${KILLS} times keeps what it has acknowledged, and tells of any loss`, () =>
    run(sync));
}

async function run(sync: string): Promise<void> {
  using folder = new TempFolder();
  const args = ["--history", `${folder.path}/log`, "--history-sync", sync];
  await using relay = await RelayProcess.start({ args });
  const publishers = [publisherFrom(0), publisherFrom(1_000_000)];
  const reader = new Reader(sync);
  const reading = reader.run(relay);
  await until(() => reader.client.connected);
  const publishing = publishers.map((publisher) => publisher.run(relay.address));
  for (let i = 0; i < KILLS; i++) {
    await pause(200 + Math.random() * 300);
    await relay.stop("SIGKILL");
    await relay.restart();
    await until(() => reader.resumed === i + 1);
  }
  for (const publisher of publishers) publisher.finish();
  await Promise.all(publishing);
  const kept = new Map<number, number>();
  await using past = new EbsocketClient();
  await past.connectTo(relay.address);
  await past.subscribe([]);
  for await (const event of past.history("numbered", { since: "first" })) {
    const offset = event.offset!;
    assert(!kept.has(offset));
    kept.set(offset, event.getAttribute("n") as number);
  }
  const last = [...kept.keys()].reduce((a, b) => Math.max(a, b), 0);
  await until(() => (reader.client.position?.offset ?? 0) >= last);
  await reader.client.close();
  await reading;
  const counts = new Map<number, number>();
  for (const n of kept.values()) counts.set(n, (counts.get(n) ?? 0) + 1);
  let confirmed = 0;
  for (const publisher of publishers) {
    for (const n of publisher.confirmed) assertEquals(counts.get(n), 1, `event ${n}`);
    confirmed += publisher.confirmed.size;
  }
  assertGreater(confirmed, 100);
  // Whatever the reader has, since it was last told of a loss, the log has, and in between nothing more.
  const offsets = [...reader.seen.keys()];
  assertEquals(offsets, offsets.toSorted((a, b) => a - b));
  for (const [offset, n] of reader.seen) assertEquals(kept.get(offset), n);
  const first = offsets[0]!;
  assertEquals(offsets.length, [...kept.keys()].filter((offset) => offset >= first).length);
  if (isFull) console.log({ sync, kept: kept.size, confirmed, lost: reader.lost });
}
