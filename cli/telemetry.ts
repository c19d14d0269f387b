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
import { isFailure } from "./errors.ts";

type Attributes = Readonly<Record<string, string | number>>;

/** A metric; an opaque value. */
type Instrument = object;

interface Observation {
  observe(instrument: Instrument, value: number, attributes?: Attributes): void;
}

/** The kinds of metrics: sums that only grow, other sums, and figures that cannot be added up. */
type Kind = "Counter" | "UpDownCounter" | "Gauge";

type CreateInstrument = (
  name: string,
  options: { readonly unit: string; readonly description: string },
) => Instrument;

/** The part of OpenTelemetry's `Meter` that is needed here. */
interface Meter extends Readonly<Record<`createObservable${Kind}`, CreateInstrument>> {
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
interface Tracer {
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
    const { name, version } = config;
    const { meterProvider, tracerProvider } = Deno.telemetry;
    try {
      return new Telemetry(
        meterProvider.getMeter(name, version),
        tracerProvider.getTracer(name, version),
      );
    } catch {
      return null; // Deno throws if telemetry is off.
    }
  }

  /** Creates the metrics. They call `read` whenever they are exported. */
  watch(read: () => RelayStats): void {
    const instruments = METRIC_NAMES.map((name) => {
      const [kind, unit, description] = METRICS[name];
      return this.#meter[`createObservable${kind}`](name, { unit, description });
    });
    this.#meter.addBatchObservableCallback((observation) => {
      const values = valuesOf(read());
      for (const [i, name] of METRIC_NAMES.entries()) {
        for (const [value, attributes] of values[name]) {
          observation.observe(instruments[i]!, value, attributes);
        }
      }
    }, instruments);
  }

  /** A client has joined. */
  onJoin(client: RelayClient): void {
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
  onLeave(client: RelayClient, { reason, detail, unsentLines, unsentBytes }: CloseInfo): void {
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
    if (isFailure(reason)) span.setStatus({ code: STATUS_ERROR, message: reason });
    span.end();
  }
}

/** All metrics. (Deno adds `v8js.memory.heap.*` itself.) */
const METRICS = {
  "ebsockets.clients": ["UpDownCounter", "{client}", "Connected clients"],
  "ebsockets.clients.joined": ["Counter", "{client}", "Clients that have joined"],
  "ebsockets.events": [
    "Counter",
    "{event}",
    "Events received from clients, and queued for clients",
  ],
  "ebsockets.io": ["Counter", "By", "Bytes received from clients, and sent to clients"],
  "ebsockets.queue.size": ["UpDownCounter", "By", "Bytes queued for all clients together"],
  "ebsockets.queue.largest": ["Gauge", "By", "Bytes queued for the client with the longest queue"],
  "ebsockets.closes": ["Counter", "{client}", "Clients that have left, by reason"],
  "ebsockets.refusals": ["Counter", "{peer}", "Peers that were refused before they became clients"],
  "ebsockets.eventloop.delay.max": ["Gauge", "s", "Longest delay of the event loop"],
  "ebsockets.eventloop.delay.mean": ["Gauge", "s", "Mean delay of the event loop"],
  "process.memory.usage": ["UpDownCounter", "By", "Resident memory of the process"],
  "ebsockets.uptime": ["Gauge", "s", "How long the relay has existed"],
} as const;

const METRIC_NAMES = Object.keys(METRICS) as (keyof typeof METRICS)[];

type Values = readonly (readonly [value: number, attributes?: Attributes])[];

/**
 * Returns the values of all metrics. A peer cannot choose the value of an attribute, so the number
 * of time series is bounded.
 */
function valuesOf(stats: RelayStats): Readonly<Record<keyof typeof METRICS, Values>> {
  return {
    "ebsockets.clients": [[stats.clients]],
    "ebsockets.clients.joined": [[stats.clientsTotal]],
    "ebsockets.events": byDirection(stats.eventsIn, stats.eventsOut),
    "ebsockets.io": byDirection(stats.bytesIn, stats.bytesOut),
    "ebsockets.queue.size": [[stats.pendingBytes]],
    "ebsockets.queue.largest": [[stats.largestPendingBytes]],
    "ebsockets.closes": byReason(stats.closes),
    "ebsockets.refusals": byReason(stats.refusals),
    "ebsockets.eventloop.delay.max": [[stats.loopDelayMaxMs / 1000]],
    "ebsockets.eventloop.delay.mean": [[stats.loopDelayMeanMs / 1000]],
    "process.memory.usage": [[stats.rssBytes]],
    "ebsockets.uptime": [[stats.uptimeMs / 1000]],
  };
}

function byDirection(received: number, sent: number): Values {
  return [
    [received, { "network.io.direction": "receive" }],
    [sent, { "network.io.direction": "transmit" }],
  ];
}

function byReason(counts: RelayStats["closes"]): Values {
  return Object.entries(counts)
    .map(([reason, count]) => [count, { "ebsockets.close.reason": reason }]);
}
