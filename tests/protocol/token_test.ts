import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import { resolveToken } from "../../client/handshake.ts";
import { checkToken } from "../../protocol/token.ts";
import { soon } from "../support/waiting.ts";

const { signal } = new AbortController();

Deno.test("checkToken() refuses invalid tokens without showing them", () => {
  assertEquals(checkToken("x"), "x");
  assertEquals(checkToken("é".repeat(512)).length, 512);
  for (const token of ["", "é".repeat(513)]) {
    assertThrows(() => checkToken(token), RangeError, "it must have from 1 to 1024 bytes, not");
  }
  const error = assertThrows(() => checkToken(4242 as unknown as string), TypeError) as TypeError;
  assertEquals(error.message, "Invalid token: expected a string, got number");
});

Deno.test("resolveToken() calls a function each time", async () => {
  let count = 0;
  const token = () => Promise.resolve(`t${++count}`);
  assertEquals([await resolveToken(token, signal), await resolveToken(token, signal)], [
    "t1",
    "t2",
  ]);
  assertEquals(await resolveToken(() => "now", signal), "now");
  assertEquals(await resolveToken("text", signal), "text");
  assertEquals(await resolveToken(undefined, signal), undefined);
});

Deno.test("resolveToken() rejects if the function fails, returns no token, or takes too long", async () => {
  const fail = () => {
    throw new Error("no vault");
  };
  await assertRejects(() => resolveToken(fail, signal), Error, "no vault");
  await assertRejects(() => resolveToken(() => "", signal), RangeError, "Invalid token");
  const never = () => new Promise<string>(() => {});
  const late = AbortSignal.abort(new Error("too late"));
  await assertRejects(() => soon(resolveToken(never, late), "the end"), Error, "too late");
});
