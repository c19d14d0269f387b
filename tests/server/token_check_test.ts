import { assert } from "@std/assert/assert";
import { assertFalse } from "@std/assert/false";
import { TokenCheck } from "../../server/token_check.ts";

Deno.test("TokenCheck.isRight() is true of the token alone", () => {
  const check = new TokenCheck("géheim");
  assert(check.isRight("géheim"));
  for (const token of [undefined, "", "géhei", "géheim ", "ge\u0301heim", "x".repeat(1024)]) {
    assertFalse(check.isRight(token));
  }
});
