/** Requests of every fate, in numbers: none of them may stay behind. */

import { assertEquals } from "@std/assert/equals";
import { EbsocketClient } from "../../client.ts";
import type { EbsocketConnection } from "../../net/connection.ts";
import { EbsocketError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { PendingRequests } from "../../client/pending_requests.ts";
import { newRelay } from "../support/relay.ts";
import { soon, until } from "../support/waiting.ts";

const REQUESTS = 100_000;
const ROUND = 900;

/** The tables in which anything has ever waited. */
const tables = new Set<PendingRequests>();
const add = PendingRequests.prototype.add;
PendingRequests.prototype.add = function (...args): void {
  tables.add(this);
  add.apply(this, args);
};

type Fate = "answer" | "timeout" | "abort" | "disconnect";

/** Two thirds are answered; the others are not, and end in one of three ways. */
function fateOf(n: number): Fate {
  if (n % 3 !== 0) return "answer";
  return (["timeout", "abort", "disconnect"] as const)[n / 3 % 3]!;
}

/** Answers those that are to be answered. */
async function answer(client: EbsocketClient): Promise<void> {
  for await (const event of client.serve("ask")) {
    if (event.getAttribute("fate") !== "answer") continue;
    await client.reply(event, new EbsocketEvent("answer", { n: event.getAttribute("n") }));
  }
}

/** Asks; gives what came of it. */
async function ask(client: EbsocketClient, n: number, signal: AbortSignal): Promise<string> {
  const fate = fateOf(n);
  try {
    const { __dict__ } = await client.request(new EbsocketEvent("ask", { n, fate }), {
      timeout: fate === "timeout" ? 1 + n % 10 : Infinity,
      ...(fate === "abort" && { signal }),
    });
    return __dict__.n === n ? "answer" : `the answer to ${__dict__.n}`;
  } catch (error) {
    if (error === signal.reason) return "abort";
    if (!(error instanceof EbsocketError)) throw error;
    return error.code === "connection-closed" ? "disconnect" : error.code;
  }
}

Deno.test("EbsocketClient keeps no memory of finished requests, whatever their outcome", async () => {
  await using relay = newRelay();
  await using answerer = new EbsocketClient();
  await answerer.connectTo(relay.server.address);
  const answering = answer(answerer);
  await answerer.subscribe(["nothing"]);
  await using asker = new EbsocketClient({ reconnect: { minDelay: 1, maxDelay: 5 } });
  await asker.subscribe([]);
  await asker.connectTo(relay.server.address);

  for (let first = 0; first < REQUESTS; first += ROUND) {
    const controller = new AbortController();
    const outcomes: Promise<string>[] = [];
    for (let n = first; n < first + ROUND; n++) outcomes.push(ask(asker, n, controller.signal));
    const expected = outcomes.map((_, i) => fateOf(first + i));
    await Promise.all(
      outcomes.filter((_, i) => expected[i] === "answer" || expected[i] === "timeout"),
    );
    controller.abort(new Error("enough"));
    const connection = relay.clients.at(-1) as EbsocketConnection;
    connection.abort();
    assertEquals(await soon(Promise.all(outcomes), "the outcomes"), expected);
    await until(() => asker.connected && relay.clients.length === 2);
  }
  for (const table of tables) assertEquals(table.size, 0);
  assertEquals(tables.size, 2);
  await answerer.close();
  await answering;
});
