import { assertEquals } from "@std/assert/equals";
import { type Deadlines, KeepAlive, type PeerActivity } from "../../net/keepalive.ts";

const DEADLINES: Deadlines = {
  keepAliveInterval: 1500,
  keepAliveTimeout: 800,
  writeTimeout: 1200,
  lineTimeout: 2000,
};

const NOTHING: PeerActivity = {
  bytesIn: 0,
  bytesOut: 0,
  pendingBytes: 0,
  unfinishedBytes: 0,
  reading: true,
};

/** What a lifeline finds at each of `looks` looks, 200 ms apart, at a peer of which it sees `signs`. */
function find(keepAlive: KeepAlive, looks: number, signs: Partial<PeerActivity> = {}): string[] {
  return Array.from(
    { length: looks },
    () => keepAlive.check(200, { ...NOTHING, ...signs }, DEADLINES),
  );
}

const fine = (count: number) => Array<string>(count).fill("fine");

Deno.test("KeepAlive finds that something should be sent when nothing was for long enough", () => {
  const keepAlive = new KeepAlive();
  assertEquals(find(keepAlive, 5), [...fine(4), "send"]);
  assertEquals(find(keepAlive, 5, { bytesOut: 1 }), fine(5));
  assertEquals(find(keepAlive, 1, { bytesOut: 1 }), ["send"]);
});

Deno.test("KeepAlive never reports a peer without a keep-alive promise as silent", () => {
  const keepAlive = new KeepAlive();
  for (let i = 0; i < 1000; i++) {
    assertEquals(find(keepAlive, 1, { bytesOut: i }), ["fine"]);
  }
});

Deno.test("KeepAlive finds a peer silent that does not keep its promise, some time later", () => {
  const keepAlive = new KeepAlive();
  keepAlive.setPeerInterval(400);
  let bytesOut = 0;
  const look = (bytesIn: number) => find(keepAlive, 1, { bytesIn, bytesOut: ++bytesOut })[0];
  assertEquals([1, 1, 1, 1, 1, 1, 2].map(look), fine(7));
  assertEquals([2, 2, 2, 2, 2, 2].map(look), [...fine(5), "silent"]);
});

Deno.test("KeepAlive does not blame a peer that is not being read from", () => {
  const keepAlive = new KeepAlive();
  keepAlive.setPeerInterval(1);
  for (let bytesOut = 1; bytesOut < 100; bytesOut++) {
    const found = find(keepAlive, 1, { reading: false, unfinishedBytes: 9, bytesOut });
    assertEquals(found, ["fine"]);
  }
});

Deno.test("KeepAlive reports a peer as stuck if it takes no pending byte", () => {
  const keepAlive = new KeepAlive();
  assertEquals(find(keepAlive, 6, { pendingBytes: 9 }), [...fine(5), "stuck"]);
  assertEquals(keepAlive.stalledMs, 1200);
  assertEquals(find(keepAlive, 1, { pendingBytes: 8, bytesOut: 1 }), ["fine"]);
  assertEquals(keepAlive.stalledMs, 0);
});

Deno.test("KeepAlive reports an unfinished line, however often bytes come", () => {
  const keepAlive = new KeepAlive();
  const drip = (bytes: number) =>
    find(keepAlive, 1, { bytesIn: bytes, unfinishedBytes: bytes, bytesOut: bytes })[0];
  assertEquals([1, 2, 3, 4, 5, 6, 7, 8, 9].map(drip), fine(9));
  keepAlive.lineEnded();
  const ten = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
  assertEquals(ten.map(drip), [...fine(9), "unfinished"]);
});

Deno.test("KeepAlive blames no peer for a standstill of our own", () => {
  const keepAlive = new KeepAlive();
  keepAlive.setPeerInterval(400);
  const waiting = { ...NOTHING, pendingBytes: 1 };
  assertEquals(keepAlive.check(3_600_000, waiting, DEADLINES), "fine");
  assertEquals(keepAlive.stalledMs, 250);
  assertEquals(find(keepAlive, 5, waiting), [...fine(4), "stuck"]);
});

Deno.test("KeepAlive sends at once after a standstill of our own", () => {
  assertEquals(new KeepAlive().check(3_600_000, NOTHING, DEADLINES), "send");
});
