/**
 * The order of a client's events at other relays: those that are kept come there from the stream, the
 * others over links.
 *
 * @module
 */

import type { Link, Links } from "../cluster/links.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { encodeAfter, encodeMark } from "../protocol/cluster.ts";
import type { KeptEvents } from "./kept_events.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** Tells other relays what comes first. */
export class LinkOrder {
  readonly #links: Links;
  #mark = 0;
  /** The clients with events on links since the last mark. */
  #unmarked = new WeakSet<Client>();
  #hasUnmarked = false;
  /** The offset of the last kept event of each client that has come back. */
  #lastOffsets = new WeakMap<Client, number>();

  constructor(links: Links) {
    this.#links = links;
  }

  /** The number of the last mark on the links. */
  get mark(): number {
    return this.#mark;
  }

  /** Notes that the kept events of a client up to an offset have come back. */
  noteKept(client: Client, offset: number): void {
    this.#lastOffsets.set(client, offset);
  }

  /** Lets other relays pass on the kept events of a client before one that goes to them now. */
  follow(client: Client): void {
    if (!this.#unmarked.has(client)) {
      this.#unmarked.add(client);
      this.#hasUnmarked = true;
    }
    const offset = this.#lastOffsets.get(client);
    if (offset === undefined) return;
    for (const link of this.#links) this.precede(link, offset);
  }

  /** Lets another relay read what is sent to it from now on after the kept events up to an offset. */
  precede(link: Link, offset: number): void {
    if (link.toldAfter >= offset) return;
    link.toldAfter = offset;
    link.send(encodeAfter(offset), 0);
  }

  /** Returns the mark on the links after which other relays pass on these events. */
  markFor(entries: readonly KeptEvents[]): number | undefined {
    if (!this.#hasUnmarked) return undefined;
    if (!entries.some(({ block }) => this.#unmarked.has(block.source))) return undefined;
    this.#unmarked = new WeakSet();
    this.#hasUnmarked = false;
    this.#links.sendToAll(encodeMark(++this.#mark));
    return this.#mark;
  }

  /** Sends the last mark on a new link. There are no events before it. */
  introduce(link: Link): void {
    if (this.#mark > 0) link.send(encodeMark(this.#mark), 0);
  }

  /** Forgets which offsets clients have come to, since they are of no meaning any more. */
  forgetOffsets(): void {
    this.#lastOffsets = new WeakMap();
    for (const link of this.#links) link.toldAfter = link.after = 0;
  }
}
