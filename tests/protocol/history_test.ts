import { assertEquals } from "@std/assert/equals";
import {
  decodeRequest,
  decodeWelcome,
  encodeRequest,
  encodeWelcome,
} from "../../protocol/control.ts";
import {
  decodeCancel,
  decodeHistoryNews,
  decodeReplayAnswer,
  encodeCancel,
  encodeHistoryNews,
  encodeReplayAnswer,
  formatPosition,
  type HistoryNews,
  parsePosition,
  type ReplayAnswer,
  type Since,
} from "../../protocol/history.ts";
import { textOf } from "../support/bytes.ts";

function parsed(line: Uint8Array) {
  return JSON.parse(textOf(line));
}

Deno.test("A subscribe carries every kind of since", () => {
  const kinds: [Since, object][] = [
    [{ epoch: "e", offset: 7 }, { epoch: "e", offset: 7 }],
    [{ count: 20 }, { count: 20 }],
    [{ age: 600_000 }, { age_ms: 600_000 }],
    ["first", { first: true }],
    ["last", { last: true }],
  ];
  for (const [since, member] of kinds) {
    for (const [partial, isPast] of [[false, false], [true, true], ["last", false]] as const) {
      const replay = { since, partial, isPast };
      const request = { control: "subscribe", events: ["a.>"], id: "s1", replay } as const;
      const line = parsed(encodeRequest(request));
      assertEquals(line.since, member);
      assertEquals(decodeRequest(line), request);
    }
  }
});

Deno.test("A bad since is refused with words that name it", () => {
  const base = { control: "subscribe", events: ["a"], id: "s1" };
  const cases: [object, string][] = [
    [{ since: null }, '"since" must be'],
    [{ since: {} }, '"since" must be'],
    [{ since: { epoch: "e" } }, '"since" must be'],
    [{ since: { epoch: "", offset: 1 } }, '"since" must be'],
    [{ since: { epoch: "e".repeat(65), offset: 1 } }, '"since" must be'],
    [{ since: { epoch: "e", offset: -1 } }, '"since" must be'],
    [{ since: { epoch: "e", offset: 0.5 } }, '"since" must be'],
    [{ since: { count: -1 } }, '"since" must be'],
    [{ since: { age_ms: "1" } }, '"since" must be'],
    [{ since: { first: 1 } }, '"since" must be'],
    [{ since: { first: true }, queue: "q" }, '"since" cannot go with "queue"'],
    [{ since: { first: true }, id: undefined }, '"since" needs an "id"'],
    [{ since: { first: true }, live: false, id: "\n".repeat(33) }, '"id" may take 64 bytes'],
  ];
  for (const [members, detail] of cases) {
    const refusal = decodeRequest({ ...base, ...members });
    assertEquals(refusal && "reason" in refusal && refusal.reason, "bad-request");
    assertEquals(refusal && "detail" in refusal && refusal.detail.startsWith(detail), true, detail);
  }
  assertEquals(decodeRequest({ ...base, control: "unsubscribe", since: null }), {
    control: "unsubscribe",
    events: ["a"],
    id: "s1",
  });
});

Deno.test("Answers and news of the history survive their lines", () => {
  const answers: ReplayAnswer[] = [
    { id: "s1", epoch: "e", from: 1, to: 2 },
    { id: "s1", epoch: "e", recovered: true, from: 1, to: 2 },
    { id: "s1", epoch: "e", recovered: false, reason: "evicted", from: 0, to: 0 },
  ];
  for (const answer of answers) {
    assertEquals(decodeReplayAnswer(parsed(encodeReplayAnswer(answer))), answer);
  }
  const news: HistoryNews[] = [
    { control: "live", id: "s1", offset: 9 },
    { control: "end", id: "s1", offset: 9 },
    { control: "at", offset: 9 },
    { control: "gap", from: 1, to: 2 },
    { control: "gap", id: "h1", from: 1, to: 2 },
  ];
  for (const each of news) assertEquals(decodeHistoryNews(parsed(encodeHistoryNews(each))), each);
  assertEquals(decodeCancel(parsed(encodeCancel("h1"))), "h1");
});

Deno.test("Lines that are no answers or news of the history are told apart", () => {
  assertEquals(decodeReplayAnswer({ control: "ack", id: "s1" }), null);
  assertEquals(decodeReplayAnswer({ control: "ack", id: "s1", history: { epoch: "e" } }), null);
  assertEquals(
    decodeReplayAnswer({ control: "ack", history: { epoch: "e", from: 1, to: 1 } }),
    null,
  );
  assertEquals(decodeHistoryNews({ control: "gap", relay: "r1", events: 2 }), null);
  assertEquals(decodeHistoryNews({ control: "live", id: 1, offset: 2 }), null);
  assertEquals(decodeHistoryNews({ control: "at", offset: "2" }), null);
  assertEquals(decodeHistoryNews({ control: "ack", offset: 2 }), null);
  assertEquals(decodeCancel({ control: "cancel", id: 1 }), null);
});

Deno.test("A welcome carries what the relay keeps, and ignores nonsense in its place", () => {
  const history = { epoch: "e", first: 3, offset: 9, kept: ["a.>"] };
  const welcome = { id: "c1", ack: false, features: ["history"], limits: {}, history } as const;
  assertEquals(decodeWelcome(parsed(encodeWelcome(welcome)))?.history, history);
  for (const nonsense of [null, 1, {}, { ...history, epoch: 1 }, { ...history, first: -1 }]) {
    const line = { control: "welcome", id: "c1", history: nonsense };
    assertEquals(decodeWelcome(line)?.history, undefined);
  }
});

Deno.test("parsePosition() reads what formatPosition() writes, also if the epoch has colons", () => {
  for (const position of [{ epoch: "k3J9x2aQ", offset: 1041 }, { epoch: "a:1", offset: 0 }]) {
    assertEquals(parsePosition(formatPosition(position)), position);
  }
});

Deno.test("parsePosition() returns null for any other text", () => {
  const texts = [
    "",
    ":",
    "e",
    "e:",
    ":1",
    "e:-1",
    "e:1.5",
    "e:0x1",
    "e:1 ",
    "e: 1",
    "first",
    "10m",
  ];
  const long = [
    `e:${"9".repeat(16)}`,
    `e:${"9".repeat(400)}`,
    `${"e".repeat(65)}:1`,
    "\n".repeat(33) + ":1",
  ];
  for (const text of [...texts, ...long]) assertEquals(parsePosition(text), null, text);
});
