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
 * To change something, open:
 *
 * - `event.ts` for what an event is; `codec.ts` to write its JSON, `validate.ts` to check it,
 *   `parse.ts` and `decoder.ts` to read it, `envelope.ts` for what else its line says;
 * - `define.ts` for schemas of events, `standard_schema.ts` for the validators of others behind them,
 *   `checker.ts`, `misfits.ts` and `line_checker.ts` for who is told what does not fit;
 * - `splitter.ts` for lines, `read_buffers.ts` for what those of many connections may hold,
 *   `framing.ts` for streams; `control.ts` and `greeting.ts` for the lines
 *   between two neighbours;
 * - `connection.ts`, `writer.ts` and `outbound.ts` for one socket, `compaction.ts` for what many hold
 *   in memory, `connection_limits.ts` for its limits, `lifeline.ts` for whether the peer is still there, `watch.ts` for the timer behind that;
 * - `heartbeat.ts` for when a busy peer has had its turn, and for how long events are gathered;
 * - `inbox.ts` for what waits unread, `inbox_iterator.ts` for `for await` over it;
 * - `testing.ts` for what the tests of other programs need, `memory.ts` for connections without
 *   sockets;
 * - `transport.ts` for how sockets are made, `localhost.ts` for listening at two addresses, `tls.ts` and
 *   `tls_stream.ts` for TLS, `unix.ts` for Unix sockets;
 * - `server.ts` for accepting, `admission.ts` for who is admitted, `gate.ts` for who must show a
 *   token first, `token.ts` for what that is; `greeter.ts` for what a server says to its clients,
 *   `foreign.ts` for what it says to others, `limiter.ts` for how much a client may send;
 * - `system.ts` and `client.ts` for the two ends of a conversation, `broadcast.ts` for what a system sends
 *   to all;
 * - `link.ts` for what a client does from `connectTo()` to its end, `session.ts` for one connection
 *   of it, `reconnect.ts` and `backoff.ts` for the next one, `outbox.ts`, `waiting.ts` and
 *   `ledger.ts` for what is to be sent meanwhile, `status.ts` for what it tells of that;
 * - `client_options.ts` for the options of a client, `sender.ts` for how its events get out,
 *   `incoming.ts` for who gets what comes, `hearing.ts`, `holders.ts` and `wish.ts` for what it has
 *   subscribed to, `services.ts` for its services, `requests.ts` for what it asks, `pending.ts` for what
 *   it waits for, `random_id.ts` for what that is called;
 * - `pattern.ts` for which names a subscription covers, `routing.ts` for the lines about that, and
 *   `report.ts` for what a relay tells of itself;
 * - `relay.ts` for the relay as a whole, `intake.ts` and `sheet.ts` for what is in a block of lines,
 *   `router.ts` for whom an event is for, `desk.ts` for what clients ask of the relay,
 *   `receipts.ts` for what they are told of their events, `inspector.ts` for what of the relay,
 *   `backpressure.ts` for who waits for whom, `hearers.ts` for who hears whom then;
 * - `subscriptions.ts` for what one client hears, `shapes.ts` for what that costs others,
 *   `pattern_index.ts` for who hears a name, `route_cache.ts` and `seeded_hash.ts` to find that again,
 *   `turns.ts` for whose turn it is; `text_map.ts` for maps by texts that peers choose, `largest.ts`
 *   for a few of many;
 * - `audience.ts` and `audiences.ts` for clients that hear the same, `share.ts` and `detour.ts` for the
 *   bytes that they get, `holdback.ts` for when they get them;
 * - `stats.ts` for what it counts, `loop_delay.ts` for how busy it is;
 * - `cli.ts` for which command runs, and the folder `cli` for the commands: `commands.ts` for which
 *   there are, `command.ts`, `flags.ts`, `nearest.ts`, `program.ts` and `help.ts` for how they are described,
 *   and one file for each, named after it; besides
 *   - for the relay `relay_flags.ts`, `reporter.ts`, `refusals.ts`, `newcomers.ts`, `log.ts`,
 *     `telemetry.ts` and `advice.ts`;
 *   - for what hears and sends events as bytes `wire.ts`, `subscription.ts` and `listener.ts`,
 *     `event_view.ts`, `printer.ts`, `event_text.ts`; `publisher.ts`, `event_words.ts`, `event_line.ts`,
 *     `input.ts`,
 *     `progress.ts`; `requester.ts` for what asks, `service.ts` and `execute.ts` for what answers;
 *   - for what reads files `line_checker.ts`, `check_report.ts`, `schema.ts`, `files.ts`;
 *   - for what watches a relay `watcher.ts`, `top_snapshot.ts`, `top_view.ts`, `table.ts`, `screen.ts`;
 *   - for benchmarks `bench_events.ts`, `bench_requests.ts`, `bench_load.ts` and `bench_report.ts`,
 *     `pace.ts`, `window.ts`, `tally.ts`, `histogram.ts`;
 *   - for all of them `connect.ts`, `place.ts` and `credentials.ts` on how to get to a relay,
 *     `output.ts`, `stdio.ts`, `terminal.ts`, `width.ts`, `units.ts`, `signals.ts` and `errors.ts`; for shells
 *     `completion_scripts.ts`;
 * - `errors.ts`, `address.ts`, `limits.ts`, `printable.ts` and `waits.ts` for what all of them share.
 *
 * @module
 */

export { type Address, formatAddress, getLocalIp } from "./address.ts";
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
  type MatchingEvent,
  type MatchingName,
  type Misfit,
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
export { type ConnectionSink, type Duplex, EbsocketConnection } from "./connection.ts";
export type { ConnectionOptions } from "./connection_limits.ts";
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
export type { InboxOptions } from "./inbox.ts";
export type { ClientReport, NameReport, RelayReport, SubscriptionReport } from "./report.ts";
export type { RelayStats } from "./stats.ts";
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
  import("./cli.ts").then(({ main }) => main(Deno.args)).then((exitCode) => {
    Deno.exitCode = exitCode;
    // It ends by itself, unless a log that nobody reads holds it. To exit at once would hang for ever
    // if OpenTelemetry happened to collect metrics (Deno 2.9).
    Deno.unrefTimer(setTimeout(() => Deno.exit(), 500));
  });
}
