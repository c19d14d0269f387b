import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { messageEvents } from "./fixtures.ts";
import { FrameRing } from "./frame_ring.ts";
import { Subscriber } from "./subscriber.ts";
import { bytesOf, lines } from "./wire.ts";

const ROUND = 8;
const streams = ["usera", "userb"].map((user) => {
  const ring = FrameRing.from(messageEvents(ROUND, { user }).map((event) => lines.deliver(event)));
  return { published: ring, delivered: ring };
});
const SIZE = streams[0]!.delivered.frameBytes;

/** Event `index` of a publisher. */
function frame(publisher: number, index: number): Uint8Array {
  return streams[publisher]!.delivered.slice(index * SIZE, (index + 1) * SIZE);
}

/** What a subscriber has received once all `frames` have been read, `step` bytes at a time. */
async function receive(
  frames: Uint8Array[],
  step: number,
  farewell?: Uint8Array,
): Promise<number[]> {
  const bytes = frames.flatMap((each) => [...each]);
  const subscriber = new Subscriber(1, streams, farewell);
  const connection = {
    read(buffer: Uint8Array): Promise<number | null> {
      const next = bytes.splice(0, Math.min(step, buffer.length));
      buffer.set(next);
      return Promise.resolve(next.length === 0 ? null : next.length);
    },
  };
  while (await subscriber.read(connection));
  return subscriber.received;
}

Deno.test("Subscriber.read() counts the events of each publisher, wherever reads end", async () => {
  const order = [0, 0];
  const mixed = Array.from({ length: 3 * ROUND }, (_, i) => {
    const publisher = i % 3 === 0 ? 1 : 0;
    return frame(publisher, order[publisher]!++);
  });
  for (const step of [1, 7, SIZE, SIZE + 1, 5 * SIZE, 65_536]) {
    assertEquals(await receive(mixed, step), order);
  }
});

Deno.test("Subscriber.read() takes a farewell, and nothing else, before the end", async () => {
  const farewell = bytesOf("bye");
  for (const step of [1, SIZE, 65_536]) {
    assertEquals(await receive([frame(1, 0), farewell], step, farewell), [0, 1]);
    assertEquals(await receive([frame(1, 0)], step, farewell), [0, 1]);
    for (const other of ["by", "bye!", "bee"]) {
      const run = () => receive([frame(1, 0), bytesOf(other)], step, farewell);
      await assertRejects(run, Error, `received "${other}" before its end`);
    }
  }
});

const FAULTS: Record<string, Uint8Array[]> = {
  "is lost": [frame(0, 0), frame(1, 0), frame(0, 2)],
  "comes twice": [frame(0, 0), frame(0, 0)],
  "comes out of order": [frame(1, 1), frame(1, 0)],
  "has changed": [frame(0, 0), frame(0, 1).with(SIZE - 4, 0x21)],
  "has no end": [frame(0, 0), frame(0, 1).subarray(0, SIZE - 1)],
};

for (const [fault, frames] of Object.entries(FAULTS)) {
  Deno.test(`Subscriber.read() notices an event that ${fault}`, async () => {
    for (const step of [1, SIZE, 65_536]) await assertRejects(() => receive(frames, step), Error);
  });
}
