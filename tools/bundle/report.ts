/**
 * Takes the place of `protocol/report.ts` in `client.js`. It passes the answer to `stats` on as the
 * relay has sent it.
 *
 * @module
 */

import type { ControlLine } from "../../protocol/control.ts";
import type { RelayReport } from "../../protocol/report.ts";

/** Returns the report in `line` and its ID, or `null` for any other line. */
export function decodeReport(
  { control, id, ...report }: ControlLine,
): { id: string; report: RelayReport } | null {
  if (control !== "stats" || typeof id !== "string") return null;
  return { id, report: report as unknown as RelayReport };
}
