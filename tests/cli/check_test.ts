import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Command } from "../support/command.ts";
import { TempFolder } from "../support/folder.ts";

const TICK_SCHEMA = "tests/support/tick_schema.ts";

/** Runs `check` to its end, with `input`, and permission to read. */
async function check(args: string[], input = "", flags = ["--allow-read"]) {
  await using command = new Command(["check", ...args], flags);
  if (input) await command.type(input);
  return await command.end();
}

Deno.test("check names the place of each fault, and goes on", async () => {
  using folder = new TempFolder();
  const [one, two] = [`${folder.path}/one`, `${folder.path}/two`];
  await Deno.writeTextFile(one, '{"event":"a"}\n{"event":}\n\n{"control":"x"}\nx\n');
  await Deno.writeTextFile(two, '{"event":"é"}\n');
  const { code, stdout, stderr } = await check([one, "-", two], '{"event":"b"}');
  assertEquals(
    stdout,
    `${one}:2:10: bad-json: expected a value, found "}"\n` +
      `${one}:5:1: bad-json: expected a value, found "x"\n` +
      "-:1:14: truncated: the line has no newline at its end, so a relay would ignore it\n",
  );
  assertEquals(stderr, "2 good events, 1 control line, 3 bad lines\n");
  assertEquals(code, 1);
  assertEquals(await check([two]), {
    code: 0,
    stdout: "",
    stderr: "1 good event, 0 bad lines\n",
  });
});

Deno.test("check --schema compares the events with their definitions", async () => {
  const input = '{"event":"tick","__dict__":{"n":1}}\n{"event":"tick"}\n{"event":"tock"}\n';
  const { code, stdout, stderr } = await check(["--schema", TICK_SCHEMA, "-"], input);
  assertEquals(
    stdout,
    "-:2:1: bad-attributes: n: No number\n" +
      "-:3:1: bad-attributes: no event of this name is defined\n",
  );
  assertEquals(stderr, "1 good event, 2 bad lines\n");
  assertEquals(code, 1);
});

Deno.test("check goes on after files that it cannot read, and exits with 1", async () => {
  const { code, stdout, stderr } = await check(["/no/such", "-"], '{"event":"a"}\n');
  assertEquals(stdout, "");
  assertEquals(
    stderr,
    "error: Cannot read /no/such: no such file\n" +
      "1 good event, 0 bad lines, 1 unreadable file\n",
  );
  assertEquals(code, 1);
  const denied = await check(["deno.json"], "", []);
  assertMatch(
    denied.stderr,
    /: Deno does not permit it; run it with -A or --allow-read=deno\.json\n/,
  );
});

Deno.test("check refuses lines that are too long, by the limit that it is given", async () => {
  const { code, stdout } = await check(
    ["--max-line-bytes=13", "-"],
    '{"event":"a"}\n{"event":"ab"}\n',
  );
  assertEquals(stdout, "-:2:14: line-too-long: the line has more than 13 bytes\n");
  assertEquals(code, 1);
});

Deno.test("check without files names what is missing, and exits with 2", async () => {
  const { code, stderr } = await check([]);
  assertEquals(
    stderr,
    "error: check needs a FILE, or - for standard input; ebsockets check --help shows the options\n",
  );
  assertEquals(code, 2);
});
