import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { formatAddress } from "../../protocol/address.ts";
import { testRelay } from "../../testing.ts";
import { TempFolder } from "../support/folder.ts";
import { freePort } from "../support/free_port.ts";
import { Peer } from "../support/peer.ts";
import { Program } from "../support/process.ts";
import { hasPython, inNonBlockingTerminal, nonBlocking, toolWords } from "../support/streams.ts";
import { eventually, soon, until } from "../support/waiting.ts";

const ignore = !hasPython();
const isWindows = Deno.build.os === "windows";

/** Starts a command whose output nobody reads before `stdout()` is called. */
function start([command, ...args]: string[]) {
  const options = { args, stdin: "null", stdout: "piped", stderr: "null" } as const;
  const child = new Deno.Command(command!, options).spawn();
  return { status: child.status, stdout: () => new Response(child.stdout).text() };
}

/** Runs the words in a shell that redirects their streams. */
async function redirected(redirection: string, ...args: string[]) {
  const script = `exec "$@" ${redirection}`;
  await using program = new Program("sh", ["-c", script, "sh", ...toolWords(...args)]);
  return await program.end();
}

/** Different lines, short and long, that are far more than a pipe holds. */
function manyLines(count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const text = "x".repeat(i % 100 === 0 ? 10_000 : 7 * i % 400);
    return `{"event":"a","__dict__":{"n":${i},"text":"${text}"}}\n`;
  });
}

Deno.test({
  name: "sub loses nothing where standard output is non-blocking, and read late",
  ignore,
  async fn() {
    await using relay = testRelay();
    await using peer = await Peer.connect(relay.address);
    await peer.send('{"control":"subscribe","events":[]}\n');
    const lines = manyLines(2000);
    const words = toolWords("sub", formatAddress(relay.address), "--count", `${lines.length}`, "a");
    const sub = start(nonBlocking([1], words));
    await until(() => relay.relay.clients.length === 2);
    await peer.send(lines.join(""));
    // Now all is there, far more than the pipe holds, and nobody has read any of it.
    await until(() => relay.relay.stats().bytesOut > lines.join("").length);
    assertEquals(await soon(sub.stdout(), "all lines"), lines.join(""));
    assertEquals((await sub.status).code, 0);
  },
});

Deno.test({
  name: "pub - waits where standard input is non-blocking, and written late",
  ignore,
  async fn() {
    await using relay = testRelay();
    const [command, ...args] = nonBlocking(
      [0],
      toolWords("pub", formatAddress(relay.address), "-"),
    );
    await using pub = new Program(command!, args);
    await until(() => relay.relay.clients.length === 1);
    await pub.type('{"event":"a"}\n');
    await until(() => relay.relay.stats().eventsIn === 1);
    await pub.type('{"event":"b"}\n');
    assertEquals((await pub.end()).code, 0);
    assertEquals(relay.relay.stats().eventsIn, 2);
  },
});

Deno.test({
  name: "check goes on, and loses no error, where standard error is non-blocking, and read late",
  ignore,
  async fn() {
    using folder = new TempFolder();
    await Deno.writeTextFile(`${folder.path}/bad`, "x\n");
    const missing = Array.from({ length: 1500 }, (_, i) => `${folder.path}/${"m".repeat(100)}${i}`);
    const words = toolWords("check", ...missing, `${folder.path}/bad`);
    const [command, ...args] = nonBlocking([2], words);
    const check = new Deno.Command(command!, { args, stdout: "piped", stderr: "piped" }).spawn();
    const reader = check.stdout.pipeThrough(new TextDecoderStream()).getReader();
    // By now there are far more errors than the pipe holds, none of which has been read.
    assertMatch((await soon(reader.read(), "the bad line")).value!, /\/bad:1:1: bad-json: /);
    const stderr = await soon(new Response(check.stderr).text(), "the errors");
    assertEquals(
      stderr.split("\n").slice(0, -2),
      missing.map((path) => `error: Cannot read ${path}: no such file`),
    );
    assertEquals((await check.status).code, 1);
    assertEquals((await reader.read()).done, true);
  },
});

Deno.test({
  name: "writeOut() loses nothing in a terminal that is non-blocking, and read late",
  ignore,
  async fn() {
    using folder = new TempFolder();
    const names = [1, 10, 50, 100, 200].map((length) => `${folder.path}/${"m".repeat(length)}`);
    for (const name of names) await Deno.writeTextFile(name, "x\n".repeat(300));
    const words = toolWords("check", ...names);
    const [plain, ...plainArgs] = words;
    await using piped = new Program(plain!, plainArgs);
    const [command, ...args] = inNonBlockingTerminal(words);
    await using seen = new Program(command!, args);
    assertEquals((await seen.end()).stdout, (await piped.end()).stdout);
  },
});

Deno.test({
  name: "pub - and check - report in one line that they cannot read their input",
  ignore: isWindows,
  async fn() {
    await using relay = testRelay();
    const where = formatAddress(relay.address);
    const folder = await redirected("< /", "pub", where, "-");
    assertEquals(
      folder.stderr,
      "error: Cannot read standard input: it is a directory; events sent before it: 0\n",
    );
    assertEquals(folder.code, 1);
    const writeOnly = await redirected("0> /dev/null", "pub", where, "-");
    assertEquals(writeOnly.code, 1);
    assertMatch(writeOnly.stderr, /^error: Cannot read standard input: [^\n]+: 0\n$/);
    const checked = await redirected("< /", "check", "-");
    assertEquals(checked.code, 1);
    assertMatch(checked.stderr, /^error: Cannot read -: it is a directory\n[^\n]+\n$/);
  },
});

Deno.test({
  name: "the tools treat closed streams as empty ones",
  ignore: isWindows,
  async fn() {
    await using relay = testRelay();
    const where = formatAddress(relay.address);
    assertEquals((await redirected("<&-", "pub", where, "-")).code, 0);
    assertEquals((await redirected("<&- >&- 2>&-", "pub", where, "a")).code, 0);
    assertEquals((await redirected(">&-", "top", "--interval=100", where)).code, 0);
    assertEquals((await redirected("2>&-", "check", "/no/such/file")).code, 1);
    assertEquals(relay.relay.stats().eventsIn, 1);
  },
});

Deno.test({
  name: "the tools report a full disk in one line, and need no disk for errors",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using relay = testRelay();
    const where = formatAddress(relay.address);
    const args = ["--interval=100", where];
    for (const words of [["help"], ["completions", "bash"], ["top", ...args]]) {
      const { code, stderr } = await redirected("> /dev/full", ...words);
      assertEquals(code, 1, words.join(" "));
      assertMatch(stderr, /^error: Cannot write to standard output: No space left [^\n]+\n$/);
    }
    const { code, stdout } = await redirected("2> /dev/full", "pub", where, "--confirm", "a");
    assertEquals(stdout, "0 a\n");
    assertEquals(code, 0);
    assertEquals((await redirected("2> /dev/full", "pub", "127.0.0.1:1", "a")).code, 1);
    // Of a name that looks like a pattern, they tell; it is sent all the same.
    for (const tool of ["pub", "req"]) await redirected("2> /dev/full", tool, where, "a.*");
    assertEquals(relay.relay.stats().eventsIn, 3);
  },
});

Deno.test({
  name: "relay and sub go on if a full disk takes no errors",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const script = `exec "$@" 2> /dev/full`;
    const words = (...args: string[]) => ["-c", script, "sh", ...toolWords(...args)];
    // It warns of the token in the list of processes.
    await using relay = new Program("sh", words("relay", "--port=0", "--token=secret"));
    const [, where] = await relay.expect(/Relay listening on (\S+)/);
    await using sub = new Program("sh", words("sub", where!, "--token=secret", "--count=1"));
    await relay.expect(/client c1 joined/);
    await using pub = new Program("sh", words("pub", where!, "--token=secret", "a"));
    assertEquals((await pub.end()).code, 0);
    assertEquals((await sub.end()).stdout, '{"event":"a"}\n');
    relay.kill("SIGTERM");
    assertEquals((await relay.end()).code, 0);
  },
});

Deno.test({
  name:
    "relay writes every line of its log once where standard output is non-blocking, and read late",
  ignore,
  async fn() {
    const port = freePort();
    const [command, ...args] = nonBlocking([1], toolWords("relay", "--port", `${port}`));
    const relay = new Deno.Command(command!, { args, stdout: "piped" }).spawn();
    const count = 1000;
    for (let i = 0; i < count; i++) {
      await using peer = await eventually(() => Peer.connect(["127.0.0.1", port]));
      await peer.send('{"control":"hello"}\n');
      await peer.sees("welcome");
    }
    // Now the log is longer than what a pipe holds, and nobody has read any of it.
    const stdout = new Response(relay.stdout).text();
    relay.kill("SIGTERM");
    const text = await soon(stdout, "the log");
    const ids = (what: string) =>
      [...text.matchAll(new RegExp(`client c(\\d+) ${what}`, "g"))].map(([, id]) => Number(id));
    const all = Array.from({ length: count }, (_, i) => i + 1);
    assertEquals(ids("joined"), all);
    assertEquals(ids("left").toSorted((a, b) => a - b), all);
    assertEquals((await relay.status).code, 0);
  },
});
