import { assertMatch } from "@std/assert/match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { faultOfMonitor, type MonitoringRules } from "../../web/monitoring.ts";

const LOCAL: MonitoringRules = { isLocal: true, hasToken: false, isOpen: false };
const PUBLIC: MonitoringRules = { isLocal: false, hasToken: true, isOpen: false };

function faultFor(
  rules: MonitoringRules,
  hasRightToken: boolean,
  fields: Record<string, string> = {},
) {
  const request = { path: "/metrics", headers: new Map(Object.entries(fields)) };
  return faultOfMonitor(request, rules, hasRightToken);
}

Deno.test("A relay that only this machine can reach lets it watch, also without the token", () => {
  assertStrictEquals(faultFor(LOCAL, true), null);
  assertStrictEquals(faultFor({ ...LOCAL, hasToken: true }, false), null);
});

Deno.test("A relay that others can reach lets those watch that have the token", () => {
  assertStrictEquals(faultFor(PUBLIC, true), null);
});

Deno.test("A relay that others can reach asks all others for the token", () => {
  const fault = faultFor(PUBLIC, false)!;
  assertStrictEquals(fault.status, 401);
  assertStrictEquals(fault.headers?.["WWW-Authenticate"], "Bearer");
  assertMatch(fault.message, /^\/metrics needs .* Authorization: Bearer TOKEN, .* --metrics-open/);
});

Deno.test("A relay without a token that others can reach refuses, and names the flag", () => {
  const fault = faultFor({ ...PUBLIC, hasToken: false }, true)!;
  assertStrictEquals(fault.status, 403);
  assertMatch(fault.message, /^Other machines may not ask for \/metrics: .* --metrics-open/);
});

Deno.test("A relay with open metrics lets everyone watch", () => {
  for (const rules of [LOCAL, PUBLIC, { ...PUBLIC, hasToken: false }]) {
    assertStrictEquals(faultFor({ ...rules, isOpen: true }, false, { via: "1.1 a" }), null);
  }
});

Deno.test("A request that a proxy passes on does not come from this machine", () => {
  for (const field of ["x-forwarded-for", "x-forwarded-proto", "forwarded", "via", "x-real-ip"]) {
    const proxied = { [field]: "203.0.113.7" };
    assertStrictEquals(faultFor(LOCAL, true, proxied)?.status, 403, field);
    assertStrictEquals(faultFor({ ...LOCAL, hasToken: true }, false, proxied)?.status, 401, field);
    assertStrictEquals(faultFor({ ...LOCAL, hasToken: true }, true, proxied), null, field);
  }
});
