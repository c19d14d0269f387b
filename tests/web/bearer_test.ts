import { assertObjectMatch } from "@std/assert/object-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { bearerToken, TOKEN_REQUIRED } from "../../web/bearer.ts";
import { requestFor } from "../support/http.ts";

Deno.test("bearerToken() returns the token of a request", () => {
  const cases: [field: string, token: string][] = [
    ["Authorization: Bearer abc", "abc"],
    ["authorization: bEARER  a b\u2028é", "a b\u2028é"],
    ["Authorization: Bearer Bearer abc", "Bearer abc"],
  ];
  for (const [field, token] of cases) {
    assertStrictEquals(bearerToken(requestFor("/metrics", field)), token);
  }
});

Deno.test("bearerToken() returns undefined for a request without a token", () => {
  for (const field of ["Accept: */*", "Authorization: Bearer", "Authorization: Basic YTpi"]) {
    assertStrictEquals(bearerToken(requestFor("/metrics", field)), undefined);
  }
});

Deno.test("TOKEN_REQUIRED names the scheme", () => {
  assertObjectMatch(TOKEN_REQUIRED, { status: 401, headers: { "WWW-Authenticate": "Bearer" } });
});
