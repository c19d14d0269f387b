/**
 * Events between programs over TCP. The package has a relay that starts with one command, and an
 * event, client, server and system for your own programs. An event is a name with key-value
 * attributes. On the wire it is one line of JSON, so any program that can write a line to a socket
 * can take part.
 *
 * Start a relay with `deno run -A jsr:@ebsockets/relay`, or use the package in a program:
 *
 * @example A server of your own, and a client
 * ```ts
 * import { EbsocketClient, EbsocketServer, EbsocketSystem } from "@ebsockets/relay";
 * import { assertEquals } from "@std/assert/equals";
 *
 * await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
 * await using client = new EbsocketClient();
 * await client.connectTo(system.server.address);
 * client.send("message", { content: "hi" });
 *
 * let relayed = 0;
 * while (relayed === 0) {
 *   const [newClients, newEvents, disconnectedClients] = await system.pump();
 *   for (const event of newEvents) relayed += system.sendEventToClients(event);
 *   console.log(newClients.length, "came,", disconnectedClients.length, "left");
 * }
 * assertEquals((await client.recvEvent())?.getAttribute("content"), "hi");
 * ```
 *
 * @module
 */

export { type Address, formatAddress } from "./protocol/address.ts";
export { getLocalIp } from "./net/platform.ts";
export {
  type ClientOptions,
  type ClientStatus,
  type ClosedStatus,
  type ClusterGapStatus,
  type ClusterStatus,
  type ConfirmOptions,
  type ConnectedStatus,
  type ConnectingStatus,
  type ConnectToOptions,
  type Destination,
  type Dialer,
  type DisconnectedStatus,
  type DrainOptions,
  EbsocketClient,
  type GapStatus,
  type InspectOptions,
  type InvalidEvent,
  type LossReason,
  type MatchingEvent,
  type MatchingName,
  type OverflowPolicy,
  type PastEvents,
  type PastLoss,
  type PastOptions,
  type PatternFor,
  type PatternOf,
  type Position,
  type ReconnectedStatus,
  type ReconnectOptions,
  type Recovery,
  type RecvOptions,
  type RefusedStatus,
  type ReplayOptions,
  type RequestManyOptions,
  type RequestOptions,
  type ResumedStatus,
  type SendOptions,
  type ServiceOptions,
  type Since,
  type SubscribeOptions,
  type TlsClientOptions,
  type Token,
} from "./client.ts";
export { type ConnectionSink, type Duplex, EbsocketConnection } from "./net/connection.ts";
export type { ConnectionOptions } from "./net/connection_options.ts";
export {
  type CheckedAttributes,
  defineEvents,
  type EventDefinitions,
  type EventOptions,
  type EventSchemas,
  type ReceivedEvents,
  type SchemaInput,
  type SchemaOutput,
  type SendableEvents,
  type StandardSchema,
  type StandardSchemaIssue,
  type StandardSchemaProps,
  type StandardSchemaResult,
} from "./define.ts";
export {
  type CloseInfo,
  type CloseReason,
  ConnectError,
  type ConnectErrorOptions,
  ConnectionClosedError,
  EbsocketError,
  EventFormatError,
  EventRefusedError,
  EventSchemaError,
  type Farewell,
  FramingError,
  NoRespondersError,
  RequestTimeoutError,
} from "./errors.ts";
export {
  type BareName,
  type Carried,
  type CarriedEvents,
  EbsocketEvent,
  type EventNamed,
  type EventOf,
  type OpenAttributes,
  type OpenEvents,
  RawEvent,
  type SendableAttributes,
  type SendableEvent,
  type Validated,
} from "./event.ts";
export {
  EventDecoderStream,
  type EventDecoderStreamOptions,
  EventEncoderStream,
  LineBlock,
  LineSplitter,
  type LineSplitterOptions,
} from "./framing.ts";
export type { InboxOptions } from "./net/inbox.ts";
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
  SubscriptionReport,
} from "./protocol/report.ts";
export {
  type ConnectionListener,
  EbsocketServer,
  type Hello,
  type ProducerClaim,
  type ServeOptions,
  type ServerOptions,
  type ServerSink,
  type Socket,
  type TlsServerOptions,
  type Transport,
  type WebOptions,
} from "./server.ts";
export {
  EbsocketSystem,
  type Pumped,
  type RateOptions,
  type ReceivedEvent,
  type SendToClientsOptions,
  type SystemNotice,
  type SystemOptions,
} from "./system.ts";

if (import.meta.main) {
  // Not awaited: a module that the command loads, such as a schema, may import this module.
  import("./cli/main.ts").then(({ main }) => main(Deno.args)).then((exitCode) => {
    Deno.exitCode = exitCode;
    // The process ends by itself, unless output to a pipe that is not being read keeps it alive. An
    // immediate exit would hang forever if OpenTelemetry were collecting metrics at that moment
    // (Deno 2.9).
    Deno.unrefTimer(setTimeout(() => Deno.exit(), 500));
  });
}
