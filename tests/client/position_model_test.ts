/** Random histories, in which the position of a client is compared with the events that it has. */

import { assertEquals } from "@std/assert/equals";
import { PositionTracker } from "../../client/position.ts";
import { StatusFeed } from "../../client/status.ts";
import { Inbox } from "../../net/inbox.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import type { ReplayRequest } from "../../protocol/history.ts";
import { randomsFrom } from "../support/random.ts";

const NAMES = ["a", "b", "c", "d"];

interface Request {
  readonly id: string;
  readonly patterns: readonly string[];
  readonly since: number | null;
}

interface Entry {
  readonly id: string | null;
  readonly patterns: readonly string[];
  from: number;
}

/**
 * A client, and a relay that keeps all events; each name is a pattern. New epochs of the relay go on
 * with all of the old ones.
 */
class Model {
  epoch = 1;
  readonly log: string[] = [];
  readonly inboxes = new Map(
    ["main", "service"].map((name) => [name, new Inbox<EbsocketEvent>({}, () => {})]),
  );
  readonly tracker = new PositionTracker(() => [...this.inboxes.values()], new StatusFeed());
  /** From where on the client wants events of its patterns, and those that it has. */
  readonly starts = new Map<string, number>();
  readonly received = new Map<string, number[]>();
  readonly taken = new Map<string, number[]>();
  /** The connection: the requests that the relay has not read, and the state of its client. */
  requests: Request[] = [];
  entries: Entry[] = [];
  live = new Set<string>();
  scan = 0;
  #lastId = 0;

  constructor(readonly hasService: boolean) {}

  get head(): number {
    return this.log.length;
  }

  // The client

  connect(): void {
    const granted = [...this.starts.keys()];
    const groups = Map.groupBy(granted, (name) => JSON.stringify(this.tracker.replayFor(name)));
    const asked = Array.from(groups.values(), (patterns) => {
      return [patterns, this.tracker.replayFor(patterns[0]!)] as const;
    });
    this.tracker.begin();
    [this.requests, this.entries, this.live] = [[], [], new Set()];
    for (const [patterns, replay] of asked) this.#ask(patterns, replay, false);
    const history = { epoch: `e${this.epoch}`, first: 1, offset: this.head, kept: [">"] };
    this.tracker.onLine({ control: "welcome", history });
  }

  subscribe(name: string, since: number | null): void {
    const place = since === null ? undefined : { epoch: `e${this.epoch}`, offset: since };
    const replay = place && { since: place, partial: false, isPast: false };
    this.#ask([name], replay, true);
  }

  #ask(patterns: readonly string[], replay: ReplayRequest | undefined, isNew: boolean): void {
    const id = `s${++this.#lastId}`;
    if (replay) this.tracker.ask(id, patterns, replay, isNew);
    const { offset: since = null } = Object(replay?.since) as { offset?: number };
    this.requests.push({ id, patterns, since });
  }

  take(inbox: string): void {
    const event = this.inboxes.get(inbox)!.take();
    if (event) this.taken.get(event.event)!.push(event.offset!);
  }

  // The relay

  publish(name: string): void {
    this.log.push(name);
    if (this.entries.length === 0 && this.live.has(name)) this.#deliver(this.head);
  }

  /** Reads a request, or goes on with the scan. */
  step(): void {
    const request = this.requests.shift();
    if (request) return this.#handle(request);
    if (this.entries.length === 0) return this.tracker.onLine({ control: "at", offset: this.head });
    while (this.scan < this.head) {
      const name = this.log[this.scan++]!;
      const isWanted = ({ patterns, from }: Entry) => from < this.scan && patterns.includes(name);
      if (this.entries.some(isWanted)) return this.#deliver(this.scan);
    }
    for (const { id, patterns } of this.entries) {
      for (const each of patterns) this.live.add(each);
      if (id !== null) this.tracker.onLine({ control: "live", id, offset: this.head });
    }
    this.entries = [];
  }

  #handle({ id, patterns, since }: Request): void {
    for (const each of patterns) {
      const start = Math.min(since ?? this.head, this.starts.get(each) ?? Infinity);
      this.starts.set(each, start);
      if (!this.taken.has(each)) this.taken.set(each, []);
      if (!this.received.has(each)) this.received.set(each, []);
    }
    if (since === null && this.entries.length === 0) {
      return patterns.forEach((p) => this.live.add(p));
    }
    if (since === null) return void this.entries.push({ id: null, patterns, from: this.head });
    if (this.entries.length === 0) {
      this.entries.push({ id: null, patterns: [...this.live], from: this.head });
      this.scan = this.head;
    }
    for (const entry of this.entries) entry.from = Math.max(entry.from, this.scan);
    this.entries.push({ id, patterns, from: since });
    this.scan = Math.min(this.scan, since);
    const history = { epoch: `e${this.epoch}`, recovered: true, from: since, to: this.head };
    this.tracker.onLine({ control: "ack", id, history });
  }

  #deliver(offset: number): void {
    const name = this.log[offset - 1]!;
    const event = new EbsocketEvent(name);
    event.offset = offset;
    this.tracker.onEvent(event);
    this.received.get(name)!.push(offset);
    this.inboxes.get(name === "b" && this.hasService ? "service" : "main")!.push([event], 1);
  }

  // The rules

  check(): void {
    const { position } = this.tracker;
    for (const [name, start] of this.starts) {
      const wanted = (end: number) =>
        Array.from(this.log.keys(), (at) => at + 1)
          .filter((offset) => this.log[offset - 1] === name && offset > start && offset <= end);
      const { offset } = Object(this.tracker.replayFor(name)!.since) as { offset: number };
      assertEquals(this.received.get(name), wanted(offset), `received of ${name}`);
      if (!position) continue;
      const taken = position.behind?.[name] ?? position.offset;
      const had = this.taken.get(name)!;
      // Events come again that were taken after one that waits in the other inbox, or in a new epoch
      // before all patterns have gone on in it.
      const mayRepeat = this.hasService || position.epoch !== `e${this.epoch}`;
      const counted = mayRepeat ? had.filter((offset) => offset <= taken) : had;
      assertEquals(counted, wanted(taken), `taken of ${name}`);
    }
  }
}

Deno.test("PositionTracker knows exactly what has been received and taken", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = randomsFrom(seed);
    const pick = <T>(items: readonly T[]): T => items[random(items.length)]!;
    const model = new Model(seed % 2 === 0);
    const asked = new Set<string>();
    for (let i = 0; i < 10; i++) model.publish(pick(NAMES));
    model.connect();
    for (let step = 0; step < 200; step++) {
      const action = random(100);
      if (action < 30) model.publish(pick(NAMES));
      else if (action < 60) model.step();
      else if (action < 90) model.take(pick(["main", "service"]));
      else if (action < 95) {
        const name = NAMES.find((name) => !asked.has(name));
        if (name === undefined) continue;
        asked.add(name);
        model.subscribe(name, random(10) < 6 ? random(model.head) : null);
        while (model.requests.length > 0) model.step();
      } else if (model.starts.size > 0) {
        // What is new in an epoch has no place in the one before.
        if (asked.size === NAMES.length && random(3) === 0) model.epoch++;
        model.connect();
      }
      try {
        model.check();
      } catch (error) {
        throw new Error(`Seed ${seed}, step ${step}`, { cause: error });
      }
    }
  }
});
