/**
 * The options of a relay, and the observer of its clients.
 *
 * @module
 */

import type { Backplane } from "../cluster/backplane.ts";
import type { ClusterOptions } from "../cluster/options.ts";
import type { HistoryOptions } from "../history/options.ts";
import type { Address } from "../protocol/address.ts";
import type { CloseInfo, CloseReason } from "../errors.ts";
import type { EventDefinitions } from "../schema/definitions.ts";
import type { RelayClient } from "../protocol/report.ts";
import type { RateOptions } from "../server/rate_limiter.ts";
import type { ServeOptions } from "../server/options.ts";
import type { WebOptions } from "../web/options.ts";

/** What has become of another relay of the cluster: `vanished` if it went without a word. */
export type RelayChange = "joined" | "left" | "vanished";

/** Callbacks for the life of a relay's clients, for example for logging. */
export interface RelayObserver {
  /** Called when a client has joined. */
  onJoin?(client: RelayClient): void;
  /**
   * Called when a client's first line or lines have arrived. Not called for a client that had to
   * send a token.
   */
  onFirstLine?(client: RelayClient): void;
  /** Called when a client has left. Its counters are final. */
  onLeave?(client: RelayClient, info: CloseInfo): void;
  /**
   * Called when a peer was turned away, or left, before it became a client. `isSilent` is true if
   * not a single byte went in either direction.
   */
  onRefuse?(address: Address, reason: CloseReason, detail: string, isSilent: boolean): void;
  /** Called when the other relays of the cluster can be reached again, or no longer. */
  onCluster?(state: "together" | "alone"): void;
  /** Called when another relay has joined the cluster, or has gone. `relay` is its ID. */
  onRelay?(relay: string, change: RelayChange): void;
  /** Called when events of another relay are missing; `events` is how many, if that is known. */
  onGap?(relay: string, events: number | undefined): void;
  /** Called, once for each, with faults of another relay or of a stranger on the backplane. */
  onClusterFault?(fault: string): void;
  /**
   * Called when the history was found incomplete or damaged, or when events cannot be kept any more;
   * `fault` says why.
   */
  onHistoryFault?(fault: string): void;
  /** Called when events are kept again. */
  onHistoryMended?(): void;
}

/** Options of {@link RelayOptions.web}. */
export interface RelayWebOptions extends WebOptions {
  /**
   * Whether `/metrics` and `/healthz` answer without a token although other machines can connect.
   * They always do where only this machine can.
   *
   * @default {false}
   */
  readonly metricsOpen?: boolean;
}

/** Options of {@link Relay}. */
export interface RelayOptions extends ServeOptions, RateOptions {
  /**
   * Whether a client also receives its own events.
   *
   * @default {true}
   */
  readonly echo?: boolean;
  /**
   * Whether a client receives no events until it subscribes, as in NATS. Events addressed to it
   * alone always arrive. Without this option, a client receives every event until it subscribes.
   * For n clients that only send, that makes n² events.
   *
   * @default {false}
   */
  readonly subscribeFirst?: boolean;
  /**
   * Maximum nesting depth of a line, including the outermost object, from 2 to 1,000.
   *
   * @default {64}
   */
  readonly maxDepth?: number;
  /**
   * Maximum time that a client that reads nothing may hold up the senders of its events, in
   * milliseconds, from 0. The actual time may be slightly shorter. A client on the same machine
   * that is merely slow may need a higher value. Its reading shows only once it has read a third of
   * the bytes that the operating system buffers for it.
   *
   * @default {250}
   */
  readonly maxHold?: number;
  /**
   * Maximum time to gather events so that a client receives them in one write, in milliseconds,
   * from 0 to 1,000. No event is delayed while there is enough time to write each one separately. 0
   * turns gathering off.
   *
   * @default {20}
   */
  readonly maxBatchDelay?: number;
  /**
   * Maximum number of subscriptions of one client, from 1. The relay refuses further ones and keeps
   * the existing ones.
   *
   * @default {1_000}
   */
  readonly maxSubscriptions?: number;
  /**
   * Maximum number of subscriptions of all clients together, from 1. Those of clients that receive
   * exactly the same events count once. The relay refuses further ones. Each subscription takes
   * about a kilobyte of memory.
   *
   * @default {200_000}
   */
  readonly maxTotalSubscriptions?: number;
  /**
   * Whether clients may ask for the relay's state: its statistics, its clients and their addresses,
   * and the names of the events.
   *
   * @default {true}
   */
  readonly inspect?: boolean;
  /**
   * The permitted events, from {@link defineEvents}. The relay drops an event that does not match
   * and sends the reason to its sender. A matching event is passed on unchanged, even if its
   * validator transforms the value.
   *
   * @default {undefined}
   */
  readonly events?: EventDefinitions<object>;
  /**
   * Also answers HTTP on the same port: `/` is a page to watch the relay, `/client.js` the client
   * for other pages, `/events` a stream of events, `/metrics` and `/healthz` for monitoring, and
   * every path that ends in `/ws` a WebSocket. Names the other pages and the host names that are
   * permitted besides the relay's own; `{}` permits none.
   *
   * @default The option `web` of the server.
   */
  readonly web?: RelayWebOptions;
  /**
   * Makes this relay one of a cluster: several relays that act as one. Names the NATS servers over
   * which they reach each other.
   */
  readonly cluster?: ClusterOptions | Backplane;
  /**
   * What happens while the relay does not reach the others of its cluster. In any case, its clients
   * stay and its limits hold. `"tell"` acknowledges events as ever, and tells the clients of the other
   * relays what was lost. `"stop"` acknowledges nothing before the other relays have it, so that a
   * client does not take an event for passed on that they never get. If events were lost, the clients
   * that have sent some meanwhile are closed with `overloaded`.
   *
   * @default {"tell"}
   */
  readonly clusterLoss?: "tell" | "stop";
  /**
   * Keeps events, so that clients can receive what they have missed: in memory, or with `folder` on
   * disk. `{}` keeps all events, up to 64 MiB of them, until the relay ends. With `cluster`, the
   * relays keep them together in a JetStream stream. All have this option then, with the same `keep`
   * and `keepLast`, and `maxLineBytes` is 1,040,000 by default.
   *
   * @default {undefined}
   */
  readonly history?: HistoryOptions;
  /** Callbacks for joining, leaving and refused clients. */
  readonly observer?: RelayObserver;
}
