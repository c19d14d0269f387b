/**
 * A fleet: well-behaved clients in one process. They publish numbered events, read everything,
 * reconnect, and note what happens to them. `fleet.ts` starts it.
 *
 * @module
 */

import { EbsocketClient, type EventOf } from "../../client.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { type FleetOrder, type FleetPlan, namesOf, type Note, now } from "./protocol.ts";

type Numbered = { numbered: { from: string; n: number; at: number; padding?: string } };

/** How often arrivals are noted, in milliseconds. */
const REPORT_MS = 250;

/** How often a publisher publishes, at most, in milliseconds. */
const TICK_MS = 10;

const encoder = new TextEncoder();

/** Notes at once, so that nothing has happened that is not noted, however this process ends. */
function note(...notes: Note[]): void {
  const bytes = encoder.encode(`${JSON.stringify(notes)}\n`);
  for (let written = 0; written < bytes.length;) {
    written += Deno.stdout.writeSync(bytes.subarray(written));
  }
}

/** How long events took on their way. */
class DelayMeter {
  readonly #counts = new Map<number, number>();

  add(delay: number): void {
    const ms = Math.ceil(delay);
    this.#counts.set(ms, (this.#counts.get(ms) ?? 0) + 1);
  }

  /** Notes them and begins anew. */
  report(): void {
    if (this.#counts.size > 0) note({ kind: "delays", counts: [...this.#counts] });
    this.#counts.clear();
  }
}

/** One client. */
class Member {
  readonly #name: string;
  readonly #plan: FleetPlan;
  readonly #meter: DelayMeter;
  readonly #client: EbsocketClient<Numbered>;
  readonly #padding: { padding?: string };
  /** The number of the event that it published last. */
  #last = 0;
  /** The first number whose return proves that it is connected; 0 if that is known. */
  #proof = 0;
  /** What the relay calls it. */
  #id: string | null = null;
  #isConfirming = false;
  #isResting = false;
  #isClosed = false;
  /** By sender, the arrivals that have not been noted: runs of numbers, flat. */
  readonly #arrivals = new Map<string, number[]>();

  constructor(name: string, plan: FleetPlan, meter: DelayMeter) {
    this.#name = name;
    this.#plan = plan;
    this.#meter = meter;
    this.#padding = plan.padding ? { padding: "x".repeat(plan.padding) } : {};
    this.#client = new EbsocketClient({ reconnect: true, ...plan.options });
  }

  /** Connects, then reads, and publishes if it is to, until the client is closed. */
  async run(isPublisher: boolean): Promise<void> {
    const { address, patterns } = this.#plan;
    // Before it connects: the connection then begins when the subscriptions are in force.
    if (patterns) this.#client.subscribe(patterns).catch(() => {});
    await this.#client.connectTo(address, { timeout: Infinity });
    await Promise.all([this.#read(), this.#watch(), isPublisher && this.#publishOn()]);
  }

  async #read(): Promise<void> {
    for await (const event of this.#client) {
      if (!event.compareType("numbered")) continue; // From somebody who is no part of the account.
      const { from, n, at } = event.__dict__;
      this.#onArrival(from, n, at);
    }
    note({ kind: "iterated", client: this.#name });
  }

  async #watch(): Promise<void> {
    for await (const status of this.#client.status()) {
      switch (status.type) {
        case "connected":
        case "reconnected":
          if (status.type === "reconnected") this.#doubt("unconfirmed", status.unconfirmed);
          this.#id = status.id;
          this.#proof = this.#last + 1;
          this.#publish(1);
          break;
        case "disconnected":
          this.#leave(status.info.reason);
          this.#doubt("unconfirmed", status.unconfirmed);
          break;
        case "cluster-gap":
          note({
            kind: "gap",
            client: this.#name,
            relay: status.relay,
            events: status.missed,
          });
          break;
        case "closed":
          this.#isClosed = true;
          this.#leave(status.info.reason);
          this.#doubt("unconfirmed", status.unconfirmed);
          this.#doubt("unsent", status.unsent);
      }
    }
  }

  #leave(reason: string): void {
    this.report();
    note({ kind: "left", client: this.#name, at: now(), reason });
  }

  #doubt(kind: "unconfirmed" | "unsent", events: readonly EventOf<Numbered>[]): void {
    if (events.length === 0) return;
    const client = this.#name;
    note(...events.map(({ __dict__: { n } }) => ({ kind, client, first: n, last: n })));
  }

  #onArrival(from: string, n: number, at: number): void {
    this.#meter.add(now() - at);
    let runs = this.#arrivals.get(from);
    if (!runs) this.#arrivals.set(from, runs = []);
    if (runs.at(-1) === n - 1) runs[runs.length - 1] = n;
    else runs.push(n, n);
    if (this.#proof > 0 && from === this.#name && n >= this.#proof) {
      this.#proof = 0;
      note({ kind: "joined", client: this.#name, at: now(), id: this.#id });
    }
  }

  /** Notes what has arrived. */
  report(): void {
    const notes: Note[] = [];
    for (const [from, runs] of this.#arrivals) {
      for (let i = 0; i < runs.length; i += 2) {
        notes.push({
          kind: "received",
          client: this.#name,
          from,
          first: runs[i]!,
          last: runs[i + 1]!,
        });
      }
    }
    this.#arrivals.clear();
    if (notes.length > 0) note(...notes);
  }

  /** Publishes at the rate that the plan asks for, until it is to rest. */
  async #publishOn(): Promise<void> {
    const perMs = (this.#plan.perSecond ?? 10) / 1000;
    const tick = Math.max(TICK_MS, 1 / perMs);
    const start = performance.now();
    let published = 0;
    while (!this.#isResting) {
      await new Promise((resolve) => setTimeout(resolve, tick));
      const due = Math.floor((performance.now() - start) * perMs) - published;
      // One that has been frozen does not make up for what it has missed.
      if (!this.#isResting && due > 0) this.#publish(Math.min(due, Math.ceil(2 * tick * perMs)));
      published += due;
    }
  }

  #publish(count: number): void {
    const first = this.#last + 1;
    this.#last += count;
    const at = now();
    note({ kind: "sent", client: this.#name, first, last: this.#last, at });
    for (let n = first; n <= this.#last; n++) {
      const attributes = { from: this.#name, n, at, ...this.#padding };
      this.#client.sendEvent(new EbsocketEvent("numbered", attributes)).catch(() => {
        note({ kind: "refused", client: this.#name, first: n, last: n });
      });
    }
    this.#confirm();
  }

  /** Waits until all that was published is confirmed, one such wait at a time. */
  async #confirm(): Promise<void> {
    if (this.#isConfirming) return;
    this.#isConfirming = true;
    await this.#flush();
    this.#isConfirming = false;
  }

  async #flush(): Promise<boolean> {
    const last = this.#last;
    try {
      await this.#client.flush();
      note({ kind: "confirmed", client: this.#name, last, at: now() });
      return true;
    } catch {
      return false; // The connection has broken; its status says of what nothing is known.
    }
  }

  /** Publishes nothing more, and waits until all is settled. */
  async rest(): Promise<void> {
    this.#isResting = true;
    while (!await this.#flush() && !this.#isClosed) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  /** Ends in order. */
  async finish(): Promise<void> {
    this.#isResting = true;
    await this.#client.close();
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (text + chunk).split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}

async function main(plan: FleetPlan): Promise<void> {
  const meter = new DelayMeter();
  const members = namesOf(plan).map((name) => new Member(name, plan, meter));
  const running = members.map((member, i) => member.run(i < (plan.publishers ?? 0)));
  const reporting = setInterval(() => {
    for (const member of members) member.report();
    meter.report();
  }, REPORT_MS);
  for await (const order of linesOf(Deno.stdin.readable)) {
    if (order as FleetOrder === "finish") break;
    await Promise.all(members.map((member) => member.rest()));
    note({ kind: "resting" });
  }
  await Promise.all(members.map((member) => member.finish()));
  await Promise.all(running);
  clearInterval(reporting);
  for (const member of members) member.report();
}

await main(JSON.parse(Deno.args[0]!) as FleetPlan);
