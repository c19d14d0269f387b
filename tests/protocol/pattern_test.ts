import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import {
  faultOfPattern,
  matches,
  type MatchingName,
  type PatternOf,
} from "../../protocol/pattern.ts";

Deno.test("matches() compares tokens, * with one token, and > with the rest", () => {
  const table: [pattern: string, name: string, expected: boolean][] = [
    ["chat", "chat", true],
    ["chat", "chats", false],
    ["chat", "chat.a", false],
    ["chat.a", "chat.a", true],
    ["*", "chat", true],
    ["*", "chat.a", false],
    ["*.a", "chat.a", true],
    ["chat.*", "chat.a", true],
    ["chat.*", "chat", false],
    ["chat.*", "chat.a.b", false],
    ["chat.*.b", "chat.a.b", true],
    [">", "chat", true],
    [">", "chat.a.b", true],
    ["chat.>", "chat.a", true],
    ["chat.>", "chat.a.b.c", true],
    ["chat.>", "chat", false],
    ["*.>", "chat", false],
    ["*.>", "chat.a", true],
    ["chat.a>", "chat.a>", true],
    ["chat.a>", "chat.ab", false],
    ["chat*", "chats", false],
    ["a..b", "a..b", true],
    ["a.*.b", "a..b", true],
    ["a.", "a.", true],
    ["a.*", "a.", true],
    ["a.>", "a.", true],
    [".", ".", true],
    ["*.*", ".", true],
    ["*", "*", true],
    [">", ">", true],
    ["constructor", "constructor", true],
  ];
  for (const [pattern, name, expected] of table) {
    assertEquals(matches(pattern, name), expected, `${pattern} on ${name}`);
  }
});

Deno.test("faultOfPattern() describes the fault of a pattern", () => {
  const sound = [
    "a",
    "a.b",
    "*",
    ">",
    "a.>",
    "*.*.>",
    "a..b",
    ".",
    "a>",
    ">a",
    "é",
    "a".repeat(255),
  ];
  for (const pattern of sound) assertEquals(faultOfPattern(pattern), "", pattern);
  for (const pattern of [">.a", "a.>.b", ">.>", ">."]) {
    assertMatch(faultOfPattern(pattern), /must be the last token/);
  }
  assertMatch(faultOfPattern(""), /expected 1 to 255 bytes, got 0/);
  assertMatch(faultOfPattern("é".repeat(128)), /got 256/);
  assertMatch(faultOfPattern(7), /expected a string, got 7$/);
  assertMatch(faultOfPattern(undefined), /expected a string, got undefined$/);
});

type Game = { "chat.message": object; "game.move.left": object; tick: object };

Deno.test("PatternOf allows the patterns that match an event of the map", () => {
  const patterns: PatternOf<Game>[] = [
    "tick",
    "*",
    ">",
    "chat.message",
    "chat.*",
    "chat.>",
    "*.message",
    "*.*",
    "game.move.left",
    "game.*.left",
    "game.>",
    "game.move.>",
    "*.*.*",
  ];
  // @ts-expect-error: no event of the map has this name
  const wrong: PatternOf<Game>[] = ["tock", "chat.left", "caht.*", "tick.>", "game.*"];
  const open: PatternOf<Record<string, object>>[] = ["whatever.*"];
  assertEquals(patterns.length, 13);
  assertEquals(wrong.length, 5);
  assertEquals(open.length, 1);
});

Deno.test("MatchingName is the names that a pattern matches", () => {
  const chat: MatchingName<Game, "chat.*"> = "chat.message";
  const all: MatchingName<Game, ">">[] = ["chat.message", "game.move.left", "tick"];
  // @ts-expect-error: the pattern does not match that name
  const wrong: MatchingName<Game, "chat.*"> = "tick";
  const open: MatchingName<Record<string, object>, "a.*"> = "whatever";
  assertEquals(chat, "chat.message");
  assertEquals(all.length, 3);
  assertEquals(wrong, "tick");
  assertEquals(open, "whatever");
});
