import { assertEquals } from "@std/assert/equals";
import { assertNotMatch } from "@std/assert/not-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { setColorEnabled } from "@std/fmt/colors";
import { formatEvent } from "../../cli/event_view.ts";
import { assertNoDearer } from "../support/collisions.ts";

setColorEnabled(false);

const time = new Date(2026, 0, 2, 3, 4, 5, 6);

function format(line: string): string {
  return formatEvent(`${line}\n`, time);
}

Deno.test("formatEvent() shows time, name, envelope and attributes, values as they were written", () => {
  const cases: [line: string, shown: string][] = [
    ['{"event":"message"}', "message"],
    ['{"event":"a","__dict__":{}}', "a"],
    [
      '{"event":"message","__dict__":{"content":"hi there","n":1.00,"big":12345678901234567890}}',
      'message content="hi there" n=1.00 big=12345678901234567890',
    ],
    // Neither the order of keys nor one that is there twice is lost.
    ['{"event":"a","__dict__":{"b":1,"1":2,"b":3}}', "a b=1 1=2 b=3"],
    [
      ' { "event" : "a" , "__dict__" : { "list" : [ 1 , { "x" : null } ] , "t" : true } } ',
      'a list=[1,{"x":null}] t=true',
    ],
    ['{"__dict__":{"event":"x","from":"y"},"event":"a"}', 'a event="x" from="y"'],
    [
      '{"from":"c3","event":"ask","id":"r 1","__dict__":{"x":"a:b, {c}"},"to":"c7","more":1}',
      'ask [request "r 1", from c3] x="a:b, {c}"',
    ],
    ['{"from":"c1","event":"a","to":"c2","reply_to":"r1"}', "a [answer to r1, from c1]"],
    ['{"seq":12,"event":"a","ack":"e1","to":"c7"}', "a"],
    ['{"event":"two words","__dict__":{"a=b":1,"":2}}', '"two words" "a=b"=1 ""=2'],
    ['{"event":"äö.ü","__dict__":{"日本":"語"}}', 'äö.ü 日本="語"'],
    ['{"event":"a","__dict__":{"quote":"\\"}{\\\\","empty":""}}', 'a quote="\\"}{\\\\" empty=""'],
    ['{"\\u0065vent":"a"}', "a"],
  ];
  for (const [line, shown] of cases) assertEquals(format(line), `03:04:05.006 ${shown}`, line);
});

Deno.test("formatEvent() escapes characters that could disturb a terminal", () => {
  const hostile = "\x7f\x9b31m\u202e\u2028";
  const line =
    `{"event":"${hostile}","from":"${hostile}","__dict__":{"${hostile}":"${hostile}\\u001b[2J"}}`;
  const shown = format(line);
  // deno-lint-ignore no-control-regex
  assertNotMatch(shown, /[\x00-\x1f\x7f-\x9f\u2028\u202e]/);
  assertStringIncludes(shown, "\\u001b[2J");
});

Deno.test("formatEvent() formats a line of a megabyte", () => {
  const text = `\\"${"x".repeat(500_000)}${"\\\\".repeat(250_000)}`;
  const shown = format(`{"event":"a","__dict__":{"text":"${text}","end":1}}`);
  assertEquals(shown, `03:04:05.006 a text="${text}" end=1`);
});

Deno.test({
  name: "formatEvent() makes the parts stand out where there are colours",
  ignore: Deno.noColor,
  fn() {
    setColorEnabled(true);
    const line = '{"event":"a","from":"c1","__dict__":{"k":1}}\n';
    assertEquals(
      formatEvent(line, time),
      "\x1b[2m03:04:05.006\x1b[22m \x1b[1ma\x1b[22m \x1b[33m[from c1]\x1b[39m \x1b[36mk\x1b[39m=1",
    );
    setColorEnabled(false);
  },
});

Deno.test("formatEvent() formats values of any length", () => {
  const values = ['"\\n"'.replace("\\n", "\\n".repeat(5_000_000)), "1".repeat(10_000_000)];
  for (const value of values) {
    const shown = format(`{"event":"a","__dict__":{"b":${value}}}`);
    assertStrictEquals(shown, `03:04:05.006 a b=${value}`);
  }
});

Deno.test("formatEvent() is as fast with keys that look like integers", () => {
  assertNoDearer(10_000, (keys) => {
    format(`{"event":"a",${keys.map((key) => `"${key}":0`).join(",")}}`);
  });
});
