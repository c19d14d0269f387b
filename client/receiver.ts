/**
 * The receiving side of a client. Dispatches events to pending requests, to services, to the invalid
 * events or to the main inbox, and control lines to pending requests or to the status.
 *
 * @module
 */

import type { EventChecker } from "../schema/checker.ts";
import {
  type ControlLine,
  decodeClusterNews,
  decodeReceipt,
  decodeRefusal,
} from "../protocol/control.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import { decodeHistoryNews } from "../protocol/history.ts";
import type { InboxOptions } from "../net/inbox.ts";
import { Inboxes } from "./inboxes.ts";
import { InvalidEvents } from "./invalid_events.ts";
import { Past } from "./past.ts";
import { CONNECTION_ENDED, PendingRequests } from "./pending_requests.ts";
import { PositionTracker } from "./position.ts";
import { ReceivedRequests } from "./received_requests.ts";
import { detachLines } from "../protocol/raw_event.ts";
import { decodeReport } from "../protocol/report.ts";
import { Services } from "./services.ts";
import { StatusFeed } from "./status.ts";
import { type ControlChannel, SubscriptionManager } from "./subscriptions.ts";

/** Receives the events and control lines of one client, over all its connections. */
export class Receiver {
  readonly status: StatusFeed = new StatusFeed();
  readonly inboxes: Inboxes;
  readonly requests: ReceivedRequests;
  readonly pending: PendingRequests;
  readonly subscriptions: SubscriptionManager;
  readonly invalidEvents: InvalidEvents;
  readonly services: Services;
  readonly past: Past;
  /** The position in the history. `null` if the client keeps none. */
  readonly position: PositionTracker | null;

  /**
   * Creates the receiving side of a client that is not connected.
   *
   * @param options The limits of each inbox.
   * @param checker The checker of received events.
   * @param wantsHistory Whether to keep track of the position in the history.
   */
  constructor(options: InboxOptions, checker: EventChecker, wantsHistory: boolean) {
    this.inboxes = new Inboxes(options);
    this.requests = new ReceivedRequests(this.inboxes.main);
    this.pending = new PendingRequests(this.inboxes);
    const inboxes = () => [this.inboxes.main, ...this.services.inboxes];
    this.position = wantsHistory ? new PositionTracker(inboxes, this.status) : null;
    this.subscriptions = new SubscriptionManager(
      this.pending,
      this.inboxes,
      this.status,
      this.position,
    );
    this.past = new Past(this.pending, this.inboxes, this.subscriptions);
    this.invalidEvents = new InvalidEvents(checker);
    this.services = new Services(this.inboxes, this.subscriptions, this.requests);
  }

  // Connections

  /** Begins to connect: readers and subscriptions wait for the connection. */
  connect(): void {
    this.inboxes.main.reopen();
    this.subscriptions.isOnline = true;
  }

  /** Ends an attempt to connect that has failed. */
  cancelConnect(): void {
    this.inboxes.main.end();
    this.subscriptions.cancelConnect();
    this.pending.stopTimer();
    this.status.clear();
  }

  /** Ends for good: readers end after the events that have arrived. */
  end(): void {
    this.subscriptions.isOnline = false;
    this.pending.failAll(CONNECTION_ENDED);
    this.services.end();
    this.inboxes.main.end();
    this.invalidEvents.end();
  }

  /** Dispatches the events of a block. Their lines have `bytes` bytes in total. */
  onEvents(events: EbsocketEvent[], bytes: number, channel: ControlChannel): void {
    this.requests.onArrival(events, channel);
    if (this.position) this.#track(this.position, events);
    const share = bytes / events.length;
    const isPlain = this.services.isEmpty && !this.subscriptions.isFiltering &&
      !this.invalidEvents.isPossible && !events.some(isAnswer);
    const others = isPlain ? events : events.filter((event) => !this.#divert(event, share));
    if (!isPlain) detachLines(others);
    this.inboxes.main.push(others, others.length * share);
    this.invalidEvents.publish(bytes);
    this.services.deliver(share);
  }

  #track(position: PositionTracker, events: readonly EbsocketEvent[]): void {
    const { subscriptions } = this;
    for (const event of events) {
      if (!subscriptions.isFiltering || subscriptions.admits(event)) position.onEvent(event);
    }
  }

  /** Returns whether an event is dispatched to another reader than the main inbox, or dropped. */
  #divert(event: EbsocketEvent, bytes: number): boolean {
    const { replyTo, past } = event;
    const { pending, subscriptions } = this;
    if (past !== null) {
      detachLines([event]);
      if (!this.invalidEvents.take(event)) pending.onPast(past, event, bytes);
      return true;
    }
    const isOurs = replyTo !== null && pending.owns(replyTo);
    if (!isOurs && subscriptions.isFiltering && !subscriptions.admits(event)) return true;
    const issues = this.invalidEvents.take(event);
    if (!isOurs) return issues !== null || this.services.take(event);
    detachLines([event]);
    if (issues) pending.onInvalidReply(replyTo, event, issues);
    else pending.onReply(replyTo, event, bytes);
    return true;
  }

  /**
   * Passes a control line to the pending request that it answers. The status reports a refusal of
   * anything else.
   */
  onControl(line: ControlLine): void {
    const receipt = decodeReceipt(line);
    if (receipt) return this.pending.onReceipt(receipt);
    const answer = decodeReport(line);
    if (answer) return this.pending.onReport(answer.id, answer.report);
    const news = decodeClusterNews(line);
    if (news) return this.status.push(news);
    const past = decodeHistoryNews(line);
    if (past && "id" in past && past.id !== undefined) return this.pending.onPast(past.id, past);
    const refusal = decodeRefusal(line);
    if (!refusal || this.pending.onRefusal(refusal)) return;
    const { event = null, reason, detail } = refusal;
    this.status.push({ type: "refused", event, reason, detail });
  }
}

function isAnswer({ replyTo, past }: EbsocketEvent): boolean {
  return replyTo !== null || past !== null;
}
