/**
 * The answer to a question about the past. It ends with the last event of the moment of the question.
 *
 * @module
 */

import type { LineForm } from "../history/extract.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { memberBytes } from "../protocol/envelope.ts";
import { encodeHistoryNews } from "../protocol/history.ts";
import { Replay, type Wish } from "./replay.ts";
import type { ReplaySource } from "./replay_source.ts";
import type { Subscriber } from "./subscription_table.ts";

/** Sends events of the past. */
export class PastRead extends Replay {
  protected override form: LineForm;
  /** The offset of the last event at the moment of the question, or when the log was ready for it. */
  #head: number;
  readonly #id: string;
  readonly #onEnd: () => void;

  /** Creates an answer without a wish, whose ID is `id`. */
  constructor(
    client: Subscriber<LineConnection>,
    source: ReplaySource,
    id: string,
    onEnd: () => void,
  ) {
    super(client, source);
    this.#id = id;
    this.#onEnd = onEnd;
    this.form = { hasOffset: true, member: memberBytes("past", id) };
    this.#head = this.log.head;
  }

  /** A log on disk that has failed and goes on may have lost its last events. */
  protected override get end(): number {
    return Math.min(this.#head, this.log.head);
  }

  /** Sets what the client asks for. */
  ask(wish: Wish): void {
    const { search, onFound } = wish;
    if (!search?.locate) return this.add(wish);
    this.add({
      ...wish,
      onFound: (from) => {
        this.#head = this.log.head;
        onFound!(from);
      },
    });
  }

  /** Ends the answer early. */
  cancel(): void {
    for (const wish of this.wishes) {
      if (!wish.search) continue;
      wish.search = null;
      this.at = this.end;
      wish.onFound!(this.end); // It has not been answered yet.
    }
    this.conclude();
  }

  protected override onGap(from: number, to: number): void {
    this.tellGap(from, to, this.#id);
  }

  protected override finish(): void {
    this.#onEnd();
    const news = encodeHistoryNews({
      control: "end",
      id: this.#id,
      offset: Math.min(this.at, this.end),
    });
    this.client.recipient.send(news, 0);
  }
}
