/**
 * The answers of a relay to HTTP requests.
 *
 * @module
 */

import type { HistoryPosition } from "../protocol/history.ts";
import type { HttpRequest } from "../protocol/http.ts";
import type { HttpResponse } from "../protocol/http_response.ts";
import type { RelayStats } from "../protocol/report.ts";
import type { WebAnswer } from "./answer.ts";
import { TOKEN_REQUIRED } from "./bearer.ts";
import { CLIENT_BUNDLE } from "./client_bundle.ts";
import { StaticContent } from "./static_content.ts";
import { EventStreams } from "./events.ts";
import { healthResponse } from "./health.ts";
import { METRICS_TYPE, metricsText } from "./metrics.ts";
import { faultOfMonitor, type MonitoringRules } from "./monitoring.ts";
import { PAGE, PAGE_HASHES } from "./page_bundle.ts";
import { pageHeaders } from "./page_headers.ts";

/** How long statistics are reused, in milliseconds, because collecting them takes long. */
const MAX_AGE_MS = 100;

const SCRIPT_TYPE = "text/javascript; charset=utf-8";

/** The relay, as its site sees it. */
export interface SiteSubject {
  /** Returns the relay's statistics. */
  stats(): RelayStats;
  /** Whether the relay is shutting down. */
  readonly isClosing: boolean;
  /** The end of the relay's history, or `null` if it keeps no events. */
  readonly position: HistoryPosition | null;
  /** Whether the relay keeps the last events of some names. */
  readonly keepsLast: boolean;
  /** The limit of the bytes queued for all clients together. */
  readonly maxTotalPendingBytes: number;
}

/** A request, as a site sees it. */
export type SiteRequest = Pick<HttpRequest, "path" | "query" | "headers">;

/** The answers of one relay. */
export class Site {
  readonly #subject: SiteSubject;
  readonly #monitoring: MonitoringRules;
  readonly #page: StaticContent;
  readonly #client: StaticContent;
  readonly #events = new EventStreams();
  #stats: RelayStats | null = null;
  #collectedAt = 0;
  /** The metrics of these statistics, or `null` until a client asks for them. */
  #metricsText: string | null = null;

  private constructor(
    subject: SiteSubject,
    monitoring: MonitoringRules,
    page: StaticContent,
    client: StaticContent,
  ) {
    this.#subject = subject;
    this.#monitoring = monitoring;
    this.#page = page;
    this.#client = client;
  }

  /**
   * Resolves to the site of a relay.
   *
   * @param subject The relay.
   * @param monitoring Who may ask for metrics and health.
   */
  static async of(subject: SiteSubject, monitoring: MonitoringRules): Promise<Site> {
    const [page, client] = await Promise.all([PAGE, CLIENT_BUNDLE].map(StaticContent.of));
    return new Site(subject, monitoring, page!, client!);
  }

  /**
   * Answers a request, or returns `null` if there is nothing at its path.
   *
   * @param request The request, which the rules for browsers permit.
   * @param isAuthorized Whether it has the token as a bearer, or none is required.
   */
  answer(request: SiteRequest, isAuthorized: boolean): WebAnswer | null {
    switch (request.path) {
      case "/":
        return this.#page.answer(
          request,
          pageHeaders(PAGE_HASHES, request.headers.get("host") ?? ""),
        );
      case "/client.js":
        return this.#client.answer(request, { "Content-Type": SCRIPT_TYPE });
      case "/events":
        if (!isAuthorized) return TOKEN_REQUIRED;
        return this.#events.answer(request, this.#subject);
      case "/metrics":
        return faultOfMonitor(request, this.#monitoring, isAuthorized) ?? this.#metrics();
      case "/healthz":
        return faultOfMonitor(request, this.#monitoring, isAuthorized) ?? this.#health();
      default:
        return null;
    }
  }

  /** Returns statistics that are at most {@link MAX_AGE_MS} old. */
  #latestStats(): RelayStats {
    const now = performance.now();
    if (this.#stats === null || now - this.#collectedAt > MAX_AGE_MS) {
      this.#stats = this.#subject.stats();
      this.#collectedAt = now;
      this.#metricsText = null;
    }
    return this.#stats;
  }

  #metrics(): HttpResponse {
    const stats = this.#latestStats();
    return {
      kind: "response",
      status: 200,
      headers: { "Content-Type": METRICS_TYPE, "Cache-Control": "no-store" },
      body: this.#metricsText ??= metricsText(stats),
    };
  }

  #health(): HttpResponse {
    const { maxTotalPendingBytes, isClosing } = this.#subject;
    return healthResponse({ stats: this.#latestStats(), maxTotalPendingBytes, isClosing });
  }
}
