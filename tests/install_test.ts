/** A clone becomes a command, which runs from anywhere. */

import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { PROGRAM } from "../cli/program.ts";
import config from "../deno.json" with { type: "json" };
import { TempFolder } from "./support/folder.ts";
import { freePort } from "./support/free_port.ts";
import { Program } from "./support/process.ts";

Deno.test({
  name: "deno task install makes a clone a command that runs in any folder",
  ignore: Deno.build.os === "windows",
  async fn() {
    using folder = new TempFolder();
    // The command runs the Deno that the shell finds.
    await Deno.symlink(Deno.execPath(), `${folder.path}/deno`);
    const env = { DENO_INSTALL_ROOT: folder.path, PATH: `${folder.path}:${Deno.env.get("PATH")}` };
    await using install = new Program("deno", ["run", "-A", "tools/install.ts"], {
      cwd: `${import.meta.dirname}/..`,
      env,
    });
    const { code, stderr } = await install.end();
    assertEquals(code, 0, stderr);
    // "serve" needs a module of the standard library that "--version" does not.
    for (const args of [["--version"], ["serve", "--help"], ["help"]]) {
      await using command = new Program(`${folder.path}/bin/${PROGRAM}`, args, {
        cwd: folder.path,
        env,
      });
      const outcome = await command.end();
      assertEquals(outcome.code, 0, outcome.stderr);
      if (args[0] !== "--version") continue;
      assertEquals(outcome.stdout, `@ebsockets/relay ${config.version}\n`);
    }
    // A cluster needs a package of npm.
    const nowhere = `nats://127.0.0.1:${freePort()}`;
    const args = ["--port", "0", "--cluster", nowhere];
    await using relay = new Program(`${folder.path}/bin/${PROGRAM}`, args, {
      cwd: folder.path,
      env,
    });
    assertStringIncludes((await relay.end()).stderr, "is a NATS server running there?");
  },
});

Deno.test("deno task install refuses arguments, and installs nothing then", async () => {
  await using install = new Program("deno", ["run", "-A", "tools/install.ts", "--help"], {
    cwd: `${import.meta.dirname}/..`,
  });
  const { code, stdout, stderr } = await install.end();
  assertEquals({ code, stdout }, { code: 2, stdout: "" }, stderr);
});
