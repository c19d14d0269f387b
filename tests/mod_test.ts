import { assertEquals } from "@std/assert/equals";
import config from "../deno.json" with { type: "json" };
import * as mod from "../mod.ts";
import { textOf } from "./support/bytes.ts";

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
    "RawEvent",
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
  assertEquals(textOf(stdout), "");
  assertEquals(textOf(stderr), "");
  assertEquals(code, 0);
});

Deno.test("mod.ts loads the command only when it is run", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", `${import.meta.dirname}/../mod.ts`],
  }).output();
  const graph: { modules: { specifier: string; dependencies?: Dependency[] }[] } = JSON.parse(
    textOf(stdout),
  );
  const importers = graph.modules.flatMap(({ specifier, dependencies = [] }) =>
    dependencies
      .filter((dependency) => dependency.specifier === "./cli/main.ts")
      .map(({ isDynamic = false }) => [specifier.split("/").at(-1), isDynamic])
  );
  assertEquals(importers, [["mod.ts", true]]);
});

Deno.test("every entry point exports the errors that its documentation names", async () => {
  const known = Object.keys(mod).filter((name) => name.endsWith("Error"));
  for (const path of Object.values(config.exports)) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["doc", "--json", `${import.meta.dirname}/../${path}`],
    }).output();
    const docs = textOf(stdout);
    const named = known.filter((name) =>
      new RegExp(`"throws",\\s*"tsType": {\\s*"repr": "${name}"`).test(docs)
    );
    const exported = Object.keys(await import(`../${path}`));
    assertEquals(named.filter((name) => !exported.includes(name)), [], path);
  }
});

/** One import in the output of `deno info`. */
interface Dependency {
  specifier: string;
  isDynamic?: boolean;
}
