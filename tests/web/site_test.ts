import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import type { RelayStats } from "../../protocol/report.ts";
import type { WebAnswer } from "../../web/answer.ts";
import { TOKEN_REQUIRED } from "../../web/bearer.ts";
import { METRICS_TYPE } from "../../web/metrics.ts";
import type { MonitoringRules } from "../../web/monitoring.ts";
import { Site, type SiteSubject } from "../../web/site.ts";
import { relayReport } from "../support/report.ts";

const LOCAL: MonitoringRules = { isLocal: true, hasToken: false, isOpen: false };
const GUARDED: MonitoringRules = { isLocal: false, hasToken: true, isOpen: false };

/** Asks a site of a relay with these figures. */
function ask(
  path: string,
  {
    figures = {},
    isClosing = false,
    rules = LOCAL,
    isAuthorized = true,
  }: {
    figures?: Partial<RelayStats>;
    isClosing?: boolean;
    rules?: MonitoringRules;
    isAuthorized?: boolean;
  } = {},
) {
  const { relay } = relayReport(figures);
  const subject: SiteSubject = { stats: () => relay, isClosing, maxTotalPendingBytes: 1000 };
  const { pathname, searchParams } = new URL(path, "http://127.0.0.1");
  const request = { path: pathname, query: searchParams, headers: new Map<string, string>() };
  return new Site(subject, rules).answer(request, isAuthorized);
}

/** The answer to such a request, which must be one. */
function answerTo(...question: Parameters<typeof ask>): WebAnswer {
  const answer = ask(...question);
  if (answer?.kind === "answer") return answer;
  throw new Error(`Expected an answer, got ${Deno.inspect(answer)}`);
}

Deno.test("Site answers /metrics with the figures of the relay", () => {
  const answer = answerTo("/metrics", { figures: { clients: 7 } });
  assertStrictEquals(answer.status, 200);
  assertStrictEquals(answer.fields["Content-Type"], METRICS_TYPE);
  assertStringIncludes(answer.body as string, "\nebsockets_clients 7\n");
});

Deno.test("Site answers /healthz with the state of the relay", () => {
  assertStrictEquals(answerTo("/healthz").status, 200);
  assertStrictEquals(answerTo("/healthz", { isClosing: true }).status, 503);
  const full = answerTo("/healthz", { figures: { pendingBytes: 999 } });
  assertStringIncludes(full.body as string, "999 bytes");
});

Deno.test("Site answers /events with a stream", () => {
  assertStrictEquals(ask("/events?name=a")?.kind, "events");
  assertStrictEquals(ask("/events?nam=a")?.kind, "fault");
});

Deno.test("Site asks for the token where one is required", () => {
  assertStrictEquals(ask("/events", { rules: GUARDED, isAuthorized: false }), TOKEN_REQUIRED);
  for (const path of ["/metrics", "/healthz"]) {
    assertStrictEquals(ask(path, { rules: GUARDED, isAuthorized: false })?.kind, "fault", path);
    assertStrictEquals(ask(path, { rules: GUARDED })?.kind, "answer", path);
  }
});

Deno.test("Site has nothing at other paths", () => {
  for (const path of ["/metrics/", "/Metrics", "/%6detrics", "/healthz/x", "/event"]) {
    assertStrictEquals(ask(path), null, path);
  }
});
