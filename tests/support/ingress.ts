/** A router that gets its lines from an ingress, with clients without sockets. */

import type { Subscriber } from "../../relay/subscription_table.ts";
import { SchemaFilter } from "../../relay/schema_filter.ts";
import { Ingress, type IngressResult } from "../../relay/ingress.ts";
import { Router } from "../../relay/router.ts";
import { LineValidator } from "../../protocol/validator.ts";
import { utf8 } from "./bytes.ts";
import { FakeRecipient } from "./routes.ts";

export const A = '{"event":"a"}\n';
export const B = '{"event":"b"}\n';

export type Client = Subscriber<FakeRecipient>;

/** What {@link setUp} gives. */
export interface SetUp {
  readonly clients: Client[];
  /** The control lines that have come, by what they are about; `narrow` subscribes to `a`. */
  readonly controls: string[];
  readonly ingress: Ingress<FakeRecipient>;
  readonly router: Router<FakeRecipient>;
  subscribe(client: Client, events: string[], queue?: string): void;
  /** Takes a block of the first client, or another. */
  take(text: string, source?: Client, hasMore?: boolean): IngressResult;
}

/** `count` clients of one router. */
export function setUp(count: number, { echo = false }: { echo?: boolean } = {}): SetUp {
  const router = new Router<FakeRecipient>({
    echo,
    subscribeFirst: false,
    maxBatchDelay: 1000,
    maxPendingBytes: 1e6,
    onQueued() {},
  });
  const clients = Array.from({ length: count }, (_, i) => router.open(new FakeRecipient(i + 1)));
  const controls: string[] = [];
  const subscribe = (client: Client, events: string[], queue?: string) => {
    const request = { control: "subscribe", events, ...(queue && { queue }) } as const;
    router.change(client, client.subscriptions.after(request), client.isNumbered);
  };
  const ingress = new Ingress(
    new LineValidator(),
    router,
    new SchemaFilter(undefined),
    (source, control) => {
      controls.push(control);
      if (control === "narrow") subscribe(source, ["a"]);
    },
  );
  const take = (text: string, source = clients[0]!, hasMore = false) =>
    ingress.take(source, utf8(text), hasMore);
  return { clients, controls, ingress, router, subscribe, take };
}

/** What each client was given. */
export function texts(clients: readonly Client[]): string[] {
  return clients.map(({ recipient }) => recipient.text);
}
