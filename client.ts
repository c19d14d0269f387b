/**
 * A client: connects to a server or relay, sends events, and keeps received events in an inbox.
 *
 * @example Send an event and read what comes back
 * ```ts
 * import { EbsocketClient } from "@ebsockets/relay/client";
 * import { Relay } from "@ebsockets/relay/relay";
 * import { EbsocketServer } from "@ebsockets/relay/server";
 *
 * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
 *
 * await using client = new EbsocketClient();
 * await client.connectTo(relay.server.address);
 * client.send("message", { content: "hi" });
 * for await (const event of client) {
 *   console.log(event.event, event.__dict__);
 *   break;
 * }
 * ```
 *
 * @module
 */

import { usePort } from "./client/port.ts";
import { systemPort } from "./client/system_port.ts";

export {
  ConnectError,
  ConnectionClosedError,
  EbsocketError,
  EventFormatError,
  EventRefusedError,
  EventSchemaError,
  NoRespondersError,
  RequestTimeoutError,
} from "./errors.ts";
export { EbsocketClient } from "./client/ebsocket_client.ts";
export { EbsocketEvent } from "./protocol/event.ts";
export { RawEvent } from "./protocol/raw_event.ts";
export type { ConnectToOptions, DrainOptions, RecvOptions } from "./client/ebsocket_client.ts";
export type { Address, Transport } from "./protocol/address.ts";
export type {
  ClientOptions,
  ConfirmOptions,
  InspectOptions,
  RequestManyOptions,
  RequestOptions,
  SendOptions,
} from "./client/options.ts";
export type { Destination } from "./client/port.ts";
export type { PastEvents, PastLoss, PastOptions } from "./client/past.ts";
export type { MatchingEvent, ServiceOptions } from "./client/services.ts";
export type { Position, Since } from "./client/since.ts";
export type { Recovery, ReplayOptions, SubscribeOptions } from "./client/subscribe_request.ts";
export type { Dialer, Duplex, Socket } from "./net/connection.ts";
export type { ConnectionOptions } from "./net/connection_options.ts";
export type { InboxOptions } from "./net/inbox.ts";
export type { CheckedAttributes, EventDefinitions, EventOptions } from "./schema/definitions.ts";
export type { CloseInfo, CloseReason, ConnectErrorOptions, Farewell } from "./errors.ts";
export type {
  BareName,
  Carried,
  CarriedEvents,
  EventNamed,
  EventOf,
  OpenAttributes,
  OpenEvents,
  SendableAttributes,
  SendableEvent,
  Validated,
} from "./protocol/event.ts";
export type { LossReason } from "./protocol/history.ts";
export type { InvalidEvent } from "./client/invalid_events.ts";
export type { MatchingName, PatternFor, PatternOf } from "./protocol/pattern.ts";
export type {
  ClientReport,
  ClusterStats,
  DepartureReport,
  HistoryStats,
  LinkReport,
  NameReport,
  QueueReport,
  RelayClient,
  RelayReport,
  RelayStats,
} from "./protocol/report.ts";
export type { SubscriptionReport } from "./protocol/report.ts";
export type { LineSplitterOptions } from "./protocol/line_splitter.ts";
export type { OverflowPolicy, ReconnectOptions } from "./client/retry.ts";
export type {
  ClientStatus,
  ClosedStatus,
  ClusterGapStatus,
  ClusterStatus,
  ConnectedStatus,
  ConnectingStatus,
  DisconnectedStatus,
  GapStatus,
  ReconnectedStatus,
  RefusedStatus,
  ResumedStatus,
} from "./client/status.ts";
export type { TlsClientOptions } from "./net/tls_options.ts";
export type { Token } from "./protocol/token.ts";

usePort(systemPort);
