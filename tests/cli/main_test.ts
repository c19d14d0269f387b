import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { formatAddress } from "../../protocol/address.ts";
import { COMMAND_NAMES, loadCommands } from "../../cli/main.ts";
import config from "../../deno.json" with { type: "json" };
import { testRelay } from "../../testing.ts";
import { Command } from "../support/command.ts";
import { Peer } from "../support/peer.ts";
import { Program } from "../support/process.ts";
import { until } from "../support/waiting.ts";

/** Runs the command to its end. */
async function run(args: string[], flags: string[] = []) {
  await using command = new Command(args, flags);
  return await command.end();
}

Deno.test("main() lists all commands with --help, -h and help, besides the options of the relay", async () => {
  const outcomes = await Promise.all([["--help"], ["-h"], ["help"]].map((args) => run(args)));
  const commands = await loadCommands();
  for (const { code, stdout, stderr } of outcomes) {
    assertEquals(stderr, "");
    assertEquals(stdout, outcomes[0]!.stdout);
    assertEquals(code, 0);
    for (const { name, summary } of commands) {
      assertMatch(stdout, new RegExp(`^  ${name} +${RegExp.escape(summary)}$`, "m"));
    }
    assertStringIncludes(stdout, "--max-pending-bytes N");
  }
});

Deno.test("main() shows the options of one command with --help after it, and with help before it", async () => {
  await Promise.all(COMMAND_NAMES.map(async (name) => {
    const outcomes = await Promise.all([[name, "--help"], ["help", name]].map((args) => run(args)));
    for (const { code, stdout, stderr } of outcomes) {
      assertEquals(stderr, "");
      assertEquals(stdout, outcomes[0]!.stdout);
      assertEquals(code, 0);
      assertMatch(stdout, new RegExp(`^Usage: .* ${name}( |$)`, "m"));
      assertMatch(stdout, /^ {2}-h, --help +Show this help$/m);
    }
  }));
});

Deno.test("main() prints the version of the package", async () => {
  const { code, stdout } = await run(["--version"]);
  assertEquals(stdout, `@ebsockets/relay ${config.version}\n`);
  assertEquals(code, 0);
});

Deno.test("main() names unknown commands and options, and exits with 2", async () => {
  const cases: [args: string[], complaint: string][] = [
    [["surplus"], 'Unknown command "surplus"; ebsockets --help lists the commands'],
    [[""], 'Unknown command ""; ebsockets --help lists the commands'],
    [
      [":9999"],
      'Unknown command ":9999": use --host and --port to set where a relay listens; ebsockets --help lists the commands',
    ],
    [
      ["reley"],
      'Unknown command "reley" (did you mean relay?); ebsockets --help lists the commands',
    ],
    [
      ["help", "hlep"],
      'Unknown command "hlep" (did you mean help?); ebsockets help --help shows the options',
    ],
    [["help", "relay", "x"], 'Unknown argument "x"; ebsockets help --help shows the options'],
    [["\x1b[31m"], 'Unknown command "\\u001b[31m"; ebsockets --help lists the commands'],
    [["relay", "x"], 'Unknown argument "x"; ebsockets relay --help shows the options'],
    [
      ["relay", "--prot=1"],
      'Unknown option "--prot" (did you mean --port?); ebsockets relay --help shows the options',
    ],
  ];
  await Promise.all(cases.map(async ([args, complaint]) => {
    const { code, stdout, stderr } = await run(args);
    assertEquals(stdout, "", args.join(" "));
    assertEquals(stderr, `error: ${complaint}\n`, args.join(" "));
    assertEquals(code, 2, args.join(" "));
  }));
});

Deno.test({
  name: "main() reports a full disk in one line, whatever it prints",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using relay = testRelay();
    const where = formatAddress(relay.address);
    const commands = [
      ["--help"],
      ["help", "sub"],
      ["--version"],
      ["completions", "zsh"],
      ["top", where, "--once", "--interval=100"],
      ["bench", where, "--events=10"],
      ["pub", where, "--confirm", "a"],
      ["check", "README.md"],
    ];
    await Promise.all(commands.map(async (args) => {
      const words = ["run", "-A", "--quiet", "mod.ts", ...args];
      await using command = new Program("sh", [
        "-c",
        'exec "$0" "$@" >/dev/full',
        Deno.execPath(),
        ...words,
      ], { cwd: `${import.meta.dirname}/../..` });
      const { code, stderr } = await command.end();
      assertEquals(code, 1, args.join(" "));
      assertMatch(stderr, /^error: Cannot write to standard output: No space left[^\n]*\n$/);
    }));
  },
});

Deno.test({
  name: "main() ends with the exit code of a signal that came before all was done",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using relay = testRelay();
    await using _ = await Peer.connect(relay.address); // It hears, and never answers.
    const where = formatAddress(relay.address);
    const commands = [["req", where, "a", "--timeout=600000"], ["top", where, "--interval=600000"]];
    for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
      for (const args of commands) {
        await using command = new Command(args);
        await until(() => relay.relay.clients.length === 2);
        command.kill(signal);
        const { code, stdout, stderr } = await command.end();
        assertEquals(stdout, "", args[0]);
        assertEquals(stderr, "", args[0]);
        assertEquals(code, expected, args[0]);
        await until(() => relay.relay.clients.length === 1);
      }
    }
  },
});
