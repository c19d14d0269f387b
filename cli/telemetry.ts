/**
 * Reports a relay to OpenTelemetry: its statistics as metrics, and a span for each connection.
 *
 * Deno itself provides the exporter, enabled with `OTEL_DENO=true`. So no module is loaded and no
 * permission is needed to find out whether it is on.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import type { CloseInfo } from "../errors.ts";
import { printable } from "../protocol/printable.ts";
import type { RelayClient, RelayStats } from "../relay.ts";
import { isFault } from "./errors.ts";

type Attributes = Readonly<Record<string, string | number>>;

/** A metric; an opaque value. */
type Instrument = object;

interface InstrumentOptions {
  readonly unit: string;
  readonly description: string;
}

interface Observation {
  observe(instrument: Instrument, value: number, attributes?: Attributes): void;
}

/** The part of OpenTelemetry's `Meter` that is needed here. */
export interface Meter {
  createObservableCounter(name: string, options: InstrumentOptions): Instrument;
  createObservableUpDownCounter(name: string, options: InstrumentOptions): Instrument;
  createObservableGauge(name: string, options: InstrumentOptions): Instrument;
  addBatchObservableCallback(
    callback: (observation: Observation) => void,
    instruments: Instrument[],
  ): void;
}

/** The part of its `Span` that is needed here. */
interface Span {
  setAttributes(attributes: Attributes): void;
  setStatus(status: { code: number; message?: string }): void;
  end(): void;
}

/** The part of its `Tracer` that is needed here. */
export interface Tracer {
  startSpan(
    name: string,
    options: { root: boolean; kind: number; attributes: Attributes },
  ): Span;
}

/** `SpanKind.SERVER` and `SpanStatusCode.ERROR` of OpenTelemetry. */
const KIND_SERVER = 1;
const STATUS_ERROR = 2;

/** Reports a relay's statistics and connections to OpenTelemetry. */
export class Telemetry {
  readonly #meter: Meter;
  readonly #tracer: Tracer;
  readonly #spans = new Map<RelayClient, Span>();

  /** Creates a reporter that uses this meter and tracer. */
  constructor(meter: Meter, tracer: Tracer) {
    this.#meter = meter;
    this.#tracer = tracer;
  }

  /**
   * Returns a reporter that uses Deno's meter and tracer, or `null` if `OTEL_DENO` does not enable
   * them.
   */
  static open(): Telemetry | null {
    let meter: Meter;
    try {
      meter = Deno.telemetry.meterProvider.getMeter(config.name, config.version);
    } catch {
      return null; // Deno throws if telemetry is off.
    }
    return new Telemetry(
      meter,
      Deno.telemetry.tracerProvider.getTracer(config.name, config.version),
    );
  }

  /** Creates the metrics. They call `read` whenever they are exported. */
  watch(read: () => RelayStats): void {
    const metrics = describeMetrics(this.#meter);
    this.#meter.addBatchObservableCallback((observation) => {
      const stats = read();
      for (const [instrument, values] of metrics) {
        for (const [value, attributes] of values(stats)) {
          observation.observe(instrument, value, attributes);
        }
      }
    }, metrics.map(([instrument]) => instrument));
  }

  /** A client has joined. */
  joined(client: RelayClient): void {
    const { id, address: [hostname, port] } = client;
    const span = this.#tracer.startSpan("ebsockets.connection", {
      root: true,
      kind: KIND_SERVER,
      attributes: {
        "ebsockets.client.id": id,
        "network.peer.address": hostname,
        "network.peer.port": port,
      },
    });
    this.#spans.set(client, span);
  }

  /** A client has left. */
  left(client: RelayClient, { reason, detail, unsentLines, unsentBytes }: CloseInfo): void {
    const span = this.#spans.get(client);
    if (!span) return;
    this.#spans.delete(client);
    span.setAttributes({
      "ebsockets.close.reason": reason,
      "ebsockets.close.detail": printable(detail),
      "ebsockets.events.received": client.eventsIn,
      "ebsockets.events.sent": client.eventsOut,
      "ebsockets.bytes.received": client.bytesIn,
      "ebsockets.bytes.sent": client.bytesOut,
      "ebsockets.unsent.lines": unsentLines,
      "ebsockets.unsent.bytes": unsentBytes,
    });
    if (isFault(reason)) span.setStatus({ code: STATUS_ERROR, message: reason });
    span.end();
  }
}

type Values = [value: number, attributes?: Attributes][];
type Metric = [instrument: Instrument, values: (stats: RelayStats) => Values];

/**
 * Returns all metrics. A peer cannot choose the value of an attribute, so the number of time series
 * is bounded. (Deno adds `v8js.memory.heap.*` itself.)
 */
function describeMetrics(meter: Meter): Metric[] {
  const counter = (name: string, unit: string, description: string) =>
    meter.createObservableCounter(`ebsockets.${name}`, { unit, description });
  const sum = (name: string, unit: string, description: string) =>
    meter.createObservableUpDownCounter(name, { unit, description });
  const gauge = (name: string, unit: string, description: string) =>
    meter.createObservableGauge(name, { unit, description });
  return [
    [
      sum("ebsockets.clients", "{client}", "Connected clients"),
      ({ clients }) => [[clients]],
    ],
    [
      counter("clients.joined", "{client}", "Clients that have joined"),
      ({ clientsTotal }) => [[clientsTotal]],
    ],
    [
      counter("events", "{event}", "Events received from clients, and queued for clients"),
      ({ eventsIn, eventsOut }) => byDirection(eventsIn, eventsOut),
    ],
    [
      counter("io", "By", "Bytes received from clients, and sent to clients"),
      ({ bytesIn, bytesOut }) => byDirection(bytesIn, bytesOut),
    ],
    [
      sum("ebsockets.queue.size", "By", "Bytes queued for all clients together"),
      ({ pendingBytes }) => [[pendingBytes]],
    ],
    [
      gauge("ebsockets.queue.largest", "By", "Bytes queued for the client with the longest queue"),
      ({ largestPendingBytes }) => [[largestPendingBytes]],
    ],
    [
      counter("closes", "{client}", "Clients that have left, by reason"),
      ({ closes }) => byReason(closes),
    ],
    [
      counter("refusals", "{peer}", "Peers that were refused before they became clients"),
      ({ refusals }) => byReason(refusals),
    ],
    [
      gauge("ebsockets.eventloop.delay.max", "s", "Longest delay of the event loop"),
      ({ loopDelayMaxMs }) => [[loopDelayMaxMs / 1000]],
    ],
    [
      gauge("ebsockets.eventloop.delay.mean", "s", "Mean delay of the event loop"),
      ({ loopDelayMeanMs }) => [[loopDelayMeanMs / 1000]],
    ],
    [
      sum("process.memory.usage", "By", "Resident memory of the process"),
      ({ rssBytes }) => [[rssBytes]],
    ],
    [
      gauge("ebsockets.uptime", "s", "How long the relay has existed"),
      ({ uptimeMs }) => [[uptimeMs / 1000]],
    ],
  ];
}

function byDirection(received: number, sent: number): Values {
  return [
    [received, { "network.io.direction": "receive" }],
    [sent, { "network.io.direction": "transmit" }],
  ];
}

function byReason(counts: RelayStats["closes"]): Values {
  return Object.entries(counts).map(([reason, count]) => [
    count,
    { "ebsockets.close.reason": reason },
  ]);
}
