import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { loadCommands } from "../../cli/main.ts";
import { completionScript, type Shell } from "../../cli/completions.ts";
import { spellings } from "../../cli/flags.ts";
import { textOf } from "../support/bytes.ts";
import { TempFolder } from "../support/folder.ts";

const COMMANDS = await loadCommands();
const isWindows = Deno.build.os === "windows";

/** Whether there is a program of this name. */
async function exists(program: string): Promise<boolean> {
  if (isWindows) return false; // Its bash is often one for another system.
  try {
    return (await new Deno.Command(program, { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}

const hasBash = await exists("bash");
const hasZsh = await exists("zsh");
const hasFish = await exists("fish");

/** How a shell is kept from reading what the machine and its user have for it. */
const WITHOUT_START_UP = { bash: ["--norc"], zsh: ["-f"], fish: ["--no-config"] };

/** Runs a script in a shell, in a folder with the files `events.jsonl` and `two words`. */
async function run(shell: Shell, script: string): Promise<string[]> {
  using folder = new TempFolder();
  for (const name of ["events.jsonl", "two words"]) {
    await Deno.writeTextFile(`${folder.path}/${name}`, "");
  }
  const path = `${folder.path}/completions`;
  await Deno.writeTextFile(path, completionScript(shell, "my-relay", COMMANDS));
  const { stdout, stderr } = await new Deno.Command(shell, {
    args: [...WITHOUT_START_UP[shell], "-c", script, "x", path],
    cwd: folder.path,
    env: { SCRIPT: path, HOME: folder.path },
  }).output();
  assertEquals(textOf(stderr), "");
  return textOf(stdout).split("\n").filter((line) => line !== "");
}

/** What bash offers for the last of `words`. */
function complete(...words: string[]): Promise<string[]> {
  const list = words.map((word) => `'${word}'`).join(" ");
  return run(
    "bash",
    `source "$SCRIPT"
     complete -p my-relay | grep -q -- '-F _my_relay my-relay' || echo "not registered"
     COMP_WORDS=(my-relay ${list}); COMP_CWORD=${words.length}
     _my_relay 2>/dev/null; printf '%s\\n' "\${COMPREPLY[@]}"`,
  );
}

Deno.test({
  name: "completionScript() of bash offers commands, options and their values",
  ignore: !hasBash,
  async fn() {
    const names = COMMANDS.map(({ name }) => name);
    const optionsOf = (name: string) =>
      COMMANDS.find((command) => command.name === name)!.groups
        .flatMap(({ flags }) => flags).flatMap((flag) => spellings(flag));
    const cases: [words: string[], offers: string[]][] = [
      [[""], names],
      [["co"], ["completions"]],
      [["--"], optionsOf("relay").filter((option) => option.startsWith("--"))],
      [["relay", "--log", ""], ["text", "json", "quiet"]],
      [["--log", "j"], ["json"]],
      [["--log", "=", "q"], ["quiet"]],
      [["--log", "="], ["text", "json", "quiet"]],
      [["--port", ""], []],
      [["sub", "-"], optionsOf("sub")],
      [["sub", ""], []],
      [["sub", "--token-file", "ev"], ["events.jsonl"]],
      [["check", ""], ["completions", "events.jsonl", "two words"]],
      [["check", "--schema", "tw"], ["two words"]],
      [["completions", ""], ["bash", "zsh", "fish"]],
      [["help", "su"], ["sub"]],
      [["nonsense", ""], []],
    ];
    for (const [words, offers] of cases) {
      assertEquals((await complete(...words)).sort(), offers.toSorted(), words.join(" "));
    }
  },
});

Deno.test({
  name: "completionScript() of zsh is a script that zsh accepts",
  ignore: !hasZsh,
  async fn() {
    const script = 'zsh -n "$SCRIPT" && autoload -U compinit && compinit -u -D && ' +
      'source "$SCRIPT" && print $_comps[my-relay] && which _my_relay | head -1';
    assertEquals(await run("zsh", script), ["_my_relay", "_my_relay () {"]);
    // A compinit that is to dump what it has found there replaces it by a file, if it may.
    assert((await Deno.stat("/dev/null")).isCharDevice);
  },
});

Deno.test({
  name: "completionScript() of fish offers commands, options and their values",
  ignore: !hasFish,
  async fn() {
    const offers = async (line: string) =>
      (await run("fish", `source $SCRIPT; complete --do-complete '${line}'`))
        .map((offer) => offer.split("\t")[0]!);
    assertEquals(await offers("my-relay comp"), ["completions"]);
    assertEquals((await offers("my-relay completions ")).toSorted(), ["bash", "fish", "zsh"]);
    assertEquals((await offers("my-relay --log ")).toSorted(), ["json", "quiet", "text"]);
    assertEquals(await offers("my-relay sub --cou"), ["--count"]);
    assertEquals(await offers("my-relay check ev"), ["events.jsonl"]);
  },
});
