import type { CommandInfo } from "../../cli/flags.ts";
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertStringIncludes } from "@std/assert/string-includes";

import { loadCommands } from "../../cli/main.ts";
import { flag, spellings } from "../../cli/flags.ts";
import { formatHelp, formatOverview } from "../../cli/help.ts";

const FETCH: CommandInfo = {
  name: "fetch",
  summary: "Get it",
  about: "Get it, and show it.",
  usage: "[options] NAME",
  examples: ["ebsockets fetch x", "ebsockets fetch y # too"],
  exits: { 0: "It is there", 130: "Stopped" },
  groups: [
    {
      title: "How",
      flags: [
        flag.integer("count", "So often"),
        flag.choice("as", ["text", "json"], "The form"),
        flag.file("a-name-that-leaves-no-room-for-its-text", "words ".repeat(20).trim()),
      ],
    },
    { title: "Other", flags: [flag.switch("echo", "Quietly", { negated: true })] },
    { title: "Other", flags: [flag.switch("help", "This", { short: "h" })] },
  ],
  notes: `A line
and ${"the next ".repeat(10).trim()}:
  what   is as it is
The end.`,
};

Deno.test("formatHelp() shows all parts of a command, and joins groups of one title", () => {
  assertEquals(
    formatHelp(FETCH),
    `Get it, and show it.

Usage: ebsockets fetch [options] NAME

For example (ebsockets is deno run -A jsr:@ebsockets/relay):
  ebsockets fetch x
  ebsockets fetch y # too

How:
  --count N               So often
  --as text|json          The form
  --a-name-that-leaves-no-room-for-its-text FILE
                          words words words words words words words words words
                          words words words words words words words words words
                          words words

Other:
  --no-echo               Quietly
  -h, --help              This

Exit code:
  0    It is there
  2    Usage error
  130  Stopped

A line and the next the next the next the next the next the next the next the
next the next the next:
  what   is as it is
The end.`,
  );
});

Deno.test("formatOverview() lists the commands, and shows the first in full", () => {
  const overview = formatOverview([FETCH, { ...FETCH, name: "find-it", summary: "Look for it" }]);
  assertStringIncludes(
    overview,
    `
Usage: ebsockets [options] NAME
       ebsockets COMMAND [arguments]

Commands (COMMAND --help for details):
  fetch    Get it
  find-it  Look for it

For example (ebsockets is deno run -A jsr:@ebsockets/relay):
  ebsockets fetch x
  ebsockets fetch y # too

How:
  --count N `,
  );
});

Deno.test("formatHelp() of every command names each of its options", async () => {
  for (const command of await loadCommands()) {
    const help = formatHelp(command);
    for (const flag of command.groups.flatMap(({ flags }) => flags)) {
      for (const name of spellings(flag)) assertStringIncludes(help, name, name);
    }
  }
});

Deno.test("formatHelp() of every command, and formatOverview(), fit 80 columns and keep words whole", async () => {
  const commands = await loadCommands();
  const inOneLine = (text: string) => text.replaceAll(/\s+/g, " ");
  for (const command of commands) {
    const { about, notes, exits, groups } = command;
    const texts = [about, notes, ...Object.values(exits)];
    for (const { flags } of groups) texts.push(...flags.map(({ text }) => text));
    const isFirst = command === commands[0];
    for (const help of [formatHelp(command), ...(isFirst ? [formatOverview(commands)] : [])]) {
      for (const line of help.split("\n")) assertLessOrEqual(line.length, 80, line);
      for (const text of texts) assertStringIncludes(inOneLine(help), inOneLine(text));
    }
  }
});

Deno.test("formatHelp() of every command has usage, an example and its own options on the first screen", async () => {
  for (const command of await loadCommands()) {
    const screen = formatHelp(command).split("\n").slice(0, 24).join("\n");
    const [first] = command.groups;
    const needed = ["Usage: ", ...command.examples, ...first!.flags.flatMap(spellings)];
    for (const text of needed) {
      assertStringIncludes(screen, text, `${command.name}: ${text}`);
    }
    assert(command.examples.length > 0 && 0 in command.exits, command.name);
  }
});

Deno.test("formatHelp() shows examples only of commands and options that there are", async () => {
  const commands = await loadCommands();
  const names = commands.map(({ name }) => name);
  const options = commands.flatMap(({ groups }) => groups).flatMap(({ flags }) => flags)
    .flatMap(spellings);
  for (const example of commands.flatMap(({ examples }) => examples)) {
    const [line] = example.split(" # ");
    const [, name] = /ebsockets ([a-z]+)/.exec(line!) ?? [];
    if (name !== undefined) assert(names.includes(name), example);
    for (const [option] of line!.matchAll(/--[a-z-]+/g)) {
      assert(options.includes(option), example);
    }
  }
});
