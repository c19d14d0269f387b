import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { type Command, defineCommand } from "../../cli/command.ts";
import { UsageError } from "../../cli/errors.ts";
import { flag } from "../../cli/flags.ts";

/** A command that gives its option as its exit code. */
const command: Command = defineCommand({
  name: "exit",
  summary: "",
  about: "",
  usage: "",
  examples: [],
  groups: [{
    title: "Options",
    flags: [flag.integer("code", "", { min: 0 })],
  }],
  exits: {},
  notes: "",
  run: ({ values, words }) => Promise.resolve((values.code ?? 0) + words.length),
});

Deno.test("defineCommand() makes a command that gets its values by name", async () => {
  assertEquals(await command.run(["--code", "4", "word"]), 5);
  assertEquals(await command.run([]), 0);
});

Deno.test("defineCommand() returns a command that refuses unknown options", async () => {
  await assertRejects(() => command.run(["--cdoe", "4"]), UsageError, "did you mean --code?");
});

Deno.test("defineCommand() gives every command --help, which prints its help", () => {
  const flags = command.groups.flatMap(({ flags }) => flags).map(({ name }) => name);
  assertEquals(flags, ["code", "help"]);
});
