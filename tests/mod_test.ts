import { assertEquals } from "@std/assert/equals";
import { COMMAND_NAMES } from "../cli/commands.ts";
import config from "../deno.json" with { type: "json" };
import * as mod from "../mod.ts";

Deno.test("mod.ts exports the documented classes and functions, and no others", () => {
  assertEquals(Object.keys(mod).sort(), [
    "ConnectError",
    "ConnectionClosedError",
    "EbsocketClient",
    "EbsocketConnection",
    "EbsocketError",
    "EbsocketEvent",
    "EbsocketServer",
    "EbsocketSystem",
    "EventDecoderStream",
    "EventEncoderStream",
    "EventFormatError",
    "EventRefusedError",
    "EventSchemaError",
    "FramingError",
    "LineBlock",
    "LineSplitter",
    "NoRespondersError",
    "RequestTimeoutError",
    "defineEvents",
    "formatAddress",
    "getLocalIp",
  ]);
});

Deno.test("every entry point can be imported without any permission, and prints nothing", async () => {
  const source = Object.keys(config.exports)
    .map((entry) => `import "${config.name}${entry.slice(1)}";`)
    .join("");
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(path, source);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", `--config=${import.meta.dirname}/../deno.json`, path],
  }).output();
  await Deno.remove(path);
  const decoder = new TextDecoder();
  assertEquals([code, decoder.decode(stdout), decoder.decode(stderr)], [0, "", ""]);
});

Deno.test("mod.ts loads the command only when it is run", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", `${import.meta.dirname}/../mod.ts`],
  }).output();
  const graph: { modules: { specifier: string; dependencies?: Dependency[] }[] } = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  const importers = graph.modules.flatMap(({ specifier, dependencies = [] }) =>
    dependencies
      .filter((dependency) => dependency.specifier === "./cli/main.ts")
      .map(({ isDynamic = false }) => [specifier.split("/").at(-1), isDynamic])
  );
  assertEquals(importers, [["mod.ts", true]]);
});

Deno.test("mod.ts says of every module what it is for", async () => {
  const root = new URL("../", import.meta.url);
  const [map = ""] = (await Deno.readTextFile(new URL("mod.ts", root))).split("@module");
  const listed = [...map.matchAll(/`(\w+\.ts)`/g)].map(([, name = ""]) => name);
  const commands = COMMAND_NAMES.map((name) => `${name}.ts`);
  const modules = new Set(["mod.ts", ...commands]);
  for (const folder of ["", "cli/"]) {
    for await (const { name } of Deno.readDir(new URL(folder, root))) {
      if (name.endsWith(".ts")) modules.add(name);
    }
  }
  assertEquals(new Set(["mod.ts", ...commands, ...listed]), modules);
});

/** One import, as `deno info` tells of it. */
interface Dependency {
  specifier: string;
  isDynamic?: boolean;
}
