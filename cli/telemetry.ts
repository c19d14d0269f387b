/**
 * Reports a relay to OpenTelemetry: its statistics as metrics, and a span for each connection.
 *
 * Deno itself provides the exporter, enabled with `OTEL_DENO=true`. So no module is loaded and no
 * permission is needed to find out whether it is on.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { type CloseInfo, isFailure } from "../errors.ts";
import { type MetricAttributes, type MetricKind, METRICS } from "../protocol/metrics.ts";
import { printable } from "../protocol/printable.ts";
import type { RelayClient, RelayStats } from "../relay.ts";

type Attributes = Readonly<Record<string, string | number>>;

/** A metric; an opaque value. */
type Instrument = object;

interface Observation {
  observe(instrument: Instrument, value: number, attributes?: MetricAttributes): void;
}

type CreateInstrument = (
  name: string,
  options: { readonly unit: string; readonly description: string },
) => Instrument;

/** The part of OpenTelemetry's `Meter` that is needed here. */
interface Meter extends Readonly<Record<`createObservable${MetricKind}`, CreateInstrument>> {
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

  /**
   * Creates the metrics. They call `read` whenever they are exported. Deno adds
   * `v8js.memory.heap.*` itself.
   */
  watch(read: () => RelayStats): void {
    const instruments = METRICS.map(({ name, kind, unit, description }) =>
      this.#meter[`createObservable${kind}`](name, { unit, description })
    );
    this.#meter.addBatchObservableCallback((observation) => {
      const stats = read();
      for (const [i, metric] of METRICS.entries()) {
        for (const [value, attributes] of metric.read(stats)) {
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
