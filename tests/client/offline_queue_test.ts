import { assertEquals } from "@std/assert/equals";
import { OfflineQueue, type OverflowPolicy } from "../../client/offline_queue.ts";
import { textOf, utf8 } from "../support/bytes.ts";

function waiting(
  overflow: OverflowPolicy,
  { events = 3, bytes = 100 }: { events?: number; bytes?: number } = {},
): OfflineQueue {
  return new OfflineQueue({ maxQueuedEvents: events, maxQueuedBytes: bytes, overflow });
}

function offer(queue: OfflineQueue, ...lines: string[]): string[] {
  return lines.map((line) => queue.offer(utf8(line)));
}

function rest(queue: OfflineQueue): string {
  return queue.takeAll().map(textOf).join(" ");
}

Deno.test("OfflineQueue refuses, drops the oldest or drops the newest beyond its bounds", () => {
  for (const bounds of [{ events: 2 }, { bytes: 4 }]) {
    const refusing = waiting("refuse", bounds);
    assertEquals(offer(refusing, "a\n", "b\n", "c\n"), ["queued", "queued", "refused"]);
    assertEquals([refusing.dropped, refusing.lost], [0, { lines: 1, bytes: 2 }]);
    assertEquals(rest(refusing), "a\n b\n");

    const oldest = waiting("drop-oldest", bounds);
    assertEquals(offer(oldest, "a\n", "b\n", "c\n"), ["queued", "queued", "queued"]);
    assertEquals([oldest.dropped, oldest.lost], [1, { lines: 1, bytes: 2 }]);
    assertEquals(rest(oldest), "b\n c\n");

    const newest = waiting("drop-newest", bounds);
    assertEquals(offer(newest, "a\n", "b\n", "c\n"), ["queued", "queued", "dropped"]);
    assertEquals([newest.dropped, newest.lost], [1, { lines: 1, bytes: 2 }]);
    assertEquals(rest(newest), "a\n b\n");
  }
});

Deno.test("OfflineQueue tells of each line that it drops, and of none that it refuses", () => {
  for (const [overflow, dropped] of [["refuse", ""], ["drop-oldest", "a"], ["drop-newest", "b"]]) {
    const told: string[] = [];
    const queue = new OfflineQueue(
      { maxQueuedEvents: 1, maxQueuedBytes: 100, overflow: overflow as OverflowPolicy },
      (line, reason) => told.push(`${textOf(line)} ${reason}`),
    );
    offer(queue, "a", "b");
    assertEquals(told, dropped ? [`${dropped} queue-full`] : []);
  }
});

Deno.test("OfflineQueue.lines() gives what waits, and leaves it there", () => {
  const queue = waiting("refuse");
  offer(queue, "a", "b", "c");
  queue.take();
  assertEquals(queue.lines().map(textOf), ["b", "c"]);
  assertEquals(rest(queue), "b c");
});

Deno.test("OfflineQueue drops as many of the oldest as a long line needs, but none for nothing", () => {
  const queue = waiting("drop-oldest", { bytes: 8 });
  offer(queue, "a\n", "b\n", "c\n");
  assertEquals(offer(queue, "longer\n"), ["queued"]);
  assertEquals([rest(queue), queue.dropped], ["longer\n", 3]);
  offer(queue, "a\n");
  assertEquals(offer(queue, "too long\n"), ["dropped"]);
  assertEquals([rest(queue), queue.dropped], ["a\n", 4]);
  assertEquals(offer(waiting("drop-oldest", { events: 0 }), "a\n"), ["dropped"]);
});

Deno.test("OfflineQueue.putBack() puts lines first, in their order, whatever the bounds", () => {
  const queue = waiting("refuse", { events: 3 });
  offer(queue, "a\n", "b\n", "c\n");
  const taken = [queue.take(), queue.take()];
  offer(queue, "d\n", "e\n");
  queue.putBack(taken);
  queue.putBack([]);
  assertEquals([queue.length, queue.bytes, textOf(queue.peek())], [5, 10, "a\n"]);
  assertEquals(offer(queue, "f\n"), ["refused"]);
  assertEquals(rest(queue), "a\n b\n c\n d\n e\n");
  assertEquals([queue.length, queue.bytes], [0, 0]);
});

Deno.test("OfflineQueue takes lines in their order, however many have gone through it", () => {
  const queue = waiting("refuse", { events: 100, bytes: 10_000 });
  let taken = 0;
  for (let i = 0; i < 10_000; i++) {
    queue.offer(utf8(`${i}\n`));
    if (queue.length > 50) assertEquals(textOf(queue.take()), `${taken++}\n`);
  }
  assertEquals(queue.length, 50);
});
