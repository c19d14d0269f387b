import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import {
  copyNumbered,
  cutMember,
  insertMember,
  memberBytes,
  numbersLength,
  readString,
  spliceMembers,
  withNumbers,
} from "../../protocol/envelope.ts";
import { FROM, LineValidator, TO } from "../../protocol/validator.ts";
import { textOf, utf8 } from "../support/bytes.ts";

/** A validator that has checked `line`. */
function validated(line: string): [bytes: Uint8Array, validator: LineValidator] {
  const bytes = utf8(`${line}\n`);
  const validator = new LineValidator().open(bytes);
  assertEquals(validator.validate(0), "event", line);
  return [bytes, validator];
}

Deno.test("readString() reads a member as JSON does", () => {
  for (const to of ["c7", "a\\nb", "\\u00e9", "é", '\\"', "\\\\"]) {
    const line = `{"x":"\\"to\\":1","event":"a" , "to" :\t"${to}"}`;
    const [bytes, validator] = validated(line);
    assert(validator.has(TO));
    assertEquals(readString(bytes, validator.valueAt(TO)), JSON.parse(line).to);
  }
});

Deno.test("cutMember() cuts a member out wherever it stands, and nothing else", () => {
  const values = [
    "1",
    "-1.5e3",
    '"c1"',
    '"a\\"b,}"',
    "null",
    "{}",
    "[]",
    '{"a":[1,{"b":"]}"}],"c":2}',
  ];
  for (const value of values) {
    const table = [
      [`{"from":${value},"event":"a"}`, '{"event":"a"}'],
      [`{"event":"a","from":${value}}`, '{"event":"a"}'],
      [`{ "event":"a" , "from" : ${value} } `, '{ "event":"a" } '],
      [`{"event":"a","from":${value},"x":01`.replace("01", "1}"), '{"event":"a","x":1}'],
      [`{"event":"a","\\u0066rom":${value} ,\t"x":1.0}\r`, '{"event":"a","x":1.0}\r'],
      [`{"x":{"from":2},"from":${value},"event":"from"}`, '{"x":{"from":2},"event":"from"}'],
    ];
    for (const [line, expected] of table) {
      const [bytes, validator] = validated(line!);
      assertEquals(textOf(cutMember(bytes, validator.keyAt(FROM))), `${expected}\n`);
    }
  }
});

Deno.test("cutMember() leaves the JSON value without that member", () => {
  const json = fc.json({ maxDepth: 3 }).map((text) => text.replaceAll("\n", " "));
  const members = fc.uniqueArray(fc.tuple(fc.constantFrom("a", "b", "c", "d"), json), {
    selector: ([key]) => key,
  });
  fc.assert(fc.property(members, json, fc.nat(4), fc.nat(4), (others, value, at, eventAt) => {
    const parts = others.map(([key, text]) => `"${key}":${text}`);
    parts.splice(eventAt % (parts.length + 1), 0, '"event":"e"');
    const expected = `{${parts.join(",")}}`;
    parts.splice(at % (parts.length + 1), 0, `"from":${value}`);
    const [bytes, validator] = validated(`{${parts.join(",")}}`);
    assertEquals(textOf(cutMember(bytes, validator.keyAt(FROM))), `${expected}\n`);
  }));
});

Deno.test("memberBytes() returns a member with the comma after it", () => {
  assertEquals(textOf(memberBytes("from", "c3")), '"from":"c3",');
  assertEquals(textOf(memberBytes("seq", 12)), '"seq":12,');
});

Deno.test("readString() reads texts of all lengths, with any character anywhere", () => {
  const characters = fc.constantFrom("a", "Z", "\x7f", "é", "🦊", '"', "\\", "\t", "\u2028");
  const texts = fc.array(characters, { minLength: 1, maxLength: 40 }).map((list) => list.join(""));
  fc.assert(fc.property(texts, (to) => {
    const [bytes, validator] = validated(JSON.stringify({ event: "a", to }));
    assertEquals(readString(bytes, validator.valueAt(TO)), to);
  }));
});

Deno.test("spliceMembers() puts members in front and leaves the rest as it is", () => {
  const line = utf8(' { "event" : "a" }\r\n');
  const members = memberBytes("from", "c3");
  assertEquals(textOf(spliceMembers(line, members)), ' {"from":"c3", "event" : "a" }\r\n');
});

Deno.test("copyNumbered() puts its number in front of all members of each line, while lines fit", () => {
  const text = fc.constantFrom(
    "",
    " ",
    "x".repeat(30),
    "x".repeat(49),
    "x".repeat(50),
    "x".repeat(300),
  );
  const line = fc.tuple(fc.constantFrom("", " ", "\t ".repeat(40)), text)
    .map(([space, text]) => `${space}{"event":"a${text}"}\n`);
  const first = fc.oneof(fc.constantFrom(1, 9, 95, 99_998, 9_007_199_254_740_900), fc.nat(2000));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), first, fc.nat(99), (lines, first, room) => {
      const numbered = lines.map((line, i) => line.replace("{", `{"seq":${first + i},`));
      const all = numbered.join("").length;
      assertEquals(lines.join("").length + numbersLength(first, lines.length), all);
      const target = new Uint8Array(7 + Math.round(all * room / 99));
      const { lines: count, read, written } = copyNumbered(
        utf8(lines.join("")),
        first,
        target,
        7,
      );
      const expected = numbered.slice(0, count).join("");
      assertEquals(textOf(target.subarray(7, 7 + written)), expected);
      assertEquals(read, lines.slice(0, count).join("").length);
      const isFull = count === lines.length ||
        7 + written + numbered[count]!.length > target.length;
      assert(isFull);
      assert(target.subarray(0, 7).every((byte) => byte === 0));
    }),
  );
});

Deno.test("withNumbers() and insertMember() put a member in front of all others of each line", () => {
  const text = fc.nat(20).map((length) => "xé€😀".repeat(length).slice(0, length));
  const line = fc.tuple(fc.constantFrom("", " ", "\t ".repeat(40)), text)
    .map(([space, text]) => `${space}{"event":"a${text.toWellFormed()}"}\n`);
  const first = fc.constantFrom(1, 9, 95, 99_998, 9_007_199_254_740_900);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), first, fc.nat(3), (lines, first, skipped) => {
      const numbered = lines.map((line, i) => line.replace("{", `{"offset":${first + i},`));
      const bytes = utf8(`${"?".repeat(skipped)}${lines.join("")}`).subarray(skipped);
      const result = withNumbers(bytes, first, lines.length, "offset");
      assertEquals(textOf(result), numbered.join(""));
      const source = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const target = new Uint8Array(result.length + skipped);
      let start = 0;
      let at = skipped;
      lines.forEach((line, i) => {
        const end = start + utf8(line).length;
        const member = memberBytes("offset", first + i);
        at = insertMember(source, start, end, member, new DataView(target.buffer), at);
        start = end;
      });
      assertEquals(textOf(target.subarray(skipped)), numbered.join(""));
    }),
  );
});
