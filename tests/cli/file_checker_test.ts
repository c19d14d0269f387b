import { assertEquals } from "@std/assert/equals";
import { FileChecker, formatFault } from "../../cli/input_lines.ts";
import { textOf, utf8 } from "../support/bytes.ts";

/** What is found in `text`, in chunks of `size` bytes. */
function check(text: string, size: number, maxLineBytes?: number): string[] {
  const checker = new FileChecker(maxLineBytes);
  const bytes = utf8(text);
  const found: string[] = [];
  const add = (
    lines: Iterable<ReturnType<FileChecker["push"]> extends Generator<infer L> ? L : 0>,
  ) => {
    for (const { number, kind, fault } of lines) {
      found.push(fault ? formatFault("f", number, fault) : `${number} ${kind}`);
    }
  };
  for (let i = 0; i < bytes.length; i += size) add(checker.push(bytes.slice(i, i + size)));
  add(checker.end());
  return found;
}

/** The same in chunks of every size, which must make no difference. */
function checkAll(text: string, maxLineBytes?: number): string[] {
  const found = check(text, Infinity, maxLineBytes);
  for (let size = 1; size <= text.length; size++) {
    assertEquals(check(text, size, maxLineBytes), found, `chunks of ${size}`);
  }
  return found;
}

Deno.test("FileChecker reports the kind of each line and the place of its fault, and goes on", () => {
  const text =
    '{"event":"a"}\n{"event":1}\n\n{"event":"a","__dict__":{"é" 1}}\r\n{"control":"x"}\n' +
    '{"event":"a"}x\n{"event":"b"}\n';
  assertEquals(checkAll(text), [
    "1 event",
    'f:2:1: bad-event: "event" must be a string, found a number',
    "3 empty",
    'f:4:31: bad-json: expected ":", found "1"',
    "5 control",
    'f:6:14: bad-json: expected the end of the line, found "x"',
    "7 event",
  ]);
});

Deno.test("FileChecker goes on after lines that are too long", () => {
  const long = `{"event":"${"x".repeat(20)}"}`;
  const text = `{"event":"a"}\n${long}\n${long}\n{"event":"b"}\n${long}`;
  const fault = "line-too-long: the line has more than 16 bytes";
  assertEquals(checkAll(text, 16), [
    "1 event",
    `f:2:17: ${fault}`,
    `f:3:17: ${fault}`,
    "4 event",
    `f:5:17: ${fault}`,
  ]);
});

Deno.test("FileChecker.end() finds a line without an end", () => {
  const fault = "truncated: the line has no newline at its end, so a relay would ignore it";
  assertEquals(checkAll('{"event":"a"}\n{"event":"b"}'), ["1 event", `f:2:14: ${fault}`]);
  assertEquals(checkAll('{"event":"a"'), [
    'f:1:13: bad-json: expected "," or "}", found the end of the line',
  ]);
  assertEquals(checkAll(""), []);
});

Deno.test("FileChecker.push() counts the bytes of a line with its end", () => {
  const lines = new FileChecker().push(utf8('{"event":"a"}\r\n{"event":"b"}\n{'));
  const texts = [...lines].map(({ bytes }) => textOf(bytes));
  assertEquals(texts, ['{"event":"a"}\r\n', '{"event":"b"}\n']);
});

Deno.test("FileChecker reports the place of nesting that is too deep", () => {
  const line = `{"event":"a","__dict__":${'{"a":'.repeat(64)}1${"}".repeat(65)}\n`;
  const [found] = check(line, Infinity);
  assertEquals(found, `f:1:${24 + 5 * 63 + 1}: too-deep: nesting exceeds maxDepth 64`);
});
