/**
 * A client that catches up with the history. Until then, all kept events come to it from the log.
 *
 * @module
 */

import { PLAIN, STAMPED } from "../history/extract.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { encodeHistoryNews } from "../protocol/history.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import { Replay, type Wish, wishFrom } from "./replay.ts";
import type { ReplaySource } from "./replay_source.ts";
import type { Subscriber } from "./subscription_table.ts";

/** Sends what a client has missed, and then lets it hear events as they happen. */
export class CatchUp extends Replay {
  protected override form = PLAIN;
  readonly #onLive: (offset: number) => void;

  /**
   * Starts at the present end of the log with the client's subscriptions, which wait from now on.
   *
   * @param onLive Called when the client has caught up, before it is told so.
   */
  constructor(
    client: Subscriber<LineConnection>,
    source: ReplaySource,
    onLive: (offset: number) => void,
  ) {
    super(client, source);
    this.#onLive = onLive;
    const { subscriptions } = client;
    const pairs = subscriptions.isNarrowed ? [...subscriptions] : []; // others are about to end
    this.wait(pairs.filter(([, queue]) => queue === NO_QUEUE).map(([pattern]) => pattern));
  }

  /** Sends the events from now on with their offsets. */
  stamp(): void {
    this.form = STAMPED;
  }

  /** Number of requests that are not answered. */
  get requests(): number {
    return this.wishes.filter(({ id }) => id !== null).length;
  }

  /**
   * Adds subscriptions that begin now. Those that wait for the same events become one wish, so that
   * there are not more wishes than patterns and requests.
   */
  wait(patterns: Iterable<string>): void {
    const wish = wishFrom(null, patterns, this.log.head);
    if (wish.patterns.size === 0) return;
    this.add(wish);
    this.wishes = withoutTwins(this.wishes);
  }

  /** Adds the wish of a request. */
  follow(wish: Wish): void {
    this.add(wish);
  }

  /** Drops subscriptions. */
  unfollow(patterns: readonly string[]): void {
    this.remove(patterns);
    this.wishes = this.wishes.filter(({ id, patterns }) => id !== null || patterns.size > 0);
  }

  protected override get end(): number {
    return this.log.head;
  }

  protected override onGap(from: number, to: number): void {
    this.tellGap(from, to);
  }

  protected override finish(): void {
    const { head } = this.log;
    this.#onLive(head);
    for (const { id } of this.wishes) {
      if (id === null) continue;
      const news = encodeHistoryNews({ control: "live", id, offset: head });
      this.client.recipient.send(news, 0);
    }
  }
}

/** Returns wishes of which no two without an ID begin after the same event. */
function withoutTwins(wishes: readonly Wish[]): Wish[] {
  const waiting = new Map<number, Wish>();
  return wishes.filter((wish) => {
    if (wish.id !== null) return true;
    const twin = waiting.get(wish.from);
    if (twin) { for (const pattern of wish.patterns) twin.patterns.add(pattern); }
    else waiting.set(wish.from, wish);
    return twin === undefined;
  });
}
