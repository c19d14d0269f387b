/** What a clone says while it makes the standard library importable. */

import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { TempFolder } from "./support/folder.ts";
import { Program } from "./support/process.ts";
import { until } from "./support/waiting.ts";

const FOLDERS = ["cli", "examples", "tests/cli", "bench", "tools"];

Deno.test("deno task setup reports that it waits, and in one line what it cannot get", async () => {
  using folder = new TempFolder();
  // It accepts, and never answers.
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  for (const each of FOLDERS) await Deno.mkdir(`${folder.path}/${each}`, { recursive: true });
  for (const file of ["deno.json", "tools/setup.ts"]) {
    await Deno.copyFile(new URL(`../${file}`, import.meta.url), `${folder.path}/${file}`);
  }
  await Deno.writeTextFile(
    `${folder.path}/mod.ts`,
    'import { concat } from "@std/bytes/concat";\n',
  );
  await using setup = new Program(Deno.execPath(), ["run", "-A", "tools/setup.ts"], {
    cwd: folder.path,
    env: {
      DENO_DIR: `${folder.path}/cache`,
      JSR_URL: `http://127.0.0.1:${silent.addr.port}/`,
      NPM_CONFIG_REGISTRY: "http://127.0.0.1:1/",
    },
  });
  const conn = await silent.accept();
  await until(() => setup.stderr.includes("\n"));
  assertEquals(
    setup.stderr,
    "Waiting for JSR, for the standard library: 60 s at most\n",
  );
  conn.close();
  silent.close();
  const { code, stderr } = await setup.end();
  const [, second, third] = stderr.split("\n");
  assertEquals(code, 1);
  assertMatch(second!, /^JSR does not answer, which is no trouble: npm has/);
  assertMatch(
    third!,
    /^error: Cannot get the standard library: JSR does not answer, and npm:deno-/,
  );
  assertNotMatch(stderr, / {4}at /);
});
