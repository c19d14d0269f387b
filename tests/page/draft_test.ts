import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { faultOfAttributes, lineOf } from "../../page/draft.ts";
import { parseJson, toJson } from "../../page/json.ts";
import { countShown, search } from "../../page/search.ts";
import { RawEvent } from "../../protocol/raw_event.ts";
import { textOf } from "../support/bytes.ts";

Deno.test("faultOfAttributes() accepts an object, and no text at all", () => {
  for (const text of ["", " \n", "{}", '{\n "a": [1, null]\n}\n']) {
    assertStrictEquals(faultOfAttributes(text), "", text);
  }
});

Deno.test("faultOfAttributes() says what is wrong", () => {
  assertMatch(faultOfAttributes('{"a":'), /^This is not JSON: ./);
  for (const text of ["1.0", "null", "[]", '"a"']) {
    assertMatch(faultOfAttributes(text), /^Attributes are an object/, text);
  }
});

Deno.test("lineOf() writes an event in one line, with its attributes as written", () => {
  const line = lineOf('é"', '{\n "n": 12345678901234567890,\r\n "a": "b\\n"\n}\n');
  assertStrictEquals(
    textOf(line),
    '{"event":"é\\"","__dict__":{  "n": 12345678901234567890,   "a": "b\\n" }}\n',
  );
  assertEquals(RawEvent.fromLine(line).__dict__.a, "b\n");
  assertStrictEquals(textOf(lineOf("a", " ")), '{"event":"a"}\n');
});

Deno.test("parseJson() keeps the digits of each number for toJson()", () => {
  const text = '{"a":[1.0,-0,1e400,12345678901234567890,0.1],"b":"1.0"}';
  assertStrictEquals(toJson(parseJson(text)), text);
  assertStrictEquals(toJson(parseJson('{ "a" : [ 1 ] }'), 2), '{\n  "a": [\n    1\n  ]\n}');
});

Deno.test("search() finds a text within any text of an item, in lower or upper case", () => {
  const items = [["c1", "Chat.*"], ["c2", "game.>"], ["c12", ""]];
  const found = (wanted: string) => search(items, wanted, (item) => item).map(([id]) => id);
  assertEquals(found(" C1 "), ["c1", "c12"]);
  assertEquals(found("chat"), ["c1"]);
  assertEquals(found(" "), ["c1", "c2", "c12"]);
});

Deno.test("countShown() tells how many there are in all", () => {
  assertStrictEquals(countShown(12, 12), "12");
  assertStrictEquals(countShown(100, 5000), "100 of 5,000");
});
