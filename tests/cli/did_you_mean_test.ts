import { assertEquals } from "@std/assert/equals";
import { nearest, suggestion } from "../../cli/did_you_mean.ts";

Deno.test("nearest() finds what a word with a slip of the fingers was to be", () => {
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
    ["sub", "sub"],
    ["serve", null],
    ["", null],
    ["xyz", null],
  ];
  for (const [word, meant] of cases) assertEquals(nearest(word, words), meant, word);
  assertEquals(nearest("a", []), null);
});

Deno.test("suggestion() says nothing where no word is near", () => {
  assertEquals(suggestion("--prot", ["--port", "--host"]), " (did you mean --port?)");
  assertEquals(suggestion("publish", ["sub", "pub"]), " (did you mean pub?)");
  assertEquals(suggestion("--colour", ["--port", "--host"]), "");
});
