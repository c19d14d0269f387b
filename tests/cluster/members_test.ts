import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { assertMatch } from "@std/assert/match";
import { Members } from "../../cluster/members.ts";
import { type ClusterTerms, encodeMessage } from "../../protocol/cluster.ts";
import { utf8 } from "../support/bytes.ts";
import { MemoryHub } from "../support/memory_backplane.ts";
import { pause, until } from "../support/waiting.ts";

const TERMS: ClusterTerms = {
  maxLineBytes: 1000,
  maxDepth: 64,
  echo: true,
  subscribeFirst: false,
  events: null,
  keepLast: [],
  keep: null,
};

/** A relay of which only the membership exists. */
function member(hub: MemoryHub, id: string, terms: Partial<ClusterTerms> = {}) {
  const backplane = hub.backplane();
  const come: string[] = [];
  const gone: [string, boolean][] = [];
  const faults: string[] = [];
  const misfits: string[] = [];
  const members = new Members(id, backplane, { ...TERMS, ...terms }, {
    onCome: (relay) => come.push(relay),
    onGo: (relay, isComplete) => gone.push([relay, isComplete]),
    onLink: () => {},
    onBeat: () => {},
    onState: () => {},
    onMisfit: (error) => misfits.push(error.message),
    onFault: (fault) => faults.push(fault),
  });
  return { backplane, members, come, gone, faults, misfits };
}

Deno.test("Members know each other after joining, and that one has left", async () => {
  const hub = new MemoryHub();
  const a = member(hub, "raaaaaaaa");
  await a.members.join();
  const b = member(hub, "rbbbbbbbb");
  await b.members.join();
  assertEquals([a.come, b.come], [["rbbbbbbbb"], ["raaaaaaaa"]]);
  await b.members.leave(false);
  await pause(5);
  assertEquals(a.gone, [["rbbbbbbbb", true]]);
  await a.members.leave(false);
  await pause(5);
});

Deno.test("A member that has left answers nobody any more", async () => {
  const hub = new MemoryHub();
  const a = member(hub, "raaaaaaaa");
  const b = member(hub, "rbbbbbbbb");
  await a.members.join();
  // Its backplane closes slowly.
  const { promise, resolve } = Promise.withResolvers<void>();
  a.backplane.close = () => promise;
  const left = a.members.leave(false);
  await b.members.join();
  assertEquals(b.come, []);
  resolve();
  await left;
  await b.members.leave(false);
  await pause(5);
});

for (
  const [name, value, words] of [
    ["maxLineBytes", 2000, /maxLineBytes is 2000, here it is 1000/],
    ["maxDepth", 65, /maxDepth is 65/],
    ["echo", false, /echo is false/],
    ["subscribeFirst", true, /subscribeFirst is true/],
    ["keep", ["a"], /: it has a history, this one has none; start both with the same/],
    ["events", ["a"], /events is \["a"\], here it is null/],
  ] as const
) {
  Deno.test(`Members that differ in ${name} stay apart, and say once how they differ`, async () => {
    const hub = new MemoryHub();
    const a = member(hub, "raaaaaaaa");
    const b = member(hub, "rbbbbbbbb", { [name]: value });
    await Promise.all([a.members.join(), b.members.join()]);
    await pause(1100); // There are further signs of life.
    assertEquals([a.come, b.come], [[], []]);
    assertEquals(a.faults.length, 1);
    assertMatch(a.faults[0]!, words);
    assertMatch(a.faults[0]!, /relay rbbbbbbbb cannot be joined/);
    await Promise.all([a.members.leave(false), b.members.leave(false)]);
    await pause(5);
  });
}

for (
  const [name, terms, words] of [
    ["keep", { keep: ["a"] }, /keep is \["a","b"\], here it is \["a"\]; start both with the same/],
    [
      "keepLast",
      { keep: ["a", "b"], keepLast: ["b"] },
      /keepLast is \[\], here it is \["b"\]; start both with the same/,
    ],
    [
      "keepLast, and so another keep",
      { keep: ["a", "b", "c"], keepLast: ["c"] },
      /keepLast is \[\], here it is \["c"\]/,
    ],
    [
      "maxLineBytes",
      { keep: ["a", "b"], maxLineBytes: 2000 },
      /maxLineBytes is 1000, here it is 2000/,
    ],
    [
      "keep, before all else",
      { maxLineBytes: 2000, keep: ["a"] },
      /keep is \["a","b"\], here it is \["a"\]/,
    ],
  ] as const
) {
  Deno.test(`A member with a history does not join one with another ${name}`, async () => {
    const hub = new MemoryHub();
    const a = member(hub, "raaaaaaaa", { keep: ["a", "b"] });
    const b = member(hub, "rbbbbbbbb", terms);
    await a.members.join();
    const error = await assertRejects(() => b.members.join(), Error, "Cannot join the cluster");
    assertMatch(error.message, words);
    assertMatch(error.message, /--cluster-name/);
    assertEquals(b.faults, []);
    assertEquals(a.faults.length, 1);
    await Promise.all([a.members.leave(false), b.members.leave(false)]);
    await pause(5);
  });
}

for (const keep of [null, ["a"]]) {
  const what = keep ? "history: the one that came later must end" : "no history: they stay apart";
  Deno.test(`Members that differ and meet later, with ${what}`, async () => {
    const hub = new MemoryHub();
    const a = member(hub, "raaaaaaaa", { keep });
    const b = member(hub, "rbbbbbbbb", { keep, maxDepth: 65 });
    await a.members.join();
    a.backplane.cut();
    await b.members.join();
    assertEquals([b.come, b.faults, b.misfits], [[], [], []]);
    a.backplane.mend();
    await until(() => a.faults.length === 1 && b.faults.length + b.misfits.length === 1);
    await pause(1100); // There are further signs of life.
    assertEquals([a.come, b.come, a.misfits], [[], [], []]);
    assertEquals(
      [a.faults.length, b.faults.length, b.misfits.length],
      keep ? [1, 0, 1] : [1, 1, 0],
    );
    assertMatch([...b.faults, ...b.misfits].join(), /its maxDepth is 64, here it is 65/);
    await Promise.all([a.members.leave(false), b.members.leave(false)]);
    await pause(5);
  });
}

Deno.test("Members ignore the messages of strangers, and report the first of a kind", async () => {
  const hub = new MemoryHub();
  const a = member(hub, "raaaaaaaa");
  await a.members.join();
  const stranger = hub.backplane();
  for (const text of ["", "hello", '{"event":"a"}\n', "link x\n"]) stranger.announce(utf8(text));
  stranger.announce(encodeMessage({
    control: "here",
    relay: "rzzzzzzzz",
    version: 99,
    upMs: 0,
    terms: TERMS,
    isNew: true,
  }));
  await pause(5);
  assertEquals(a.come, []);
  assertEquals(a.faults.length, 2);
  assertMatch(a.faults[1]!, /version 99/);
  await a.members.leave(false);
  await pause(5);
});
