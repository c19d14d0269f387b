/**
 * Counts the events of clients over all relays of a cluster. A relay keeps events of a producer only
 * while it owns it; see `history/producer_table.ts`.
 *
 * Loaded only by relays of a cluster with a history.
 *
 * @module
 */

import type { CloseReason } from "../errors.ts";
import type { ProducerNotes, ProducerTable } from "../history/producer_table.ts";
import type { StreamLog } from "../history/stream_log.ts";
import type { StreamWriter } from "../history/stream_writer.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { ProducerAnswer, ProducerClaim } from "../protocol/producer.ts";
import { TextMap, TextSet } from "../protocol/text_map.ts";
import { CountedClient, type Outcome, type ProducerOwner } from "./counted_client.ts";
import {
  type CountedAnswer,
  type CounterSink,
  type ProducerCounter,
  REPLACED,
} from "./producer_counter.ts";
import type { KeptEvents } from "./kept_events.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/**
 * How long a client waits for its `welcome`, in milliseconds. Then it is answered without being counted,
 * so that it can go on. `EbsocketClient` waits 4 s at first.
 */
const MAX_WAIT_MS = 3500;

/** Interval between looks whether relays that own producers are still there, in milliseconds. */
const LOOK_MS = 250;

/**
 * Number of looks without a sign of life of a relay since a claim after which it is held to be gone: 2 s.
 * Each gives one a second. Looks are counted and not time, since a process that stood still has not heard
 * the others.
 */
const MAX_SILENT_LOOKS = 8;

/** Number of looks after which one that does not answer a claim is held to be stuck: 15 s. */
const MAX_LOOKS = 60;

/** Why a client has to connect again, in words. */
const LOST = "it is not certain which of its events are kept; connect again to learn it";
const NOT_KEPT = "events cannot be kept for a while; connect again to go on without that";

/** The history of the cluster, as its producers see it. */
export interface StreamProducersSink extends CounterSink {
  /** Sets the producer to which the events of a client count. */
  setProducer(client: Client, producer: CountedClient | null): void;
  /** Called when a client is owned, and its events may be kept. */
  onOwned(producer: CountedClient): void;
  /** Called with a client whose events that wait are not to be kept, and not passed on either. */
  onDenied(producer: CountedClient): void;
  /** Called with events that are neither kept nor passed on. */
  onDropped(entries: readonly KeptEvents[]): void;
  /** Returns when another relay has given its last sign of life, or `null` if it is gone. */
  heardAt(relay: string): number | null;
  /** Disowns another relay, which is gone. */
  disown(relay: string): Promise<void>;
}

/** The parts that {@link StreamProducers} uses. */
export interface StreamProducersParts {
  /** The ID of this relay. */
  readonly id: string;
  readonly table: ProducerTable;
  readonly log: StreamLog;
  readonly writer: () => StreamWriter<KeptEvents>;
}

/** The producers at one relay of a cluster. */
export class StreamProducers implements ProducerCounter, ProducerOwner {
  readonly #parts: StreamProducersParts;
  readonly #sink: StreamProducersSink;
  /** The clients that are counted: the last one of each producer. */
  readonly #clients = new TextMap<CountedClient>();
  readonly #byClient = new Map<Client, CountedClient>();
  readonly #asked = new Set<CountedClient>();
  /** Those that are owned or leaving. */
  readonly #owned = new TextMap<CountedClient>();
  /** The producers whose release is on its way. */
  #releasing = new TextSet();
  /** The last message with which another relay has disowned this one. */
  #disownedAt = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isLooking = false;

  constructor(parts: StreamProducersParts, sink: StreamProducersSink) {
    this.#parts = parts;
    this.#sink = sink;
  }

  get size(): number {
    return this.#parts.table.size;
  }

  greet(client: Client, claim: ProducerClaim): CountedAnswer | Promise<CountedAnswer> {
    const { id, attempt, sent, settled } = claim;
    const { table, writer } = this.#parts;
    const before = this.#clients.get(id);
    if (attempt <= Math.max(before?.attempt ?? 0, table.get(id)?.attempt ?? 0)) {
      this.#sink.onEnded(client.recipient, "replaced", REPLACED);
      return "ended";
    }
    if (before) this.#replace(before);
    if (writer().isBroken) return "uncounted";
    const producer = new CountedClient(client, claim);
    this.#clients.set(id, producer);
    this.#byClient.set(client, producer);
    this.#sink.setProducer(client, producer);
    if (sent > settled) return this.#answerLater(producer, claim);
    producer.taken = sent;
    return { taken: sent, exact: true };
  }

  /** Answers a client with events in doubt, once it is owned. */
  async #answerLater(producer: CountedClient, claim: ProducerClaim): Promise<CountedAnswer> {
    producer.isWaiting = true;
    this.own(producer);
    const timer = setTimeout(() => this.#uncount(producer), MAX_WAIT_MS);
    const outcome = await producer.outcome.promise;
    clearTimeout(timer);
    if (outcome === "ended") return outcome;
    producer.isWaiting = false;
    return outcome === "owned" ? this.#answer(producer, claim) : outcome;
  }

  #answer(producer: CountedClient, claim: ProducerClaim): ProducerAnswer {
    const { table, log } = this.#parts;
    const { hasForgotten } = table;
    const entry = table.get(producer.id);
    if (entry) {
      const { taken, faulted, isKnown, isExact, releasedAttempt } = entry;
      // The relay of its last connection may not have owned it, and have taken events that are not kept.
      const isTold = claim.last <= releasedAttempt;
      Object.assign(producer, { taken, faulted, isExact: isExact && isTold });
      // Without a word about it, all that is certain is that none of its events is kept.
      producer.isKnown = isKnown || !hasForgotten;
    }
    return producer.answer(claim, log, hasForgotten);
  }

  own(producer: CountedClient): void {
    if (producer.state !== "idle") return;
    producer.state = "asked";
    this.#asked.add(producer);
    if (this.#parts.writer().isBroken) return this.#end(producer, NOT_KEPT);
    this.#parts.writer().claim(producer.id, producer.attempt);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
  }

  forget(client: Client): void {
    const producer = this.#byClient.get(client);
    if (producer) this.#leave(producer);
  }

  /** Takes nothing more of a client, which has connected again. */
  #replace(producer: CountedClient): void {
    this.#leave(producer);
    this.#close(producer, "replaced", REPLACED);
  }

  #leave(producer: CountedClient): void {
    this.#remove(producer);
    if (producer.state !== "owned") return this.#deny(producer, "ended");
    producer.state = "leaving";
    this.passed(producer);
  }

  /** Ends the connection of a client, so that it comes back. */
  #end(producer: CountedClient, detail: string): void {
    this.#remove(producer);
    this.#deny(producer, "ended");
    this.#close(producer, "overloaded", detail);
  }

  #close({ client: { recipient } }: CountedClient, reason: CloseReason, detail: string): void {
    this.#sink.onEnded(recipient, reason, detail);
  }

  /** Lets a client go on without being counted. */
  #uncount(producer: CountedClient): void {
    if (producer.state !== "asked") return;
    this.#remove(producer);
    this.#deny(producer, "uncounted");
  }

  #deny(producer: CountedClient, outcome: Outcome): void {
    producer.state = "gone";
    producer.outcome.resolve(outcome);
    queueMicrotask(() => this.#sink.onDenied(producer));
  }

  #remove(producer: CountedClient): void {
    const { id, client } = producer;
    if (this.#clients.get(id) === producer) this.#clients.delete(id);
    this.#byClient.delete(client);
    this.#asked.delete(producer);
    this.#sink.setProducer(client, null);
  }

  passed(producer: CountedClient): void {
    const { id, attempt, taken, faulted, isExact, isWaiting } = producer;
    if (producer.state !== "leaving" || producer.open > 0) return;
    producer.state = "gone";
    this.#owned.delete(id);
    if (isWaiting) return this.#decline(id, attempt);
    this.#releasing.add(id);
    this.#parts.writer().release(id, attempt, taken, faulted, isExact ? 1 : 0);
  }

  /** Releases a producer of which this relay has taken no event that was to be kept. */
  #decline(id: string, attempt: number): void {
    this.#releasing.add(id);
    this.#parts.writer().decline(id, attempt);
  }

  /** Applies what a message says, which `by` has written in the name of its relay. */
  apply(relay: string, by: string | undefined, notes: ProducerNotes, seq: number): void {
    const { id: here, table } = this.#parts;
    const { disowns, claims = [], releases = [], declines = [] } = notes;
    const released = [...releases, ...declines].map(([id]) => id);
    table.apply(relay, notes, seq);
    if (relay === here) {
      for (const id of released) this.#releasing.delete(id);
      if (by !== undefined && this.noteDisowned(seq)) this.reset(this.#parts.writer().disown());
    }
    for (const [id, attempt] of claims) {
      const client = this.#clients.get(id);
      if (client && client.attempt < attempt) this.#replace(client);
      else if (client?.attempt === attempt && relay === here) client.claimedAt = performance.now();
      this.#check(id);
    }
    for (const id of released) this.#check(id);
    if (disowns) { for (const { id } of [...this.#asked]) this.#check(id); }
  }

  /** Takes over a producer that this relay owns now, or releases it again. */
  #check(id: string): void {
    const { id: here, table } = this.#parts;
    const entry = table.get(id);
    if (entry?.owner !== here || this.#owned.has(id) || this.#releasing.has(id)) return;
    const producer = this.#clients.get(id);
    const isWanted = producer?.state === "asked" && producer.attempt === entry.ownerAttempt;
    if (!isWanted) return this.#decline(id, entry.ownerAttempt);
    producer.state = "owned";
    this.#asked.delete(producer);
    this.#owned.set(id, producer);
    producer.outcome.resolve("owned");
    queueMicrotask(() => this.#sink.onOwned(producer));
  }

  /** Disowns relays that are gone and own producers for which clients wait. */
  async #look(): Promise<void> {
    if (this.#asked.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { id: here, table } = this.#parts;
    const gone = new TextSet();
    for (const producer of [...this.#asked]) {
      const { id, claimedAt } = producer;
      if (claimedAt < Infinity) producer.looks++;
      const { owner = null, next = null } = table.get(id) ?? {};
      const isForgotten = owner !== here && next !== here;
      if (isForgotten && claimedAt < Infinity) this.#end(producer, LOST);
      else if (owner !== null && owner !== here && this.#isGone(owner, producer)) gone.add(owner);
    }
    for (const relay of gone) await this.#sink.disown(relay);
    this.#isLooking = false;
  }

  /** Returns whether a relay is gone, or has been silent or stuck since a claim. */
  #isGone(relay: string, { claimedAt, looks }: CountedClient): boolean {
    const heardAt = this.#sink.heardAt(relay);
    if (heardAt === null) return true;
    return looks >= (heardAt < claimedAt ? MAX_SILENT_LOOKS : MAX_LOOKS);
  }

  /** Notes a message that disowns this relay. Returns whether it is new. */
  noteDisowned(seq: number): boolean {
    const isNews = seq > this.#disownedAt;
    this.#disownedAt = Math.max(this.#disownedAt, seq);
    return isNews;
  }

  /** Notes that other messages may follow than before, after a message that was read. */
  rewind(seq: number): void {
    this.#disownedAt = Math.min(this.#disownedAt, seq);
  }

  /** Ends the connections of all clients that this relay owns, or wants to. `dropped` are their events. */
  reset(dropped: readonly KeptEvents[]): void {
    this.#releasing = new TextSet();
    const clients = [...this.#asked, ...this.#owned.values()];
    this.#owned.clear();
    for (const producer of clients) this.#end(producer, LOST);
    queueMicrotask(() => this.#sink.onDropped(dropped));
  }

  fail(): void {
    for (const producer of [...this.#asked]) {
      if (producer.isWaiting) this.#uncount(producer);
      else this.#end(producer, NOT_KEPT);
    }
  }

  /** Stops waiting. */
  stop(): void {
    clearInterval(this.#timer);
    for (const producer of [...this.#asked]) this.#uncount(producer);
  }
}
