import { assertEquals } from "@std/assert/equals";
import { describeEnd, isFailure, messageOf } from "../../cli/errors.ts";

Deno.test("messageOf() tells what was thrown, whatever it is, and disturbs no terminal", () => {
  assertEquals(messageOf(new TypeError("Not \x1b[31mthat")), "Not \\u001b[31mthat");
  assertEquals([messageOf("a\nb"), messageOf(undefined)], ["a\\nb", "undefined"]);
});

Deno.test("describeEnd() tells the reason, and what else is known", () => {
  const info = { detail: "", unsentLines: 0, unsentBytes: 0 };
  assertEquals(describeEnd({ ...info, reason: "eof" }), "eof");
  assertEquals(describeEnd({ ...info, reason: "reset", detail: "\x07" }), "reset: \\u0007");
});

Deno.test("isFailure() knows the ends that somebody wanted", () => {
  assertEquals((["local", "eof", "shutdown"] as const).map(isFailure), [false, false, false]);
  assertEquals((["reset", "slow-consumer"] as const).map(isFailure), [true, true]);
});
