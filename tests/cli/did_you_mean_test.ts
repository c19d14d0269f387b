import { assertEquals } from "@std/assert/equals";
import { suggestion } from "../../cli/flags.ts";

Deno.test("suggestion() finds the word that a typing error was meant to be", () => {
  const words = ["relay", "sub", "pub", "request", "completions"];
  const cases: [word: string, meant: string | null][] = [
    ["relai", "relay"],
    ["raley", "relay"],
    ["rleay", "relay"],
    ["realy", "relay"],
    ["sbu", "sub"],
    ["puub", "pub"],
    ["requests", "request"],
    ["completion", "completions"],
    ["serve", null],
    ["run", null],
    ["", null],
    ["xyz", null],
  ];
  for (const [word, meant] of cases) {
    assertEquals(suggestion(word, words), meant === null ? "" : ` (did you mean ${meant}?)`, word);
  }
});

Deno.test("suggestion() returns nothing if no word is near", () => {
  assertEquals(suggestion("--prot", ["--port", "--host"]), " (did you mean --port?)");
  assertEquals(suggestion("publish", ["sub", "pub"]), " (did you mean pub?)");
  assertEquals(suggestion("--colour", ["--port", "--host"]), "");
});
