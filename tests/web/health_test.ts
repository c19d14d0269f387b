import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import {
  faultsOfHealth,
  healthResponse,
  type HealthSigns,
  MAX_LOOP_DELAY_MS,
} from "../../web/health.ts";
import { historyStats } from "../support/report.ts";

function signs(
  { pendingBytes = 0, loopDelayMeanMs = 0, isClosing = false, maxTotalPendingBytes = 1000 },
): HealthSigns {
  return { stats: { pendingBytes, loopDelayMeanMs }, isClosing, maxTotalPendingBytes };
}

Deno.test("healthResponse() is 200 and ok for a relay that is well", () => {
  const { status, headers, body } = healthResponse(signs({}));
  assertStrictEquals(status, 200);
  assertStrictEquals(body, "ok\n");
  assertStrictEquals(headers["Content-Type"], "text/plain; charset=utf-8");
  assertStrictEquals(headers["Cache-Control"], "no-store");
});

Deno.test("healthResponse() stays 200 while the history cannot be written, and says so", () => {
  const { stats, ...others } = signs({});
  const bodyOf = (isBroken: boolean) => {
    const history = historyStats({ isBroken });
    const { status, body } = healthResponse({ ...others, stats: { ...stats, history } });
    assertStrictEquals(status, 200);
    return body;
  };
  assertStrictEquals(bodyOf(false), "ok\n");
  assertMatch(bodyOf(true) as string, /^ok\nThe history cannot be written; .+\n$/);
});

Deno.test("faultsOfHealth() reports that the relay is shutting down", () => {
  assertEquals(faultsOfHealth(signs({ isClosing: true })), ["The relay is shutting down"]);
});

Deno.test("faultsOfHealth() reports a delay of the event loop above the limit", () => {
  assertEquals(faultsOfHealth(signs({ loopDelayMeanMs: MAX_LOOP_DELAY_MS })), []);
  const [fault] = faultsOfHealth(signs({ loopDelayMeanMs: 1234.5 }));
  assertMatch(fault!, /^The event loop is 1235 ms late .* at most 1000/);
});

Deno.test("faultsOfHealth() reports queues that fill nine tenths of the memory limit", () => {
  assertEquals(faultsOfHealth(signs({ pendingBytes: 900 })), []);
  const [fault] = faultsOfHealth(signs({ pendingBytes: 901 }));
  assertMatch(fault!, /^901 bytes are queued .* at most 900: .* closed at 1000$/);
});

Deno.test("faultsOfHealth() takes no number of bytes for too many without a limit", () => {
  const boundless = signs({ pendingBytes: 1e15, maxTotalPendingBytes: Infinity });
  assertEquals(faultsOfHealth(boundless), []);
});

Deno.test("healthResponse() is 503 with each reason on a line of its own", () => {
  const ill = signs({ pendingBytes: 1000, loopDelayMeanMs: 5000, isClosing: true });
  const { status, body } = healthResponse(ill);
  assertStrictEquals(status, 503);
  assertEquals(body, faultsOfHealth(ill).map((fault) => `${fault}\n`).join(""));
  assertStrictEquals(faultsOfHealth(ill).length, 3);
});
