import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { COMMANDS, findCommand } from "../../cli/commands.ts";
import { UsageError } from "../../cli/errors.ts";

Deno.test("COMMANDS describes each name and option once", () => {
  const names = COMMANDS.map(({ name }) => name);
  assertEquals(names, [...new Set(names)]);
  for (const { name, groups } of COMMANDS) {
    const flags = groups.flatMap(({ flags }) => flags).map((flag) => flag.name);
    assertEquals(flags, [...new Set(flags)], name);
  }
});

Deno.test("findCommand() gives the command of a name, or says which was meant", () => {
  for (const command of COMMANDS) assertEquals(findCommand(command.name), command);
  const { message } = assertThrows(() => findCommand("relya"), UsageError);
  assertEquals(message, 'Unknown command "relya" (did you mean relay?)');
});
