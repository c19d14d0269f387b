import { assertEquals } from "@std/assert/equals";
import type { CommandInfo } from "../../cli/command.ts";
import { loadCommands } from "../../cli/commands.ts";
import { spellings } from "../../cli/flags.ts";
import { formatHelp, formatOverview } from "../../cli/help.ts";

const FETCH: CommandInfo = {
  name: "fetch",
  summary: "Get it",
  about: "Get it, and show it.",
  usage: "[options] NAME",
  groups: [
    {
      title: "How",
      flags: [
        { kind: "integer", name: "count", value: "N", least: 1, text: "So often" },
        { kind: "choice", name: "as", choices: ["text", "json"], text: "The form" },
        {
          kind: "file",
          name: "a-name-that-leaves-no-room-for-its-text",
          value: "FILE",
          text: "words ".repeat(20).trim(),
        },
      ],
    },
    { title: "Other", flags: [{ kind: "switch", name: "echo", negated: true, text: "Quietly" }] },
    { title: "Other", flags: [{ kind: "switch", name: "help", short: "h", text: "This" }] },
  ],
  notes: "The end.",
};

Deno.test("formatHelp() tells all that a command says of itself, and joins groups of one title", () => {
  assertEquals(
    formatHelp(FETCH),
    `Get it, and show it.

Usage: deno run -A jsr:@ebsockets/relay fetch [options] NAME

How:
  --count N                     So often
  --as text|json                The form
  --a-name-that-leaves-no-room-for-its-text FILE
                                words words words words words words words words words words
                                words words words words words words words words words words

Other:
  --no-echo                     Quietly
  -h, --help                    This

The end.`,
  );
});

Deno.test("formatOverview() lists the commands, and tells all of the first", () => {
  const overview = formatOverview([FETCH, { ...FETCH, name: "find-it", summary: "Look for it" }]);
  assertEquals(
    overview.includes(`
Usage: deno run -A jsr:@ebsockets/relay [options] NAME
       deno run -A jsr:@ebsockets/relay COMMAND [arguments]

Commands, of which COMMAND --help tells more:
  fetch    Get it
  find-it  Look for it

How:
  --count N `),
    true,
    overview,
  );
});

Deno.test("formatHelp() of every command names each of its options, in lines that are not too long", async () => {
  for (const command of await loadCommands()) {
    const help = formatHelp(command);
    for (const flag of command.groups.flatMap(({ flags }) => flags)) {
      for (const name of spellings(flag)) assertEquals(help.includes(name), true, name);
    }
    const longest = Math.max(...help.split("\n").map((line) => line.length));
    assertEquals(longest <= 100, true, `${command.name}: ${longest}`);
  }
});
