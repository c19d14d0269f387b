import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertGreater } from "@std/assert/greater";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { Executor } from "../../cli/shell_command.ts";
import { utf8 } from "../support/bytes.ts";
import { script } from "../support/script.ts";
import { PATIENCE, soon } from "../support/waiting.ts";

const isWindows = Deno.build.os === "windows";

const limits = { timeout: PATIENCE, maxOutputBytes: 1_000_000 };

/** Runs a program of JavaScript. */
function program(source: string, options = limits): Executor {
  return new Executor(script(source), options);
}

Deno.test("Executor.run() passes the input to a command, and returns its output", async () => {
  const echo = program("await Deno.stdin.readable.pipeTo(Deno.stdout.writable)");
  const text = "ü\u2028$(touch x) `y`".repeat(20_000);
  assertEquals(await echo.run(utf8(`${text}\r\n\n`)), {
    output: text,
    code: 0,
    fault: null,
  });
});

Deno.test("Executor.run() can run several at a time", async () => {
  const echo = program("await Deno.stdin.readable.pipeTo(Deno.stdout.writable)");
  const results = await Promise.all(["a", "b", "c"].map((text) => echo.run(utf8(text))));
  assertEquals(results.map(({ output }) => output), ["a", "b", "c"]);
});

Deno.test("Executor.run() returns the exit code of a failed command, and its output", async () => {
  const failing = program("console.log('so far'); Deno.exit(3)");
  assertEquals(await failing.run(new Uint8Array(0)), {
    output: "so far",
    code: 3,
    fault: "it ended with code 3",
  });
});

Deno.test("Executor.run() does not mind a command that does not read its input", async () => {
  const deaf = program("Deno.stdin.close()");
  assertEquals((await deaf.run(new Uint8Array(1_000_000))).code, 0);
});

Deno.test("Executor.run() passes a command line unchanged to the shell", async () => {
  const quoted = new Executor('echo "one  two" && echo three', limits);
  const { output, code } = await quoted.run(new Uint8Array(0));
  assertEquals(code, 0);
  // Only cmd shows quotation marks.
  assertMatch(output, isWindows ? /^"one {2}two"\s+three$/ : /^one {2}two\nthree$/);
});

Deno.test({
  name: "Executor.run() leaves variables, pipes and codes of a command line to the shell",
  ignore: isWindows,
  async fn() {
    const command = 'x="$(cat)"; printf "%s" "<$x>" | tr a-z A-Z; exit 3';
    const { output, code } = await new Executor(command, limits).run(utf8("$(id) `id`"));
    assertEquals(output, "<$(ID) `ID`>");
    assertEquals(code, 3);
  },
});

Deno.test("Executor.run() reports a command that cannot be started", async () => {
  const { output, code, fault } = await new Executor("no-such-command", limits)
    .run(new Uint8Array(0));
  const expected = isWindows ? 1 : 127;
  assertEquals(output, "");
  assertEquals(fault, `it ended with code ${expected}`);
  assertEquals(code, expected);
});

Deno.test({
  name: "Executor.run() ends a command that takes too long, with its children",
  ignore: isWindows,
  async fn() {
    const sleepers = new Executor("sleep 1000 & sleep 1000", { ...limits, timeout: 200 });
    const result = await soon(sleepers.run(new Uint8Array(0)), "the end of the command");
    assertEquals(result.code, 124);
    assertEquals(result.fault, "it took longer than 200 ms");
  },
});

Deno.test("Executor.run() ends a command that has closed its output and goes on", async () => {
  const source = "Deno.stdout.close(); await new Promise((r) => setTimeout(r, 1e6))";
  const result = program(source, { ...limits, timeout: 1000 }).run(new Uint8Array(0));
  assertEquals((await soon(result, "the end of the command")).code, 124);
});

/** A command line with a process that stays in the background; disposing of it ends that. */
async function withBackground(command: (start: string) => string) {
  const file = await Deno.makeTempFile();
  const process = `sh -c 'echo $$ > ${file}; exec sleep 1000'`;
  const start = `${process} & while [ ! -s ${file} ]; do sleep 0.01; done`;
  const executor = new Executor(command(start), limits);
  return {
    executor,
    async [Symbol.asyncDispose]() {
      Deno.kill(Number(await Deno.readTextFile(file)), "SIGKILL");
      await Deno.remove(file);
    },
  };
}

Deno.test({
  name: "Executor.run() ends when the command has exited, not when its background process ends",
  ignore: isWindows,
  async fn() {
    await using started = await withBackground((start) => `echo started; ${start}; exit 3`);
    const { output, code } = await soon(started.executor.run(new Uint8Array(0)), "the end");
    assertEquals(output, "started");
    assertEquals(code, 3);
  },
});

Deno.test({
  name: "Executor.run() returns all output from before the exit",
  ignore: isWindows,
  async fn() {
    const print = (char: string) => `head -c 60000 /dev/zero | tr '\\0' ${char}`;
    await using started = await withBackground((start) =>
      [start, print("x"), print("y")].join("; ")
    );
    const { output } = await soon(started.executor.run(new Uint8Array(0)), "the end");
    assertEquals(output, "x".repeat(60_000) + "y".repeat(60_000));
  },
});

Deno.test({
  name: "Executor.run() does not wait for a background process that never stops printing",
  ignore: isWindows,
  async fn() {
    const chatty = new Executor("(while :; do echo x; sleep 0.01; done) & echo $!", limits);
    const { output, code } = await soon(chatty.run(new Uint8Array(0)), "the end");
    const [pid] = /^\d+$/m.exec(output)!;
    Deno.kill(Number(pid), "SIGKILL");
    assertEquals(code, 0);
  },
});

Deno.test({
  name: "Executor.run() does not wait for a background process that holds the input of a command",
  ignore: Deno.build.os !== "linux",
  // The write to what has got away ends some time after that.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const file = await Deno.makeTempFile();
    const command = `setsid sh -c 'echo $$ > ${file}; exec sleep 1000'; true`;
    const running = new Executor(command, { ...limits, timeout: 5000 }).run(new Uint8Array(1e6));
    const { code, fault } = await soon(running, "the end");
    const pid = Number(await Deno.readTextFile(file));
    assertGreater(pid, 1); // Another number would stand for other processes.
    Deno.kill(pid, "SIGKILL");
    assertEquals(fault, "it took longer than 5000 ms");
    assertEquals(code, 124);
    await Deno.remove(file);
  },
});

Deno.test("Executor.run() ends a command that prints too much", async () => {
  const chatty = program("for (;;) console.log('more')", { ...limits, maxOutputBytes: 10_000 });
  const result = await soon(chatty.run(new Uint8Array(0)), "the end of the command");
  assertEquals(result, { output: "", code: 137, fault: "it printed more than 9.77 KiB" });
});

Deno.test("Executor.killAll() ends running commands", async () => {
  const patient = program("await new Promise((r) => setTimeout(r, 1e6))");
  const results = [patient.run(new Uint8Array(0)), patient.run(new Uint8Array(0))];
  patient.killAll();
  for (const { code } of await soon(Promise.all(results), "the end of both")) {
    assertNotStrictEquals(code, 0);
  }
});
