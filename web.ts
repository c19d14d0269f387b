/**
 * A client for browsers, and for all other runtimes with the standard `WebSocket`: Workers, Node 22
 * and later, Bun, and Deno. It is the client of `./client`, except that it connects to URLs alone.
 *
 * @example Send an event and read what comes back
 * ```ts ignore
 * import { EbsocketClient } from "@ebsockets/relay/web";
 *
 * const client = new EbsocketClient({ reconnect: true });
 * await client.connectTo("ws://127.0.0.1:7982");
 * client.send("message", { content: "hi" });
 * for await (const event of client) {
 *   console.log(event.event, event.__dict__);
 *   break;
 * }
 * await client.close();
 * ```
 *
 * @module
 */

import { offerPort } from "./client/port.ts";
import { webPort } from "./client/web_port.ts";

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
export {
  type CheckedAttributes,
  defineEvents,
  type EventDefinitions,
  type EventOptions,
  type EventSchemas,
  type ReceivedEvents,
  type SendableEvents,
} from "./schema/definitions.ts";
export type {
  SchemaInput,
  SchemaOutput,
  StandardSchema,
  StandardSchemaIssue,
  StandardSchemaProps,
  StandardSchemaResult,
} from "./schema/standard_schema.ts";
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

offerPort(webPort);
