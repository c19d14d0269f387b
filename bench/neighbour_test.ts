import { assertGreater } from "@std/assert/greater";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { Flood } from "./flood.ts";
import { measureNeighbour } from "./neighbour.ts";
import { relayCommand } from "./peers_list.ts";
import { ServerProcess } from "./server_process.ts";
import { relayLines } from "./wire.ts";

const ROOT = `${import.meta.dirname}/..`;
const unused = () => Promise.reject(new Error("Not for this scenario"));

Deno.test("measureNeighbour() has round trips and a flood at the same time", async () => {
  const signal = AbortSignal.timeout(120_000);
  await using server = await ServerProcess.start((port) => relayCommand(ROOT, port, false), {
    signal,
  });
  const sample = await measureNeighbour({
    server,
    wire: relayLines,
    startClients: unused,
    startRequests: unused,
    startFlood: () => Flood.start("ebsockets", server.port, false, { signal }),
    startRoom: null,
    events: 100,
  });
  assertGreater(sample.aloneMicros!, 0);
  assertGreater(sample.p50Micros!, 0);
  assertLessOrEqual(sample.p50Micros!, sample.p99Micros!);
  assertLessOrEqual(sample.p99Micros!, sample.worstMicros!);
  assertGreater(sample.floodPerSecond!, 0);
});
