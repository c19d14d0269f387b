import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertNotEquals } from "@std/assert/not-equals";
import { relayCommand } from "./peers_list.ts";
import { output } from "./programs.ts";
import { measureRoom, toLatency } from "./room.ts";
import { ROOM_DRIVER, RoomDriver } from "./room_driver.ts";
import type { Target } from "./sample.ts";
import { ServerProcess } from "./server_process.ts";
import { relayLines } from "./wire.ts";

const ROOT = `${import.meta.dirname}/..`;
const SHAPE = { clients: 20, perSecond: 400 };
const unused = () => Promise.reject(new Error("Not for this scenario"));

/** A relay, and the driver that was made in `folder`, if it was. */
function toTarget(
  server: ServerProcess,
  startRoom: Target["startRoom"],
): Target {
  return {
    server,
    wire: relayLines,
    startClients: unused,
    startRequests: unused,
    startFlood: unused,
    startRoom,
    events: 100,
  };
}

function startRelay(signal: AbortSignal): Promise<ServerProcess> {
  return ServerProcess.start((port) => relayCommand(ROOT, port, true), { signal });
}

Deno.test({
  name: "measureRoom() measures the time of the server and the load of the driver",
  ignore: Deno.build.os !== "linux" || await output("cc", "--version") === null,
  async fn() {
    const folder = await Deno.makeTempDir();
    const signal = AbortSignal.timeout(120_000);
    try {
      assertNotEquals(await ROOM_DRIVER.prepare(folder), null);
      await using server = await startRelay(signal);
      const start = () => RoomDriver.start(folder, server.port, { signal });
      const sample = await measureRoom(toTarget(server, start), SHAPE);
      assertGreater(sample.cpuMicros!, 0);
      assertEquals(sample.deliveryMicros, sample.cpuMicros! / SHAPE.clients);
      assertGreater(sample.busyPercent!, 0);
      assertGreater(sample.driverPercent!, 0);
      assertGreater(sample.lateMicros!, 0);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("measureRoom() measures nothing without the driver", async () => {
  await using server = await startRelay(AbortSignal.timeout(120_000));
  assertEquals(await measureRoom(toTarget(server, null), SHAPE), {});
});

/** Times of 1,000 deliveries: 1 µs to 1,000 µs, in no order. */
const latencies = Float32Array.from({ length: 1000 }, (_, i) => 1 + i * 7 % 1000);

Deno.test("toLatency() has percentiles of all deliveries", () => {
  const lateness = Float32Array.from({ length: 100 }, (_, i) => i);
  assertEquals(toLatency({ latencies, lateness }, 90), {
    p50Micros: 500,
    p99Micros: 990,
    worstMicros: 1000,
    driverPercent: 90,
    lateMicros: 98,
  });
});

Deno.test("toLatency() returns no latency if the driver was busy all the time", () => {
  assertEquals(toLatency({ latencies, lateness: new Float32Array(100) }, 90.1), {
    p50Micros: null,
    p99Micros: null,
    worstMicros: null,
    driverPercent: 90.1,
    lateMicros: 0,
  });
});

Deno.test("toLatency() returns no latency if more than one event in a hundred was late", () => {
  const late = (count: number) => new Float32Array(1000).fill(1001, 0, count);
  assertEquals(toLatency({ latencies, lateness: late(10) }, 10).p50Micros, 500);
  assertEquals(toLatency({ latencies, lateness: late(11) }, 10), {
    p50Micros: null,
    p99Micros: null,
    worstMicros: null,
    driverPercent: 10,
    lateMicros: 1001,
  });
});

Deno.test("toLatency() returns latencies also without CPU times", () => {
  assertEquals(toLatency({ latencies, lateness: new Float32Array(1) }, null).p99Micros, 990);
});
