/** What a client wants to hear and what its relay lets it hear are the same, whatever happens. */

import { assertEquals } from "@std/assert/equals";
import { Inboxes } from "../../client/inboxes.ts";
import { type ControlChannel, SubscriptionManager } from "../../client/subscriptions.ts";
import { PendingRequests } from "../../client/pending_requests.ts";
import { StatusFeed } from "../../client/status.ts";
import type { SubscribeOptions } from "../../client/subscribe_request.ts";
import { textOf } from "../support/bytes.ts";
import { randomsFrom } from "../support/random.ts";
import { size } from "../support/size.ts";
import { turn } from "../support/turns.ts";

const PATTERNS = ["a", "b", "c", "d", "e", "f"];

/** A relay with few words and little room, at the other end of a connection of which it reads slowly. */
class Model implements ControlChannel {
  readonly isGreeted = true;
  readonly hasEnded = false;
  isNarrowed = false;
  readonly #table: PendingRequests;
  readonly #most: number;
  readonly #bad: string;
  readonly #granted = new Set<string>();
  #unread: Uint8Array[] = [];

  constructor(table: PendingRequests, most: number, bad: string, readonly maxLineBytes: number) {
    this.#table = table;
    this.#most = most;
    this.#bad = bad;
  }

  /** The pairs that it has granted. */
  get granted(): string[] {
    return [...this.#granted].sort();
  }

  has(): boolean {
    return true;
  }

  sendControl(line: Uint8Array): void {
    this.#unread.push(line);
  }

  /** Reads and answers some lines. */
  answer(count: number): void {
    for (const line of this.#unread.splice(0, count)) {
      const { control, events, queue, id } = JSON.parse(textOf(line));
      const pairs: string[] = events.map((event: string) => `${event} ${queue}`);
      if (control === "unsubscribe") {
        for (const pair of pairs) this.#granted.delete(pair);
        this.#table.onReceipt({ id });
        continue;
      }
      const reason = events.includes(this.#bad)
        ? "bad-pattern"
        : this.#granted.union(new Set(pairs)).size > this.#most
        ? "too-many-subscriptions"
        : null;
      if (reason) {
        this.#table.onRefusal({ id, reason, detail: "" });
        continue;
      }
      for (const pair of pairs) this.#granted.add(pair);
      this.isNarrowed = true;
      this.#table.onReceipt({ id });
    }
  }
}

Deno.test("SubscriptionManager and a relay agree on subscriptions, and every call is answered, in random orders", async () => {
  for (let run = 1; run <= size(100, 2000); run++) {
    const below = randomsFrom(run);
    const pick = <T>(...all: T[]): T => all[below(all.length)]!;
    const inboxes = new Inboxes({});
    const table = new PendingRequests(inboxes);
    const subscriptions = new SubscriptionManager(table, inboxes, new StatusFeed());
    subscriptions.isOnline = true;
    const [most, bad] = [pick(2, 3, 5, 100), pick("", "b", "c")];
    /** Whether a relay has refused what one before had granted: then there is no connection. */
    let isRefused = false;
    const connect = () => {
      const relay = new Model(table, most, bad, pick(1_000_000, 130));
      const { lines, confirmed } = subscriptions.begin(relay);
      for (const line of lines) relay.sendControl(line);
      confirmed?.catch(() => void (isRefused = true));
      subscriptions.onWelcome(relay);
      return relay;
    };
    let relay = connect();
    const service = {};
    let open = 0;
    const call = (promise: Promise<unknown>) => {
      open++;
      promise.catch(() => {}).then(() => void open--);
    };
    const actions: (() => unknown)[] = [
      () => call(subscriptions.subscribe(patterns, options)),
      () => call(subscriptions.subscribe(patterns, options, service)),
      () => call(subscriptions.subscribe(patterns, { ...options, timeout: 0 })),
      async () => {
        const controller = new AbortController();
        call(subscriptions.subscribe(patterns, { ...options, signal: controller.signal }));
        if (below(2) === 0) await turn();
        controller.abort(new Error("enough"));
      },
      () => call(subscriptions.unsubscribe(patterns, options)),
      () => call(subscriptions.unsubscribe(patterns, options)),
      () => subscriptions.release(patterns, options.queue, service),
      () => subscriptions.flush(),
      () => relay.answer(1 + below(3)),
      () => relay.answer(1),
      () => turn(),
      async () => {
        if (below(10) < 7) return;
        subscriptions.end(relay);
        if (below(2) === 0) await turn();
        relay = connect();
      },
    ];
    let patterns: string[] = [];
    let options: SubscribeOptions = {};
    for (let step = 0; step < 25; step++) {
      patterns = Array.from({ length: below(4) }, () => pick(...PATTERNS));
      options = pick<SubscribeOptions>({}, {}, { queue: "q" });
      await pick(...actions)();
    }
    for (let i = 0; i < 15; i++) {
      await turn();
      relay.answer(100);
    }
    await turn();
    if (!isRefused) {
      assertEquals(open, 0, `run ${run}: calls without an answer`);
      subscriptions.end(relay);
      const anew = connect();
      anew.answer(100);
      assertEquals(anew.granted, relay.granted, `run ${run}`);
      assertEquals(anew.isNarrowed, relay.isNarrowed, `run ${run}`);
    }
    table.failAll("the run is over");
  }
});
