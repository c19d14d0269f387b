import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { Telemetry } from "../../cli/telemetry.ts";
import { Command } from "../support/command.ts";
import { Peer } from "../support/peer.ts";
import { until } from "../support/waiting.ts";

interface Attribute {
  key: string;
  value: { stringValue?: string; intValue?: string | number; doubleValue?: number };
}

interface Point {
  attributes: Attribute[];
  asInt?: string | number;
  asDouble?: number;
}

interface Sum {
  dataPoints: Point[];
  isMonotonic?: boolean;
}

interface Metric {
  name: string;
  unit: string;
  sum?: Sum;
  gauge?: Sum;
}

interface Span {
  name: string;
  kind: number;
  parentSpanId: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: Attribute[];
  status: { code: number; message: string };
}

/** A server that takes what OpenTelemetry sends, as a collector would. */
class Collector implements AsyncDisposable {
  /** The metrics as they were sent last, by name. */
  readonly metrics = new Map<string, Metric>();
  readonly spans: Span[] = [];
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => this.#take(request),
  );

  /** Environment variables with which a program sends to it, and often. */
  get env(): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_METRIC_EXPORT_INTERVAL: "50",
      OTEL_BSP_SCHEDULE_DELAY: "50",
    };
  }

  async #take(request: Request): Promise<Response> {
    const body = await request.json();
    for (const { scopeMetrics } of body.resourceMetrics ?? []) {
      for (const { metrics } of scopeMetrics) {
        for (const metric of metrics) this.metrics.set(metric.name, metric);
      }
    }
    for (const { scopeSpans } of body.resourceSpans ?? []) {
      for (const { scope, spans } of scopeSpans) {
        if (scope.name === "@ebsockets/relay") this.spans.push(...spans);
      }
    }
    return Response.json({});
  }

  /** The value of a metric, for an attribute if it has some. */
  value(name: string, attribute?: string): number | undefined {
    const metric = this.metrics.get(name);
    const point = (metric?.sum ?? metric?.gauge)?.dataPoints.find(({ attributes }) =>
      attribute === undefined || attributes.some(({ value }) => value.stringValue === attribute)
    );
    const value = point?.asInt ?? point?.asDouble;
    return value === undefined ? undefined : Number(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function attributesOf({ attributes }: Span): Record<string, string | number | undefined> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? Number(value.intValue ?? value.doubleValue),
    ]),
  );
}

Deno.test("relay with OTEL_DENO=true sends its figures as metrics, and needs no permission for it", async () => {
  await using collector = new Collector();
  await using command = new Command(["--port", "0"], undefined, undefined, collector.env);
  const address = await command.listens();
  await using one = await Peer.connect(address);
  await one.send('{"event":"a"}\n');
  await one.sees("a");
  {
    await using two = await Peer.connect(address);
    await two.send("nonsense\n");
    await two.lines();
  }
  await until(() => collector.value("ebsockets.closes", "bad-json") === 1);
  assertEquals(collector.value("ebsockets.clients"), 1);
  assertEquals(collector.value("ebsockets.clients.joined"), 2);
  assertEquals(collector.value("ebsockets.events", "receive"), 1);
  assertEquals(collector.value("ebsockets.events", "transmit"), 1);
  assertEquals(collector.value("ebsockets.io", "receive"), 14 + 9);
  assertEquals(collector.value("ebsockets.refusals", "unauthorized"), 0);
  assertEquals(collector.value("ebsockets.queue.size"), 0);
  assertEquals(collector.value("ebsockets.queue.largest"), 0);
  for (const name of ["eventloop.delay.max", "eventloop.delay.mean", "uptime"]) {
    assertGreaterOrEqual(collector.value(`ebsockets.${name}`)!, 0, name);
  }
  assertGreater(collector.value("process.memory.usage")!, 1_000_000);
  const units = ["events", "io", "closes"].map((name) =>
    collector.metrics.get(`ebsockets.${name}`)?.unit
  );
  assertEquals(units, ["{event}", "By", "{client}"]);
  assertStrictEquals(collector.metrics.get("ebsockets.events")?.sum?.isMonotonic, true);
});

Deno.test("relay with OTEL_DENO=true sends a span for each connection, with its close reason", async () => {
  await using collector = new Collector();
  await using command = new Command(["--port", "0"], undefined, undefined, collector.env);
  const address = await command.listens();
  await using one = await Peer.connect(address);
  await command.expect(/client c1 joined/);
  await using two = await Peer.connect(address);
  await two.send("\x1b\n");
  await two.lines();
  two.close();
  await until(() => collector.spans.length === 1);
  await one.send('{"event":"a"}\n');
  await one.sees("a");
  command.kill(Deno.build.os === "windows" ? "SIGINT" : "SIGTERM");
  await one.lines();
  one.close();
  await command.end();
  // What the last clients did is not lost at the end of the process.
  const [bad, good] = collector.spans;
  assertEquals(collector.spans.length, 2);
  const badAttributes = attributesOf(bad!);
  const goodAttributes = attributesOf(good!);
  assertEquals(badAttributes["ebsockets.close.reason"], "bad-json");
  assertFalse(`${badAttributes["ebsockets.close.detail"]}`.includes("\x1b"));
  assertEquals(bad!.status.code, 2);
  assertEquals(bad!.status.message, "bad-json");
  assertEquals(goodAttributes["ebsockets.close.reason"], "shutdown");
  assertEquals(good!.status.code, 0);
  assertEquals(goodAttributes["ebsockets.client.id"], 1);
  assertEquals(goodAttributes["ebsockets.events.received"], 1);
  assertEquals(goodAttributes["network.peer.address"], "127.0.0.1");
  assertEquals(good!.name, "ebsockets.connection");
  assertEquals(good!.parentSpanId, "");
  assertGreater(BigInt(good!.endTimeUnixNano), BigInt(good!.startTimeUnixNano));
});

Deno.test("relay goes on without a collector of its telemetry", async () => {
  const collector = new Collector();
  const { env } = collector;
  await collector[Symbol.asyncDispose]();
  await using command = new Command(["--port", "0"], undefined, undefined, env);
  await using one = await Peer.connect(await command.listens());
  await one.send('{"event":"a"}\n');
  await one.sees("a");
});

Deno.test("Telemetry.open() returns null if OpenTelemetry is off", () => {
  assertStrictEquals(Telemetry.open(), null);
});
