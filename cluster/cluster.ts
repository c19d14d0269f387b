/**
 * A relay's part in a cluster: its links to the other relays, the interest of their clients, and the
 * events that were lost on the way.
 *
 * Each link is a {@link LineConnection} over a {@link LinkStream}, so that it has the send queue,
 * the framing and the turns of any other connection.
 *
 * @module
 */

import type { CloseInfo, EbsocketError } from "../errors.ts";
import { LineConnection } from "../net/line_connection.ts";
import {
  type ClusterTerms,
  decodeAfter,
  decodeClientsOf,
  decodeHeld,
  decodeInterest,
  decodeLost,
  decodeMark,
  decodeNext,
  decodeReached,
  decodeStart,
  encodeClients,
  encodeHeld,
  encodeStart,
  encodeWho,
  type InterestChange,
  joinNext,
  type LinkHead,
} from "../protocol/cluster.ts";
import type { ControlLine } from "../protocol/control.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import { type ClientReport, type ClusterStats, MAX_LINKS } from "../protocol/report.ts";
import { TextMap } from "../protocol/text_map.ts";
import type { Backplane } from "./backplane.ts";
import { InterestReporter } from "./interest_reporter.ts";
import { Link, MAX_LINK_BYTES } from "./link.ts";
import { LinkStream } from "./link_stream.ts";
import { Links } from "./links.ts";
import { Members } from "./members.ts";

/**
 * Most bytes queued on a link, events and control lines together. Publishers wait from half of it,
 * so that a whole read then fits in below the limit of events.
 */
const MAX_QUEUED_BYTES = 1.5 * MAX_LINK_BYTES;

/** How long a relay that joins waits for the interest of the others, in milliseconds. */
const SETTLE_MS = 5000;

/** How long a relay that leaves waits until the others have read its events, in milliseconds. */
const LEAVE_MS = 5000;

/** Most bytes that a relay adds to a line, with `from`. */
const MAX_ADDED_BYTES = 64;

/** Length of a line that a link carries in any case, in bytes: control lines may be that long. */
const MIN_LINE_BYTES = 1_048_576;

/** Interval between checks of overdue answers and confirmations, in milliseconds. */
const LOOK_MS = 100;

/** Least time between two questions for the clients of other relays, in milliseconds. */
const WHO_MS = 500;

/** Least time between two reports of lost events, in milliseconds. */
const DROPPED_MS = 1000;

/** Most relays whose counters are remembered. */
const MAX_TALLIES = 1024;

/** The relay that is part of the cluster. */
export interface ClusterSink {
  /** Returns the clients of this relay that others may see. */
  reportClients(): readonly ClientReport[];
  /** Called when a link to another relay is there. */
  onLink(link: Link): void;
  /** Called with lines of another relay. */
  onLines(link: Link, lines: LineBlock): void;
  /** Called when lines have been queued for another relay. */
  onQueued(link: Link): void;
  /** Called when a link is about to end, and perhaps to be replaced. Its last lines still count. */
  onLinkEnd(link: Link): void;
  /** Called when another relay has come. */
  onCome(relay: string): void;
  /** Called when another relay has gone, with or without a word. */
  onGone(relay: string, isSilent: boolean): void;
  /** Called when another relay has sent a mark. */
  onMark(): void;
  /**
   * Returns a promise to wait for before a relay is told that others know that it has lost members of
   * queues, or `null`.
   */
  whenServed(link: Link): Promise<void> | null;
  /** Called when other relays have answered, or will not. */
  onAnswers(): void;
  /** Called when events of another relay are missing; `events` is how many, if that is known. */
  onGap(relay: string, events: number | undefined): void;
  /** Called when other relays can be reached again, or no longer. */
  onState(isAlone: boolean): void;
  /** Called if this relay must end because of another one. */
  onMisfit(error: EbsocketError): void;
  /** Called with a fault of another relay, or of the messages of a stranger. */
  onFault(fault: string): void;
}

/** How many events there were for another relay, and of it, over all links. */
interface Tally {
  sent: number;
  received: number;
  /** Whether it was held to be gone. */
  wasAway: boolean;
}

/** A relay's part in a cluster. */
export class Cluster {
  /** The ID of this relay. */
  readonly id: string;
  /** The other relays. */
  readonly links: Links;
  /** Tells the other relays what the clients of this one hear. */
  readonly interest: InterestReporter;

  readonly #backplane: Backplane;
  readonly #members: Members;
  readonly #sink: ClusterSink;
  readonly #maxLineBytes: number;
  readonly #maxReadBytes: number;
  readonly #tallies = new TextMap<Tally>();
  #askedWho = -Infinity;
  /** How often events of other relays were missing, how many, and how many for them were lost. */
  #gaps = 0;
  #eventsMissing = 0;
  #eventsLost = 0;
  /** How many of these were reported, and when. */
  #reportedLost = 0;
  #reportedAt = -Infinity;
  /** How many had been lost when this relay was last left alone. */
  #lostBefore = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isLeaving = false;

  /**
   * Creates a relay's part in a cluster.
   *
   * @param id The ID of this relay.
   * @param backplane The way to the other relays.
   * @param terms The options that all relays must have in common.
   * @param limits How long events may be gathered, in milliseconds, and how many bytes may be queued
   * for a client.
   * @param sink The relay.
   */
  constructor(
    id: string,
    backplane: Backplane,
    terms: ClusterTerms,
    { maxBatchDelay, maxPendingBytes }: { maxBatchDelay: number; maxPendingBytes: number },
    sink: ClusterSink,
  ) {
    this.id = id;
    this.#backplane = backplane;
    this.#maxLineBytes = terms.maxLineBytes;
    // As a client's read, one read of a link must fit into the send queue of a client.
    this.#maxReadBytes = Math.ceil(maxPendingBytes / 4);
    this.#sink = sink;
    this.links = new Links(maxBatchDelay, sink);
    this.interest = new InterestReporter(() => this.isAlone);
    this.#members = new Members(id, backplane, terms, {
      onCome: (relay) => this.#onCome(relay),
      onGo: (relay, isComplete, isSilent) => this.#onGo(relay, isComplete, isSilent),
      onLink: (head, part) => this.#onLink(head, part),
      onBeat: () => {
        for (const { stream } of this.links) stream.report();
      },
      onState: (isConnected) => this.#onState(isConnected),
      onMisfit: (error) => sink.onMisfit(error),
      onFault: (fault) => sink.onFault(fault),
    });
  }

  /** Whether no other relay can be reached. */
  get isAlone(): boolean {
    return !this.#backplane.isConnected;
  }

  /** Whether the other relays have read all that there was for them. */
  get isDone(): boolean {
    return Iterator.from(this.links).every(({ pendingBytes, stream }) =>
      pendingBytes === 0 && stream.isDone
    );
  }

  /**
   * Waits until the other relays have read what there is for them now. Resolves to whether nothing was
   * lost since this relay was alone.
   */
  async whenPassedOn(): Promise<boolean> {
    const passed = await Promise.all(Array.from(this.links, (link) => link.whenPassedOn()));
    return passed.every((isPassed) => isPassed) && this.eventsLost === this.#lostBefore;
  }

  /** How many events for other relays were dropped, for want of room. */
  get eventsLost(): number {
    return [...this.links].reduce((sum, { eventsLost }) => sum + eventsLost, this.#eventsLost);
  }

  /** Returns the state of the cluster as this relay sees it. */
  stats(): ClusterStats {
    const links = [...this.links];
    const relays = links.map(({ relay, eventsIn, eventsOut, pendingBytes }) => {
      return { relay, eventsIn, eventsOut, pendingBytes };
    });
    return {
      relay: this.id,
      isAlone: this.isAlone,
      relays: relays.sort((a, b) => b.pendingBytes - a.pendingBytes).slice(0, MAX_LINKS),
      gaps: this.#gaps,
      eventsMissing: this.#eventsMissing,
      eventsLost: this.eventsLost,
    };
  }

  /** Returns clients of the other relays, as these reported them lately, and asks for them anew. */
  clients(): readonly ClientReport[] {
    const now = performance.now();
    if (now - this.#askedWho >= WHO_MS) {
      this.#askedWho = now;
      for (const link of this.links) link.send(encodeWho(), 0);
    }
    return [...this.links].flatMap(({ clients }) => clients);
  }

  /** Joins the cluster. Resolves once the interest of the others is known. */
  async join(): Promise<void> {
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    await this.#members.join();
    const end = performance.now() + SETTLE_MS;
    const isOpen = () => [...this.links].some((link) => !link.isSettled) && !this.#isLeaving;
    while (performance.now() < end && isOpen()) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /**
   * Lets other relays choose clients of this one as members of queues no longer. Resolves once all
   * know, or after a second.
   */
  async retire(): Promise<void> {
    this.interest.retire();
    await this.interest.whenKnown(false);
  }

  /** Leaves the cluster, once the others have read their events. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    this.#reportLost();
    const end = performance.now() + LEAVE_MS;
    while (performance.now() < end && !this.isAlone && !this.isDone) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const hasRest = !this.isDone;
    for (const link of [...this.links]) this.#close(link);
    clearInterval(this.#timer);
    this.interest.close();
    await this.#members.leave(hasRest);
  }

  /** Reports a fault, as those of the messages between relays are. */
  fault(fault: string): void {
    this.#members.onFault(fault);
  }

  /** Reports how many events there was no room for, now and then. */
  #reportDropped(): void {
    const now = performance.now();
    const { eventsLost } = this;
    if (eventsLost === this.#reportedLost || now - this.#reportedAt < DROPPED_MS) return;
    const count = eventsLost - this.#reportedLost;
    this.fault(`there was no room for ${count} events for other relays, and they are lost`);
    this.#reportedLost = eventsLost;
    this.#reportedAt = now;
  }

  /** Reports events for which there was no room, if there is now. */
  #reportLost(): void {
    for (const link of this.links) link.reportLost();
  }

  #open(relay: string): void {
    if (this.#isLeaving) return;
    const backplane = this.#backplane;
    const stream = new LinkStream({
      id: this.id,
      maxReadBytes: this.#maxReadBytes,
      get maxMessageBytes() {
        return backplane.maxMessageBytes;
      },
      send: (head, part) => backplane.send(relay, head, part),
      whenReady: () => this.#backplane.whenReady(),
    });
    const connection = new LineConnection(stream, [relay, 0]);
    const link = new Link(relay, stream, connection);
    connection.start({
      onLines: (_, lines) => this.#sink.onLines(link, lines),
      onClose: (_, info) => this.#onEnd(link, info),
    }, {
      maxLineBytes: Math.max(this.#maxLineBytes + MAX_ADDED_BYTES, MIN_LINE_BYTES),
      maxPendingBytes: MAX_QUEUED_BYTES,
      keepAliveInterval: Infinity,
      writeTimeout: Infinity,
      lineTimeout: Infinity,
    });
    const { sent, wasAway } = this.#tallyOf(relay);
    link.send(encodeStart({ events: sent, wasAway }), 0);
    this.interest.join(link);
    this.links.add(link);
    this.#sink.onLink(link);
  }

  #tallyOf(relay: string): Tally {
    let tally = this.#tallies.get(relay);
    if (tally) return tally;
    if (this.#tallies.size >= MAX_TALLIES) this.#forgetTally();
    this.#tallies.set(relay, tally = { sent: 0, received: 0, wasAway: false });
    return tally;
  }

  /** Forgets the counters of the relay that has been gone for longest. */
  #forgetTally(): void {
    for (const [relay] of this.#tallies) {
      if (this.links.find(relay)) continue;
      this.#tallies.delete(relay);
      return;
    }
  }

  /** Ends a link. */
  #close(link: Link): void {
    if (link.isEnding) return;
    link.isEnding = true;
    this.#sink.onLinkEnd(link);
    this.links.remove(link);
    const tally = this.#tallyOf(link.relay);
    tally.sent += link.eventsOut + link.eventsLost;
    this.#eventsLost += link.eventsLost;
    link.connection.abort();
    link.expire();
    this.interest.leave(link);
    this.#sink.onAnswers();
  }

  #onCome(relay: string): void {
    this.#open(relay);
    if (!this.#isLeaving) this.#sink.onCome(relay);
  }

  #onGo(relay: string, isComplete: boolean, isSilent: boolean): void {
    const link = this.links.find(relay);
    if (!link) return;
    this.#close(link);
    this.#tallyOf(relay).wasAway = true;
    this.#sink.onGone(relay, isSilent);
    if (!isComplete) this.#onGap(relay, undefined);
  }

  /** Opens a link again that has ended although the other relay is there. */
  #onEnd(link: Link, { reason, detail }: CloseInfo): void {
    if (link.isEnding || this.#isLeaving) return;
    this.fault(`the link to relay ${link.relay} has ended with ${reason}: ${detail}`);
    this.#renew(link);
  }

  /** Replaces a link. The events that the other relay has not read are lost, and counted. */
  #renew(link: Link): void {
    const queues = this.links.queuesOf(link);
    this.#close(link);
    this.#open(link.relay);
    const next = this.links.find(link.relay);
    if (next) this.links.inherit(next, queues);
  }

  #onLink(head: LinkHead, part: Uint8Array): void {
    const link = this.links.find(head.relay);
    if (!link) return;
    if (link.stream.take(head, part)) return this.interest.tell(link);
    this.#renew(link);
    this.links.find(head.relay)?.stream.take(head, part);
  }

  #onState(isConnected: boolean): void {
    if (isConnected) this.#resume();
    else this.interest.check();
    if (!isConnected) this.#lostBefore = this.eventsLost;
    this.#sink.onState(!isConnected);
  }

  /** Sends all unconfirmed messages again. */
  #resume(): void {
    for (const link of [...this.links]) {
      if (link.stream.fits) link.stream.resume();
      else this.#renew(link); // The backplane takes only shorter messages now.
    }
  }

  #look(): void {
    const now = performance.now();
    for (const link of this.links) {
      link.stream.confirm();
      this.interest.tell(link);
    }
    this.#reportLost();
    this.#reportDropped();
    let isDue = false;
    for (const link of this.links) isDue = link.expire(now) || isDue;
    if (isDue) this.#sink.onAnswers();
  }

  // The lines of other relays

  /** Notes that events of another relay were taken. */
  taken(link: Link, events: number): void {
    link.eventsIn += events;
    if (events > 0) this.#tallyOf(link.relay).received += events;
  }

  /** Tells another relay that this one knows of a change. */
  async #confirm(link: Link, { version, queues }: InterestChange): Promise<void> {
    const losesMembers = queues.some(([, , members]) => members === 0);
    if (losesMembers) link.served = this.#sink.whenServed(link);
    await link.served; // also for a later change
    link.send(encodeHeld(version), 0);
  }

  #onGap(relay: string, events: number | undefined): void {
    this.#gaps++;
    this.#eventsMissing += events ?? 0;
    this.#sink.onGap(relay, events);
  }

  /** Handles a control line of another relay. */
  onControl(link: Link, line: ControlLine): void {
    const next = decodeNext(line);
    if (next) {
      link.next = link.next ? joinNext(link.next, next) : next;
      return;
    }
    const reached = decodeReached(line);
    if (reached) {
      link.answer(reached);
      return;
    }
    const change = decodeInterest(line);
    if (change) {
      this.links.apply(link, change);
      this.#confirm(link, change);
      return;
    }
    const known = decodeHeld(line);
    if (known !== null) {
      link.known = Math.max(link.known, known);
      this.#tallyOf(link.relay).wasAway = false; // It has read the start of the link.
      return this.interest.check();
    }
    const lost = decodeLost(line);
    if (lost !== null) {
      this.#tallyOf(link.relay).received += lost;
      return this.#onGap(link.relay, lost);
    }
    const mark = decodeMark(line);
    if (mark !== null) {
      link.mark = mark;
      return this.#sink.onMark();
    }
    const after = decodeAfter(line);
    if (after !== null) {
      link.after = after;
      return;
    }
    if (line.control === "who") return void link.send(encodeClients(this.#sink.reportClients()), 0);
    const clients = decodeClientsOf(link.relay, line);
    if (clients) {
      link.clients = clients;
      return;
    }
    const start = decodeStart(line);
    if (!start) return;
    const tally = this.#tallyOf(link.relay);
    const missing = start.events - tally.received;
    tally.received = start.events;
    if (start.wasAway) this.#onGap(link.relay, undefined);
    else if (missing > 0) this.#onGap(link.relay, missing);
  }
}
