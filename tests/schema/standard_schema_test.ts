import type { StandardSchemaV1 } from "@standard-schema/spec";
import { assertEquals } from "@std/assert/equals";
import { showIssues, showText, type StandardSchema } from "../../schema/standard_schema.ts";
import { MESSAGE } from "../support/schemas.ts";

Deno.test("StandardSchema and the type of the standard are assignable to each other", () => {
  const theirs: StandardSchemaV1<{ a?: number }, { a: number }> = {
    "~standard": { version: 1, vendor: "test", validate: () => ({ value: { a: 1 } }) },
  };
  const ours: StandardSchema<{ a?: number }, { a: number }> = theirs;
  const back: StandardSchemaV1<{ content: string }> = MESSAGE;
  assertEquals(ours["~standard"].vendor, "test");
  assertEquals(back["~standard"].vendor, "test");
});

Deno.test("showIssues() puts the place before the message", () => {
  const issues = [
    { message: "Too short" },
    { message: "Too short", path: [] },
    { message: "Too short", path: ["content"] },
    { message: "Too short", path: ["user", "tags", 2, "name"] },
    { message: "Too short", path: [{ key: "user" }, { key: 0 }] },
    { message: "Too short", path: [0, "two words", Symbol("s")] },
    { message: "Too short", path: ["", "Größe", "a.b", 'c"'] },
  ];
  assertEquals(showIssues(issues), [
    "Too short",
    "Too short",
    "content: Too short",
    "user.tags[2].name: Too short",
    "user[0]: Too short",
    '[0]["two words"][Symbol(s)]: Too short',
    '[""].Größe["a.b"]["c\\""]: Too short',
  ]);
});

Deno.test("showIssues() does not repeat the path", () => {
  const message = "user.tags[1] must be a string (was a number)";
  assertEquals(showIssues([{ message, path: ["user", "tags", 1] }]), [message]);
});

Deno.test("showIssues() escapes and cuts texts of a peer", () => {
  const [message, key] = showIssues([
    { message: `\x1b[2J\n${"x".repeat(1_000_000)}` },
    { message: "Unknown", path: [`\u202e${"y".repeat(1_000_000)}`] },
  ]);
  assertEquals(message, `\\u001b[2J\\n${"x".repeat(195)}…`);
  assertEquals(key, `["\\u202e${"y".repeat(197)}…`);
});

Deno.test("showIssues() shows ten issues, and the number of others", () => {
  const issues = Array.from({ length: 1000 }, (_, i) => ({ message: `Issue ${i}` }));
  const shown = showIssues(issues);
  assertEquals(shown.length, 11);
  assertEquals(shown[9], "Issue 9");
  assertEquals(shown[10], "990 more");
  assertEquals(showIssues(issues.slice(0, 10)).length, 10);
});

Deno.test("showIssues() returns a text for an empty list of issues", () => {
  assertEquals(showIssues([]), ["its validator does not say why"]);
});

Deno.test("showText() cuts no character in two", () => {
  assertEquals(showText(`${"x".repeat(199)}😀`), `${"x".repeat(199)}\ufffd…`);
});
