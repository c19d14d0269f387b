import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertObjectMatch } from "@std/assert/object-match";
import { Piece, SendBudget } from "../../net/piece.ts";
import { SendQueue } from "../../net/send_queue.ts";
import { Relay } from "../../relay.ts";
import { compact } from "../../server/memory_limits.ts";
import { EbsocketServer } from "../../server.ts";
import type { Socket } from "../../net/transport.ts";
import { blockOf, textOf, utf8 } from "../support/bytes.ts";
import { SocketListener } from "../support/step_socket.ts";
import { until } from "../support/waiting.ts";

Deno.test("compact() copies the pending part of a block once, if it is less than half", () => {
  const total = new SendBudget();
  const queues = [1, 2, 3].map(() => new SendQueue(Infinity, total));
  const text = '{"event":"a"}\n'.repeat(100);
  const block = blockOf(text);
  queues.forEach((queue, i) => {
    queue.offerPieces([
      new Piece(block, 0, 280, 20, i),
      new Piece(block, 280, 280 + 140 * i, 10 * i),
    ]);
  });
  assertEquals(total.bytes, 1400);
  compact(queues);
  assertEquals(total.bytes, 280 + 140 + 280);
  compact(queues);
  assertEquals(total.bytes, 280 + 140 + 280);
  const number = (i: number, n: number) => i === 0 ? "" : `"seq":${n + i},`;
  queues.forEach((queue, i) => {
    const lines = Array.from({ length: 20 }, (_, n) => `{${number(i, n)}"event":"a"}\n`);
    assertEquals(textOf(queue.batch()), lines.join("") + '{"event":"a"}\n'.repeat(10 * i));
  });
});

Deno.test("compact() keeps a block of which half is pending, or that is being written", () => {
  const total = new SendBudget();
  const queues = [1, 2].map(() => new SendQueue(Infinity, total));
  const block = blockOf("x".repeat(1399) + "\n");
  queues.forEach((queue, i) => queue.offerPieces([new Piece(block, 700 * i, 700 * i + 700)]));
  compact(queues);
  assertEquals(total.bytes, 1400);
  queues[0]!.batch();
  queues[0]!.consume(100);
  queues[1]!.cut();
  compact(queues);
  assertEquals(total.bytes, 700);
  assertEquals(queues[0]!.bytes, 600);
  assertEquals(textOf(queues[0]!.batch()), "x".repeat(600));
});

/** A peer that sends some text and takes nothing. */
class FrozenPeer implements Socket {
  readonly remoteAddr: Deno.Addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  readonly #closed = Promise.withResolvers<never>();
  #rest: Uint8Array;

  constructor(text: string) {
    this.#rest = utf8(text);
    this.#closed.promise.catch(() => {});
  }

  read(buffer: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0) return this.#closed.promise;
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return Promise.resolve(part.length);
  }

  write(): Promise<number> {
    return this.#closed.promise;
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#closed.reject(new Deno.errors.BadResource("closed"));
  }
}

Deno.test("Relay closes no client for blocks of which it receives only a small part", async () => {
  const event = (name: string, length: number) =>
    `{"event":"${name}","__dict__":{"text":"${"x".repeat(length)}"}}\n`;
  const reader = new FrozenPeer('{"control":"subscribe","events":["own"]}\n');
  // 100 MB, of which the other gets 1 MB.
  const round = event("own", 5000) + event("other", 1000).repeat(500);
  const sender = new FrozenPeer(
    '{"control":"subscribe","events":[]}\n' + round.repeat(200) + '{"event":"end"}\n',
  );
  const relay = new Relay(new EbsocketServer({ listener: new SocketListener(reader, sender) }), {
    maxTotalPendingBytes: 3_000_000,
    shutdownTimeout: 0,
  });
  await until(() => relay.stats().eventsIn === 200 * 501 + 1);
  const stats = relay.stats();
  await relay.close();
  assertObjectMatch(stats, { closes: { "slow-consumer": 0 }, eventsOut: 200 });
  assertLess(stats.pendingBytes, 3_000_001);
});
