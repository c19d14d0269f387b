import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { UsageError } from "../../cli/errors.ts";
import { checkWords, flag, oneOf, parseFlags, spellings } from "../../cli/flags.ts";

const FLAGS = [
  flag.switch("raw", ""),
  flag.switch("help", "", { short: "h" }),
  flag.switch("echo", "", { negated: true }),
  flag.text("name", "NAME", ""),
  flag.file("file", ""),
  flag.integer("count", ""),
  flag.integer("port", "", { min: 0, max: 9 }),
  flag.duration("wait", ""),
  flag.duration("every", "", { value: "SECONDS", max: 90 }),
  flag.choice("log", ["text", "json"], ""),
] as const;

const NOTHING = {
  raw: false,
  help: false,
  echo: true,
  name: undefined,
  file: undefined,
  count: undefined,
  port: undefined,
  wait: undefined,
  every: undefined,
  log: undefined,
};

Deno.test("parseFlags() without arguments returns defaults", () => {
  assertEquals(parseFlags([], FLAGS), { values: NOTHING, words: [], wordsBeforeDashes: 0 });
});

Deno.test("parseFlags() returns the values by name, and the words in order", () => {
  const args = "one --raw -h --no-echo --name=a=b --file f --count 7 two --port=0 --log json";
  assertEquals(parseFlags(args.split(" "), FLAGS), {
    values: {
      raw: true,
      help: true,
      echo: false,
      name: "a=b",
      file: "f",
      count: 7,
      port: 0,
      wait: undefined,
      every: undefined,
      log: "json",
    },
    words: ["one", "two"],
    wordsBeforeDashes: 2,
  });
  assertStrictEquals(parseFlags(["--echo"], FLAGS).values.echo, true);
});

Deno.test("parseFlags() reads a word after a switch as a word", () => {
  for (const word of ["true", "false", "0", "-"]) {
    const { values, words } = parseFlags(["--raw", word], FLAGS);
    assertStrictEquals(values.raw, true);
    assertEquals(words, [word]);
  }
});

Deno.test("parseFlags() leaves words as they are written", () => {
  const words = ["1.0", "0x10", "", "a b", "-"];
  assertEquals(parseFlags(words, FLAGS).words, words);
});

Deno.test("parseFlags() accepts a value that begins with a dash after an equals sign", () => {
  assertEquals(parseFlags(["--name=-x", "--file=--raw"], FLAGS).values, {
    ...NOTHING,
    name: "-x",
    file: "--raw",
  });
});

Deno.test("parseFlags() takes a negative value of an option of any kind as its value", () => {
  assertStrictEquals(parseFlags(["--name", "-5m"], FLAGS).values.name, "-5m");
  assertThrows(() => parseFlags(["--wait", "-5m"], FLAGS), UsageError, '"-5m"');
});

for (
  const [text, ms] of [
    ["17", 17],
    ["1.5", 1.5],
    ["250ms", 250],
    ["1.5s", 1500],
    ["10m", 600_000],
    ["2h", 7_200_000],
    ["7d", 604_800_000],
  ] as const
) {
  Deno.test(`parseFlags() reads ${text} as a time of ${ms} ms`, () => {
    assertStrictEquals(parseFlags(["--wait", text], FLAGS).values.wait, ms);
  });
}

Deno.test("parseFlags() reads a time in the unit of its placeholder, or in its own", () => {
  for (const text of ["30", "30s", "0.5m", "30000ms"]) {
    assertStrictEquals(parseFlags(["--every", text], FLAGS).values.every, 30, text);
  }
});

Deno.test("parseFlags() reads everything after -- as words", () => {
  const { values, words, wordsBeforeDashes } = parseFlags(["a", "--", "--raw", "--", "-h"], FLAGS);
  assertEquals(values, NOTHING);
  assertEquals(words, ["a", "--raw", "--", "-h"]);
  assertEquals(wordsBeforeDashes, 1);
});

Deno.test("parseFlags() refuses wrong arguments, and names them", () => {
  const cases: [args: string[], complaint: string][] = [
    [["--nmae", "a"], 'Unknown option "--nmae" (did you mean --name?)'],
    [["--nmae=secret"], 'Unknown option "--nmae" (did you mean --name?)'],
    [["--xyzxyz"], 'Unknown option "--xyzxyz"'],
    [["-x"], 'Unknown option "-x"'],
    [["--no-raw"], 'Unknown option "--no-raw" (did you mean --raw?)'],
    [["--no-ehco"], 'Unknown option "--no-ehco" (did you mean --no-echo?)'],
    [["--__proto__=1"], 'Unknown option "--__proto__"'],
    [["--a.b"], 'Unknown option "--a.b"'],
    [["--name"], "--name needs a value: NAME"],
    [["--name="], "--name needs a value: NAME"],
    [["--name", ""], "--name needs a value: NAME"],
    [["--name", "--raw"], "--name needs a value: NAME"],
    [["--name", "-x"], "--name needs a value: NAME"],
    [["--count="], "--count needs a value: N"],
    [["--wait", ""], "--wait needs a value: MS"],
    [["--log="], "--log needs a value: text|json"],
    [["--raw=true"], "--raw takes no value"],
    [["--raw="], "--raw takes no value"],
    [["--no-echo=false"], "--no-echo takes no value"],
    [["--echo=yes"], "--echo takes no value"],
    [["--name", "a", "--name=b"], "--name is given more than once"],
    [["--raw", "--raw", "--raw"], "--raw is given more than once"],
    [["-h", "--help"], "--help is given more than once"],
    [["--echo", "--no-echo"], "--echo is given more than once"],
    [["--count", "0"], '--count must be an integer of at least 1, not "0"'],
    [["--count", "1.5"], '--count must be an integer of at least 1, not "1.5"'],
    [
      ["--count", "99999999999999999999"],
      '--count must be an integer from 1 to 9007199254740991, not "99999999999999999999"',
    ],
    [
      ["--wait", "0s"],
      '--wait must be a time from 1ms to 24.8d, or a number of milliseconds, not "0s"',
    ],
    [
      ["--wait=10 m"],
      '--wait must be a time from 1ms to 24.8d, or a number of milliseconds, not "10 m"',
    ],
    [
      ["--every", "2m"],
      '--every must be a time from 1s to 90s, or a number of seconds, not "2m"',
    ],
    [["--port", "-1"], '--port must be an integer from 0 to 9, not "-1"'],
    [["--port=-1"], '--port must be an integer from 0 to 9, not "-1"'],
    [["--port", "10"], '--port must be an integer from 0 to 9, not "10"'],
    [["--port", "1e0"], '--port must be an integer from 0 to 9, not "1e0"'],
    [["--log", "xml"], '--log must be text or json, not "xml"'],
    [["--log", "\x1b"], '--log must be text or json, not "\\u001b"'],
  ];
  for (const [args, complaint] of cases) {
    const { message } = assertThrows(() => parseFlags(args, FLAGS), UsageError);
    assertEquals(message, complaint, args.join(" "));
  }
});

Deno.test("parseFlags() suggests the right option for one of another program, and shows no value", () => {
  const instead = { "it is a word": "host", "so is it": "p" };
  const cases: [args: string[], complaint: string][] = [
    [["--host", "a"], 'Unknown option "--host": it is a word'],
    [["--host=secret"], 'Unknown option "--host": it is a word'],
    [["-p", "1"], 'Unknown option "-p": so is it'],
    [["-p1"], 'Unknown option "-p": so is it'],
    [["--toString"], 'Unknown option "--toString"'],
  ];
  for (const [args, complaint] of cases) {
    const { message } = assertThrows(() => parseFlags(args, FLAGS, instead), UsageError);
    assertEquals(message, complaint, args.join(" "));
  }
});

Deno.test("spellings() returns each way to write an option", () => {
  assertEquals(FLAGS.slice(0, 4).map(spellings), [
    ["--raw"],
    ["-h", "--help"],
    ["--no-echo"],
    ["--name"],
  ]);
});

Deno.test("oneOf() lists words as a person does", () => {
  assertEquals(oneOf(["a"]), "a");
  assertEquals(oneOf(["a", "b"]), "a or b");
  assertEquals(oneOf(["a", "b", "c"]), "a, b or c");
});

Deno.test("checkWords() names the first word that is too many", () => {
  checkWords(["a", "b"], 2);
  const { message } = assertThrows(() => checkWords(["a", "b", "c"], 1), UsageError);
  assertEquals(message, 'Unknown argument "b"');
});
