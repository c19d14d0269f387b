import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { CONNECTION_GROUP } from "../../cli/connect.ts";
import { UsageError } from "../../cli/errors.ts";
import { type EventWords, readEventWords } from "../../cli/event_args.ts";
import { parseFlags } from "../../cli/flags.ts";

function wordsOf(command: string, args: string[]): EventWords {
  return readEventWords(command, "the NAME", parseFlags(args, CONNECTION_GROUP.flags));
}

Deno.test("readEventWords() reads the relay, the name and the attributes, each from its place", () => {
  const cases: [args: string[], port: number, name: string, members: string[]][] = [
    [["a"], 7982, "a", []],
    [["a", "b=c", "d:=1"], 7982, "a", ["b=c", "d:=1"]],
    [[":1", "a", "b"], 1, "a", ["b"]],
    [["order:42", "done"], 42, "done", []],
    [["--", "order:42", "total:=5"], 7982, "order:42", ["total:=5"]],
    [["--", "b=c"], 7982, "b=c", []],
    [["--", "{}"], 7982, "{}", []],
    [[":1", "--", "b=c", "d:1"], 1, "b=c", ["d:1"]],
    [["a", "--", ":1"], 7982, "a", [":1"]],
    [["-"], 7982, "-", []],
  ];
  for (const [args, port, name, members] of cases) {
    const words = wordsOf("pub", args);
    const { where } = words.target;
    assertEquals([where, words.name, words.members] as unknown, [
      [port === 42 ? "order" : "127.0.0.1", port],
      name,
      members,
    ], args.join(" "));
  }
});

Deno.test("readEventWords() names a misplaced word, and shows the right form", () => {
  const cases: [args: string[], complaint: string][] = [
    [[], "pub needs the NAME"],
    [["127.0.0.1:1"], "pub needs the NAME"],
    [["order:42"], 'pub needs the NAME: "order:42" is the relay, unless it follows --'],
    [
      ["order:42", "total:=5"],
      '"order:42" is read as the relay, and "total:=5" as the NAME; if the first is the NAME, use ' +
      "ebsockets pub -- order:42 total:=5",
    ],
    [
      ["text=hi"],
      '"text=hi" is in the place of the NAME; use ebsockets pub message content=hi; ' +
      "if it is the NAME, put -- before it",
    ],
    [
      [":1", "text=hi"],
      '"text=hi" is in the place of the NAME; use ebsockets pub message content=hi; ' +
      "if it is the NAME, put -- before it",
    ],
    [
      ['{"event":"a"}'],
      '"{"event":"a"}" is in the place of the NAME; to send lines of JSON, use ' +
      "ebsockets pub - < FILE; if it is the NAME, put -- before it",
    ],
    [["a", "count:5"], '"count:5" is neither KEY=TEXT nor KEY:=JSON; try count:=5'],
    [
      ["a", "localhost:1"],
      '"localhost:1" is a relay, which must be the first argument and the only one; if it is a name, put -- before it',
    ],
  ];
  for (const [args, complaint] of cases) {
    const { message } = assertThrows(() => wordsOf("pub", args), UsageError);
    assertEquals(message, complaint, args.join(" "));
  }
  const { message } = assertThrows(() => wordsOf("req", ["{}"]), UsageError);
  assertEquals(
    message,
    '"{}" is in the place of the NAME; use ebsockets req NAME KEY=TEXT; ' +
      "if it is the NAME, put -- before it",
  );
});
