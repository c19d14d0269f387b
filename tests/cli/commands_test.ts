import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { COMMAND_NAMES, DEFAULT_COMMAND, loadCommand, loadCommands } from "../../cli/main.ts";
import { UsageError } from "../../cli/errors.ts";

Deno.test("loadCommands() returns each command under its name, with each option once", async () => {
  const commands = await loadCommands();
  assertEquals(commands.map(({ name }) => name), COMMAND_NAMES);
  assertEquals(commands[0].name, DEFAULT_COMMAND);
  for (const { name, groups } of commands) {
    const flags = groups.flatMap(({ flags }) => flags).map((flag) => flag.name);
    assertEquals(flags, [...new Set(flags)], name);
  }
});

Deno.test("loadCommand() returns the command of a name, or suggests another name", async () => {
  for (const name of COMMAND_NAMES) assertEquals((await loadCommand(name)).name, name);
  const { message } = await assertRejects(() => loadCommand("relya"), UsageError);
  assertEquals(message, 'Unknown command "relya" (did you mean relay?)');
  await assertRejects(() => loadCommand("toString"), UsageError);
  for (const place of ["7982", "localhost", "127.0.0.1:7982", "tcp://a"]) {
    const why = `Unknown command "${place}": use --host and --port to set where a relay listens`;
    await assertRejects(() => loadCommand(place), UsageError, why);
  }
});
