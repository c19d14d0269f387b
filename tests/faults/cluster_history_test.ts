// A cluster with a history, whose NATS and relays are killed under load, and whose stream drops events.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { EbsocketClient } from "../../client.ts";
import type { Position } from "../../client/since.ts";
import type { Address } from "../../protocol/address.ts";
import { JETSTREAM } from "../support/jetstream.ts";
import { NATS_SERVER, TestNatsServer } from "../support/nats_server.ts";
import { needingTest } from "../support/needs.ts";
import { isFull, size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";
import { ConfirmedPublisher } from "./confirmed_publisher.ts";
import { RelayProcess } from "./relay_process.ts";

const ROUNDS = size(3, 40);
const RECONNECT = { minDelay: 20, maxDelay: 200 };

/** Returns a publisher whose events have the numbers after `first`. */
function publisherFrom(first: number): ConfirmedPublisher {
  return new ConfirmedPublisher({ first, burst: 3, everyMs: 5, timeout: 10_000 });
}

/** What a reader has been told, in the order in which it was told. */
type Note = { readonly offset: number; readonly n: number } | "loss";

/** A reader that stays at one relay. */
class Reader {
  readonly notes: Note[] = [];
  readonly client = new EbsocketClient({ reconnect: RECONNECT, history: true });

  async run(address: Address): Promise<void> {
    await this.client.subscribe(["numbered"]);
    await this.client.connectTo(address);
    this.#watch();
    for await (const event of this.client) this.note(event.offset!, event.getAttribute("n"));
  }

  async #watch(): Promise<void> {
    for await (const status of this.client.status()) {
      if (status.type === "resumed" && !status.recovered) this.notes.push("loss");
    }
  }

  note(offset: number, n: unknown): void {
    this.notes.push({ offset, n: n as number });
  }

  get last(): number {
    const last = this.notes.findLast((note) => note !== "loss");
    return last ? last.offset : 0;
  }
}

/** A reader that is a new program each time, at another relay, with the position of the last one. */
class Hopper {
  readonly notes: Note[] = [];
  hops = 0;
  #position: Position | null = null;
  #isDone = false;

  async run(addresses: readonly Address[]): Promise<void> {
    for (let i = 0; !this.#isDone; i++) await this.#visit(addresses[i % addresses.length]!);
  }

  async #visit(address: Address): Promise<void> {
    const client = new EbsocketClient({ history: true });
    const watch = async () => {
      for await (const status of client.status()) {
        if (status.type === "resumed" && !status.recovered) this.notes.push("loss");
      }
    };
    try {
      await client.subscribe(["numbered"], { since: this.#position ?? "first" });
      watch();
      await client.connectTo(address, { timeout: 3000 });
      this.hops++;
      const timer = setTimeout(() => client.abort(), 150 + Math.random() * 300);
      for await (const event of client) {
        this.notes.push({ offset: event.offset!, n: event.getAttribute("n") as number });
        this.#position = client.position ?? this.#position;
      }
      clearTimeout(timer);
    } catch {
      await pause(100); // Its relay is away.
    } finally {
      await client.abort();
    }
  }

  finish(): void {
    this.#isDone = true;
  }

  get last(): number {
    const last = this.notes.findLast((note) => note !== "loss");
    return last ? last.offset : 0;
  }
}

/** Checks that a reader has exactly what is kept, between any two losses that it was told of. */
function check(notes: readonly Note[], kept: ReadonlyMap<number, number>, name: string): void {
  const offsets = [...kept.keys()];
  let run: { offset: number; n: number }[] = [];
  const close = () => {
    const [first] = run;
    if (!first) return;
    const expected = offsets.filter((each) => each >= first.offset && each <= run.at(-1)!.offset);
    assertEquals(run.map(({ offset }) => offset), expected, name);
    for (const { offset, n } of run) assertEquals(kept.get(offset), n, name);
    run = [];
  };
  for (const note of notes) {
    if (note === "loss") close();
    else run.push(note);
  }
  close();
}

needingTest(
  `A cluster with a history whose NATS and relays are killed ${ROUNDS} times keeps its promises`,
  [NATS_SERVER],
  async () => {
    await using nats = await TestNatsServer.start(JETSTREAM);
    const args = ["--cluster", nats.url(), "--history", "cluster"];
    await using one = await RelayProcess.start({ args });
    await using two = await RelayProcess.start({ args });
    const relays = [one, two];
    const publishers = [publisherFrom(0), publisherFrom(1_000_000)];
    const readers = [new Reader(), new Reader()];
    const hopper = new Hopper();
    const reading = readers.map((reader, i) => reader.run(relays[i]!.address));
    const hopping = hopper.run(relays.map(({ address }) => address));
    await until(() => readers.every(({ client }) => client.connected));
    const publishing = publishers.map((publisher, i) => publisher.run(relays[i]!.address));
    for (let round = 0; round < ROUNDS; round++) {
      await pause(500 + Math.random() * 500);
      await nats.kill();
      await pause(300 * (round % 3));
      await nats.restart();
      await pause(1500);
      const relay = relays[round % 2]!;
      await relay.stop("SIGKILL");
      await relay.restart();
    }
    await pause(1500);
    for (const publisher of publishers) publisher.finish();
    await Promise.all(publishing);
    const kept = new Map<number, number>();
    await using past = new EbsocketClient();
    await past.connectTo(one.address);
    await past.subscribe([]);
    for await (const event of past.history("numbered", { since: "first" })) {
      assert(!kept.has(event.offset!));
      kept.set(event.offset!, event.getAttribute("n") as number);
    }
    const last = [...kept.keys()].at(-1)!;
    await until(() => [...readers, hopper].every((each) => each.last >= last));
    hopper.finish();
    await hopping;
    await Promise.all(readers.map(({ client }) => client.close()));
    await Promise.all(reading);
    const counts = new Map<number, number>();
    for (const n of kept.values()) counts.set(n, (counts.get(n) ?? 0) + 1);
    let confirmed = 0;
    for (const publisher of publishers) {
      for (const n of publisher.confirmed) assertEquals(counts.get(n), 1, `event ${n}`);
      confirmed += publisher.confirmed.size;
    }
    assertGreater(confirmed, 100);
    assertGreater(hopper.hops, 4);
    readers.forEach(({ notes }, i) => check(notes, kept, `reader ${i + 1}`));
    check(hopper.notes, kept, "hopper");
    // The stream has lost nothing, so nobody was told of a loss.
    const losses = [...readers, hopper].flatMap(({ notes }) =>
      notes.filter((note) => note === "loss")
    );
    assertEquals(losses, []);
    if (isFull) console.log({ kept: kept.size, confirmed, hops: hopper.hops });
  },
);

needingTest("Clients of a cluster whose stream drops events fast are told of each loss", [
  NATS_SERVER,
], async () => {
  await using nats = await TestNatsServer.start(JETSTREAM);
  const args = ["--cluster", nats.url(), "--history", "cluster", "--keep-count", "20"];
  await using one = await RelayProcess.start({ args });
  await using two = await RelayProcess.start({ args });
  const publisher = publisherFrom(0);
  const reader = new Reader();
  const hopper = new Hopper();
  const all: Note[] = [];
  await using witness = new EbsocketClient({ history: true });
  await witness.subscribe(["numbered"]);
  await witness.connectTo(two.address);
  const witnessing = (async () => {
    for await (const event of witness) {
      all.push({ offset: event.offset!, n: event.getAttribute("n") as number });
    }
  })();
  const reading = reader.run(two.address);
  await until(() => reader.client.connected);
  const publishing = publisher.run(one.address);
  const hopping = hopper.run([one.address, two.address]);
  await until(() => hopper.hops > 6);
  hopper.finish();
  await hopping;
  publisher.finish();
  await publishing;
  const last = () => all.findLast((note) => note !== "loss") as { offset: number; n: number };
  await until(() => publisher.confirmed.has(last()?.n) && reader.last >= last().offset);
  await witness.close();
  await reader.client.close();
  await Promise.all([reading, witnessing]);
  const kept = new Map(all.map((note) => {
    const { offset, n } = note as { offset: number; n: number };
    return [offset, n] as const;
  }));
  check(reader.notes, kept, "reader");
  check(hopper.notes, kept, "hopper");
  assertGreater(kept.size, 100);
});
