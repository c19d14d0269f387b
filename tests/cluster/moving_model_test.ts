/**
 * Events flow all the time from each relay, while clients come, change what they hear, and go, and a
 * relay ends. The senders number their events, so what a client must have can be told without a pause:
 * if it has received one event, then also all those before it that it was to receive.
 */

import { assertEquals } from "@std/assert/equals";
import { EbsocketClient } from "../../client.ts";
import { matches } from "../../protocol/pattern.ts";
import type { HistoryOptions } from "../../relay.ts";
import { TestCluster } from "../support/cluster.ts";
import { randomsFrom } from "../support/random.ts";
import { size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";

const NAMES = ["a.a", "a.b", "b.b", "b.c.d", "c", "job.a", "job.b"];
const PATTERNS = ["a.*", "a.b", "b.>", "*.b", "c", ">"];
/** Subscribed to in a queue without events, so that a client belongs to another group of its relay. */
const QUIET = "quiet";
const JOBS = ["job.*", "job.a", "job.>"];
const RUN_MS = 800;

interface Sent {
  readonly n: number;
  readonly name: string;
  readonly sender: number;
  readonly at: number;
}

/** A pattern that a client hears, by the clock of the model. */
interface Heard {
  readonly pattern: string;
  readonly queue: string | undefined;
  confirmed: number;
  /** When it was removed for certain. */
  removed: number;
  /** The last event of each sender that the client had received when it began to remove it. */
  until: Map<number, number> | null;
}

/** A client, and what it has received. */
class Listener {
  readonly heard: Heard[] = [];
  readonly got: number[] = [];
  readonly reading: Promise<void>;
  readonly #last = new Map<number, number>();

  constructor(readonly model: Model, readonly client: EbsocketClient) {
    this.reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const event of this.client) {
      const { n, sender } = this.model.sent[event.getAttribute("n") as number]!;
      this.got.push(n);
      this.#last.set(sender, Math.max(n, this.#last.get(sender) ?? -1));
    }
    this.stop();
  }

  async subscribe(pattern: string, queue?: string): Promise<void> {
    const heard = { pattern, queue, confirmed: Infinity, removed: Infinity, until: null };
    this.heard.push(heard);
    await this.client.subscribe([pattern], queue === undefined ? {} : { queue });
    heard.confirmed = this.model.tick();
  }

  async unsubscribe(heard: Heard): Promise<void> {
    heard.until = new Map(this.#last);
    const { pattern, queue } = heard;
    await this.client.unsubscribe([pattern], queue === undefined ? {} : { queue });
    heard.removed = this.model.tick();
  }

  /** Notes that nothing more has to be received. */
  stop(): void {
    for (const heard of this.heard) heard.until ??= new Map(this.#last);
  }

  /** Returns what is wrong with what it has received. */
  check(): string[] {
    const faults: string[] = [];
    const got = new Set(this.got);
    if (got.size < this.got.length) faults.push(`twice: ${this.got}`);
    for (const event of this.model.sent) {
      const { n, name, sender, at } = event;
      const fitting = this.heard.filter(({ pattern }) => matches(pattern, name));
      const must = fitting.some(({ queue, confirmed, until }) =>
        queue === undefined && confirmed < at && (until?.get(sender) ?? -1) >= n
      );
      if (must && !got.has(n)) faults.push(`missing: ${JSON.stringify(event)}`);
      const may = fitting.some(({ removed }) => at < removed);
      if (got.has(n) && !may) faults.push(`too much: ${JSON.stringify(event)}`);
    }
    const own = this.got.filter((n) => !this.model.sent[n]!.name.startsWith("job"));
    for (const numbers of Map.groupBy(own, (n) => this.model.sent[n]!.sender).values()) {
      if (numbers.some((n, i) => n < (numbers[i - 1] ?? -1))) faults.push(`order: ${numbers}`);
    }
    return faults;
  }
}

/** Some relays, their clients, and the events that were sent. */
class Model {
  readonly sent: Sent[] = [];
  readonly listeners: Listener[] = [];
  readonly below: (max: number) => number;
  isOver = false;
  #clock = 0;

  constructor(readonly cluster: TestCluster, seed: number) {
    this.below = randomsFrom(seed);
  }

  tick(): number {
    return ++this.#clock;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  async listen(relay: number): Promise<Listener> {
    const client = new EbsocketClient();
    await client.subscribe([]); // with its first line, so that it never hears everything
    await client.connectTo(this.cluster.relays[relay]!.server.address);
    const listener = new Listener(this, client);
    this.listeners.push(listener);
    return listener;
  }

  /** Sends events from a relay until the end. */
  async send(relay: number): Promise<void> {
    const client = await this.cluster.connect(relay, []);
    while (!this.isOver) {
      for (let left = this.below(5); left > 0; left--) {
        const event = { n: this.sent.length, name: this.of(NAMES), sender: relay, at: this.tick() };
        this.sent.push(event);
        client.send(event.name, { n: event.n });
      }
      await pause(this.below(4));
    }
    await client.drain();
  }

  /** Connects clients one after another, each of which hears this and that: jobs, or the rest. */
  async move(relays: number, worker: boolean): Promise<void> {
    while (!this.isOver) {
      const listener = await this.listen(this.below(relays));
      for (let left = 3 + this.below(15); left > 0 && !this.isOver; left--) {
        const active = listener.heard.filter(({ until }) => until === null);
        // The events of a queue that are on their way to a client that unsubscribes are lost.
        const isAdding = active.length < 2 || !worker && active.length < 4 && this.below(2) === 0;
        const pattern = this.of((worker ? JOBS : [...PATTERNS, QUIET]).filter(isOther(active)));
        const queue = worker ? "q" : pattern === QUIET ? "other" : undefined;
        if (isAdding) await listener.subscribe(pattern, queue);
        else if (!worker) await listener.unsubscribe(this.of(active));
        if (this.below(3) === 0) await pause(this.below(20));
      }
      await listener.client.drain();
      await listener.reading;
    }
  }
}

const isOther = (active: readonly Heard[]) => (pattern: string) =>
  !active.some((heard) => heard.pattern === pattern);

async function run(seed: number, history: HistoryOptions | undefined): Promise<void> {
  await using cluster = new TestCluster(3, history ? { history } : {});
  for (const relay of cluster.relays) await relay.ready;
  const model = new Model(cluster, seed);
  const stays = await model.listen(0); // The other relays hear only what those who move do.
  await stays.subscribe(">");
  const worker = await model.listen(0);
  await worker.subscribe("job.>", "q");
  const leaving = await model.listen(2);
  await leaving.subscribe("job.>", "q");
  const senders = [0, 1].map((relay) => model.send(relay));
  const moving = [false, false, true, true].map((isWorker) => model.move(2, isWorker));
  await pause(RUN_MS / 2);
  await cluster.relays[2]!.close();
  await pause(RUN_MS / 2);
  model.isOver = true;
  await Promise.all([...senders, ...moving]);
  const jobs = model.sent.filter(({ name }) => name.startsWith("job")).map(({ n }) => n);
  const isJob = new Set(jobs);
  const done = () => {
    const workers = model.listeners.filter((each) => each.heard[0]?.queue === "q");
    return workers.flatMap(({ got }) => got).filter((n) => isJob.has(n)).sort((a, b) => a - b);
  };
  await until(() => stays.got.length >= model.sent.length, {
    what: () => `${model.sent.length} in ${stays.got.length}`,
  });
  await until(() => done().length >= jobs.length, {
    what: () => `all jobs are done, seed ${seed}: ${jobs.filter((n) => !done().includes(n))}`,
  });
  for (const { client } of model.listeners) await client.close();
  assertEquals(done(), jobs);
  assertEquals(model.listeners.flatMap((each) => each.check()), [], `seed ${seed}`);
}

for (
  const [what, history] of [["without", undefined], ["with", {
    keep: ["job.>", "a.b", "c"],
  }]] as const
) {
  Deno.test(`Clients of a cluster ${what} a history get exactly what they are to, however they move`, async () => {
    const first = Number(Deno.env.get("SEED") ?? 1);
    for (let i = 0; i < size(3, 30); i++) await run(first + i, history);
  });
}
