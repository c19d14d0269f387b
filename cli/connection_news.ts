/**
 * Reports the changes of a client's connection to the user.
 *
 * @module
 */

import type { ClosedStatus, EbsocketClient } from "../client.ts";
import { ConnectError } from "../errors.ts";
import { formatAddress } from "../protocol/address.ts";
import { printable } from "../protocol/printable.ts";
import { explainConnectError, type Target } from "./connect.ts";
import { describeEnd, describeRefusal, StartError } from "./errors.ts";
import { countOf } from "./units.ts";

/** The receivers of news. */
export interface NewsSink {
  /** The connection was lost or made again, or events are missing. */
  onNews(text: string): void;
  /** The relay has refused an event. */
  onRefusal?(text: string): void;
}

/**
 * Reports each change of a client that reconnects. Resolves when the client has been closed.
 *
 * @throws {StartError} If the client has stopped because reconnecting is pointless.
 */
export async function reportNews(
  client: EbsocketClient,
  target: Target,
  { onNews, onRefusal }: NewsSink,
): Promise<void> {
  let isLost = false;
  for await (const status of client.status()) {
    if (status.type === "gap") {
      onNews(`Missed ${countOf(status.missed, "event")}, which came faster than they were read`);
    } else if (status.type === "refused") {
      onRefusal?.(describeRefusal(status.event, status));
    } else if (status.type === "disconnected") {
      isLost = true;
      onNews(`${lost(status)}; reconnecting`);
    } else if (status.type === "reconnected") {
      isLost = false;
      const place = printable(formatAddress(status.address));
      onNews(`Reconnected to ${place}${idOf(client)}; events sent meanwhile were missed`);
    } else if (status.type === "closed" && status.info.reason !== "local") {
      const { reason, detail } = status.info;
      const failure = new ConnectError(detail, { reason });
      throw new StartError(isLost ? explainConnectError(failure, target) : lost(status));
    }
  }
}

/** Returns the words for the ID of a client, such as ` as c1`. */
export function idOf({ id }: EbsocketClient): string {
  return id === null ? "" : ` as ${printable(id)}`;
}

function lost({ address, info }: Pick<ClosedStatus, "address" | "info">): string {
  return `Lost the connection to ${printable(formatAddress(address))} (${describeEnd(info)})`;
}
