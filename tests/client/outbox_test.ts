import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { LineConnection } from "../../net/line_connection.ts";
import { Outbox, type OutboxTerms } from "../../client/outbox.ts";
import type { ProducerAnswer } from "../../protocol/producer.ts";
import type { QueueBounds } from "../../client/retry.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { FakeDuplex } from "../support/duplex.ts";
import { turn } from "../support/turns.ts";
import { soon } from "../support/waiting.ts";

const BOUNDS: QueueBounds = { maxQueuedEvents: 5, maxQueuedBytes: 1000, overflow: "refuse" };

/** An outbox with a connection to a peer made of memory, which takes bytes as a test says. */
function connect(outbox: Outbox, hasAcks = true, maxLineBytes = Infinity) {
  const duplex = new FakeDuplex();
  const connection = new LineConnection(duplex, ["127.0.0.1", 1]);
  connection.start({ onLines: () => {}, onClose: () => {} }, { maxPendingBytes: 20 });
  outbox.begin(connection);
  outbox.onWelcome({ hasAcks, maxLineBytes });
  return { duplex, connection };
}

function offer(outbox: Outbox, lines: string): boolean[] {
  return [...lines].map((line) => outbox.offer(utf8(`${line}\n`)));
}

/** Ends a connection; gives what is unconfirmed and what waits now, in this order. */
function end(outbox: Outbox, connection: LineConnection): [string, string] {
  connection.abort();
  const unconfirmed = outbox.end().map(textOf).join("");
  return [unconfirmed, outbox.stop().map(textOf).join("")];
}

Deno.test("Outbox refuses, drops the oldest or drops the newest beyond its bounds", () => {
  for (const bounds of [{ maxQueuedEvents: 2 }, { maxQueuedBytes: 4 }]) {
    for (
      const [overflow, accepted, dropped, waiting] of [
        ["refuse", false, "", "a\nb\n"],
        ["drop-oldest", true, "a\n", "b\nc\n"],
        ["drop-newest", true, "c\n", "a\nb\n"],
      ] as const
    ) {
      const told: string[] = [];
      const outbox = new Outbox({ ...BOUNDS, ...bounds, overflow }, 20, (line, reason) => {
        told.push(textOf(line), reason);
      });
      assertEquals(offer(outbox, "abc"), [true, true, accepted]);
      assertEquals(told, dropped ? [dropped, "queue-full"] : []);
      assertEquals(outbox.dropped, dropped ? 1 : 0);
      assertEquals(outbox.lost, { lines: 1, bytes: 2 });
      assertEquals(outbox.stop().map(textOf).join(""), waiting);
    }
  }
});

Deno.test("Outbox drops as many of the oldest as a long line needs, but none for nothing", () => {
  const outbox = new Outbox(
    { ...BOUNDS, maxQueuedBytes: 8, overflow: "drop-oldest" },
    20,
    () => {},
  );
  offer(outbox, "abc");
  outbox.offer(utf8("longer\n"));
  assertEquals(outbox.lines.waitingLines().map(textOf), ["longer\n"]);
  assertEquals(outbox.dropped, 3);
  outbox.offer(utf8("too long\n"));
  assertEquals(outbox.lines.waitingLines().map(textOf), ["longer\n"]);
  assertEquals(outbox.dropped, 4);
  const none = new Outbox({ ...BOUNDS, maxQueuedEvents: 0, overflow: "drop-oldest" }, 20, () => {});
  assertEquals(offer(none, "a"), [true]);
  assertEquals(none.dropped, 1);
  assertEquals(none.lines.waiting, 0);
});

Deno.test("Outbox.isAcknowledged is false after lines were settled without an acknowledgement", async () => {
  const outbox = new Outbox(BOUNDS, 20, () => {});
  const { connection } = connect(outbox, false);
  offer(outbox, "ab");
  await turn();
  await connection.flush();
  offer(outbox, "c"); // settles those before it
  outbox.onWelcome({ hasAcks: true, maxLineBytes: Infinity });
  assertFalse(outbox.isAcknowledged);
  outbox.onAck(1);
  assertFalse(outbox.isAcknowledged);
  outbox.onAck(2);
  assert(outbox.isAcknowledged);
  assertEquals(outbox.settled, 2);
  end(outbox, connection);
});

Deno.test("Outbox counts lines as unconfirmed only if a write may have sent them", async () => {
  for (let taken = 0; taken <= 4; taken++) {
    const outbox = new Outbox(BOUNDS, 20, () => {});
    const { duplex, connection } = connect(outbox);
    duplex.take(0);
    offer(outbox, "ab"); // one write, which is under way from the next turn on
    await turn();
    offer(outbox, "cd");
    if (taken > 0) duplex.takeOnce(taken);
    await turn();
    // Four bytes are being written; what is left of them is in one write with the rest.
    const given = taken === 0 ? "a\nb\n" : "a\nb\nc\nd\n";
    const rest = "a\nb\nc\nd\n".slice(given.length);
    assertEquals(end(outbox, connection), [given, rest], `${taken}`);
  }
});

Deno.test("Outbox resends lines that were never written", async () => {
  const outbox = new Outbox(BOUNDS, 20, () => {});
  const first = connect(outbox);
  offer(outbox, "abc");
  first.connection.abort();
  assertEquals(outbox.end(), []);
  assertEquals(outbox.lines.waiting, 3);
  assertEquals(outbox.lines.waitingBytes, 6);
  assertEquals(outbox.settled, 0);
  const { duplex, connection } = connect(outbox);
  offer(outbox, "d");
  await turn();
  assertEquals(duplex.written, "a\nb\nc\nd\n");
  outbox.onAck(3);
  assertEquals(outbox.settled, 3);
  assertEquals(end(outbox, connection), ["d\n", ""]);
});

Deno.test("Outbox queues lines beyond the limit of the peer, in order", async () => {
  const outbox = new Outbox(BOUNDS, 6, () => {});
  const { duplex, connection } = connect(outbox);
  assertEquals(offer(outbox, "abcdefgh"), Array(8).fill(true));
  assertEquals(offer(outbox, "i"), [false]);
  await turn();
  assertEquals(duplex.written, "a\nb\nc\n");
  assertEquals(outbox.lines.waiting, 5);
  let hasRoom = false;
  outbox.room()!.then(() => hasRoom = true);
  outbox.onAck(2);
  await turn();
  assertEquals(duplex.written, "a\nb\nc\nd\ne\n");
  assertFalse(hasRoom);
  outbox.onAck(5);
  outbox.onAck(8);
  await turn();
  assertEquals(duplex.written, "a\nb\nc\nd\ne\nf\ng\nh\n");
  assert(hasRoom);
  assertEquals(outbox.settled, 8);
  assertStrictEquals(outbox.room(), null);
  assertEquals(end(outbox, connection), ["", ""]);
});

Deno.test("Outbox sends a line that is longer than all that may be in flight when nothing is", async () => {
  const outbox = new Outbox(BOUNDS, 6, () => {});
  const { duplex, connection } = connect(outbox);
  offer(outbox, "a");
  outbox.offer(utf8("a long line\n"));
  await turn();
  assertEquals(duplex.written, "a\n");
  outbox.onAck(1);
  await turn();
  assertEquals(duplex.written, "a\na long line\n");
  end(outbox, connection);
});

Deno.test("Outbox without acknowledgements settles lines that the operating system has taken", async () => {
  const outbox = new Outbox(BOUNDS, 6, () => {});
  const { duplex, connection } = connect(outbox, false);
  duplex.take(0);
  assertEquals(offer(outbox, "abcdef"), Array(6).fill(true));
  const flushing = outbox.flush();
  const room = outbox.room();
  await turn();
  assertEquals(outbox.lines.waiting, 3);
  duplex.take();
  await soon(flushing, "the flush");
  await soon(room!, "room");
  assertEquals(duplex.written, "a\nb\nc\nd\ne\nf\n");
  assertEquals(outbox.settled, 6);
  assertEquals(end(outbox, connection), ["", ""]);
});

Deno.test("Outbox.flush() rejects when the connection ends, or events are dropped", async () => {
  const outbox = new Outbox({ ...BOUNDS, overflow: "drop-oldest" }, 20, () => {});
  const { connection } = connect(outbox);
  offer(outbox, "a");
  await turn();
  const ended = assertRejects(() => outbox.flush(), Error, "in flight");
  connection.abort();
  outbox.end();
  await ended;
  offer(outbox, "bcdef");
  const dropped = assertRejects(() => outbox.flush(), Error, "dropped");
  offer(outbox, "g");
  await dropped;
  assertEquals(outbox.dropped, 1);
  assertEquals(outbox.lines.waiting, 5);
  const stopped = assertRejects(() => outbox.flush(), Error, "unsent");
  outbox.stop();
  await stopped;
});

Deno.test("Outbox drops and counts lines that a new server does not accept", async () => {
  const told: string[] = [];
  const outbox = new Outbox(BOUNDS, 100, (line, reason) => told.push(textOf(line) + reason));
  outbox.offer(utf8("a long line\n"));
  offer(outbox, "b");
  const { duplex, connection } = connect(outbox, true, 5);
  await turn();
  assertEquals(duplex.written, "b\n");
  assertEquals(outbox.dropped, 1);
  assertEquals(told, ["a long line\nline-too-long"]);
  end(outbox, connection);
});

Deno.test("Outbox.withdraw() removes a queued line, and no others", async () => {
  const outbox = new Outbox(BOUNDS, 20, () => {});
  const lines = [..."abc"].map((letter) => utf8(`${letter}\n`));
  for (const line of lines) outbox.offer(line);
  const flushing = outbox.flush();
  const late = utf8("d\n");
  outbox.offer(late);
  for (const line of [late, lines[1]!, lines[1]!, utf8("a\n")]) outbox.withdraw(line);
  assertEquals(outbox.lines.waiting, 2);
  assertEquals(outbox.lines.waitingBytes, 4);
  assertEquals(outbox.settled, 0);
  const { duplex, connection } = connect(outbox);
  await turn();
  assertEquals(duplex.written, "a\nc\n");
  outbox.withdraw(lines[0]!); // is on its way
  outbox.onAck(1);
  let isFlushed = false;
  flushing.then(() => isFlushed = true);
  await turn();
  assertFalse(isFlushed);
  outbox.onAck(2);
  await soon(flushing, "the flush");
  assertEquals(end(outbox, connection), ["", ""]);
});

Deno.test("Outbox.flush() waits no longer when the last that waits is withdrawn", async () => {
  const outbox = new Outbox(BOUNDS, 20, () => {});
  const line = utf8("a\n");
  outbox.offer(line);
  const flushing = outbox.flush();
  outbox.withdraw(line);
  await soon(flushing, "the flush");
});

Deno.test("Outbox does not resend a line that was withdrawn while it was in flight", async () => {
  const outbox = new Outbox(BOUNDS, 20, () => {});
  const { duplex, connection } = connect(outbox);
  duplex.take(0);
  offer(outbox, "a"); // being written from the next turn on
  await turn();
  const line = utf8("b\n");
  outbox.offer(line);
  offer(outbox, "c");
  outbox.withdraw(line);
  assertEquals(end(outbox, connection), ["a\n", "c\n"]);
});

Deno.test("Outbox.abandon() drops the lines that were bound to a failed connection", () => {
  const outbox = new Outbox(BOUNDS, 20, () => {});
  outbox.offer(utf8("a\n"), true);
  offer(outbox, "b");
  outbox.abandon();
  assertEquals(outbox.lines.waiting, 1);
  assertEquals(outbox.dropped, 1);
});

Deno.test("Outbox does not keep lines that are bound to a connection for another one", () => {
  const outbox = new Outbox(BOUNDS, 4, () => {});
  const { connection } = connect(outbox);
  outbox.offer(utf8("a\n"));
  outbox.offer(utf8("b\n"), true); // not even given to a write
  outbox.offer(utf8("c\n"), true);
  outbox.offer(utf8("d\n"));
  assertEquals(outbox.lines.waiting, 2);
  assertEquals(end(outbox, connection), ["b\nc\n", "a\nd\n"]);
});

Deno.test("Outbox ignores acknowledgements of unsent lines", async () => {
  const outbox = new Outbox(BOUNDS, 100, () => {});
  const { connection } = connect(outbox);
  offer(outbox, "a");
  outbox.onAck(1_000_000);
  assertEquals(outbox.settled, 1);
  offer(outbox, "b");
  await turn();
  assertEquals(end(outbox, connection), ["b\n", ""]);
  outbox.onAck(5); // nothing is there any more
});

Deno.test("Outbox.flush() without a connection resolves by way of one that acknowledges nothing", async () => {
  const outbox = new Outbox(BOUNDS, 20, () => {});
  offer(outbox, "ab");
  const flushed = outbox.flush();
  const { connection } = connect(outbox, false);
  await soon(flushed, "the flush");
  assertEquals(end(outbox, connection), ["", ""]);
});

const HISTORY = { epoch: "e1", first: 1, offset: 0, kept: ["kept.*"] };

/** Connects to a relay that counts lines. Returns the connection, and what is unconfirmed. */
function connectCounted(outbox: Outbox, producer: ProducerAnswer = { taken: 0, exact: true }) {
  const duplex = new FakeDuplex();
  const connection = new LineConnection(duplex, ["127.0.0.1", 1]);
  connection.start({ onLines: () => {}, onClose: () => {} }, { maxPendingBytes: 1000 });
  const unconfirmed = outbox.begin(connection, producer).map(textOf);
  const waiting = outbox.lines.waitingLines().map(textOf);
  const terms: OutboxTerms = { hasAcks: true, maxLineBytes: Infinity, producer, history: HISTORY };
  outbox.onWelcome(terms);
  return { connection, unconfirmed, waiting };
}

/** Sends lines over a connection that breaks after `acknowledged` of them. Returns the unconfirmed. */
async function sendAndBreak(outbox: Outbox, lines: readonly string[], acknowledged: number) {
  const { connection } = connectCounted(outbox);
  for (const line of lines) outbox.offer(utf8(`${line}\n`));
  await turn();
  await connection.flush();
  outbox.onAck(acknowledged);
  connection.abort();
  return outbox.end().map(textOf);
}

/** What an outbox says before the next connection, without the numbers of attempts. */
function claimOf(outbox: Outbox) {
  const { attempt: _, last: __, ...claim } = outbox.claim();
  return claim;
}

const KEPT = ["a", "b", "c", "d"].map((name) => `{"event":"kept.${name}"}`);

Deno.test("Outbox sends the lines in doubt again that the relay has not taken", async () => {
  const outbox = new Outbox(BOUNDS, 1000, () => {});
  assertEquals(await sendAndBreak(outbox, KEPT, 1), []);
  const { id } = claimOf(outbox);
  assertEquals(claimOf(outbox), { id, sent: 4, settled: 1, epoch: "e1" });
  assertEquals(outbox.waiting, 3);
  assertEquals(outbox.settled, 1);
  outbox.offer(utf8("later\n"));
  const { connection, unconfirmed, waiting } = connectCounted(outbox, { taken: 3, exact: true });
  assertEquals(unconfirmed, []);
  assertEquals(waiting, [`${KEPT[3]}\n`, "later\n"]);
  assertEquals(outbox.acknowledged, 3);
  outbox.onAck(2);
  assertEquals(outbox.settled, 5);
  connection.abort();
  outbox.end();
  assertEquals(claimOf(outbox), { id, sent: 5, settled: 5, epoch: "e1" });
});

Deno.test("Outbox keeps lines in doubt over an attempt that breaks before the welcome", async () => {
  const outbox = new Outbox(BOUNDS, 1000, () => {});
  await sendAndBreak(outbox, KEPT, 2);
  const claim = claimOf(outbox);
  outbox.abandon();
  assertEquals(claimOf(outbox), claim);
  assertEquals(outbox.stop(), []);
  assertEquals(
    outbox.takeDoubt().map((line) => textOf(line!)),
    KEPT.slice(2).map((line) => `${line}\n`),
  );
});

Deno.test("Outbox reports lines in doubt as unconfirmed if the relay cannot tell", async () => {
  for (const producer of [{ taken: null, exact: false }, undefined]) {
    const outbox = new Outbox(BOUNDS, 1000, () => {});
    await sendAndBreak(outbox, KEPT, 1);
    const { id } = claimOf(outbox);
    const flushed = assertRejects(
      () => outbox.flush(),
      Error,
      "in flight when the connection ended",
    );
    const duplex = new FakeDuplex();
    const connection = new LineConnection(duplex, ["127.0.0.1", 1]);
    connection.start({ onLines: () => {}, onClose: () => {} }, { maxPendingBytes: 1000 });
    const unconfirmed = outbox.begin(connection, producer).map(textOf);
    assertEquals(unconfirmed, KEPT.slice(1).map((line) => `${line}\n`));
    await flushed;
    assertEquals(outbox.lines.waiting, 0);
    assertEquals(claimOf(outbox), { id, sent: 4, settled: 4, epoch: "e1" });
    end(outbox, connection);
  }
});

Deno.test("Outbox sends after a crash only what the relay would have kept", async () => {
  const lines = [
    '{"event":"kept.a"}',
    '{"event":"other"}',
    '{"event":"kept.b"}',
    '{"event":"kept.c","id":"1"}',
    '{"event":"kept.c","reply_to":"1"}',
    '{"event":"kept.c","to":"c1"}',
  ];
  const outbox = new Outbox({ ...BOUNDS, maxQueuedEvents: 9 }, 1000, () => {});
  await sendAndBreak(outbox, lines, 0);
  const { connection, unconfirmed, waiting } = connectCounted(outbox, { taken: 1, exact: false });
  assertEquals(waiting, ['{"event":"kept.b"}\n']);
  assertEquals(unconfirmed, [lines[1], ...lines.slice(3)].map((line) => `${line}\n`));
  end(outbox, connection);
});

Deno.test("Outbox never repeats a line for one connection, for a call, or withdrawn, and counts it", async () => {
  const awaited = utf8('{"event":"kept.awaited"}\n');
  const outbox = new Outbox(BOUNDS, 1000, () => {}, (line) => line === awaited);
  const { connection } = connectCounted(outbox);
  const withdrawn = utf8('{"event":"kept.withdrawn"}\n');
  const direct = utf8('{"event":"kept.direct","to":"c1"}\n');
  outbox.offer(awaited);
  outbox.offer(withdrawn);
  outbox.offer(direct, true);
  outbox.offer(utf8(`${KEPT[0]}\n`));
  outbox.withdraw(withdrawn);
  await turn();
  await connection.flush();
  connection.abort();
  assertEquals(outbox.end(), [awaited, withdrawn, direct]);
  assertEquals(outbox.waiting, 1);
  assertEquals(claimOf(outbox).sent, 4);
  const { connection: next, unconfirmed, waiting } = connectCounted(outbox, {
    taken: 2,
    exact: true,
  });
  assertEquals(unconfirmed, []);
  assertEquals(waiting, [`${KEPT[0]}\n`]);
  end(outbox, next);
});

Deno.test("Outbox survives a relay that has taken more than was sent, or less than it has said", async () => {
  for (const taken of [0, 99]) {
    const outbox = new Outbox(BOUNDS, 1000, () => {});
    await sendAndBreak(outbox, KEPT, 2);
    const { connection, unconfirmed, waiting } = connectCounted(outbox, { taken, exact: true });
    assertEquals(unconfirmed, []);
    assertEquals(waiting.length, taken === 0 ? 2 : 0);
    assertEquals(outbox.settled, taken === 0 ? 2 : 4);
    end(outbox, connection);
  }
});

Deno.test("Outbox does not send an event for one client again, whoever wrote its envelope", async () => {
  const outbox = new Outbox(BOUNDS, 1000, () => {});
  const direct = '{"event":"kept.a","to":"c7"}';
  await sendAndBreak(outbox, [direct, KEPT[0]!], 0);
  const { connection, unconfirmed, waiting } = connectCounted(outbox);
  assertEquals([unconfirmed, waiting], [[`${direct}\n`], [`${KEPT[0]}\n`]]);
  end(outbox, connection);
});

Deno.test("Outbox.flush() waits for lines in doubt over a reconnection", async () => {
  const outbox = new Outbox(BOUNDS, 1000, () => {});
  const { connection } = connectCounted(outbox);
  for (const line of KEPT) outbox.offer(utf8(`${line}\n`));
  const flushed = outbox.flush();
  await turn();
  await connection.flush();
  connection.abort();
  outbox.end();
  const { connection: next } = connectCounted(outbox, { taken: 2, exact: true });
  outbox.onAck(2);
  await flushed;
  end(outbox, next);
});

Deno.test("Outbox gives each attempt to connect a greater number", () => {
  const outbox = new Outbox(BOUNDS, 1000, () => {});
  assertEquals([outbox.claim(), outbox.claim()].map(({ attempt }) => attempt), [1, 2]);
});
