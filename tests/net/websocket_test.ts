import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertNotEquals } from "@std/assert/not-equals";
import { concat } from "@std/bytes/concat";
import { Block, Piece } from "../../net/piece.ts";
import { SendQueue } from "../../net/send_queue.ts";
import { WebSocketCodec } from "../../net/websocket.ts";
import { encodeFrames, PING } from "../../protocol/frame_encoder.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { messagesOf } from "../support/frames.ts";

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
