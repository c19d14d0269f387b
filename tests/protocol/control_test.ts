import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertNotMatch } from "@std/assert/not-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import fc from "fast-check";
import { type ControlLine, decodeClose, encodeClose } from "../../protocol/control.ts";
import { CLOSE_REASONS, type CloseReason } from "../../errors.ts";
import { LineValidator } from "../../protocol/validator.ts";
import { textOf } from "../support/bytes.ts";
import { anyText, attributes as anyMembers, fuzzRuns } from "../support/lines.ts";

const ALL = Object.keys(CLOSE_REASONS) as CloseReason[];
const ANNOUNCED = ALL.filter((reason) => CLOSE_REASONS[reason].sentBy !== "neither");
const OF_CLIENTS = ALL.filter((reason) => CLOSE_REASONS[reason].sentBy === "both");

/** The control line in `text`, as a peer would decode it. */
function parse(text: string): ControlLine {
  return JSON.parse(text);
}

Deno.test("encodeClose() returns a line for each reason that the peer cannot know, and for no other", () => {
  const told = ALL.filter((reason) => encodeClose({ reason, detail: "why" }) !== null);
  assertEquals(told, ANNOUNCED);
  for (const reason of told) {
    const line = textOf(encodeClose({ reason, detail: "why" })!);
    assertEquals(line, `{"control":"close","reason":"${reason}","detail":"why"}\n`);
  }
});

Deno.test("encodeClose() leaves an empty detail out", () => {
  const line = encodeClose({ reason: "shutdown", detail: "" })!;
  assertEquals(textOf(line), '{"control":"close","reason":"shutdown"}\n');
});

Deno.test("encodeClose() returns one valid line, whatever the detail", () => {
  const validator = new LineValidator();
  fc.assert(
    fc.property(fc.constantFrom(...ANNOUNCED), anyText(20), (reason, detail) => {
      const line = encodeClose({ reason, detail })!;
      assertEquals(validator.open(line).validate(0), "control");
      assertEquals(validator.end, line.length - 1);
    }),
    { numRuns: fuzzRuns(500) },
  );
});

Deno.test("encodeClose() leaves no line separator raw", () => {
  const line = textOf(encodeClose({ reason: "shutdown", detail: "a\nb\r\u0085\u2028\u2029" })!);
  const separators = ["\r", "\u0085", "\u2028", "\u2029"];
  assertEquals(separators.filter((separator) => line.includes(separator)), []);
  assertEquals(line.indexOf("\n"), line.length - 1);
});

Deno.test("decodeClose() reads the lines of encodeClose()", () => {
  for (const reason of ANNOUNCED) {
    for (const detail of ["", "too much"]) {
      const line = parse(textOf(encodeClose({ reason, detail })!));
      assertEquals(decodeClose(line), { reason, detail });
    }
  }
});

Deno.test("decodeClose() accepts only the reasons that a peer can send", () => {
  for (const [peer, known] of [["server", ANNOUNCED], ["client", OF_CLIENTS]] as const) {
    for (const reason of ALL) {
      const farewell = decodeClose({ control: "close", reason, detail: "mine" }, peer);
      const isKnown = known.includes(reason);
      assertEquals(farewell?.reason, isKnown ? reason : "eof", `${peer} ${reason}`);
      const words = `the ${peer} gave the reason "${reason}", which no ${peer} can give`;
      assertEquals(farewell?.detail, isKnown ? "mine" : words);
    }
  }
});

Deno.test("decodeClose() returns null for other control lines", () => {
  for (const control of ["ping", "Close", "closed", "close ", ""]) {
    assertStrictEquals(decodeClose({ control, reason: "eof" }), null);
  }
});

Deno.test("decodeClose() reads an unknown reason as eof, and names it in the detail", () => {
  for (const reason of ["new-reason", "", "EOF", "toString", "__proto__", "constructor"]) {
    const close = decodeClose({ control: "close", reason });
    assertEquals(close?.reason, "eof");
    assertStringIncludes(close!.detail, `"${reason}"`);
  }
});

Deno.test("decodeClose() ignores members of the wrong type", () => {
  const values = [
    "1",
    "null",
    "true",
    "[]",
    '["eof"]',
    "{}",
    '{"toString":1}',
    '{"toString":null,"valueOf":null}',
    '[{"toString":"x"}]',
    '{"length":1e9}',
  ];
  for (const value of values) {
    const reason = decodeClose(parse(`{"control":"close","reason":${value},"detail":"x"}`));
    assertEquals(reason?.reason, "eof", value);
    const detail = decodeClose(parse(`{"control":"close","reason":"shutdown","detail":${value}}`));
    assertEquals(detail, { reason: "shutdown", detail: "" }, value);
  }
  assertEquals(decodeClose(parse('{"control":"close"}'))?.reason, "eof");
});

Deno.test("decodeClose() returns a short and printable detail, whatever the peer has sent", () => {
  const text = fc.oneof(
    anyText(400),
    fc.constantFrom("\x1b[2J\u202e\u2028".repeat(1000), "x".repeat(1_000_000)),
  );
  const reason = fc.oneof(text, fc.constantFrom<string>(...ALL));
  fc.assert(
    fc.property(reason, text, (reason, detail) => {
      const close = decodeClose({ control: "close", reason, detail });
      assert(close !== null && ALL.includes(close.reason));
      const shown = close?.detail ?? "";
      assertNotMatch(shown, /[\p{Cc}\p{Bidi_Control}\u2028\u2029\ufeff]/u);
      assertLessOrEqual(shown.length, 1000);
    }),
    { numRuns: fuzzRuns(500) },
  );
});

Deno.test("decodeClose() never throws on a line that JSON can carry", () => {
  fc.assert(
    fc.property(
      anyMembers,
      fc.anything({ withNullPrototype: false, maxDepth: 2 }),
      (members, reason) => {
        const line = parse(
          JSON.stringify({ ...members, reason: asJson(reason), control: "close" }),
        );
        const close = decodeClose(line);
        assert(close !== null && ALL.includes(close.reason));
      },
    ),
    { numRuns: fuzzRuns(500) },
  );
});

/** `value` as JSON leaves it, or `null` if JSON does not take it. */
function asJson(value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(value) ?? "null");
  } catch {
    return null;
  }
}

Deno.test("encodeClose() asks for whole milliseconds that are not too few", () => {
  const bytes = encodeClose({ reason: "shutdown", detail: "", retryAfterMs: 0.5 });
  assertEquals(JSON.parse(textOf(bytes!)).retry_after_ms, 1);
});
