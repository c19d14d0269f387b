// The commands that the page offers: a real shell splits them, and the command reads their words.

import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import fc from "fast-check";
import { CONNECTION_GROUP } from "../../cli/connect.ts";
import { readEventWords, toEvent } from "../../cli/event_args.ts";
import { parseFlags } from "../../cli/flags.ts";
import { commandOptions, pubCommand } from "../../page/command.ts";
import { textOf } from "../support/bytes.ts";
import { canRun } from "../support/process.ts";

const ignore = !canRun("sh", ["-c", "true"]);

/** Prints each of its arguments, then its input. */
const SCRIPT = `ebsockets() { for word; do printf '%s\\0' "$word"; done; printf '\\0'; cat; }\n`;

/** The line of the event that a command publishes. */
async function run(command: string): Promise<string> {
  const shell = new Deno.Command("sh", { args: ["-c", SCRIPT + command], stdin: "null" });
  const [words, input] = textOf((await shell.output()).stdout).split(/\0\0(?![^]*\0\0)/);
  const [first, ...args] = words!.split("\0");
  assertStrictEquals(first, "pub");
  if (args.at(-1) === "-") return input!;
  const { name, members } = readEventWords(
    "pub",
    "a name",
    parseFlags(args, CONNECTION_GROUP.flags),
  );
  return textOf(toEvent(name, members).line);
}

type Attributes = Readonly<Record<string, unknown>>;

const event = (name: string, attributes: Attributes = {}) => ({ name, attributes });

Deno.test("pubCommand() writes text as text, and other values as JSON", () => {
  const attributes = { content: "Hello there", n: 2, tags: ["a", "b"], none: null, plain: "x" };
  assertStrictEquals(
    pubCommand(event("chat.lobby", attributes), []),
    `ebsockets pub chat.lobby 'content=Hello there' n:=2 'tags:=["a","b"]' none:=null plain=x`,
  );
  assertStrictEquals(pubCommand(event("a"), ["[::1]:1"]), "ebsockets pub '[::1]:1' a");
});

Deno.test("pubCommand() quotes what a shell would read, and escapes what a terminal would garble", () => {
  const commandOf = (attributes: Attributes) => pubCommand(event("a", attributes), []);
  assertStrictEquals(commandOf({ x: "it's $HOME" }), String.raw`ebsockets pub a 'x=it'\''s $HOME'`);
  assertStrictEquals(
    commandOf({ x: "a\nb\x1b\u202e" }),
    String.raw`ebsockets pub a 'x:="a\nb\u001b\u202e"'`,
  );
  assertStrictEquals(
    commandOf({ "a=b": 1 }),
    String.raw`printf '%s\n' '{"event":"a","__dict__":{"a=b":1}}' | ebsockets pub -`,
  );
});

Deno.test({
  name: "pubCommand() publishes the same event again, whatever is in it",
  ignore,
  async fn() {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 12 }),
      fc.string({
        unit: fc.constantFrom(..."-=:'\"\\$`! {}[]\n\0\t.a1*~#\u202e\ud800"),
        maxLength: 9,
      }),
    );
    const names = text.filter((name) => name !== "");
    const attributes = fc.dictionary(text, fc.oneof(text, fc.jsonValue({ maxDepth: 2 })), {
      maxKeys: 4,
    });
    await fc.assert(
      fc.asyncProperty(names, attributes, async (name, attributes) => {
        const json = JSON.stringify(attributes);
        const line = await run(pubCommand(event(name, JSON.parse(json)), []));
        const { event: found, __dict__ = {} } = JSON.parse(line);
        assertEquals([found, JSON.stringify(__dict__)], [name, json]);
      }),
      { numRuns: 300, examples: [["-", {}], ["a:80", {}], ["--tls", { "-x": "y" }], ["{", {}]] },
    );
  },
});

Deno.test("commandOptions() names the relay of the page, unless it is the default", () => {
  const optionsOf = (url: string) => commandOptions(new URL(url));
  assertEquals(optionsOf("http://127.0.0.1:7982/"), []);
  assertEquals(optionsOf("http://localhost:7982/"), []);
  assertEquals(optionsOf("http://[::1]:7982/"), ["[::1]:7982"]);
  assertEquals(optionsOf("http://relay.example/"), ["relay.example:80"]);
  assertEquals(optionsOf("https://relay.example/x/"), ["--tls", "relay.example:443"]);
});
