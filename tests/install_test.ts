/** A clone becomes a command, which runs from anywhere. */

import { assertEquals } from "@std/assert/equals";
import { PROGRAM } from "../cli/program.ts";
import config from "../deno.json" with { type: "json" };
import { Program } from "./support/process.ts";

Deno.test({
  name: "deno task install makes a clone a command that runs in any folder",
  ignore: Deno.build.os === "windows",
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      // The command runs the Deno that the shell finds.
      await Deno.symlink(Deno.execPath(), `${folder}/deno`);
      const env = { DENO_INSTALL_ROOT: folder, PATH: `${folder}:${Deno.env.get("PATH")}` };
      await using install = new Program("deno", ["run", "-A", "tools/install.ts"], {
        cwd: `${import.meta.dirname}/..`,
        env,
      });
      const { code, stderr } = await install.end();
      assertEquals(code, 0, stderr);
      // "serve" needs a module of the standard library that "--version" does not.
      for (const args of [["--version"], ["serve", "--help"], ["help"]]) {
        await using command = new Program(`${folder}/bin/${PROGRAM}`, args, { cwd: folder, env });
        const outcome = await command.end();
        assertEquals(outcome.code, 0, outcome.stderr);
        if (args[0] !== "--version") continue;
        assertEquals(outcome.stdout, `@ebsockets/relay ${config.version}\n`);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("deno task install refuses arguments, and installs nothing then", async () => {
  await using install = new Program("deno", ["run", "-A", "tools/install.ts", "--help"], {
    cwd: `${import.meta.dirname}/..`,
  });
  const { code, stdout, stderr } = await install.end();
  assertEquals({ code, stdout }, { code: 2, stdout: "" }, stderr);
});
