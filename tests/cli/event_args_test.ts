import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { UsageError } from "../../cli/errors.ts";
import { toEvent } from "../../cli/event_args.ts";
import { textOf } from "../support/bytes.ts";

Deno.test("toEvent() writes texts as strings, and JSON as it is", () => {
  const cases: [words: string[], line: string][] = [
    [["a"], '{"event":"a"}'],
    [["a", "text=hi there"], '{"event":"a","__dict__":{"text":"hi there"}}'],
    [["a", "text="], '{"event":"a","__dict__":{"text":""}}'],
    [["a", "b=x=y:=z"], '{"event":"a","__dict__":{"b":"x=y:=z"}}'],
    [
      ["a", "n:=1.00", "big:=12345678901234567890"],
      '{"event":"a","__dict__":{"n":1.00,' +
      '"big":12345678901234567890}}',
    ],
    [["a", 'o:={"x" :\n[1,\r\n2]}'], '{"event":"a","__dict__":{"o":{"x" : [1,  2]}}}'],
    [["a", "t:=true", "n:= null "], '{"event":"a","__dict__":{"t":true,"n":null}}'],
    [["a", 'q"=\n\u2028'], '{"event":"a","__dict__":{"q\\"":"\\n\\u2028"}}'],
    [["é", "__proto__=1", "a:b=c"], '{"event":"é","__dict__":{"__proto__":"1","a:b":"c"}}'],
  ];
  for (const [[name, ...words], line] of cases) {
    assertEquals(textOf(toEvent(name!, words).line), `${line}\n`);
  }
});

Deno.test("toEvent() throws with the fault", () => {
  const cases: [words: string[], complaint: RegExp][] = [
    [["a", "word"], /^"word" is neither KEY=TEXT nor KEY:=JSON; try content=word$/],
    [["a", "it's"], /^"it's" is neither .*; try content='it'\\''s'$/],
    [["a", ""], /^"" is neither KEY=TEXT nor KEY:=JSON$/],
    [["a", "count:5"], /^"count:5" is neither .*; try count:=5$/],
    [["a", "to:Ada L"], /^"to:Ada L" is neither .*; try 'to=Ada L'$/],
    [["a", "http://x"], /^"http:\/\/x" is neither .*; try content=http:\/\/x$/],
    [["a", "b=c d", "e"], /^"e" is neither .*; to join it .*, use quotes: b="c d e"$/],
    [["a", '{"a":1,"b":2}'], /^"{"a":1,"b":2}" is neither .*; each .*, such as a:=1$/],
    [["a", '{"b":"c d"}'], /such as 'b=c d'$/],
    [["a", '{"n":12345678901234567890}'], /such as a:=1$/],
    [["a", "{a:1}"], /such as a:=1$/],
    [["a", "k:=[b]"], /^The value of "k" is not JSON: .*; quote it, such as k:='{"a":\["b"\]}'$/],
    [["a", "=x"], /^"=x" is neither KEY=TEXT nor KEY:=JSON$/],
    [["a", ":=1"], /^":=1" is neither KEY=TEXT nor KEY:=JSON$/],
    [["a", "k:=x"], /^The value of "k" is not JSON: .*; for text, use k=TEXT$/],
    [["a", "k:="], /^The value of "k" is not JSON: .*; for text, use k=TEXT$/],
    [["a", "k=1", "k:=2"], /^The attribute "k" is given more than once$/],
    [[""], /^Invalid event: "event" must be a string of 1 to 255 bytes, found 0$/],
    [["x".repeat(256)], /^Invalid event: "event" must be .*, found 256$/],
    [["a", `k:=${"[".repeat(63)}${"]".repeat(63)}`], /^Invalid event: nesting exceeds/],
  ];
  for (const [[name, ...words], complaint] of cases) {
    const { message } = assertThrows(() => toEvent(name!, words), UsageError);
    assertMatch(message, complaint);
  }
});
