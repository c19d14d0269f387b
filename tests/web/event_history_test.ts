// The history of a relay in /events, as an EventSource and curl receive it.

import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { type HistoryPosition, parsePosition } from "../../protocol/history.ts";
import type { HistoryOptions, Relay, RelayOptions } from "../../relay.ts";
import type { EventStream } from "../../web/answer.ts";
import { EventStreams } from "../../web/events.ts";
import { TempFolder } from "../support/folder.ts";
import { Listener } from "../support/listener.ts";
import { Peer } from "../support/peer.ts";
import { canRun, Program } from "../support/process.ts";
import { randomsFrom } from "../support/random.ts";
import { join, newRelay } from "../support/relay.ts";
import { until } from "../support/waiting.ts";

/** Returns a relay with a history that answers HTTP, once it lets clients in. */
async function keeping(history: HistoryOptions = {}, options: RelayOptions = {}): Promise<Relay> {
  const relay = newRelay({ web: {}, ...options, history });
  await relay.ready;
  return relay;
}

/** The end of a relay's history. */
function endOf(relay: Relay): HistoryPosition {
  const { epoch, offset } = relay.stats().history!;
  return { epoch, offset };
}

/** Sends events with these names, and waits until the relay has taken them. */
async function publish(peer: Peer, ...names: string[]): Promise<void> {
  const id = crypto.randomUUID();
  const lines = names.map((name) => `{"event":"${name}"}\n`).join("");
  await peer.send(`${lines}{"event":"sent","to":"nobody","ack":"${id}"}\n`);
  await peer.sees(id);
}

Deno.test("/events gives each kept event its position as an id, and leaves its data as it was sent", async () => {
  await using relay = await keeping({ keep: ["kept"] });
  await using sender = await join(relay);
  using listener = await Listener.open(relay, "");
  await listener.until(({ lastEventId }) => lastEventId !== "");
  const { epoch } = endOf(relay);
  assertStrictEquals(listener.reader.lastEventId, `${epoch}:0`);
  await sender.send('{"event":"kept","__dict__":{"x":1}}\n{"event":"other"}\n{ "event":"kept" }\n');
  await listener.until(({ messages }) => messages.length === 3);
  const { messages, ids } = listener.reader;
  assertEquals(messages.map(({ data }) => data), [
    '{"event":"kept","__dict__":{"x":1}}',
    '{"event":"other"}',
    '{ "event":"kept" }',
  ]);
  assertEquals(ids, [`${epoch}:1`, `${epoch}:1`, `${epoch}:2`]);
  const { catchingUp } = relay.stats().history!;
  assertStrictEquals(catchingUp, 0);
});

Deno.test("/events begins with what a client has missed that match, and goes on live", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  await publish(sender, "a.1", "a.2", "b.1", "a.3");
  const { epoch } = endOf(relay);
  using listener = await Listener.open(relay, "name=a.*", `${epoch}:1`);
  await listener.until(({ lastEventId }) => lastEventId === `${epoch}:4`);
  await publish(sender, "b.2", "a.4");
  await listener.until(({ messages }) => messages.length === 3);
  assertEquals(listener.seen, ["a.2", "a.3", "a.4"]);
  assertEquals(listener.reader.ids, [`${epoch}:2`, `${epoch}:4`, `${epoch}:6`]);
});

Deno.test("/events has nothing else and nothing twice, whatever comes between the lines of its request", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  await using peer = await join(relay); // It sends the lines one after the other, as a busy relay takes them.
  const stream = new EventStreams().answer(
    { query: "name=a", headers: new Map() },
    { position: endOf(relay), keepsLast: false },
  );
  const { lines } = stream as EventStream;
  const [first, ...others] = new TextDecoder().decode(lines).trimEnd().split("\n");
  for (const [i, line] of [first!, ...others].entries()) {
    await peer.send(`${line}\n{"control":"stats","id":"taken${i}"}\n`);
    await peer.sees(`"taken${i}"`);
    await publish(sender, "a", "b");
  }
  await peer.sees('"offset":5,');
  const names = peer.text.split("\n").filter((line) => line.includes('"event":"'))
    .flatMap((line) => /^\{"offset":(\d),"event":"(.)"/.exec(line)?.slice(1).join("") ?? []);
  assertEquals(names, ["1a", "3a", "5a"]);
});

for (
  const [since, expected] of [
    ["first", ["state.a", "state.b", "state.a", "other"]],
    ["last", ["state.b", "state.a"]],
    ["a position", ["state.a", "other"]],
  ] as const
) {
  Deno.test(`/events begins with ${since} if the parameter since says so, and goes on live`, async () => {
    await using relay = await keeping({ keepLast: ["state.*"] });
    await using sender = await join(relay);
    await publish(sender, "state.a", "state.b", "state.a", "other");
    const { epoch } = endOf(relay);
    const place = since === "a position" ? `${epoch}:2` : since;
    using listener = await Listener.open(relay, `since=${place}`);
    await listener.until(({ lastEventId }) => lastEventId === `${epoch}:4`);
    await publish(sender, "end");
    await listener.until(({ messages }) => messages.length > expected.length);
    assertEquals(listener.seen, [...expected, "end"]);
  });
}

Deno.test("/events begins with the last events once more, if it cannot go on and the parameter since says so", async () => {
  await using relay = await keeping({ keepLast: ["state.*"] });
  await using sender = await join(relay);
  await publish(sender, "state.a", "state.b", "state.a", "other");
  const lost = [["gap", { reason: "epoch" }], "state.b", "state.a"];
  for (const [epoch, seen] of [[endOf(relay).epoch, []], ["old", lost]] as const) {
    using listener = await Listener.open(relay, "since=last&name=state.*", `${epoch}:4`);
    await publish(sender, "state.end");
    await listener.until(() => listener.seen.at(-1) === "state.end");
    assertEquals(listener.seen, [...seen, "state.end"]);
  }
});

Deno.test("/events resumes under traffic without a gap and without an event twice", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  const random = randomsFrom(7);
  const total = 6000;
  const sending = (async () => {
    for (let i = 1; i <= total; i += 20) {
      const names = Array.from({ length: 20 }, (_, k) => `n.${i + k}`);
      await publish(sender, ...names);
    }
  })();
  const received: string[] = [];
  let id = `${endOf(relay).epoch}:0`;
  let connections = 0;
  while (received.length < total) {
    using listener = await Listener.open(relay, "name=n.*", id);
    const wanted = Math.min(total - received.length, 1 + random(500));
    await listener.until(({ messages }) => messages.length >= wanted);
    assertStrictEquals(listener.hasEnded, false);
    received.push(...listener.seen as string[]);
    id = listener.reader.lastEventId;
    connections++;
  }
  await sending;
  assertEquals(received, Array.from({ length: total }, (_, i) => `n.${i + 1}`));
  assertGreater(connections, 10);
});

Deno.test("/events says why events are missing, and which, and sends what is left", async () => {
  await using relay = await keeping({ keepCount: 2 });
  await using sender = await join(relay);
  await publish(sender, "a", "b", "c", "d", "e");
  const { epoch } = endOf(relay);
  const table: [string, object][] = [
    [`${epoch}:1`, { reason: "evicted", from: 2, to: 3 }],
    ["other:1", { reason: "epoch" }],
    [`${epoch}:6`, { reason: "ahead" }],
    ["junk", { reason: "epoch" }],
    ["ü:1:x", { reason: "epoch" }],
  ];
  for (const [id, gap] of table) {
    using listener = await Listener.open(relay, "", id);
    await listener.until(({ messages }) => messages.length === 3);
    assertEquals(listener.seen, [["gap", gap], "d", "e"], id);
    assertEquals(listener.reader.ids, ["", `${epoch}:4`, `${epoch}:5`]);
  }
  using listener = await Listener.open(relay, "", `${epoch}:3`);
  await listener.until(({ messages }) => messages.length === 2);
  assertEquals(listener.seen, ["d", "e"]);
});

Deno.test("/events names the events that were dropped before a slow client has received them", async () => {
  await using relay = await keeping({ keepBytes: 16_000_000 });
  await using sender = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  // More than the system buffers for a client that does not read.
  for (let i = 0; i < 15; i++) await sender.send(line.repeat(100));
  await until(() => endOf(relay).offset === 1500);
  using slow = await Listener.open(relay, "since=first");
  await until(() => relay.stats().history!.catchingUp === 1);
  for (let i = 0; i < 40; i++) await sender.send(line.repeat(100));
  await until(() => endOf(relay).offset === 5500);
  assertStrictEquals(relay.stats().history!.catchingUp, 1);
  const { epoch } = endOf(relay);
  await slow.until(({ lastEventId }) => lastEventId === `${epoch}:5500`);
  const { messages, ids } = slow.reader;
  let at = 0;
  let gaps = 0;
  for (const [i, { type, data }] of messages.entries()) {
    if (type === "gap") {
      const { reason, from, to } = JSON.parse(data);
      assertEquals([reason, from], ["evicted", at + 1]);
      assertStrictEquals(ids[i], ids[i - 1]); // It has no id, so that it is not taken for received.
      at = to;
      gaps++;
    } else {
      assertEquals(parsePosition(ids[i]!), { epoch, offset: ++at });
    }
  }
  assertStrictEquals(at, 5500);
  assertGreater(gaps, 0);
});

Deno.test("/events names the events that are damaged on disk, and sends the others", async () => {
  using folder = new TempFolder();
  const history = { folder: folder.path, keepBytes: 1_048_576 };
  let epoch: string;
  {
    await using relay = await keeping(history);
    await using sender = await join(relay);
    const line = `{"event":"other","__dict__":{"x":"${"x".repeat(1000)}"}}\n`;
    // Each of the first three is in a block of its own, and the last ones are in another file.
    const parts = ['{"event":"a"}\n', '{"event":"b"}\n', '{"event":"c"}\n', line.repeat(80)];
    for (const part of [...parts, line.repeat(80)]) {
      const { offset } = endOf(relay);
      await sender.send(part);
      await until(() => relay.stats().history!.synced === offset + part.split("\n").length - 1);
    }
    ({ epoch } = endOf(relay));
  }
  const path = `${folder.path}/${"1".padStart(20, "0")}.ndjson`;
  const text = Deno.readTextFileSync(path);
  Deno.writeTextFileSync(path, text.replace('{"event":"b"}', '{"event":"x"}'));
  await using relay = await keeping(history);
  using listener = await Listener.open(relay, "name=a&name=b&name=c&name=x", `${epoch}:0`);
  await listener.until(({ messages }) => messages.length === 3);
  assertEquals(listener.seen, ["a", ["gap", { reason: "evicted", from: 2, to: 2 }], "c"]);
});

Deno.test("/events goes on after a restart of a relay that keeps events on disk", async () => {
  using folder = new TempFolder();
  const history = { folder: folder.path };
  let id: string;
  {
    await using relay = await keeping(history);
    await using sender = await join(relay);
    using listener = await Listener.open(relay, "");
    await listener.live();
    await publish(sender, "a");
    await listener.until(({ messages }) => messages.length === 1);
    id = listener.reader.lastEventId;
    await publish(sender, "b");
  }
  await using relay = await keeping(history);
  await using sender = await join(relay);
  using listener = await Listener.open(relay, "", id);
  await publish(sender, "c");
  await listener.until(({ messages }) => messages.length === 2);
  assertEquals(listener.seen, ["b", "c"]);
});

Deno.test("/events sends the position of a client that has caught up with a pattern without a match", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  const { epoch } = endOf(relay);
  await publish(sender, ...Array<string>(5000).fill("a"));
  using listener = await Listener.open(relay, "name=none", `${epoch}:10`);
  await listener.live();
  assertStrictEquals(listener.reader.lastEventId, `${epoch}:5000`);
  assertEquals(listener.reader.messages, []);
});

Deno.test("/events has no ids without a history, and ignores the one of a client", async () => {
  await using relay = newRelay({ web: {} });
  await using sender = await join(relay);
  using listener = await Listener.open(relay, "name=a", "k3J9x2aQ:1041");
  await until(() => relay.clients.length === 2);
  await publish(sender, "a");
  await listener.until(({ messages }) => messages.length === 1);
  assertEquals(listener.seen, ["a"]);
  assertEquals(listener.reader.ids, [""]);
  assertEquals(listener.reader.comments, [""]);
});

Deno.test("/events refuses a parameter since without a history, and one that it does not know", async () => {
  const refusal = async (relay: Relay, query: string) => {
    const [host, port] = relay.server.address;
    const response = await fetch(`http://${host}:${port}/events?${query}`);
    assertStrictEquals(response.status, 400);
    return await response.text();
  };
  await using plain = newRelay({ web: {} });
  assertStringIncludes(await refusal(plain, "since=first"), '"first": the relay keeps no events');
  await using relay = await keeping();
  assertStringIncludes(await refusal(relay, "since=10m"), 'Invalid since "10m": expected first');
  assertStringIncludes(
    await refusal(relay, "since=last"),
    "the relay keeps no last events of names",
  );
});

Deno.test("/events of a relay with a token, where clients hear nothing at first, has its history", async () => {
  await using relay = await keeping({}, { token: "s3cret", subscribeFirst: true });
  await using sender = await Peer.connect(relay.server.address);
  await sender.send('{"control":"hello","token":"s3cret"}\n');
  await publish(sender, "a", "b");
  const bearer = "Authorization: Bearer s3cret";
  using listener = await Listener.open(relay, "since=first", "", bearer);
  await listener.until(({ messages }) => messages.length === 2);
  assertEquals(listener.seen, ["a", "b"]);
});

Deno.test("/events of a relay with a history sends the refusal of patterns, and no event", async () => {
  await using relay = await keeping({}, { maxSubscriptions: 2 });
  await using sender = await join(relay);
  await publish(sender, "a");
  const { epoch } = endOf(relay);
  using listener = await Listener.open(relay, "name=a&name=b&name=c", `${epoch}:0`);
  await until(() => relay.clients.length === 2);
  await publish(sender, "a");
  await listener.until(({ messages }) => messages.length > 0);
  assertEquals(listener.reader.messages.map(({ type }) => type), ["control"]);
  assertStringIncludes(listener.reader.messages[0]!.data, '"reason":"too-many-subscriptions"');
});

Deno.test("/events with a history sends comments while there is nothing to send", async () => {
  await using relay = await keeping({}, { keepAliveInterval: 300 });
  using listener = await Listener.open(relay, "");
  await listener.live();
  const before = listener.reader.comments.length;
  await listener.until(({ comments }) => comments.length === before + 3);
  assertEquals(listener.reader.messages, []);
});

Deno.test("/events sends a long past at the pace of its client, which slows nobody down", async () => {
  await using relay = await keeping({}, { maxPendingBytes: 1_000_000, maxHold: 60_000 });
  await using sender = await join(relay);
  await sender.send('{"control":"subscribe","events":[]}\n');
  const line = (i: number) => `{"event":"n.${i}","__dict__":{"x":"${"x".repeat(9_980)}"}}\n`;
  const send = async (from: number, to: number) => {
    for (let i = from; i < to; i += 100) {
      await sender.send(Array.from({ length: 100 }, (_, k) => line(i + k)).join(""));
    }
    await until(() => endOf(relay).offset === to);
  };
  await send(0, 2000);
  using slow = await Listener.open(relay, "since=first");
  await until(() => relay.stats().history!.catchingUp === 1);
  let most = 0;
  const watch = () => most = Math.max(most, relay.stats().pendingBytes);
  for (let end = 2100; end <= 4000; end += 100) { // No sender waits, for which it would be a minute.
    await send(end - 100, end);
    watch();
  }
  const { epoch } = endOf(relay);
  await slow.until(({ lastEventId }) => {
    watch();
    return lastEventId === `${epoch}:4000`;
  });
  assertStrictEquals(slow.hasEnded, false);
  assertEquals(slow.seen, Array.from({ length: 4000 }, (_, i) => `n.${i}`));
  assertLess(most, 600_000);
});

Deno.test("/events counts as one client that catches up, however many of its patterns it has missed", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  const line = `{"event":"n.0","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  for (let i = 0; i < 15; i++) await sender.send(line.repeat(100));
  await until(() => endOf(relay).offset === 1500);
  const query = Array.from({ length: 300 }, (_, i) => `name=n.${i}`).join("&");
  using slow = await Listener.open(relay, `${query}&since=first`);
  await until(() => relay.stats().history!.catchingUp === 1);
  await slow.until(({ messages }) => messages.length === 1500);
  await until(() => relay.stats().history!.catchingUp === 0);
});

Deno.test({
  name: "curl asks for what it has missed",
  ignore: !canRun("curl", ["--version"]),
  async fn() {
    await using relay = await keeping();
    await using sender = await join(relay);
    await publish(sender, "a", "b");
    const { epoch } = endOf(relay);
    const url = `http://127.0.0.1:${relay.server.address[1]}/events`;
    const expected = new RegExp(`\ndata: \\{"event":"b"\\}\nid: ${epoch}:2\n\n`);
    for (const args of [["-H", `Last-Event-ID: ${epoch}:1`, url], [`${url}?since=${epoch}:1`]]) {
      await using curl = new Program("curl", ["-sSN", ...args]);
      await curl.expect(expected);
    }
  },
});
