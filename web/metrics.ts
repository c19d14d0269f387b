/**
 * The metrics of a relay in the text format of Prometheus, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * The names follow from those of OpenTelemetry by its own rules, so that a metric has one name in
 * Prometheus, whether this text or an OpenTelemetry collector delivers it.
 *
 * @module
 */

import {
  type Metric,
  type MetricAttributes,
  METRICS,
  RUNTIME_METRICS,
} from "../protocol/metrics.ts";
import type { RelayStats } from "../protocol/report.ts";
import { VERSION } from "../protocol/version.ts";

/** The media type of the text. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Returns the text for these statistics. */
export function metricsText(stats: RelayStats): string {
  const families = [...METRICS, ...RUNTIME_METRICS].flatMap((metric) => {
    const samples = metric.read(stats);
    return samples.length > 0 ? [formatFamily(prometheusName(metric), metric, samples)] : [];
  });
  const build = { kind: "Gauge", description: "Version of the relay, as a label" } as const;
  families.push(formatFamily("ebsockets_build_info", build, [[1, { version: VERSION }]]));
  return families.join("");
}

/**
 * Returns the name in Prometheus of a metric of OpenTelemetry: with underscores, its unit, and
 * `_total` for a counter.
 *
 * @example
 * `ebsockets.io` in bytes is `ebsockets_io_bytes_total`.
 */
export function prometheusName({ name, kind, unit }: Omit<Metric, "read" | "description">): string {
  const words = [name.replaceAll(".", "_")];
  if (unit === "By") words.push("bytes");
  if (unit === "s") words.push("seconds");
  if (kind === "Counter") words.push("total");
  return words.join("_");
}

function formatFamily(
  name: string,
  { kind, description }: Pick<Metric, "kind" | "description">,
  samples: ReturnType<Metric["read"]>,
): string {
  const type = kind === "Counter" ? "counter" : "gauge";
  const lines = samples.map(([value, attributes]) => `${name}${formatLabels(attributes)} ${value}`);
  return [`# HELP ${name} ${description}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}

/** Returns the labels in braces. Their values come from closed sets and need no escapes. */
function formatLabels(attributes: MetricAttributes = {}): string {
  const labels = Object.entries(attributes)
    .map(([name, value]) => `${name.replaceAll(".", "_")}="${value}"`);
  return labels.length === 0 ? "" : `{${labels.join(",")}}`;
}
