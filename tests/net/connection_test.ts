import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertLess } from "@std/assert/less";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import type { ChunkDuplex, ConnectionSink } from "../../net/connection.ts";
import type { ConnectionOptions } from "../../net/connection_options.ts";
import { LineConnection } from "../../net/line_connection.ts";
import { openConnection } from "../../net/transport.ts";
import { type CloseInfo, ConnectionClosedError } from "../../errors.ts";
import { bytewise, cutAt, textOf, utf8 } from "../support/bytes.ts";
import { FakeDuplex } from "../support/duplex.ts";
import { turn } from "../support/turns.ts";
import { soon, until } from "../support/waiting.ts";

function setUp(options: ConnectionOptions = {}, onLine?: (line: string) => void) {
  const duplex = new FakeDuplex();
  const connection = new LineConnection(duplex, ["127.0.0.1", 50000]);
  const lines: string[] = [];
  const ends: CloseInfo[] = [];
  const sink: ConnectionSink = {
    onLines(_, block) {
      for (const line of block) {
        lines.push(textOf(line));
        onLine?.(textOf(line));
      }
    },
    onClose: (_, info) => void ends.push(info),
  };
  connection.start(sink, options);
  return { connection, duplex, lines, ends };
}

const CLEAN = { detail: "", unsentLines: 0, unsentBytes: 0 };

Deno.test("EbsocketConnection passes on lines, then ends with eof", async () => {
  const { connection, duplex, lines, ends } = setUp();
  duplex.receive("one\ntw");
  duplex.receive("o\nthree\n");
  duplex.receive(null);
  assertEquals(await connection.closed, { reason: "eof", ...CLEAN });
  assertEquals(lines, ["one", "two", "three"]);
  assertEquals(ends, [await connection.closed]);
  assertEquals(connection.bytesIn, 14);
  assert(duplex.isClosed);
});

Deno.test("EbsocketConnection ends when a duplex reports more bytes than the buffer holds", async () => {
  const duplex = new FakeDuplex();
  duplex.read = (buffer) => Promise.resolve(buffer.length + 1);
  const connection = new LineConnection(duplex, ["127.0.0.1", 50000]);
  connection.start({ onLines() {}, onClose() {} });
  const { reason, detail } = await connection.closed;
  assertEquals(reason, "reset");
  assertStringIncludes(detail, "length");
});

Deno.test("EbsocketConnection reports an unfinished line as truncated, also to the peer", async () => {
  const { connection, duplex, lines } = setUp();
  duplex.receive("one\ntwo");
  duplex.receive(null);
  const { reason, detail } = await connection.closed;
  assertEquals(reason, "truncated");
  assertEquals(detail, "3 bytes after the last newline were dropped");
  assertEquals(lines, ["one"]);
  assertEquals(JSON.parse(duplex.written), { control: "close", reason, detail });
});

Deno.test("EbsocketConnection sends queued lines to a half-closed peer", async () => {
  const { connection, duplex } = setUp();
  duplex.writeSize = 0;
  connection.send(utf8("one\n"));
  duplex.receive(null);
  await until(() => !connection.open);
  assertFalse(connection.send(utf8("late\n")));
  duplex.take(1);
  assertEquals(await connection.closed, { reason: "eof", ...CLEAN });
  assertEquals(duplex.written, "one\n");
});

Deno.test("EbsocketConnection keeps lines apart from a read buffer that is used again", async () => {
  const blocks: Uint8Array[] = [];
  const duplex = new FakeDuplex();
  const connection = new LineConnection(duplex, ["127.0.0.1", 50000]);
  connection.start({ onLines: (_, block) => void blocks.push(block.bytes), onClose() {} });
  duplex.receive("one\n");
  duplex.receive("two\n");
  duplex.receive(null);
  await connection.closed;
  assertEquals(blocks.map((block) => textOf(block)), ["one\n", "two\n"]);
});

/** A duplex whose input is in chunks, all of which are here. */
function chunked(chunks: readonly Uint8Array[]): ChunkDuplex {
  const left = [...chunks];
  return {
    readChunk: () => Promise.resolve(left.shift() ?? null),
    get hasChunk() {
      return left.length > 0;
    },
    write: (bytes) => Promise.resolve(bytes.length),
    closeWrite: () => Promise.resolve(),
    close() {},
  };
}

Deno.test("LineConnection takes lines from chunks that end anywhere", async () => {
  const input = utf8("\ufeffone\ntwo\r\n\nthree\n");
  const cuts = Array.from(input, (_, i) => [i]);
  for (const chunks of [bytewise(input), ...cuts.map((cut) => cutAt(input, cut))]) {
    const connection = new LineConnection(
      chunked(chunks.filter(({ length }) => length > 0)),
      ["127.0.0.1", 50000],
    );
    const lines: string[] = [];
    connection.start({
      onLines: (_, block) => void lines.push(...Array.from(block, textOf)),
      onClose() {},
    });
    assertObjectMatch(await connection.closed, { reason: "eof" });
    assertEquals(lines, ["one", "two", "three"]);
    assertEquals(connection.bytesIn, input.length);
  }
});

Deno.test("LineConnection passes chunks of whole lines on without a copy", async () => {
  const chunks = ["one\n", "two\nthree\n", "fo", "ur\n", "five\n"].map(utf8);
  const connection = new LineConnection(chunked(chunks), ["127.0.0.1", 50000]);
  const blocks: Uint8Array[] = [];
  connection.start({ onLines: (_, { bytes }) => void blocks.push(bytes), onClose() {} });
  await connection.closed;
  assertEquals(blocks.map(textOf), ["one\n", "two\nthree\n", "four\n", "five\n"]);
  assertStrictEquals(blocks[1], chunks[1]);
  assertStrictEquals(blocks[3], chunks[4]);
});

Deno.test("LineConnection closes when a line in a chunk is too long, after the lines before", async () => {
  const connection = new LineConnection(
    chunked(["one\n", "two\n12345678\nthree\n"].map(utf8)),
    ["127.0.0.1", 50000],
  );
  const lines: string[] = [];
  connection.start({
    onLines: (_, block) => void lines.push(...Array.from(block, textOf)),
    onClose() {},
  }, { maxLineBytes: 5 });
  assertObjectMatch(await connection.closed, { reason: "line-too-long" });
  assertEquals(lines, ["one", "two"]);
});

Deno.test("EbsocketConnection.close() sends queued lines, then shuts down, then waits", async () => {
  const { connection, duplex, lines } = setUp();
  duplex.writeSize = 2;
  connection.send(utf8("one\ntwo\n"), 2);
  const closed = connection.close();
  await until(() => duplex.isWriteClosed);
  assertEquals(duplex.written, "one\ntwo\n");
  assertFalse(duplex.isClosed);
  duplex.receive("too late\n");
  duplex.receive(null);
  assertEquals(await closed, { reason: "local", ...CLEAN });
  assertEquals(lines, []);
  assertEquals(connection.eventsOut, 2);
});

Deno.test("EbsocketConnection.close() waits a limited time for a peer that does not close", async () => {
  const { connection } = setUp();
  assertEquals(await connection.close(), { reason: "local", ...CLEAN });
});

Deno.test("EbsocketConnection.close() drops a limited number of bytes that a peer still sends", async () => {
  const { connection, duplex, lines } = setUp();
  const closed = connection.close("bad-json", "no");
  await until(() => duplex.isWriteClosed);
  for (let i = 0; i < 17; i++) duplex.receive(new Uint8Array(1_048_576).fill(10));
  assertEquals((await closed).reason, "bad-json");
  assertEquals(lines, []);
});

Deno.test("EbsocketConnection.close() sends queued lines, however much the peer sends meanwhile", async () => {
  const { connection, duplex } = setUp();
  duplex.writeSize = 0;
  connection.send(utf8("one\n"));
  const closed = connection.close();
  for (let i = 0; i < 17; i++) duplex.receive(new Uint8Array(1_048_576).fill(10));
  await until(() => connection.bytesIn === 17 * 1_048_576);
  duplex.take();
  duplex.receive(null);
  assertEquals(await closed, { reason: "local", ...CLEAN });
  assertEquals(duplex.written, "one\n");
});

Deno.test("EbsocketConnection does not count its own close line as unsent", async () => {
  const { connection, duplex } = setUp();
  duplex.writeSize = 0;
  connection.send(utf8("one\n"));
  connection.close("shutdown");
  const info = { reason: "shutdown", unsentLines: 1, unsentBytes: 4 };
  assertObjectMatch(await connection.abort(), info);
});

Deno.test("EbsocketConnection.close() ends a paused connection that can send no more", async () => {
  const { connection, duplex, lines } = setUp({}, () => connection.pause());
  duplex.receive("one\n");
  await until(() => lines.length === 1);
  duplex.failWrites(new Deno.errors.BrokenPipe("Broken pipe"));
  connection.send(utf8("two\n"));
  await until(() => !connection.open);
  assertEquals((await connection.close()).reason, "reset");
});

Deno.test("EbsocketConnection prefers the close reason of the peer to the network error", async () => {
  for (const end of [null, new Deno.errors.ConnectionReset("reset")]) {
    const { connection, duplex } = setUp();
    duplex.failWrites(new Deno.errors.BrokenPipe("Broken pipe"));
    connection.send(utf8("one\n"));
    await until(() => !connection.open);
    connection.notePeerClose({ reason: "slow-consumer", detail: "too slow" });
    duplex.receive(end);
    const info = { reason: "slow-consumer", detail: "too slow", unsentLines: 1 };
    assertObjectMatch(await connection.closed, info);
  }
});

Deno.test("openConnection() sets no delay and keep-alive on the socket", async () => {
  const calls: string[] = [];
  const addr = { transport: "tcp", hostname: "127.0.0.1", port: 5 } as const;
  const conn = Object.assign(new FakeDuplex(), {
    remoteAddr: addr,
    setNoDelay: (on?: boolean) => void calls.push(`no delay ${on}`),
    setKeepAlive: (on?: boolean) => void calls.push(`keep alive ${on}`),
  });
  const connection = openConnection(conn as unknown as Deno.Conn);
  assertEquals(calls, ["no delay true", "keep alive true"]);
  assertEquals(connection.address, ["127.0.0.1", 5]);
  await connection.abort();
  const gone = Object.assign(new FakeDuplex(), {
    remoteAddr: addr,
    setNoDelay() {
      throw new Error("Invalid argument (os error 22)");
    },
  });
  await openConnection(gone as unknown as Deno.Conn).abort();
});

Deno.test("EbsocketConnection.close() sends its reason after the queued lines", async () => {
  const { connection, duplex } = setUp();
  connection.send(utf8("one\n"));
  const closed = connection.close("shutdown");
  duplex.receive(null);
  assertEquals(await closed, { reason: "shutdown", ...CLEAN });
  assertEquals(duplex.written, 'one\n{"control":"close","reason":"shutdown"}\n');
});

Deno.test("EbsocketConnection.close() keeps its first reason", async () => {
  const { connection, duplex, ends } = setUp();
  connection.close("bad-json", "first");
  connection.close("shutdown");
  duplex.receive(null);
  await connection.close();
  assertEquals(ends.map(({ reason, detail }) => [reason, detail]), [["bad-json", "first"]]);
});

Deno.test("EbsocketConnection.close() gives up on a peer that takes nothing", async () => {
  const { connection, duplex } = setUp({ drainTimeout: 20 });
  duplex.writeSize = 0;
  connection.send(utf8("one\ntwo\n"), 2);
  assertEquals(await connection.close(), {
    reason: "idle-timeout",
    detail: "the peer took no bytes for 20 ms",
    unsentLines: 2,
    unsentBytes: 8,
  });
});

Deno.test("EbsocketConnection.abort() leaves no timer of a reader that waits for its turn", async () => {
  // The sanitizers of Deno.test() find such a timer, as the test ends before it fires.
  const { connection, duplex, lines } = setUp({}, () => {
    for (const start = performance.now(); performance.now() - start < 0.02;);
  });
  duplex.receive(`${"x".repeat(63)}\n`.repeat(10_000));
  for (let quiet = 0, seen = -1; quiet < 50; quiet++) {
    if (lines.length > seen || lines.length === 0) quiet = 0;
    seen = lines.length;
    await null;
  }
  assertLess(lines.length, 10_000);
  connection.abort();
});

Deno.test("EbsocketConnection.close() does not blame the peer for our own standstill", async () => {
  const { connection, duplex } = setUp({ drainTimeout: 100 });
  duplex.writeSize = 0;
  connection.send(utf8("one\n"));
  const closed = connection.close();
  for (const start = performance.now(); performance.now() - start < 400;);
  await turn(); // Timers that are due have run.
  duplex.take();
  duplex.receive(null);
  assertEquals((await closed).reason, "local");
  assertEquals(duplex.written, "one\n");
});

Deno.test("EbsocketConnection.close() ends a connection that was never started", async () => {
  const duplex = new FakeDuplex();
  const connection = new LineConnection(duplex, ["127.0.0.1", 50000]);
  assertEquals((await connection.close()).reason, "local");
  assert(duplex.isClosed);
});

Deno.test("EbsocketConnection.abort() ends at once and counts unsent lines and bytes", async () => {
  const { connection, duplex, ends } = setUp();
  duplex.writeSize = 0;
  connection.send(utf8("one\ntwo\n"), 2);
  const closed = connection.abort();
  assert(duplex.isClosed);
  const info = { reason: "aborted", detail: "", unsentLines: 2, unsentBytes: 8 } as const;
  assertEquals(await closed, info);
  assertEquals(ends, [info]);
});

Deno.test("EbsocketConnection.abort() while draining ends with aborted", async () => {
  const { connection, duplex } = setUp();
  duplex.writeSize = 0;
  connection.send(utf8("one\n"));
  connection.close();
  assertEquals((await connection.abort()).reason, "aborted");
});

Deno.test("EbsocketConnection.send() closes a slow consumer, between two lines", async () => {
  const { connection, duplex, ends } = setUp({ maxPendingBytes: 20 });
  duplex.writeSize = 0;
  connection.send(utf8("0123456789\n"));
  await Promise.resolve();
  connection.send(utf8("abcdef\n"));
  assertFalse(connection.send(utf8("too much\n")));
  assertFalse(connection.open);
  assertLess(connection.pendingBytes, 200);
  duplex.take(4);
  duplex.receive(null);
  const info = await connection.closed;
  assertObjectMatch(info, { reason: "slow-consumer", unsentLines: 1, unsentBytes: 7 });
  const last = JSON.stringify({ control: "close", reason: info.reason, detail: info.detail });
  assertEquals(duplex.written, `0123456789\n${last}\n`);
  assertEquals(ends.length, 1);
});

Deno.test("EbsocketConnection closes a peer whose line is too long, after the lines before", async () => {
  const { connection, duplex, lines } = setUp({ maxLineBytes: 8 });
  duplex.receive("fine\n123456789\nnever\n");
  duplex.receive(null);
  assertEquals((await connection.closed).reason, "line-too-long");
  assertEquals(lines, ["fine"]);
});

Deno.test("EbsocketConnection.pause() holds further lines back until resume()", async () => {
  const { connection, duplex, lines } = setUp({}, () => connection.pause());
  duplex.receive("one\n");
  await until(() => lines.length === 1);
  duplex.receive("two\n");
  duplex.receive(null);
  await turn();
  assertEquals(lines, ["one"]);
  connection.resume();
  await until(() => lines.length === 2);
  connection.resume();
  assertEquals((await connection.closed).reason, "eof");
});

Deno.test("EbsocketConnection.close() works while paused", async () => {
  const { connection, duplex, lines } = setUp({}, () => connection.pause());
  duplex.receive("one\n");
  await until(() => lines.length === 1);
  duplex.receive("two\n");
  duplex.receive(null);
  assertEquals((await connection.close()).reason, "local");
  assertEquals(lines, ["one"]);
});

Deno.test("EbsocketConnection reads on after a write has failed, and ends as reset", async () => {
  const { connection, duplex, lines } = setUp();
  duplex.failWrites(new Deno.errors.BrokenPipe("Broken pipe"));
  connection.send(utf8("one\n"));
  await until(() => !connection.open);
  duplex.receive("their last words\n");
  duplex.receive(null);
  assertEquals(await connection.closed, {
    reason: "reset",
    detail: "Broken pipe",
    unsentLines: 1,
    unsentBytes: 4,
  });
  assertEquals(lines, ["their last words"]);
});

Deno.test("EbsocketConnection ends as reset when reading fails", async () => {
  const { connection, duplex } = setUp();
  duplex.receive(new Deno.errors.ConnectionReset("reset by peer"));
  assertEquals(await connection.closed, { ...CLEAN, reason: "reset", detail: "reset by peer" });
});

Deno.test("EbsocketConnection ends when the owner of its socket has closed that", async () => {
  const { connection, duplex, ends } = setUp();
  duplex.close();
  duplex.receive(new Deno.errors.BadResource("closed"));
  assertEquals((await soon(connection.closed, "the end")).reason, "reset");
  assertEquals(ends.length, 1);
});

Deno.test("EbsocketConnection.flush() resolves once all is written, and rejects if it never is", async () => {
  const { connection, duplex } = setUp();
  await connection.flush();
  duplex.writeSize = 0;
  connection.send(utf8("one\n"));
  const flushed = connection.flush();
  duplex.take();
  await flushed;
  assertEquals(duplex.written, "one\n");
  duplex.writeSize = 0;
  connection.send(utf8("two\n"));
  const failed = assertRejects(() => connection.flush(), ConnectionClosedError, "aborted");
  connection.abort();
  await failed;
});

Deno.test("LineConnection.notePeerClose() sets the reason for the end that follows", async () => {
  const { connection, duplex } = setUp();
  connection.notePeerClose({ reason: "shutdown", detail: "maintenance" });
  duplex.receive(null);
  assertEquals(await connection.closed, { ...CLEAN, reason: "shutdown", detail: "maintenance" });
  assertEquals(duplex.written, "");
});

Deno.test("EbsocketConnection.start() refuses a second start and limits out of range", () => {
  const { connection } = setUp();
  assertThrows(() => connection.start({ onLines() {}, onClose() {} }), TypeError, "before");
  connection.abort();
  const other = new LineConnection(new FakeDuplex(), ["::1", 1]);
  assertThrows(() => other.send(utf8("x\n")), TypeError, "not been started");
  const sink = { onLines() {}, onClose() {} };
  for (const bad of [0, -1, 1.5, NaN]) {
    assertThrows(() => other.start(sink, { maxPendingBytes: bad }), RangeError, `got ${bad}`);
    assertThrows(() => other.start(sink, { maxLineBytes: bad }), RangeError, `got ${bad}`);
  }
  for (const bad of [0, -1, 0.5, NaN, Infinity]) {
    assertThrows(() => other.start(sink, { drainTimeout: bad }), RangeError, `got ${bad}`);
  }
  assertEquals(`${other}`, "EbsocketConnection([::1]:1)");
  assertEquals(Deno.inspect(other), "EbsocketConnection([::1]:1)");
});

Deno.test("EbsocketConnection is drained when it is disposed of", async () => {
  const { connection, duplex } = setUp();
  {
    await using disposed = connection;
    disposed.send(utf8("one\n"));
    duplex.receive(null);
  }
  assertEquals(duplex.written, "one\n");
  assertEquals((await connection.closed).unsentLines, 0);
});

Deno.test("EbsocketConnection reports the end of the peer to its sink while it can still send", async () => {
  const duplex = new FakeDuplex();
  const connection = new LineConnection(duplex, ["127.0.0.1", 1]);
  connection.start({
    onLines() {},
    onEnd: (connection) => void connection.send(utf8("last\n")),
    onClose() {},
  });
  duplex.receive("a\n");
  duplex.receive(null);
  assertEquals((await connection.closed).reason, "eof");
  assertEquals(duplex.written, "last\n");
});

Deno.test("LineConnection.hasMore is true if a large read filled its buffer", async () => {
  const duplex = new FakeDuplex();
  const connection = new LineConnection(duplex, ["127.0.0.1", 1]);
  const seen: boolean[] = [];
  let bytes = 0;
  connection.start({
    onLines(connection: LineConnection, lines) {
      bytes += lines.bytes.length;
      seen.push(connection.hasMore);
    },
    onClose() {},
  });
  duplex.receive("x".repeat(255) + "\n"); // fills the first buffer, which is small
  duplex.receive(("x".repeat(999) + "\n").repeat(500));
  await until(() => bytes === 500_256);
  duplex.receive("a\n");
  await until(() => bytes === 500_258);
  assertStrictEquals(seen[0], false);
  assert(seen.includes(true));
  assertStrictEquals(seen.at(-1), false);
  await connection.abort();
});
