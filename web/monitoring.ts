/**
 * Who may ask for the metrics and the health of a relay.
 *
 * @module
 */

import { type HttpFault, httpFault, type HttpRequest } from "../protocol/http.ts";
import { isForwarded } from "./policy.ts";

/** The settings of a relay that decide about it. */
export interface MonitoringRules {
  /** Whether only this machine can connect. */
  readonly isLocal: boolean;
  /** Whether clients need a token. */
  readonly hasToken: boolean;
  /** Whether everyone may ask who can connect. */
  readonly isOpen: boolean;
}

const IF_OPEN = "a relay that was started with --metrics-open (in code: web.metricsOpen)";

/**
 * Returns the reason to refuse a request for metrics or health, or `null` to answer it.
 *
 * A relay that only this machine can reach answers this machine. It cannot know who asks a proxy in
 * front of it. For everyone else it needs the token as a bearer, or the permission to answer all.
 *
 * @param request The request, which the rules for browsers permit.
 * @param rules The settings.
 * @param hasRightToken Whether the request has the token.
 */
export function faultOfMonitor(
  { path, headers }: Pick<HttpRequest, "path" | "headers">,
  { isLocal, hasToken, isOpen }: MonitoringRules,
  hasRightToken: boolean,
): HttpFault | null {
  if (isOpen || isLocal && !isForwarded(headers)) return null;
  if (!hasToken) {
    return httpFault(403, `Other machines may not ask for ${path}: expected ${IF_OPEN}`);
  }
  return hasRightToken ? null : httpFault(
    401,
    `${path} needs the relay's token: expected it as in Authorization: Bearer TOKEN, or ${IF_OPEN}`,
    { "WWW-Authenticate": "Bearer" },
  );
}
