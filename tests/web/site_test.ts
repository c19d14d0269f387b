import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import type { RelayStats } from "../../protocol/report.ts";
import type { HttpResponse } from "../../protocol/http_response.ts";
import { TOKEN_REQUIRED } from "../../web/bearer.ts";
import { METRICS_TYPE } from "../../web/metrics.ts";
import type { MonitoringRules } from "../../web/monitoring.ts";
import { PAGE_HASHES } from "../../web/page_bundle.ts";
import { CLIENT_BUNDLE } from "../../web/client_bundle.ts";
import { Site, type SiteSubject } from "../../web/site.ts";
import { relayReport } from "../support/report.ts";

const LOCAL: MonitoringRules = { isLocal: true, hasToken: false, isOpen: false };
const GUARDED: MonitoringRules = { isLocal: false, hasToken: true, isOpen: false };

/** Asks a site of a relay with these figures. */
async function ask(
  path: string,
  {
    figures = {},
    isClosing = false,
    rules = LOCAL,
    isAuthorized = true,
    position = null,
  }: {
    figures?: Partial<RelayStats>;
    isClosing?: boolean;
    rules?: MonitoringRules;
    isAuthorized?: boolean;
    position?: SiteSubject["position"];
  } = {},
) {
  const { relay } = relayReport(figures);
  const stats = () => relay;
  const subject: SiteSubject = {
    stats,
    isClosing,
    position,
    keepsLast: false,
    maxTotalPendingBytes: 1000,
  };
  const { pathname, search } = new URL(path, "http://127.0.0.1");
  const request = { path: pathname, query: search.slice(1), headers: new Map<string, string>() };
  const site = await Site.of(subject, rules);
  return site.answer(request, isAuthorized);
}

/** The answer to such a request, which must be one. */
async function answerTo(...question: Parameters<typeof ask>): Promise<HttpResponse> {
  const answer = await ask(...question);
  if (answer?.kind === "response") return answer;
  throw new Error(`Expected an answer, got ${Deno.inspect(answer)}`);
}

Deno.test("Site answers / with the page, which may use its own script and styles alone", async () => {
  const answer = await answerTo("/");
  assertStrictEquals(answer.status, 200);
  assertStringIncludes(new TextDecoder().decode(answer.body as Uint8Array), "<!DOCTYPE html>");
  const policy = answer.headers["Content-Security-Policy"]!;
  for (const hash of [...PAGE_HASHES.scripts, ...PAGE_HASHES.styles]) {
    assertStringIncludes(policy, `'${hash}'`);
  }
});

Deno.test("Site answers /metrics with the figures of the relay", async () => {
  const answer = await answerTo("/metrics", { figures: { clients: 7 } });
  assertStrictEquals(answer.status, 200);
  assertStrictEquals(answer.headers["Content-Type"], METRICS_TYPE);
  assertStringIncludes(answer.body as string, "\nebsockets_clients 7\n");
});

Deno.test("Site answers /healthz with the state of the relay", async () => {
  assertStrictEquals((await answerTo("/healthz")).status, 200);
  assertStrictEquals((await answerTo("/healthz", { isClosing: true })).status, 503);
  const full = await answerTo("/healthz", { figures: { pendingBytes: 999 } });
  assertStringIncludes(full.body as string, "999 bytes");
});

Deno.test("Site answers /client.js with the client for pages", async () => {
  const answer = await answerTo("/client.js");
  assertStrictEquals(answer.headers["Content-Type"], "text/javascript; charset=utf-8");
  assertEquals(new TextDecoder().decode(answer.body as Uint8Array), CLIENT_BUNDLE);
});

Deno.test("Site answers /events with a stream", async () => {
  assertStrictEquals((await ask("/events?name=a"))?.kind, "events");
  assertStrictEquals((await ask("/events?nam=a"))?.kind, "fault");
});

Deno.test("Site answers /events with kept events if the relay has a history", async () => {
  const position = { epoch: "e", offset: 7 };
  assertStrictEquals((await ask("/events?since=first", { position }))?.kind, "events");
  assertStrictEquals((await ask("/events?since=first"))?.kind, "fault");
});

Deno.test("Site asks for the token where one is required", async () => {
  assertStrictEquals(await ask("/events", { rules: GUARDED, isAuthorized: false }), TOKEN_REQUIRED);
  for (const path of ["/metrics", "/healthz"]) {
    assertStrictEquals(
      (await ask(path, { rules: GUARDED, isAuthorized: false }))?.kind,
      "fault",
      path,
    );
    assertStrictEquals((await ask(path, { rules: GUARDED }))?.kind, "response", path);
  }
});

Deno.test("Site has nothing at other paths", async () => {
  for (const path of ["/metrics/", "/Metrics", "/%6detrics", "/healthz/x", "/event"]) {
    assertStrictEquals(await ask(path), null, path);
  }
});

Deno.test("Site collects figures for many requests at once", async () => {
  const { relay } = relayReport({});
  let collected = 0;
  const stats = () => {
    collected++;
    return relay;
  };
  const subject = {
    stats,
    isClosing: false,
    position: null,
    keepsLast: false,
    maxTotalPendingBytes: 1000,
  };
  const site = await Site.of(subject, LOCAL);
  for (const path of ["/metrics", "/healthz", "/metrics"]) {
    site.answer({ path, query: "", headers: new Map() }, true);
  }
  assertStrictEquals(collected, 1);
});
