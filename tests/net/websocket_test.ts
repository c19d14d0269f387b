import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertNotEquals } from "@std/assert/not-equals";
import { assertLess } from "@std/assert/less";
import { concat } from "@std/bytes/concat";
import type { ConnectionSink } from "../../net/connection.ts";
import { LineConnection } from "../../net/line_connection.ts";
import { Block, Piece } from "../../net/piece.ts";
import { SendQueue } from "../../net/send_queue.ts";
import { WebSocketCodec } from "../../net/websocket.ts";
import { encodeFrames, PING } from "../../protocol/frame_encoder.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { FakeDuplex } from "../support/duplex.ts";
import { close, messagesOf, ping, text } from "../support/frames.ts";
import { until } from "../support/waiting.ts";

const EVENT = '{"event":"a"}\n';

/** A queue of frames, whose HTTP head has been written. */
function frameQueue(maxBytes = 1_000_000): SendQueue {
  const queue = new SendQueue(maxBytes);
  queue.wrap(new WebSocketCodec().encoding, utf8("HTTP/1.1 101\r\n\r\n"));
  queue.consume(queue.batch().length);
  return queue;
}

/** Takes out all that the peer may be sent. */
function take(queue: SendQueue): Uint8Array {
  const taken: Uint8Array[] = [];
  while (queue.isReady) {
    taken.push(queue.batch().slice());
    queue.consume(taken.at(-1)!.length);
  }
  return concat(taken);
}

Deno.test("A queue of frames counts lines, and no control frames", () => {
  const queue = frameQueue();
  queue.offer(utf8(EVENT.repeat(3)));
  queue.appendEncoded(PING);
  assertEquals(queue.lines, 3);
  queue.batch();
  queue.consume(encodeFrames(utf8(EVENT)).length + 1);
  assertEquals(queue.lines, 2);
});

Deno.test("A queue of frames that is cut ends after the frame that was begun", () => {
  const queue = frameQueue();
  queue.offer(utf8(EVENT.repeat(10_000)));
  const begun = queue.batch().slice();
  queue.consume(begun.length);
  queue.cut();
  const messages = messagesOf(concat([begun, take(queue)]));
  const size = encodeFrames(utf8(EVENT)).length;
  assertNotEquals(begun.length % size, 0);
  assertEquals(messages.length, Math.ceil(begun.length / size));
});

Deno.test("A queue of frames numbers events, also one that is too long to be copied", () => {
  const queue = frameQueue();
  const texts = [`{"event":"${"x".repeat(113)}"}`, `{"event":"${"x".repeat(150_000)}"}`];
  const block = new Block(utf8(texts.map((text) => `${text}\n`).join("")));
  queue.offerPieces([new Piece(block, 0, block.bytes.length, 2, 7)]);
  const numbered = texts.map((text, i) => text.replace("{", `{"seq":${7 + i},`));
  assertEquals(messagesOf(take(queue)).map(textOf), numbered);
});

Deno.test("A queue of frames takes from the credit what events are as lines", () => {
  const queue = frameQueue();
  queue.limit(2 * EVENT.length);
  queue.offer(utf8(EVENT.repeat(3)));
  assertEquals(messagesOf(take(queue)).length, 2);
  assertFalse(queue.isReady);
  queue.grant(1);
  assertEquals(messagesOf(take(queue)).length, 1);
});

Deno.test("A Ping neither needs credit nor takes it", () => {
  const queue = frameQueue();
  queue.limit(EVENT.length);
  queue.appendEncoded(PING);
  assertEquals(take(queue), PING);
  queue.offer(utf8(EVENT));
  assertEquals(messagesOf(take(queue)).length, 1);
  queue.appendEncoded(PING);
  assert(queue.isReady);
  assertEquals(take(queue), PING);
});

/** A connection over WebSocket, whose peer has read the HTTP head. */
async function openWebSocket(maxPendingBytes: number) {
  const duplex = new FakeDuplex();
  const connection = new LineConnection(duplex, ["127.0.0.1", 50000]);
  const sink: ConnectionSink = {
    onLines() {
      if (!connection.isWrapped) {
        connection.wrap(new WebSocketCodec(), utf8("HTTP/1.1 101\r\n\r\n"));
      }
    },
    onClose() {},
  };
  connection.start(sink, { maxPendingBytes });
  duplex.receive("GET /\n");
  await until(() => duplex.written !== "" && connection.pendingBytes === 0);
  connection.bytesIn = 0;
  return { connection, duplex };
}

Deno.test("A connection answers Pings", async () => {
  const { connection, duplex } = await openWebSocket(1000);
  duplex.receive(ping("a"));
  await until(() => duplex.written.endsWith("\x01a"));
  connection.abort();
  await connection.closed;
});

Deno.test("Pings of a peer that does not read do not fill the memory", async () => {
  const { connection, duplex } = await openWebSocket(1000);
  duplex.take(0);
  const frame = ping("x".repeat(125));
  for (let i = 1; i <= 100; i++) {
    duplex.receive(frame);
    await until(() => connection.bytesIn === i * frame.length);
  }
  assertLess(connection.pendingBytes, 1000 + frame.length);
  connection.abort();
  await connection.closed;
});

Deno.test("A connection over WebSocket that we close ends after the farewell of its peer", async () => {
  const { connection, duplex } = await openWebSocket(1000);
  const closed = connection.close("shutdown");
  await until(() => duplex.written.endsWith("shutdown"));
  const farewell = close(1001);
  const late = concat([text("late"), ping(), farewell.subarray(0, 3)]);
  duplex.receive(late);
  await until(() => connection.bytesIn === late.length);
  assertFalse(duplex.isWriteClosed);
  duplex.receive(farewell.subarray(3));
  assertEquals((await closed).reason, "shutdown");
  assert(duplex.isClosed);
});

Deno.test("A connection over WebSocket that we close ends soon without a farewell", async () => {
  const { connection, duplex } = await openWebSocket(1000);
  const before = performance.now();
  assertEquals((await connection.close("shutdown")).reason, "shutdown");
  assertLess(performance.now() - before, 10_000);
  assert(duplex.isClosed);
});

Deno.test("A connection over WebSocket expects no farewell after a bad frame", async () => {
  const { connection, duplex } = await openWebSocket(1000);
  duplex.receive(utf8("no frame"));
  await until(() => duplex.isWriteClosed);
  duplex.receive(null);
  assertEquals((await connection.closed).reason, "bad-frame");
});
