import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { loadCommands } from "../../cli/main.ts";
import { completionScript, SHELLS } from "../../cli/completions.ts";
import { Command } from "../support/command.ts";

async function run(...args: string[]) {
  await using command = new Command(["completions", ...args], []);
  return await command.end();
}

Deno.test("completions prints the script of a shell, for the name that is given", async () => {
  for (const shell of SHELLS) {
    assertEquals(await run(shell), {
      code: 0,
      stdout: `${completionScript(shell, "ebsockets", await loadCommands())}\n`,
      stderr: "",
    });
  }
  const { stdout } = await run("bash", "--name", "my.relay");
  assertMatch(stdout, /^complete -F _my_relay my\.relay$/m);
});

Deno.test("completions names its shells, and refuses names that a shell would not accept", async () => {
  const cases: [args: string[], complaint: string][] = [
    [[], "The shell must be bash, zsh or fish"],
    [["tcsh"], 'The shell must be bash, zsh or fish, not "tcsh"'],
    [["bash", "zsh"], 'Unknown argument "zsh"'],
    [["bash", "--name", "x;y"], '--name must be the name of a command, not "x;y"'],
  ];
  for (const [args, complaint] of cases) {
    const { code, stdout, stderr } = await run(...args);
    assertEquals(stdout, "");
    assertEquals(stderr, `error: ${complaint}; ebsockets completions --help shows the options\n`);
    assertEquals(code, 2);
  }
});
