/**
 * The lists of a relay: its clients, those that have left, its names and its queues.
 *
 * @module
 */

/// <reference lib="dom" />

import { printable } from "../protocol/printable.ts";
import {
  type ClientSnapshot,
  type DepartureSnapshot,
  describeSubscriptions,
  type NameSnapshot,
  type QueueSnapshot,
  type Snapshot,
} from "../protocol/snapshot.ts";
import {
  formatByteRate,
  formatBytes,
  formatDuration,
  formatExact,
  formatRate,
} from "../protocol/units.ts";
import { byId, setText } from "./dom.ts";
import { countShown, search } from "./search.ts";
import { Table } from "./table.ts";

/** The tables, and the text that all of them are searched for. */
export class Lists {
  readonly #ownId: () => string | null;
  readonly #clients = new Table<ClientSnapshot>(byId("clients"), [
    {
      title: "Client",
      text: ({ id }) => id === this.#ownId() ? `${id} (you)` : id,
      kind: "code short",
    },
    { title: "Address", text: ({ address }) => printable(address), kind: "code" },
    { title: "Transport", text: ({ transport }) => transport ?? "-", kind: "short wide" },
    {
      title: "In",
      text: ({ eventsInPerSecond }) => formatRate(eventsInPerSecond),
      kind: "number middle",
      order: ({ eventsInPerSecond }) => eventsInPerSecond ?? 0,
    },
    {
      title: "Out",
      text: ({ eventsOutPerSecond }) => formatRate(eventsOutPerSecond),
      kind: "number",
      order: ({ eventsOutPerSecond }) => eventsOutPerSecond ?? 0,
    },
    {
      title: "Bytes in",
      text: ({ bytesInPerSecond }) => formatByteRate(bytesInPerSecond),
      kind: "number wide",
      order: ({ bytesInPerSecond }) => bytesInPerSecond ?? 0,
    },
    {
      title: "Bytes out",
      text: ({ bytesOutPerSecond }) => formatByteRate(bytesOutPerSecond),
      kind: "number wide",
      order: ({ bytesOutPerSecond }) => bytesOutPerSecond ?? 0,
    },
    {
      title: "Waiting",
      text: ({ pendingBytes }) => formatBytes(pendingBytes),
      kind: "number",
      mark: ({ pendingBytes }) => pendingBytes > 0 ? "warn" : "zero",
      order: ({ pendingBytes }) => pendingBytes,
    },
    { title: "Subscriptions", text: describeSubscriptions, kind: "code" },
  ], "No client");
  readonly #departures = new Table<DepartureSnapshot>(byId("departures"), [
    { title: "Client", text: ({ id }) => id, kind: "code short" },
    { title: "Address", text: ({ address }) => printable(address), kind: "code middle" },
    { title: "Ago", text: ({ agoMs }) => formatDuration(agoMs), kind: "number" },
    { title: "Reason", text: ({ reason }) => printable(reason), kind: "code short" },
    { title: "Detail", text: ({ detail }) => printable(detail) },
  ], "No client has left");
  readonly #names = new Table<NameSnapshot>(byId("names"), [
    { title: "Name", text: ({ name }) => printable(name), kind: "code" },
    { title: "Events", text: ({ eventsPerSecond }) => formatRate(eventsPerSecond), kind: "number" },
    {
      title: "Hearers",
      text: ({ hearers }) => hearers === 0 ? "unheard" : formatExact(hearers),
      kind: "number",
      mark: ({ hearers }) => hearers === 0 ? "warn" : "",
      order: ({ hearers }) => hearers === null ? 0 : -hearers,
    },
  ], "No event in the last seconds");
  readonly #queues = new Table<QueueSnapshot>(byId("queues"), [
    { title: "Queue", text: ({ name }) => printable(name), kind: "code" },
    { title: "Members", text: ({ members }) => formatExact(members), kind: "number" },
    {
      title: "Patterns",
      text: ({ patterns }) => patterns.map(printable).join(", ") || "-",
      kind: "code",
    },
  ], "No queue");
  #snapshot: Snapshot | null = null;
  #wanted = "";

  /** Makes the tables. `ownId` returns the ID of this page. */
  constructor(ownId: () => string | null) {
    this.#ownId = ownId;
  }

  /** Shows the lists of a snapshot. */
  show(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#draw();
  }

  /** Shows only the items that contain `text`. */
  search(text: string): void {
    this.#wanted = text;
    this.#draw();
  }

  #draw(): void {
    if (!this.#snapshot) return;
    const { relay, clients, names, queues, departures } = this.#snapshot;
    const wanted = this.#wanted;
    const shown = search(
      clients,
      wanted,
      (client) => [client.id, client.address, client.transport ?? "", ...client.subscriptions],
    );
    this.#clients.show(shown);
    setText(byId("clients-count"), countShown(shown.length, relay.clients));
    const left = search(
      departures ?? [],
      wanted,
      ({ id, address, reason, detail }) => [id, address, reason, detail],
    );
    this.#departures.show(left);
    setText(byId("departures-count"), describeReasons(left));
    const events = search(names, wanted, ({ name }) => [name]);
    this.#names.show(events);
    setText(byId("names-count"), countShown(events.length, names.length));
    const groups = search(queues ?? [], wanted, ({ name, patterns }) => [name, ...patterns]);
    this.#queues.show(groups);
    setText(byId("queues-count"), countShown(groups.length, queues?.length ?? 0));
  }
}

/** Returns `120 eof, 2 slow-consumer`. */
function describeReasons(departures: readonly DepartureSnapshot[]): string {
  const groups = Map.groupBy(departures, ({ reason }) => reason);
  return [...groups].sort(([, one], [, two]) => two.length - one.length)
    .map(([reason, { length }]) => `${length} ${printable(reason)}`).join(", ");
}
