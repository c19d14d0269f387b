import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertStringIncludes } from "@std/assert/string-includes";
import { stripAnsiCode } from "@std/fmt/colors";
import { formatSurvey } from "../../cli/log_view.ts";
import { EbsocketClient } from "../../client.ts";
import { DiskFolder } from "../../history/log_folder.ts";
import { Command } from "../support/command.ts";
import { TempFolder } from "../support/folder.ts";
import { makeLog, survey } from "../support/log_folder.ts";

/** Runs `log` to its end, with the permission to read the folder. */
async function run(path: string, args: string[] = [], flags = [`--allow-read=${path}`]) {
  await using command = new Command(["log", ...args, path], flags);
  return await command.end();
}

const repair = (path: string) =>
  run(path, ["--repair"], [`--allow-read=${path}`, `--allow-write=${path}`]);

/** The files in a folder, with their contents. */
function contentsOf(path: string): Map<string, string> {
  const names = [...Deno.readDirSync(path)].map(({ name }) => name).sort();
  return new Map(names.map((name) => [name, Deno.readTextFileSync(`${path}/${name}`)]));
}

function flip(path: string, name: string, at: number): void {
  const bytes = Deno.readFileSync(`${path}/${name}`);
  bytes[at]! ^= 1;
  Deno.writeFileSync(`${path}/${name}`, bytes);
}

const FIRST = "00000000000000000001.ndjson";

Deno.test("log shows what is in a folder, and leaves it as it is", async () => {
  using folder = new TempFolder();
  const { path } = folder;
  const { epoch } = await makeLog(new DiskFolder(path));
  const before = contentsOf(path);
  const { code, stdout, stderr } = await run(path);
  assertEquals([code, stderr], [0, ""]);
  const [title, events, times, ...rest] = stdout.split("\n");
  assertEquals(title, `History in ${path}`);
  assertMatch(events!, /^180 events {3}offset 1 to 180 {3}\d+ KiB in \d files$/);
  assertMatch(times!, /^oldest [-\dT:]+Z, \d+s ago {3}newest [-\dT:]+Z, \d+s ago$/);
  const names = ["e.0       60", "e.1       60", "e.2       60"];
  const expected = [`epoch ${epoch}`, "ended in order", "", "NAME  EVENTS", ...names, ""];
  assertEquals(rest, expected);
  const json = await run(path, ["--json"]);
  assertEquals(json.code, 0);
  const { found: _, ...whole } = await survey(new DiskFolder(path, true));
  assertEquals(JSON.parse(json.stdout), whole);
  assertEquals(json.stdout.trimEnd().split("\n").length, 1);
  const verified = {
    code: 0,
    stdout: "",
    stderr: `180 events in ${whole.files} files, 0 faults\n`,
  };
  assertEquals(await run(path, ["--verify"]), verified);
  const nothing = "Nothing to repair: the history is whole, and has ended in order\n";
  assertEquals(await repair(path), { code: 0, stdout: nothing, stderr: "" });
  assertEquals(contentsOf(path), before);
});

Deno.test("log --verify names each fault, log --repair repairs it, and a relay goes on with the rest", async () => {
  using folder = new TempFolder();
  const { path } = folder;
  await makeLog(new DiskFolder(path));
  flip(path, FIRST, 700);
  flip(path, FIRST, 12_000);
  const damaged = contentsOf(path);
  const faults = `${FIRST}: events 1 to 5: damaged bytes\n` +
    `${FIRST}: events 11 to 15: damaged bytes\n`;
  const verified = await run(path, ["--verify"]);
  assertEquals([verified.code, verified.stdout], [1, faults]);
  assertMatch(verified.stderr, /^170 events in \d files, 2 faults\n$/);
  const shown = await run(path);
  assertEquals(shown.code, 0);
  assertMatch(shown.stdout, /^ended in order {3}2 faults, [\d.]+ KiB: --verify names them$/m);
  assertEquals(contentsOf(path), damaged);

  const { code, stdout } = await repair(path);
  assertEquals(code, 0);
  const lines = stdout.slice(faults.length).split("\n");
  assertEquals(stdout.slice(0, faults.length), faults);
  assertMatch(lines[0]!, new RegExp(`^${FIRST}: [\\d,]+ bytes moved to ${FIRST}.damaged$`));
  assertMatch(lines[1]!, new RegExp(`^${FIRST}: written anew, with \\d+ events$`));
  assertEquals((await run(path, ["--verify"])).code, 0);
  const now = await run(path);
  assertMatch(now.stdout, /^170 events {3}offset 1 to 180 {3}10 missing since a repair {3}/m);
  assertMatch(now.stdout, /^ended in order {3}1 damaged file put aside$/m);
  assertStringIncludes(Deno.readTextFileSync(`${path}/${FIRST}.damaged`), '{"i":12,');

  await using relay = new Command(["--port=0", "--history", path], ["-A"]);
  await using client = new EbsocketClient();
  await client.connectTo(await relay.listens());
  const offsets: number[] = [];
  const past = client.history(["e.*"], { since: "first", partial: true });
  for await (const { offset } of past) offsets.push(offset!);
  assertEquals(offsets.length, 170);
  assertEquals(offsets.slice(0, 6), [6, 7, 8, 9, 10, 16]);
});

Deno.test("log works while a relay uses the folder, and log --repair refuses", async () => {
  using folder = new TempFolder();
  const { path } = folder;
  await using relay = new Command(["--port=0", "--history", path], ["-A"]);
  await using client = new EbsocketClient();
  await client.connectTo(await relay.listens());
  for (let i = 0; i < 10; i++) await client.send("a", { i }, { confirm: true });
  const shown = await run(path);
  assertEquals(shown.code, 0);
  assertMatch(shown.stdout, /^10 events {3}offset 1 to 10 {3}/m);
  assertMatch(shown.stdout, /^in use by a relay$/m);
  const verified = await run(path, ["--verify"]);
  const summary = "10 events in 1 file, 0 faults, in use by a relay\n";
  assertEquals(verified, { code: 0, stdout: "", stderr: summary });
  const refused = await repair(path);
  assertEquals(refused, {
    code: 1,
    stdout: "",
    stderr: `error: Cannot repair the history in ${path}: a relay uses it; stop the relay first\n`,
  });
  await client.send("a", {}, { confirm: true }); // The relay still keeps events.
  relay.kill("SIGKILL");
  await relay.end();
  const crashed = await run(path, ["--verify"]);
  assertEquals([crashed.code, crashed.stderr], [0, "11 events in 1 file, 0 faults\n"]);
  assertMatch((await run(path)).stdout, /^not ended in order: a relay begins a new epoch$/m);
  const { code, stdout } = await repair(path);
  assertEquals(code, 0);
  assertMatch(
    stdout,
    /^Began epoch [\w-]+ after event 11, because the history had not ended in order\n$/,
  );
  assertMatch((await run(path)).stdout, /^epoch [\w-]+, which goes on with {3}[\w-]+ up to 11$/m);
});

Deno.test("log says why a folder cannot be used, and creates nothing", async () => {
  using folder = new TempFolder();
  const { path } = folder;
  const none = `${path}/none`;
  const file = `${path}/file`;
  const empty = `${path}/empty`;
  const foreign = `${path}/foreign`;
  const newer = `${path}/newer`;
  for (const each of [empty, foreign, newer]) Deno.mkdirSync(each);
  Deno.writeTextFileSync(file, "");
  await makeLog(new DiskFolder(foreign));
  Deno.writeTextFileSync(`${foreign}/notes.txt`, "");
  // Made by the format of now, with another version.
  const text = '{"control":"segment","version":2,"epoch":"e","first":1,"before":[]';
  const sum = "f250481c";
  Deno.writeTextFileSync(`${newer}/${FIRST}`, `${text},"crc32":"${sum}"}\n`);
  const cases: [path: string, why: string][] = [
    [none, "there is no such folder; name the folder of --history"],
    [file, "it is no folder; name the folder of --history"],
    [empty, "it contains no history; name the folder of --history"],
    [foreign, "it contains notes.txt, which is no file of a history; move that away"],
    [newer, `${FIRST} has version 2, this one knows version 1; use a newer ebsockets`],
  ];
  const before = contentsOf(foreign);
  await Promise.all(cases.map(async ([where, why]) => {
    for (const args of [[], ["--verify"], ["--json"]]) {
      const { code, stdout, stderr } = await run(where, args);
      const expected = `error: Cannot read the history in ${where}: ${why}\n`;
      assertEquals([code, stdout, stderr], [1, "", expected]);
    }
    const { code, stdout, stderr } = await repair(where);
    const expected = `error: Cannot repair the history in ${where}: ${why}\n`;
    assertEquals([code, stdout, stderr], [1, "", expected]);
  }));
  assertEquals(contentsOf(foreign), before);
  assertEquals([...Deno.readDirSync(empty)], []);
  assert(![...Deno.readDirSync(path)].some(({ name }) => name === "none"));
});

Deno.test("log names the permissions that it lacks, and complains of wrong arguments", async () => {
  using folder = new TempFolder();
  const { path } = folder;
  await makeLog(new DiskFolder(path));
  flip(path, FIRST, 700);
  const before = contentsOf(path);
  const why = "Deno does not permit it; run it with -A or --allow-read";
  assertStringIncludes((await run(path, [], [])).stderr, `${why}=${path}\n`);
  const { stderr } = await run(path, ["--repair"]);
  assertStringIncludes(stderr, `${why}=${path} --allow-write=${path}\n`);
  assertEquals(contentsOf(path), before);
  const cases: [args: string[], complaint: string][] = [
    [[], "log needs a DIR, the folder of --history"],
    [[path, "b"], 'Unknown argument "b"'],
    [["--verify", "--repair", path], "--verify and --repair exclude each other"],
    [["--json", "--verify", path], "--verify and --json exclude each other"],
    [["--verfy", path], 'Unknown option "--verfy" (did you mean --verify?)'],
  ];
  for (const [args, complaint] of cases) {
    await using command = new Command(["log", ...args], []);
    const { code, stderr } = await command.end();
    assertEquals(stderr, `error: ${complaint}; ebsockets log --help shows the options\n`);
    assertEquals(code, 2);
  }
});

Deno.test("formatSurvey() shows names and epochs that disturb no terminal, within its width", async () => {
  using folder = new TempFolder();
  await makeLog(new DiskFolder(folder.path));
  const { found: _, ...whole } = await survey(new DiskFolder(folder.path, true));
  const lines = formatSurvey(
    {
      ...whole,
      names: [{ name: `\x1b[2J${"long".repeat(30)}`, events: 3 }],
      otherNames: 2,
      uncounted: 4,
      lastValues: { names: 12, bytes: 2048, offset: 7 },
      before: [{ epoch: "a\x1b", offset: 7 }],
    },
    "a\nb",
    whole.newest!,
    40,
  );
  const text = lines.join("\n");
  for (
    const part of ["a\\nb", "a\\u001b up to 7", "\\u001b[2J", "last events of 12 names, 2 KiB"]
  ) {
    assertStringIncludes(text, part);
  }
  assertStringIncludes(text, "and 2 other names\nand 4 events of rare names");
  for (const line of lines) assertLessOrEqual(stripAnsiCode(line).length, 40, line);
});

Deno.test("formatSurvey() says as of which offset the last events of names are, if there are later events", async () => {
  using folder = new TempFolder();
  await makeLog(new DiskFolder(folder.path));
  const { found: _, ...whole } = await survey(new DiskFolder(folder.path, true));
  const shown = (offset: number) => {
    const lastValues = { names: 1, bytes: 2048, offset };
    return formatSurvey({ ...whole, lastValues }, "a", whole.newest!, Infinity)[1]!;
  };
  assertMatch(shown(whole.last - 1), new RegExp(`name, 2 KiB, as of offset ${whole.last - 1}$`));
  assertMatch(shown(whole.last), /last events of 1 name, 2 KiB$/);
});
