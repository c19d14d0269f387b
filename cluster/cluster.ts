/**
 * A relay's part in a cluster: its links to the other relays, the interest of their clients, and the
 * events that were lost on the way.
 *
 * Each link is a {@link LineConnection} over a {@link LinkStream}, so that it has the send queue,
 * the framing and the turns of any other connection.
 *
 * @module
 */

import type { CloseInfo } from "../errors.ts";
import { LineConnection } from "../net/line_connection.ts";
import {
  type ClusterTerms,
  decodeClientsOf,
  decodeHeld,
  decodeInterest,
  decodeLost,
  decodeNext,
  decodeReached,
  decodeStart,
  encodeClients,
  encodeHeld,
  encodeStart,
  encodeWho,
  type LinkHead,
} from "../protocol/cluster.ts";
import type { ControlLine } from "../protocol/control.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import { REST } from "../protocol/pattern.ts";
import { type ClientReport, type ClusterStats, MAX_LINKS } from "../protocol/report.ts";
import { TextMap } from "../protocol/text_map.ts";
import type { Backplane } from "./backplane.ts";
import { Interest } from "./interest.ts";
import { Link, MAX_LINK_BYTES } from "./link.ts";
import { LinkStream } from "./link_stream.ts";
import { Links } from "./links.ts";
import { Members } from "./members.ts";

/**
 * Most bytes queued on a link, events and control lines together. Publishers wait from half of it,
 * so that a whole read then fits in below the limit of events.
 */
const MAX_QUEUED_BYTES = 1.5 * MAX_LINK_BYTES;

/**
 * Least interval between two reports of changed interest, in milliseconds. The changes in between are
 * sent together.
 */
const SEND_MS = 10;

/**
 * How long a client that hears everything may take to choose less, in milliseconds, before the other
 * relays learn of it. Most clients subscribe with their first line. Without this time, each that comes
 * would have all events of the cluster sent here for a moment.
 */
const CHOICE_MS = 25;

/** How long a change of interest may take to reach all relays, in milliseconds. */
const HELD_MS = 1000;

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
  /** Called when a link has ended, which may be replaced by another. */
  onLinkEnd(link: Link): void;
  /** Called when another relay has gone. */
  onGone(relay: string): void;
  /** Called when other relays have answered, or will not. */
  onAnswers(): void;
  /** Called when events of another relay are missing; `events` is how many, if that is known. */
  onGap(relay: string, events: number | undefined): void;
  /** Called when other relays can be reached again, or no longer. */
  onState(isAlone: boolean): void;
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

/** A wait until all relays know of a change. */
interface Waiter {
  /** The number of the change. `null` before it has been sent. */
  version: number | null;
  readonly resolve: (isKnown: boolean) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** A relay's part in a cluster. */
export class Cluster {
  /** The ID of this relay. */
  readonly id: string;
  /** The other relays. */
  readonly links: Links;
  /** The interest of this relay. */
  readonly #interest = new Interest();

  readonly #backplane: Backplane;
  readonly #members: Members;
  readonly #sink: ClusterSink;
  readonly #maxLineBytes: number;
  readonly #streams = new Map<Link, LinkStream>();
  readonly #tallies = new TextMap<Tally>();
  #isScheduled = false;
  #sendTimer: ReturnType<typeof setTimeout> | undefined;
  #sentAt = -Infinity;
  #askedWho = -Infinity;
  /** The times at which clients have come that hear everything, and have not been reported. */
  #newcomers: number[] = [];
  #choice: ReturnType<typeof setTimeout> | undefined;
  /** How often events of other relays were missing, how many, and how many for them were lost. */
  #gaps = 0;
  #eventsMissing = 0;
  #eventsLost = 0;
  #waiters: Waiter[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;
  #isLeaving = false;

  /**
   * Creates a relay's part in a cluster.
   *
   * @param id The ID of this relay.
   * @param backplane The way to the other relays.
   * @param terms The options that all relays must have in common.
   * @param maxBatchDelay How long events may be gathered, in milliseconds.
   * @param sink The relay.
   */
  constructor(
    id: string,
    backplane: Backplane,
    terms: ClusterTerms,
    maxBatchDelay: number,
    sink: ClusterSink,
  ) {
    this.id = id;
    this.#backplane = backplane;
    this.#maxLineBytes = terms.maxLineBytes;
    this.#sink = sink;
    this.links = new Links(maxBatchDelay, sink);
    this.#members = new Members(id, backplane, terms, {
      onCome: (relay) => this.#open(relay),
      onGo: (relay, isComplete) => this.#onGo(relay, isComplete),
      onLink: (head, part) => this.#onLink(head, part),
      onBeat: () => this.#streams.forEach((stream) => stream.report()),
      onState: (isConnected) => this.#onState(isConnected),
      onFault: (fault) => sink.onFault(fault),
    });
  }

  /** Whether no other relay can be reached. */
  get isAlone(): boolean {
    return !this.#backplane.isConnected;
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
      eventsLost: links.reduce((sum, { eventsLost }) => sum + eventsLost, this.#eventsLost),
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
    this.#interest.retire();
    await this.whenHeard(false);
  }

  /** Leaves the cluster, once the others have read their events. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    this.#reportLost();
    const end = performance.now() + LEAVE_MS;
    const isDone = () =>
      [...this.#streams].every(([link, s]) => link.pendingBytes === 0 && s.isDone);
    while (performance.now() < end && !this.isAlone && !isDone()) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const hasRest = !isDone();
    for (const link of this.#streams.keys()) this.#close(link);
    clearInterval(this.#timer);
    clearTimeout(this.#choice);
    clearTimeout(this.#sendTimer);
    await this.#members.leave(hasRest);
  }

  /** Reports a fault, as those of the messages between relays are. */
  fault(fault: string): void {
    this.#members.onFault(fault);
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
      get maxMessageBytes() {
        return backplane.maxMessageBytes;
      },
      send: (message) => backplane.send(relay, message),
      whenReady: () => this.#backplane.whenReady(),
    });
    const connection = new LineConnection(stream, [relay, 0]);
    const link = new Link(relay, connection);
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
    this.#streams.set(link, stream);
    const tally = this.#tallyOf(relay);
    link.send(encodeStart({ events: tally.sent, wasAway: tally.wasAway }), 0);
    tally.wasAway = false;
    for (const line of this.#interest.all()) link.send(line, 0);
    link.held = this.#interest.version;
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
    if (!this.#streams.delete(link)) return;
    this.links.remove(link);
    const tally = this.#tallyOf(link.relay);
    tally.sent += link.eventsOut + link.eventsLost;
    this.#eventsLost += link.eventsLost;
    link.connection.abort();
    link.expire();
    this.#checkWaiters();
    this.#sink.onLinkEnd(link);
    this.#sink.onAnswers();
  }

  #onGo(relay: string, isComplete: boolean): void {
    const link = this.links.find(relay);
    if (!link) return;
    this.#close(link);
    this.#tallyOf(relay).wasAway = true;
    this.#sink.onGone(relay);
    if (!isComplete) this.#onGap(relay, undefined);
  }

  /** Opens a link again that has ended although the other relay is there. */
  #onEnd(link: Link, { reason, detail }: CloseInfo): void {
    if (!this.#streams.has(link) || this.#isLeaving) return;
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
    if (!link || this.#streams.get(link)!.take(head, part)) return;
    this.#renew(link);
    this.#streams.get(this.links.find(head.relay)!)!.take(head, part);
  }

  #onState(isConnected: boolean): void {
    if (isConnected) this.#resume();
    else this.#checkWaiters();
    this.#sink.onState(!isConnected);
  }

  /** Sends all unconfirmed messages again. */
  #resume(): void {
    for (const [link, stream] of [...this.#streams]) {
      if (stream.fits) stream.resume();
      else this.#renew(link); // The backplane takes only shorter messages now.
    }
  }

  #look(): void {
    const now = performance.now();
    for (const stream of this.#streams.values()) stream.confirm();
    this.#reportLost();
    let isDue = false;
    for (const link of this.links) isDue = link.expire(now) || isDue;
    if (isDue) this.#sink.onAnswers();
  }

  // Interest

  /** Notes that a client more, or one fewer, hears a pattern. */
  noteInterest(pattern: string, queue: string, by: 1 | -1): void {
    if (pattern === REST && queue === NO_QUEUE && by > 0) {
      this.#newcomers.push(performance.now());
      if (this.#newcomers.length === 1) this.#admitSoon();
    } else if (pattern === REST && queue === NO_QUEUE && this.#newcomers.pop() !== undefined) {
      // It has chosen less in time.
    } else {
      this.#interest.change(pattern, queue, by);
      this.#sendSoon();
    }
  }

  /** Reports clients that hear everything, once they have had time to subscribe. */
  #admitNewcomers(): void {
    const end = performance.now() - CHOICE_MS;
    const count = this.#newcomers.findIndex((since) => since > end);
    const due = this.#newcomers.splice(0, count < 0 ? Infinity : count);
    for (const _ of due) this.#interest.change(REST, NO_QUEUE, 1);
    if (due.length > 0) this.#sendSoon();
    if (this.#newcomers.length > 0) this.#admitSoon();
  }

  #admitSoon(): void {
    clearTimeout(this.#choice);
    this.#choice = setTimeout(() => this.#admitNewcomers(), CHOICE_MS);
  }

  /** Reports changes of interest, together with those of the same moment. */
  #sendSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const wait = this.#sentAt + SEND_MS - performance.now();
    if (wait > 0) this.#sendTimer = setTimeout(() => this.sendInterest(), wait);
    else queueMicrotask(() => this.sendInterest());
  }

  /** Reports changes of interest to the other relays. */
  sendInterest(): void {
    if (!this.#isScheduled && !this.#interest.isChanged) return;
    clearTimeout(this.#sendTimer);
    this.#isScheduled = false;
    this.#sentAt = performance.now();
    for (const line of this.#interest.takeChanges()) {
      for (const link of this.links) link.send(line, 0);
    }
    for (const waiter of this.#waiters) waiter.version ??= this.#interest.version;
    this.#checkWaiters();
  }

  /**
   * Returns a promise that resolves when all other relays know the present interest of this one, to `false` if they cannot be expected to. Returns `null` if they know already.
   *
   * @param isForAll Whether a client waits for it that hears everything.
   */
  whenHeard(isForAll: boolean): Promise<boolean> | null {
    if (isForAll) {
      for (const _ of this.#newcomers.splice(0)) this.#interest.change(REST, NO_QUEUE, 1);
    }
    const version = this.#interest.isChanged ? null : this.#interest.version;
    if (version !== null && this.#isHeld(version)) return null;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#giveUp(waiter), HELD_MS);
      const waiter = { version, resolve, timer };
      this.#waiters.push(waiter);
      this.#sendSoon();
    });
  }

  #isHeld(version: number): boolean {
    for (const { held } of this.links) if (held < version) return false;
    return !this.isAlone;
  }

  #giveUp(waiter: Waiter): void {
    this.#waiters = this.#waiters.filter((each) => each !== waiter);
    waiter.resolve(false);
  }

  #checkWaiters(): void {
    if (this.#waiters.length === 0) return;
    const waiters: Waiter[] = [];
    for (const waiter of this.#waiters) {
      const isKnown = waiter.version !== null && this.#isHeld(waiter.version);
      if (!isKnown && !this.isAlone) {
        waiters.push(waiter);
        continue;
      }
      clearTimeout(waiter.timer);
      waiter.resolve(isKnown);
    }
    this.#waiters = waiters;
  }

  // The lines of other relays

  /** Notes that events of another relay were taken. */
  taken(link: Link, events: number): void {
    link.eventsIn += events;
    if (events > 0) this.#tallyOf(link.relay).received += events;
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
      link.next = next;
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
      link.send(encodeHeld(change.version), 0);
      return;
    }
    const held = decodeHeld(line);
    if (held !== null) {
      link.held = Math.max(link.held, held);
      return this.#checkWaiters();
    }
    const lost = decodeLost(line);
    if (lost !== null) {
      this.#tallyOf(link.relay).received += lost;
      return this.#onGap(link.relay, lost);
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
