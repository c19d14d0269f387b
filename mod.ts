/**
 * Events between programs over TCP: a relay that is one command, and the event, client, server and
 * system to build your own with. An event is a name and key-value attributes; on the wire it is a
 * line of JSON, so that anything that can write a line to a socket can join in.
 *
 * Run a relay: `deno run -A jsr:@ebsockets/relay`. Or be part of it from a program:
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
export { getLocalIp } from "./net/local_address.ts";
export {
  type ClientOptions,
  type ClientStatus,
  type ClosedStatus,
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
  type MatchingEvent,
  type MatchingName,
  type OverflowPolicy,
  type PatternFor,
  type PatternOf,
  type ReconnectedStatus,
  type ReconnectOptions,
  type RecvOptions,
  type RefusedStatus,
  type RequestManyOptions,
  type RequestOptions,
  type SendOptions,
  type ServiceOptions,
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
  NameReport,
  RelayReport,
  SubscriptionReport,
} from "./protocol/report.ts";
export type { RelayStats } from "./protocol/report.ts";
export {
  type ConnectionListener,
  EbsocketServer,
  type Hello,
  type ServeOptions,
  type ServerOptions,
  type ServerSink,
  type Socket,
  type TlsServerOptions,
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
  // Not awaited here: a module that the command loads, such as a schema, may import this one.
  import("./cli/main.ts").then(({ main }) => main(Deno.args)).then((exitCode) => {
    Deno.exitCode = exitCode;
    // It ends by itself, unless a log that nobody reads holds it. To exit at once would hang for ever
    // if OpenTelemetry happened to collect metrics (Deno 2.9).
    Deno.unrefTimer(setTimeout(() => Deno.exit(), 500));
  });
}
