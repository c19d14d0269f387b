import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { METRICS } from "../../protocol/metrics.ts";
import { VERSION } from "../../protocol/version.ts";
import { metricsText, prometheusName } from "../../web/metrics.ts";
import { canRun, Program } from "../support/process.ts";
import { clusterStats, relayReport } from "../support/report.ts";

const { relay } = relayReport({
  clients: 3,
  eventsIn: 5,
  eventsOut: 15,
  bytesOut: 1e21,
  loopDelayMaxMs: 12,
  loopDelayMeanMs: 0.1,
  cluster: clusterStats(),
});
const text = metricsText(relay);

/** The values in a text, by name and labels as written. */
function parse(text: string): Map<string, number> {
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(samples.map((line) => {
    const at = line.lastIndexOf(" ");
    return [line.slice(0, at), Number(line.slice(at + 1))];
  }));
}

Deno.test("metricsText() has each metric with its help and its type, then its values", () => {
  assertStringIncludes(
    text,
    `# HELP ebsockets_events_total Events received from clients, and queued for clients
# TYPE ebsockets_events_total counter
ebsockets_events_total{network_io_direction="receive"} 5
ebsockets_events_total{network_io_direction="transmit"} 15
`,
  );
  assertStringIncludes(
    text,
    `# HELP ebsockets_clients Connected clients
# TYPE ebsockets_clients gauge
ebsockets_clients 3
`,
  );
});

Deno.test("metricsText() has lines that the format knows, and no others", () => {
  const [last, ...lines] = text.split("\n").reverse();
  assertEquals(last, "");
  for (const line of lines) {
    assertMatch(
      line,
      /^(# HELP [a-z0-9_]+ [^\\]+|# TYPE [a-z0-9_]+ (counter|gauge)|[a-z0-9_]+(\{[a-z_]+="[\w.-]+"(,[a-z_]+="[\w.-]+")*\})? [\d.e+-]+)$/,
    );
  }
});

Deno.test("metricsText() repeats no series", () => {
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assertEquals(parse(text).size, samples.length);
});

Deno.test("metricsText() has the values of the statistics, in bytes and seconds", () => {
  const values = parse(text);
  assertEquals(values.get('ebsockets_io_bytes_total{network_io_direction="transmit"}'), 1e21);
  assertEquals(values.get("ebsockets_eventloop_delay_max_seconds"), 0.012);
  assertEquals(values.get("ebsockets_eventloop_delay_mean_seconds"), 0.0001);
  assertEquals(values.get(`ebsockets_build_info{version="${VERSION}"}`), 1);
});

Deno.test("metricsText() has every metric that is exported to OpenTelemetry, with every value", () => {
  const values = parse(text);
  for (const metric of METRICS) {
    const name = prometheusName(metric);
    const found = [...values].filter(([sample]) => sample.split("{")[0] === name);
    assertEquals(found.map(([, value]) => value), metric.read(relay).map(([value]) => value), name);
  }
});

Deno.test("prometheusName() names a metric as a collector of OpenTelemetry does", () => {
  const table = [
    ["ebsockets.io", "Counter", "By", "ebsockets_io_bytes_total"],
    ["ebsockets.closes", "Counter", "{client}", "ebsockets_closes_total"],
    ["ebsockets.clients", "UpDownCounter", "{client}", "ebsockets_clients"],
    ["ebsockets.uptime", "Gauge", "s", "ebsockets_uptime_seconds"],
    ["process.memory.usage", "UpDownCounter", "By", "process_memory_usage_bytes"],
  ] as const;
  for (const [name, kind, unit, expected] of table) {
    assertEquals(prometheusName({ name, kind, unit }), expected);
  }
});

Deno.test({
  name: "metricsText() passes promtool check metrics",
  ignore: !canRun("promtool", ["--version"]),
  async fn() {
    await using promtool = new Program("promtool", ["check", "metrics"]);
    await promtool.type(text);
    const { code, stdout, stderr } = await promtool.end();
    assertEquals(stdout + stderr, "");
    assertEquals(code, 0);
    assertGreater(text.length, 1000);
  },
});
