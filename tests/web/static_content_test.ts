import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertNotEquals } from "@std/assert/not-equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { StaticContent } from "../../web/static_content.ts";
import { textOf } from "../support/bytes.ts";

const SCRIPT = { "Content-Type": "text/javascript; charset=utf-8" };

/** Asks for content, as a browser that has tags. */
function ask(content: StaticContent, tags?: string) {
  const headers = new Map(tags === undefined ? [] : [["if-none-match", tags]]);
  return content.answer({ headers }, SCRIPT);
}

Deno.test("StaticContent.answer() has the content and its tag, to be checked each time", async () => {
  const { status, headers, body } = ask(await StaticContent.of("größe"));
  assertStrictEquals(status, 200);
  assertStrictEquals(textOf(body as Uint8Array), "größe");
  assertStrictEquals(headers["Content-Type"], SCRIPT["Content-Type"]);
  assertStrictEquals(headers["Cache-Control"], "no-cache");
  assertMatch(headers["ETag"]!, /^"[0-9a-f]{64}"$/);
});

Deno.test("StaticContent.answer() is 304 without a body for a client that has the content", async () => {
  const content = await StaticContent.of("a");
  const tag = ask(content).headers["ETag"]!;
  for (const tags of [tag, `W/${tag}`, `"x", ${tag}`, `"x",W/${tag}`, "*"]) {
    const { status, headers, body } = ask(content, tags);
    assertStrictEquals(status, 304, tags);
    assertEquals(body, "");
    assertStrictEquals(headers["ETag"], tag);
    assertStrictEquals(headers["Cache-Control"], "no-cache");
  }
});

Deno.test("StaticContent.answer() has the content for a client that has another", async () => {
  const content = await StaticContent.of("a");
  const other = ask(await StaticContent.of("b")).headers["ETag"]!;
  assertNotEquals(other, ask(content).headers["ETag"]);
  for (const tags of [other, '""', "", ask(content).headers["ETag"]!.slice(1, -1)]) {
    assertStrictEquals(ask(content, tags).status, 200, tags);
  }
});
