/**
 * Prints how many bytes each call leaves behind that only a full collection of garbage frees. Needs
 * `--v8-flags=--expose-gc`.
 *
 * @module
 */

import { TextMap } from "../../protocol/text_map.ts";
import { Member, type Recipient, SubscriberGroup } from "../../server/subscriber_group.ts";
import { blockOf } from "./bytes.ts";

const { gc } = globalThis as unknown as { gc(options: { type: "major" | "minor" }): void };

/**
 * Calls `work` often, and returns the growth of the heap in bytes per call: the least of three
 * measurements, since V8 may need half a megabyte for something else once.
 */
function leftBy(work: () => void): number {
  return Math.min(...Array.from({ length: 3 }, () => growthBy(work)));
}

function growthBy(work: () => void): number {
  const batch = () => {
    for (let i = 0; i < 100; i++) work();
  };
  batch();
  // What is alive now counts as old, so that it stays until the next full collection.
  for (let i = 0; i < 2; i++) gc({ type: "major" });
  const before = Deno.memoryUsage().heapUsed;
  for (let i = 0; i < 20; i++) {
    batch();
    gc({ type: "minor" });
  }
  return (Deno.memoryUsage().heapUsed - before) / 2000;
}

const LINE = '{"event":"a"}\n';
const block = blockOf(LINE);
const group = new SubscriberGroup();
const [publisher] = [1, 2].map((id) => {
  const recipient: Recipient = {
    id,
    open: true,
    pendingBytes: 0,
    eventsOut: 0,
    send: () => true,
    sendPieces: () => true,
  };
  const member = new Member(recipient, group);
  group.members.add(member);
  return member;
});
const map = new TextMap<object>();

console.log(JSON.stringify({
  "SubscriberGroup.flush()": leftBy(() => {
    group.add(block, 0, LINE.length, 1, publisher);
    group.flush(() => {});
  }),
  "TextMap.clear()": leftBy(() => {
    map.set("a", [1, 2, 3]);
    map.clear();
  }),
}));
