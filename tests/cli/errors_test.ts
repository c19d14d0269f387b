import { assertEquals } from "@std/assert/equals";
import { describeEnd, messageOf } from "../../cli/errors.ts";

Deno.test("messageOf() describes any thrown value, and disturbs no terminal", () => {
  assertEquals(messageOf(new TypeError("Not \x1b[31mthat")), "Not \\u001b[31mthat");
  assertEquals(messageOf("a\nb"), "a\\nb");
  assertEquals(messageOf(undefined), "undefined");
});

Deno.test("describeEnd() has the reason, and the details", () => {
  const info = { detail: "", unsentLines: 0, unsentBytes: 0 };
  assertEquals(describeEnd({ ...info, reason: "eof" }), "eof");
  assertEquals(describeEnd({ ...info, reason: "reset", detail: "\x07" }), "reset: \\u0007");
});
