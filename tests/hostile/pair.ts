/**
 * Two well-behaved clients, written without the library. They show that an attack affects the
 * attacker alone.
 *
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import { utf8 } from "../support/bytes.ts";
import { pause, soon } from "../support/waiting.ts";

/** How many lines of others are kept to look at. */
const MAX_KEPT = 100;

/** One of the two. */
class Witness {
  /** The control lines that came. */
  readonly control: string[] = [];
  /** The first of the events that came from neither of the two. */
  readonly others: string[] = [];
  /** How many such events came. */
  otherCount = 0;
  /** The rounds of the two, as they came. */
  readonly rounds: string[] = [];
  #ended = "";
  #news = Promise.withResolvers<void>();
  readonly #conn: Deno.Conn;
  readonly #mark: string;
  readonly #reading: Promise<void>;

  constructor(conn: Deno.Conn, mark: string) {
    this.#conn = conn;
    this.#mark = mark;
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(65_536);
    let rest = "";
    try {
      for (let length; (length = await this.#conn.read(buffer)) !== null;) {
        const lines = (rest + decoder.decode(buffer.subarray(0, length), { stream: true }))
          .split("\n");
        rest = lines.pop()!;
        for (const line of lines) this.#take(line);
        this.#tell();
      }
      this.#ended = "eof";
    } catch (error) {
      this.#ended = String(error);
    }
    this.#tell();
  }

  #take(line: string): void {
    if (line === "") return;
    if (line.startsWith(this.#mark)) this.rounds.push(line);
    else if (line.startsWith('{"control":')) this.control.push(line);
    else if (++this.otherCount <= MAX_KEPT) this.others.push(line);
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers<void>();
  }

  async send(text: string): Promise<void> {
    const bytes = utf8(text);
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  /** Waits until `condition` holds, which is checked whenever something has arrived. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const wait = async () => {
      while (!condition()) {
        if (this.#ended) throw new Error(`A witness was cut off (${this.#ended}): ${this.control}`);
        await this.#news.promise;
      }
    };
    await soon(wait(), what);
  }

  async close(): Promise<void> {
    try {
      this.#conn.close();
    } catch {
      // The relay has been faster.
    }
    await this.#reading;
  }
}

/** Two clients that send each other numbered events. */
export class Pair implements AsyncDisposable {
  readonly one: Witness;
  readonly two: Witness;
  readonly #mark: string;
  readonly #isEchoed: boolean;
  #sent = 0;

  private constructor(one: Deno.Conn, two: Deno.Conn, isEchoed: boolean) {
    // No attacker can guess it.
    this.#mark = `{"event":"${crypto.randomUUID()}","__dict__":{"round":`;
    this.one = new Witness(one, this.#mark);
    this.two = new Witness(two, this.#mark);
    this.#isEchoed = isEchoed;
  }

  /** Connects both, each with `hello` as its first line, if there is one. */
  static async join(
    connect: () => Promise<Deno.Conn>,
    { hello = "", isEchoed = true }: { hello?: string; isEchoed?: boolean } = {},
  ): Promise<Pair> {
    const pair = new Pair(await connect(), await connect(), isEchoed);
    if (hello) await Promise.all([pair.one.send(hello), pair.two.send(hello)]);
    await pair.#isHeard(pair.one, pair.two);
    await pair.#isHeard(pair.two, pair.one);
    pair.#forget();
    await pair.talk();
    return pair;
  }

  /** Sends until the other gets it: a relay may still be about to accept that one. */
  async #isHeard(sender: Witness, receiver: Witness): Promise<void> {
    while (receiver.rounds.length === 0) {
      await sender.send(`${this.#mark}"first"}}\n`);
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, 20);
      await Promise.race([promise, receiver.until(() => receiver.rounds.length > 0, "an event")]);
      clearTimeout(timer);
    }
  }

  #forget(): void {
    for (const witness of [this.one, this.two]) witness.rounds.length = 0;
  }

  /** One event each way, received by all who are to get it, in order. Takes some milliseconds. */
  async talk(): Promise<number> {
    const start = performance.now();
    await this.#say(this.one, this.two);
    await this.#say(this.two, this.one);
    return (performance.now() - start) / 2;
  }

  async #say(sender: Witness, other: Witness): Promise<void> {
    const line = `${this.#mark}${++this.#sent}}}`;
    await sender.send(`${line}\n`);
    for (const witness of this.#isEchoed ? [sender, other] : [other]) {
      const next = () => witness.rounds.find((round) => !round.endsWith('"first"}}'));
      await witness.until(() => next() !== undefined, `round ${this.#sent}`);
      assertEquals(next(), line);
      witness.rounds.length = 0;
    }
  }

  /** The times of the rounds, in milliseconds, that are made one after the other until `end`. */
  async rounds(end: Promise<unknown>): Promise<Times> {
    let isOver = false;
    const over = end.finally(() => isOver = true);
    const times: number[] = [];
    do {
      times.push(await this.talk());
      await pause(10);
    } while (!isOver);
    await over;
    return new Times(times);
  }

  /** The events that came from neither of the two; their number is exact. */
  get others(): { count: number; some: string[] } {
    return {
      count: this.one.otherCount + this.two.otherCount,
      some: [...this.one.others, ...this.two.others],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.one.close(), this.two.close()]);
  }
}

/** Some times, in milliseconds. */
export class Times {
  readonly #sorted: number[];

  constructor(times: number[]) {
    this.#sorted = times.toSorted((a, b) => a - b);
  }

  /** What a `share` of them does not exceed. */
  quantile(share: number): number {
    return this.#sorted[Math.ceil(share * this.#sorted.length) - 1]!;
  }

  /** `p50 0.3 ms, p99 0.8 ms, most 1.2 ms of 100`. */
  toString(): string {
    const [p50, p99, most] = [0.5, 0.99, 1].map((share) => this.quantile(share).toFixed(1));
    return `p50 ${p50} ms, p99 ${p99} ms, most ${most} ms of ${this.#sorted.length}`;
  }
}
