// The log in memory against a plain array.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { extract, findLast } from "../../history/extract.ts";
import { NO_SENDER } from "../../history/kept_block.ts";
import { type LogLimits, MemoryLog } from "../../history/memory_log.ts";
import { NameFilter } from "../../history/name_filter.ts";
import { NOTHING } from "../../protocol/utf8.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { randomsFrom } from "../support/random.ts";
import { covers } from "../support/reference.ts";
import { size } from "../support/size.ts";

const PLAIN = { hasOffset: false, member: NOTHING };
const STAMPED = { hasOffset: true, member: utf8('"past":"h1",') };
const NO_LIMITS: LogLimits = { keepAge: Infinity, keepBytes: 2 ** 30, keepCount: Infinity };

/** Adds lines of one sender. Returns the offset of the first one. */
function append(log: MemoryLog, lines: readonly string[], sender = NO_SENDER, now = 0): number {
  const text = `no line\n${lines.map((line) => `${line}\n`).join("")}`;
  const bytes = utf8(`${text}rest`);
  return log.append(bytes, "no line\n".length, bytes.length - 4, lines.length, sender, now);
}

/** Returns all lines that are left and chosen, and their offsets. */
function readAll(
  log: MemoryLog,
  patterns: readonly string[],
  excluded = NO_SENDER,
  maxBytes = Infinity,
): [offset: number, line: string][] {
  const filter = new NameFilter(patterns);
  const found: [number, string][] = [];
  for (let at = log.first - 1; at < log.head;) {
    const block = log.read(at + 1);
    const choice = { filter, excluded };
    const form = { hasOffset: true, member: NOTHING };
    const { bytes, events, to } = extract(block, at + 1, log.head, choice, form, maxBytes);
    const lines = textOf(bytes).split("\n").slice(0, -1);
    assertStrictEquals(lines.length, events);
    for (const line of lines) {
      const { offset } = JSON.parse(line);
      found.push([offset, line.replace(`"offset":${offset},`, "")]);
    }
    assert(to > at);
    at = to;
  }
  return found;
}

interface Kept {
  readonly offset: number;
  readonly name: string;
  readonly line: string;
  readonly sender: number;
  readonly time: number;
}

const NAMES = ["a", "a.b", "a.c", "b.c", "chat.é", 'q"', "long"];
const PATTERNS = [[">"], ["a.*"], ["a"], ["b.>", "a"], ["none"], ["*.c", "long"], ["chat.é", 'q"']];

Deno.test("MemoryLog keeps, finds and drops events as a plain array does", () => {
  for (let run = 0; run < size(8, 1000); run++) {
    const random = randomsFrom(run);
    const limits: LogLimits = {
      keepBytes: 65_536 * (1 + random(4)),
      keepCount: random(2) === 0 ? Infinity : 1 + random(3000),
      keepAge: random(2) === 0 ? Infinity : 1 + random(5000),
    };
    const log = new MemoryLog(limits);
    const all: Kept[] = [];
    let now = 1000;
    for (let step = 0; step < 60; step++) {
      now += random(3) === 0 ? random(1000) : random(15);
      const sender = 1 + random(3);
      const lines = Array.from({ length: 1 + random(random(4) === 0 ? 800 : 5) }, () => {
        const name = NAMES[random(NAMES.length)]!;
        const pad = "x".repeat(name === "long" && random(40) === 0 ? random(100_000) : random(60));
        const space = random(5) === 0 ? " \t" : "";
        const line = `${space}{"event":${JSON.stringify(name)},"__dict__":{"p":"${pad}"}}`;
        all.push({ offset: all.length + 1, name, line, sender, time: now });
        return line;
      });
      const offset = append(log, lines, sender, now);
      assertStrictEquals(offset, all.length - lines.length + 1);
      assertStrictEquals(log.head, all.length);
      log.expire(now);
      const { first } = log;
      const left = all.slice(first - 1);
      const sum = left.reduce((bytes, { line }) => bytes + utf8(line).length + 1, 0);
      assertLessOrEqual(left.length, limits.keepCount);
      assertLessOrEqual(sum, log.bytes);
      assert(log.bytes <= limits.keepBytes || log.read(log.head).first <= first);
      for (const { time } of left) assertLessOrEqual(now - time, limits.keepAge + 10);
      // The next older event had to go for one of the limits.
      const dropped = all[first - 2];
      if (dropped) {
        const isOld = now - dropped.time >= limits.keepAge;
        const isMany = left.length >= limits.keepCount;
        const isMuch = sum + utf8(dropped.line).length > limits.keepBytes * 7 / 8;
        assert(isOld || isMany || isMuch, "an event was dropped too early");
      }
      check(log, left, random, now);
    }
  }
});

function check(
  log: MemoryLog,
  left: readonly Kept[],
  random: (below: number) => number,
  now: number,
): void {
  const patterns = PATTERNS[random(PATTERNS.length)]!;
  const excluded = random(3);
  const chosen = left.filter(({ name, sender }) =>
    sender !== excluded && patterns.some((pattern) => covers(pattern, name))
  );
  const expected = chosen.map(({ offset, line }): [number, string] => [offset, line]);
  assertEquals(readAll(log, patterns, excluded, random(2) === 0 ? 500 : Infinity), expected);
  const since = now - random(2000);
  const young = left.find(({ time }) => time >= since)?.offset ?? log.head + 1;
  const found = log.since(since);
  assertLessOrEqual(found, young);
  for (const { time } of left.slice(found - log.first, young - log.first)) {
    assertLessOrEqual(since - time, 10);
  }
  if (left.length === 0) return;
  const offset = log.first + random(left.length);
  const rest = left.slice(offset - log.first).reduce(
    (sum, { line }) => sum + utf8(line).length + 1,
    0,
  );
  assertStrictEquals(log.bytesAfter(offset - 1), rest);
  assertStrictEquals(log.bytesAfter(log.head), 0);
  const count = 1 + random(5);
  const wanted = chosen.filter((each) => each.offset <= offset);
  let missing = count;
  let before = log.head + 1;
  for (let at = offset; at >= log.first && missing > 0;) {
    const block = log.read(at);
    const choice = { filter: new NameFilter(patterns), excluded };
    const last = findLast(block, at, choice, missing);
    missing -= last.count;
    before = last.offset ?? before;
    at = block.first - 1;
  }
  const first = wanted.at(-count) ?? wanted[0];
  if (first && before >= log.first) assertStrictEquals(before, first.offset);
}

Deno.test("MemoryLog keeps one line that is longer than all that it may keep", () => {
  const log = new MemoryLog({ ...NO_LIMITS, keepBytes: 65_536 });
  const long = `{"event":"a","__dict__":{"x":"${"x".repeat(1_000_000)}"}}`;
  append(log, ['{"event":"b"}', long]);
  assertEquals([log.first, log.head], [2, 2]);
  assertEquals(readAll(log, [">"]), [[2, long]]);
  append(log, ['{"event":"c"}']);
  assertEquals(readAll(log, [">"]), [[3, '{"event":"c"}']]);
});

Deno.test("MemoryLog drops everything that is too old, and goes on with the next offset", () => {
  const log = new MemoryLog({ ...NO_LIMITS, keepAge: 100 });
  append(log, ['{"event":"a"}', '{"event":"b"}'], NO_SENDER, 1000);
  log.expire(1200);
  assertEquals([log.first, log.head, log.bytes], [3, 2, 0]);
  assertStrictEquals(log.since(0), 3);
  assertStrictEquals(append(log, ['{"event":"c"}'], NO_SENDER, 1250), 3);
  assertEquals(readAll(log, [">"]), [[3, '{"event":"c"}']]);
});

Deno.test("MemoryLog has a new epoch each time", () => {
  assert(new MemoryLog(NO_LIMITS).epoch !== new MemoryLog(NO_LIMITS).epoch);
});

Deno.test("extract() writes offset and question before all members, with any number of digits", () => {
  const log = new MemoryLog(NO_LIMITS);
  append(log, Array.from({ length: 1001 }, () => '  { "event":"a"}'));
  const choice = { filter: new NameFilter([">"]), excluded: NO_SENDER };
  for (const offset of [1, 9, 10, 99, 100, 1000, 1001]) {
    const block = log.read(offset);
    const { bytes } = extract(block, offset, offset, choice, STAMPED, Infinity);
    assertStrictEquals(textOf(bytes), `  {"offset":${offset},"past":"h1", "event":"a"}\n`);
    assertStrictEquals(
      textOf(extract(block, offset, offset, choice, PLAIN, Infinity).bytes),
      '  { "event":"a"}\n',
    );
  }
});

Deno.test("extract() copies lines that are chosen, with others between some of them", () => {
  const log = new MemoryLog(NO_LIMITS);
  const names = [..."aabaaabbbabaa"];
  append(log, names.map((name, i) => `{"event":"${name}","i":${i + 1}}`));
  const choice = { filter: new NameFilter(["a"]), excluded: NO_SENDER };
  const block = log.read(1);
  for (let from = 1; from <= names.length; from++) {
    const { bytes, events, to } = extract(block, from, names.length, choice, PLAIN, Infinity);
    const expected = names.map((name, i) => `{"event":"${name}","i":${i + 1}}\n`)
      .filter((_, i) => i + 1 >= from && names[i] === "a");
    assertEquals([textOf(bytes), events, to], [expected.join(""), expected.length, names.length]);
  }
});

Deno.test("NameFilter finds names however they are written", () => {
  const log = new MemoryLog(NO_LIMITS);
  const lines = [
    '{"event":"\\u0061.b"}',
    '{"__dict__":{"event":"x"},"event":"a.b"}',
    '{"event":"\\ud800"}',
    '{"\\u0065vent":"c"}',
  ];
  append(log, lines);
  assertEquals(readAll(log, ["a.*"]).map(([offset]) => offset), [1, 2]);
  assertEquals(readAll(log, ["c"]).map(([offset]) => offset), [4]);
  append(log, ['{"event":"c"}']);
  assertEquals(readAll(log, ["c"]).map(([offset]) => offset), [4, 5]);
});
