/** Lines made to break the reader: at every limit, random, and nearly right. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { textOf, utf8, withNewline } from "../support/bytes.ts";
import { cutInto, jsonLine, mutate, mutation, stream } from "../support/lines.ts";
import type { Peer } from "../support/peer.ts";
import { judge, parseTree, valueOf } from "../support/reference.ts";
import { soon, until } from "../support/waiting.ts";
import { size } from "../support/size.ts";
import { addressOf, Target } from "./target.ts";

const MAX_LINE = 1_048_576;
const MAX_CONTROL = 65_536;

/** An event that is `length` bytes long without its end. */
function eventOf(length: number): string {
  const [head, tail] = ['{"event":"a","__dict__":{"text":"', '"}}'];
  return head + "x".repeat(length - head.length - tail.length) + tail;
}

/** An event that nests `depth` deep. */
function nested(depth: number): string {
  return `{"event":"a","__dict__":{"x":${"[".repeat(depth - 2)}${"]".repeat(depth - 2)}}}`;
}

const ATTEMPTS: [what: string, fits: string, tooMuch: string, reason: string][] = [
  ["a line", eventOf(MAX_LINE), eventOf(MAX_LINE + 1), "line-too-long"],
  ["a line without an end", eventOf(MAX_LINE - 1), "x".repeat(MAX_LINE + 1), "line-too-long"],
  ["the depth", nested(64), nested(65), "too-deep"],
  ["a name", `{"event":"${"a".repeat(255)}"}`, `{"event":"${"a".repeat(256)}"}`, "bad-event"],
  [
    "a name of escapes",
    `{"event":"${"\\u00e9".repeat(127)}"}`,
    `{"event":"${"\\u00e9".repeat(128)}"}`,
    "bad-event",
  ],
  [
    "a name of surrogates",
    `{"event":"${"\\ud800".repeat(85)}"}`,
    `{"event":"${"\\ud800".repeat(86)}"}`,
    "bad-event",
  ],
];

Deno.test("relay passes on a line at a limit, and nothing of one beyond it", async () => {
  await using target = await Target.start(["--no-echo"]);
  for (const [what, fits, tooMuch, reason] of ATTEMPTS) {
    await using peer = await target.peer();
    await peer.send(`${fits}\n${tooMuch}`);
    if (reason !== "line-too-long") await peer.send("\n");
    assertEquals(JSON.parse((await peer.lines()).join("\n")).reason, reason, what);
    peer.close();
    assertEquals((await target.left(addressOf(peer))).reason, reason, what);
  }
  await target.isCalm({ passes: 2 * ATTEMPTS.length });
});

Deno.test("relay looks at a control line of 65,536 bytes, and at none that is longer", async () => {
  await using target = await Target.start();
  for (
    const [length, reason] of [[MAX_CONTROL, "idle-timeout"], [MAX_CONTROL + 1, "eof"]] as const
  ) {
    const head = '{"control":"close","reason":"idle-timeout","detail":"';
    await using peer = await target.peer();
    await peer.send(`${head}${"x".repeat(length - head.length - 2)}"}\n`);
    await peer.conn.closeWrite();
    await peer.lines();
    assertEquals((await target.left(addressOf(peer))).reason, reason);
  }
  await target.isCalm();
});

Deno.test("relay refuses control lines of 1 MiB, and ignores unknown ones", async () => {
  await using target = await Target.start();
  await using peer = await target.peer();
  const lines = ['{"control":"welcome","id":"c1"}', '{"control":"ack","events":1e300}'];
  for (const name of ["hello", "close", "x"]) {
    const head = `{"control":"${name}","detail":"`;
    lines.push(`${head}${"x".repeat(MAX_LINE - head.length - 2)}"}`);
  }
  for (const line of lines) await peer.send(`${line}\n`);
  await peer.send('{"event":"last"}\n');
  await peer.sees('{"event":"last"}\n');
  const answers = peer.text.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(answers.map(({ reason }) => reason), [
    "too-long",
    "too-long",
    undefined,
  ]);
  peer.close();
  await target.isCalm({ passes: 2 });
});

Deno.test("relay --max-total-pending-bytes limits the memory of unfinished lines", async () => {
  const [count, limit] = [size(40, 120), size(10, 30)];
  await using target = await Target.start(["--max-total-pending-bytes", `${limit * MAX_LINE}`]);
  const line = utf8("x".repeat(MAX_LINE - 1));
  const addresses: string[] = [];
  const peers: Peer[] = [];
  for (let i = 0; i < count; i++) {
    const peer = await target.peer();
    peers.push(peer);
    addresses.push(addressOf(peer));
    await peer.send(line).catch(() => {}); // It may be cut off meanwhile.
  }
  const isCutOff = () => addresses.filter((each) => target.entriesOf(each).length === 2).length;
  await until(() => isCutOff() >= count - limit, { everyMs: 20 });
  for (const address of addresses) {
    const end = target.entriesOf(address).find(({ type }) => type === "leave");
    if (end) assertEquals(end.reason, "overloaded", JSON.stringify(end));
  }
  for (const peer of peers) await peer[Symbol.asyncDispose]();
  await target.isCalm();
});

/** What a relay is to make of a stream: how many events pass, and why it may end it. */
function expected(bytes: Uint8Array): { events: number; reasons: string[] } {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
  let events = 0;
  for (;;) {
    const end = bytes.indexOf(0x0a);
    if (end < 0) return { events, reasons: [bytes.length > 0 ? "truncated" : "eof"] };
    const line = bytes.subarray(0, end);
    const { kind, faults } = judge(line);
    if (kind === "invalid") return { events, reasons: faults };
    // One that is addressed gets to nobody: no client has such an id.
    if (kind === "event" && !isAddressed(line)) events++;
    bytes = bytes.subarray(end + 1);
  }
}

function isAddressed(line: Uint8Array): boolean {
  return "to" in (valueOf(parseTree(textOf(line))) as object);
}

/** Sends each stream on a connection of its own; both witnesses must get the right events only. */
async function attackWith(streams: Uint8Array[], cuts: number[][]): Promise<void> {
  await using target = await Target.start(["--no-echo"]);
  let passes = 0;
  let next = 0;
  async function attackInTurn(): Promise<void> {
    while (next < streams.length) {
      const i = next++;
      const { events, reasons } = expected(streams[i]!);
      await using peer = await target.peer();
      try {
        for (const piece of cutInto(streams[i]!, cuts[i % cuts.length]!)) await peer.send(piece);
        await peer.conn.closeWrite();
      } catch {
        // The relay has hung up already.
      }
      await soon(peer.lines().catch(() => {}), "the end");
      peer.close();
      const { reason } = await target.left(addressOf(peer));
      // A peer that goes on sending after the last word may break off with a reset.
      assert(reasons.includes(reason!) || reason === "reset", `${reason} ${reasons}`);
      passes += 2 * events;
    }
  }
  await Promise.all(Array.from({ length: 8 }, attackInTurn));
  await target.isCalm({ passes });
}

/** Some values, the same for the same seed, which is shown if the test fails. */
async function withSamples<T>(
  of: fc.Arbitrary<T>,
  count: number,
  test: (samples: T[], seed: number) => Promise<void>,
): Promise<void> {
  const seed = crypto.getRandomValues(new Int32Array(1))[0]!;
  try {
    await test(fc.sample(of, { numRuns: count, seed }), seed);
  } catch (error) {
    throw new Error(`Failed with the seed ${seed}`, { cause: error });
  }
}

const CUTS = [[], [500], [0, 1, 2, 3], [100, 300, 900, 999]];

Deno.test("relay survives random bytes, and passes on nothing of them", async () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 600 });
  await withSamples(bytes, size(200, 5000), (streams) => attackWith(streams, CUTS));
});

Deno.test("relay treats mutated lines as the protocol defines", async () => {
  const line = fc.tuple(jsonLine, fc.array(mutation, { minLength: 1, maxLength: 3 }))
    .map(([text, changes]) => withNewline(changes.reduce(mutate, utf8(text))));
  await withSamples(line, size(200, 5000), (streams) => attackWith(streams, CUTS));
});

Deno.test("relay treats streams of good and bad lines as the protocol defines", async () => {
  const saying = stream.filter(({ length }) => length > 0); // Who says nothing is not logged.
  await withSamples(saying, size(200, 5000), (streams) => attackWith(streams, CUTS));
});
