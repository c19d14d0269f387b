import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { textOf, utf8 } from "../support/bytes.ts";
import { Command } from "../support/command.ts";
import { TempFolder } from "../support/folder.ts";
import { freePort } from "../support/free_port.ts";
import { Peer } from "../support/peer.ts";
import { eventually, pause, soon, until } from "../support/waiting.ts";

const TICK_SCHEMA = "tests/support/tick_schema.ts";

const isWindows = Deno.build.os === "windows";

/** Runs the command to its end. */
async function run(args: string[], flags?: string[]) {
  await using command = new Command(args, flags);
  return await command.end();
}

Deno.test("relay --help groups its options, and shows their defaults", async () => {
  const { code, stdout, stderr } = await run(["--help"], []);
  assertEquals(stderr, "");
  assertEquals(code, 0);
  for (const group of ["Where", "Who may connect", "Limits", "Output"]) {
    assertMatch(stdout, new RegExp(`^${group}:$`, "m"));
  }
  for (const value of ["127.0.0.1", "7982", "1048576", "8388608", "no limit", "text", "25000"]) {
    assertMatch(stdout, new RegExp(`default:?\\s+${value.replaceAll(".", "\\.")}`));
  }
});

Deno.test("relay names wrong arguments in one line, and exits with 2", async () => {
  const cases: [args: string[], complaint: string][] = [
    [["--prot", "1"], 'Unknown option "--prot" (did you mean --port?)'],
    [
      ["--bind", "::"],
      'Unknown option "--bind": use --host and --port to set where a relay listens',
    ],
    [["--prot=1"], 'Unknown option "--prot" (did you mean --port?)'],
    [["-x"], 'Unknown option "-x"'],
    [["--port", "1", "surplus"], 'Unknown argument "surplus"'],
    [["--port", "abc"], '--port must be an integer from 0 to 65535, not "abc"'],
    [["--port", "65536"], '--port must be an integer from 0 to 65535, not "65536"'],
    [["--port=-1"], '--port must be an integer from 0 to 65535, not "-1"'],
    [["--port", "1.5"], '--port must be an integer from 0 to 65535, not "1.5"'],
    [["--port"], "--port needs a value: PORT"],
    [["--", "--port", "1"], 'Unknown argument "--port"'],
    [["--port", ""], "--port needs a value: PORT"],
    [["--port", "1", "--port=2"], "--port is given more than once"],
    [["--no-echo=false"], "--no-echo takes no value"],
    [["--echo=yes"], "--echo takes no value"],
    [["--port", "1e3"], '--port must be an integer from 0 to 65535, not "1e3"'],
    [["--host="], "--host needs a value: HOST"],
    [
      ["--max-line-bytes", "0"],
      '--max-line-bytes must be an integer from 1 to 1073741824, not "0"',
    ],
    [["--max-pending-bytes", "0"], '--max-pending-bytes must be an integer of at least 1, not "0"'],
    [["--max-clients", "many"], '--max-clients must be an integer of at least 1, not "many"'],
    [["--unix=r", "--port=1"], "--unix and --port exclude each other"],
    [["--token-file", "a", "--token", "b"], "--token-file and --token exclude each other"],
    [["--tls-cert", "a"], "--tls-cert needs --tls-key too"],
    [["--log", "xml"], '--log must be text, json or quiet, not "xml"'],
    [["--log", "\u001b[31m"], '--log must be text, json or quiet, not "\\u001b[31m"'],
  ];
  await Promise.all(cases.map(async ([args, complaint]) => {
    const { code, stdout, stderr } = await run(args, []);
    assertEquals(stdout, "", args.join(" "));
    assertEquals(
      stderr,
      `error: ${complaint}; ebsockets --help shows the options\n`,
      args.join(" "),
    );
    assertEquals(code, 2, args.join(" "));
  }));
});

Deno.test("relay gives a hint when it cannot listen, and exits with 1", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const cases: [args: string[], flags: string[], complaint: string][] = [
    [["--port", `${port}`], ["--allow-net"], `127.0.0.1:${port}: the port is in use; stop`],
    [
      ["--port", "0"],
      [],
      "127.0.0.1:0: Deno does not permit it; run it with -A or --allow-net=127.0.0.1:0",
    ],
    [["--host", "192.0.2.1"], ["--allow-net"], "192.0.2.1:7982: this machine has no such address"],
    [["--unix", "/no/such/socket"], ["-A"], "/no/such/socket: there is no folder /no/such/; check"],
    [["--host", "no.such.host.invalid"], ["--allow-net"], "no.such.host.invalid:7982: "],
  ];
  await Promise.all(cases.map(async ([args, flags, complaint]) => {
    const { code, stdout, stderr } = await run(args, flags);
    assertEquals(stdout, "", args.join(" "));
    assertEquals(code, 1, args.join(" "));
    assert(stderr.startsWith(`error: Cannot listen on ${complaint}`), stderr);
    assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
  }));
  taken.close();
});

Deno.test("relay reads the token from its environment only with the permission of Deno", async () => {
  const env = { EBSOCKETS_TOKEN: "x".repeat(1025) };
  {
    await using command = new Command(["--port=0"], ["--allow-env=EBSOCKETS_TOKEN"], "mod.ts", env);
    const { code, stderr } = await command.end();
    assertEquals(code, 2);
    assertMatch(stderr, /^error: EBSOCKETS_TOKEN must have from 1 to 1024 bytes, not 1025; /);
  }
  await using command = new Command(["--port=0"], undefined, "mod.ts", env);
  await command.listens();
});

Deno.test("relay ignores an empty EBSOCKETS_TOKEN, and prefers --token-file to it", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "file\n");
  const flags = ["--allow-net=127.0.0.1", "--allow-env=EBSOCKETS_TOKEN", "--allow-read"];
  const cases = [
    [[], "", '{"event":"a"}\n'],
    [["--token-file", file], "variable", '{"control":"hello","token":"file"}\n{"event":"a"}\n'],
  ] as const;
  for (const [args, token, lines] of cases) {
    const env = { EBSOCKETS_TOKEN: token };
    await using command = new Command(["--port=0", ...args], flags, "mod.ts", env);
    await using peer = await Peer.connect(await command.listens());
    await peer.send(lines);
    await peer.sees('{"event":"a"}');
  }
  await Deno.remove(file);
});

Deno.test("relay that cannot read a secret names the cause in one line, and exits with 1", async () => {
  const cases: [args: string[], flags: string[], complaint: string][] = [
    [
      ["--token-file", "/no/such"],
      ["--allow-read"],
      "Cannot read the token from /no/such: no such file",
    ],
    [
      ["--token-file", "/no/such"],
      [],
      "Cannot read the token from /no/such: Deno does not permit it; " +
      "run it with -A or --allow-read=/no/such",
    ],
    [
      ["--tls-cert", "deno.json", "--tls-key", "/no/such"],
      ["--allow-read"],
      "Cannot read the private key from /no/such: no such file",
    ],
  ];
  await Promise.all(cases.map(async ([args, flags, complaint]) => {
    const { code, stdout, stderr } = await run(["--port=0", ...args], ["--allow-net", ...flags]);
    assertEquals(stdout, "", args.join(" "));
    assertEquals(stderr, `error: ${complaint}\n`, args.join(" "));
    assertEquals(code, 1, args.join(" "));
  }));
});

Deno.test("relay --token-file admits clients with the token, and logs others once", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "secret\n");
  const flags = ["--allow-net=127.0.0.1", `--allow-read=${file}`];
  await using command = new Command(["--port", "0", "--token-file", file], flags);
  const address = await command.listens();
  await using stranger = await Peer.connect(address);
  await stranger.send('{"control":"hello","token":"\u001b[31mguess"}\n');
  assertEquals(JSON.parse((await stranger.lines()).at(-1)!).reason, "unauthorized");
  await command.expect(/refused a client from 127\.0\.0\.1:\d+: unauthorized \(.*\)\n/);
  await using one = await Peer.connect(address);
  await one.send('{"control":"hello","token":"secret"}\n{"event":"a"}\n');
  await one.sees('{"event":"a"}\n');
  await command.expect(/client c1 joined/);
  assertEquals(command.stdout.split("\n").filter((line) => line.includes("refused")).length, 1);
  assertNotMatch(command.stdout, /guess/);
  assertNotMatch(command.stdout, /secret/);
  await Deno.remove(file);
});

Deno.test("relay logs a flood of refused peers in a few lines, and counts them all", async () => {
  await using command = new Command(["--port", "0", "--max-clients", "1", "--no-web"]);
  const address = await command.listens();
  await using one = await Peer.connect(address);
  await command.expect(/client c1 joined/);
  const count = 300;
  for (let i = 0; i < count; i++) {
    await using peer = await Peer.connect(address);
    await peer.lines();
  }
  await one.send('{"event":"a"}\n');
  await one.sees("a");
  command.kill(isWindows ? "SIGINT" : "SIGTERM");
  await one.lines();
  one.close();
  const { stdout } = await command.end();
  const singles = stdout.match(/refused a client from/g)!.length;
  const sums = [...stdout.matchAll(/and (\d+) more refused: \d+ too-many-clients/g)];
  assertEquals(sums.reduce((sum, [, more]) => sum + Number(more), singles), count);
  assertLess(singles + sums.length, count / 2, stdout);
});

Deno.test("relay --token warns that others can see it, and shows the hello line", async () => {
  await using command = new Command(["--port", "0", "--token", "secret"]);
  await command.listens();
  await command.expect(/Send first: {"control":"hello","token":"TOKEN"}\n/);
  command.kill(isWindows ? "SIGKILL" : "SIGTERM");
  const { stdout, stderr } = await command.end();
  assertMatch(stderr, /^warning: others on this machine can see --token .* use --token-file/);
  assertNotMatch(stderr, /secret/);
  assertNotMatch(stdout, /secret/);
});

Deno.test("relay prints where it listens and one line to try", async () => {
  await using command = new Command(["--port", "0"]);
  const [hostname, port] = await command.listens();
  await command.expect(new RegExp(`Try it: nc ${hostname} ${port}\\n`));
  assertEquals(hostname, "127.0.0.1");
});

Deno.test("relay listens on the host that it is given", async () => {
  await using command = new Command(["--port", "0", "--host", "::1"]);
  const address = await command.listens();
  assertEquals(address[0], "::1");
  await using _ = await Peer.connect(address);
});

Deno.test("relay --host localhost listens on both addresses, and logs both", async () => {
  await using command = new Command(["--port", "0", "--host", "localhost"]);
  const [, port] = await command.expect(
    /^Relay listening on localhost:(\d+) \(127\.0\.0\.1 and ::1\)\nWatch it: http:\/\/localhost:\1\/\nTry it: nc localhost \1\n/,
  );
  for (const hostname of ["127.0.0.1", "::1"]) {
    await using peer = await Peer.connect([hostname, Number(port)]);
    await peer.send('{"event":"a"}\n');
    await peer.sees('{"event":"a"}');
  }
  assertEquals(command.stderr, "");
});

Deno.test("relay --host localhost names the address it lacks without permission, or if its port is taken", async () => {
  const port = freePort();
  const args = ["--host=localhost", `--port=${port}`];
  {
    await using command = new Command(args, [`--allow-net=127.0.0.1:${port}`]);
    assertEquals(await command.listens(), ["127.0.0.1", port]);
    const has = `127.0.0.1:${port}`;
    await until(() => command.stderr !== "");
    assertEquals(
      command.stderr,
      `warning: localhost is only ${has}, not [::1]:${port}; ` +
        `permit both with --allow-net=${has},[::1]:${port}\n`,
    );
  }
  using _ = Deno.listen({ hostname: "::1", port });
  const { code, stderr } = await run(args);
  assertEquals(code, 1);
  const what = `Cannot listen on localhost:${port}: [::1]:${port} is in use; stop the program`;
  assert(stderr.startsWith(`error: ${what}`), stderr);
});

Deno.test("relay --no-echo does not send a client its own events", async () => {
  await using command = new Command(["--port", "0", "--no-echo"]);
  const address = await command.listens();
  await using one = await Peer.connect(address);
  await using two = await Peer.connect(address);
  await command.expect(/client c2 joined/);
  await one.send('{"event":"a"}\n');
  await two.sees("a");
  await two.send('{"event":"b"}\n');
  await one.sees('{"event":"b"}\n');
  assertEquals(one.text, '{"event":"b"}\n');
});

Deno.test("relay hands its limits on", async () => {
  await using command = new Command(["--port=0", "--max-line-bytes=20", "--max-clients=1"]);
  const address = await command.listens();
  await using one = await Peer.connect(address);
  await command.expect(/client c1 joined/);
  await using two = await Peer.connect(address);
  assertEquals(JSON.parse((await two.lines())[0]!).reason, "too-many-clients");
  await command.expect(/refused a client from 127\.0\.0\.1:\d+: too-many-clients \(.*\)\n/);
  await one.send('{"event":"0123456789"}\n');
  assertEquals(JSON.parse((await one.lines())[0]!).reason, "line-too-long");
});

Deno.test("relay logs joins and leaves with the reason and counters, as text", async () => {
  await using command = new Command(["--port", "0"]);
  await using one = await Peer.connect(await command.listens());
  await command.expect(/Z client c1 joined from 127\.0\.0\.1:\d+ \(1 connected\)\n/);
  await one.send('{"event":"a"}\n');
  await one.sees("a");
  one.close();
  await command.expect(
    /Z client c1 left: eof; events 1 in, 1 out, 0 unsent; bytes 14 in, 14 out \(0 connected\)\n/,
  );
});

Deno.test("relay --log json writes one object a line, and nothing else", async () => {
  await using command = new Command(["--port", "0", "--log", "json"]);
  const [, port] = await command.expect(/"type":"listening".*"port":(\d+)/);
  await using one = await Peer.connect(["127.0.0.1", Number(port)]);
  await one.send("nonsense\n");
  await one.lines();
  one.close();
  await command.expect(/"type":"leave".*\n/);
  const entries = command.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(entries.map(({ type }) => type), ["listening", "join", "leave"]);
  assertEquals(entries[2].reason, "bad-json");
  assertEquals(entries[2].client, 1);
  assertEquals(entries[2].bytesIn, 9);
});

Deno.test("relay --log quiet logs only its address", async () => {
  await using command = new Command(["--port", "0", "--log", "quiet"]);
  const address = await command.listens();
  {
    await using one = await Peer.connect(address);
    await one.send('{"event":"a"}\n');
    await one.sees("a");
  }
  command.kill(isWindows ? "SIGKILL" : "SIGTERM");
  const { stdout } = await command.end();
  assertEquals(stdout.split("\n").length, 4);
});

Deno.test("relay never logs raw text of a peer", async () => {
  await using command = new Command(["--port", "0"]);
  const address = await command.listens();
  await using one = await Peer.connect(address);
  await one.send("\x1b[2J\u202e\n");
  await one.lines();
  one.close();
  await command.expect(/client c1 left: bad-json .*\n/);
  await using two = await Peer.connect(address);
  await two.send('{"control":"close","reason":"bad-event","detail":"\\u001b[31m\\n\u202e"}\n');
  two.close();
  await command.expect(/client c2 left: bad-event .*\n/);
  // deno-lint-ignore no-control-regex
  assertNotMatch(command.stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test({
    name: `relay drains on ${signal}: it sends queued lines and its reason, and exits with 0`,
    ignore: isWindows,
    async fn() {
      await using command = new Command(["--port", "0"]);
      await using one = await Peer.connect(await command.listens());
      const line = `{"event":"a","__dict__":{"text":"${"x".repeat(10_000)}"}}`;
      await one.send(`${line}\n`.repeat(100));
      await one.sees(line);
      command.kill(signal);
      const lines = await one.lines();
      assertEquals(lines.pop(), '{"control":"close","reason":"shutdown"}');
      assert(lines.every((each) => each === line));
      one.close();
      const { code, stdout } = await command.end();
      assertEquals(code, 0);
      assertStringIncludes(stdout, `stopping on ${signal} (1 connected); a second`);
    },
  });
}

Deno.test({
  name: "relay ends at once on a second signal",
  ignore: isWindows,
  async fn() {
    await using command = new Command(["--port", "0"]);
    // This client takes nothing, so that draining would last.
    const address = await command.listens();
    await using silent = await Peer.connect(address, { silent: true });
    await using publisher = await Peer.connect(address);
    await command.expect(/client c2 joined/);
    await publisher.send(`{"event":"a","__dict__":{"t":"${"x".repeat(1_000_000)}"}}\n`.repeat(7));
    await publisher.send('{"event":"seen"}\n');
    await publisher.sees("seen");
    command.kill("SIGTERM");
    await command.expect(/stopping/);
    // A second signal right away is the echo of the first, by `deno task` for instance.
    command.kill("SIGTERM");
    await pause(250);
    command.kill("SIGTERM");
    assertEquals((await command.end()).code, 143);
    silent.close();
  },
});

Deno.test({
  name: "relay treats two signals at once as one, as Ctrl+C under `deno task` sends them",
  ignore: isWindows,
  async fn() {
    await using command = new Command(["--port", "0"]);
    await using one = await Peer.connect(await command.listens());
    await command.expect(/client c1 joined/);
    command.kill("SIGINT");
    command.kill("SIGINT");
    await command.expect(/stopping/);
    assertEquals(await one.lines(), ['{"control":"close","reason":"shutdown"}']);
    one.close();
    assertEquals((await command.end()).code, 0);
  },
});

Deno.test({
  name: "relay without a terminal ignores SIGHUP, and logs it",
  ignore: isWindows,
  async fn() {
    await using command = new Command(["--port", "0"]);
    await using one = await Peer.connect(await command.listens());
    command.kill("SIGHUP");
    await command.expect(/Z ignored SIGHUP: /);
    await one.send('{"event":"a"}\n');
    await one.sees("a");
  },
});

Deno.test({
  name: "relay prints its stats on SIGUSR2 as a line of JSON, also with --log quiet",
  ignore: isWindows,
  async fn() {
    await using command = new Command(["--port", "0", "--log", "quiet"]);
    await using one = await Peer.connect(await command.listens());
    await one.send('{"event":"a"}\n');
    await one.sees("a");
    for (let i = 0; i < 2; i++) {
      command.kill("SIGUSR2");
      const [line] = await command.expect(/^{"time".*"type":"stats".*}$/m);
      const stats = JSON.parse(line);
      assertObjectMatch(stats, {
        clients: 1,
        clientsTotal: 1,
        eventsIn: 1,
        eventsOut: 1,
        bytesIn: 14,
        bytesOut: 14,
        pendingBytes: 0,
        closes: { eof: 0 },
        refusals: { unauthorized: 0 },
      });
      assertGreaterOrEqual(stats.loopDelayMaxMs, stats.loopDelayMeanMs);
      assertGreater(stats.rssBytes, stats.heapUsedBytes);
    }
  },
});

Deno.test({
  name: "relay prints its stats on SIGUSR1 too, and warns of the debugger of Deno",
  ignore: isWindows,
  async fn() {
    await using command = new Command(["--port", "0"]);
    await command.listens();
    command.kill("SIGUSR1");
    await command.expect(/^{"time".*"type":"stats".*}$/m);
    command.kill("SIGTERM");
    const { stderr } = await command.end();
    assertMatch(stderr, /^warning: SIGUSR1 .* use SIGUSR2 instead$/m);
  },
});

Deno.test("relay --stats prints its stats again and again", async () => {
  await using command = new Command(["--port", "0", "--stats", "1"]);
  const uptimes: number[] = [];
  for (let i = 0; i < 2; i++) {
    const [line] = await command.expect(/^{"time".*"type":"stats".*}$/m);
    uptimes.push(JSON.parse(line).uptimeMs);
  }
  assertGreater(uptimes[1]!, uptimes[0]!);
});

/** Runs a shell script in which `"$0"` is Deno, and `$1` a free port. */
function runScript(script: string): { shell: Deno.ChildProcess; port: number } {
  const port = freePort();
  const shell = new Deno.Command("sh", {
    args: ["-c", script, Deno.execPath(), `${port}`],
    cwd: `${import.meta.dirname}/../..`,
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "null",
  }).spawn();
  return { shell, port };
}

const RUN = `exec "$0" run --quiet --allow-net mod.ts --port "$1"`;

Deno.test({
  name: "relay goes on and can be stopped when its log cannot be written",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // A disk that is always full, and a reader that has gone.
    for (const script of [`${RUN} >/dev/full`, `${RUN} | true`]) {
      const { shell, port } = runScript(script);
      // Another test may listen there for a moment, to find out whether the port is free.
      await eventually(async () => {
        await using one = await Peer.connect(["127.0.0.1", port]);
        await one.send('{"event":"a"}\n');
        await one.sees("a");
      });
      await using two = await Peer.connect(["127.0.0.1", port]);
      await two.send('{"event":"b"}\n');
      await two.sees("b");
      const pids = await Deno.readTextFile(`/proc/${shell.pid}/task/${shell.pid}/children`);
      Deno.kill(Number(pids.trim().split(" ")[0] || shell.pid), "SIGTERM");
      assertEquals((await two.lines()).at(-1), '{"control":"close","reason":"shutdown"}');
      two.close();
      await soon(shell.status, "the end of the relay");
    }
  },
});

Deno.test({
  name: "relay writes its log once the disk has room again, and loses no line",
  ignore: !canMount(),
  async fn() {
    using folder = new TempFolder();
    const mount = `mount -t tmpfs -o size=64k none ${folder.path}`;
    const script = `exec unshare -rm sh -c '${mount} && ${RUN} >>${folder.path}/log' "$0" "$1"`;
    const { shell, port } = runScript(script);
    const path = `/proc/${shell.pid}/root${folder.path}/log`;
    const read = () => Deno.readTextFileSync(path);
    await using one = await eventually(() => Peer.connect(["127.0.0.1", port]));
    await one.send('{"event":"first"}\n');
    await one.sees("first");
    const count = 500;
    for (let i = 0; i < count; i++) {
      using conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(utf8("\n"));
    }
    await one.send('{"event":"a"}\n');
    await one.sees("a");
    await until(() => read().length === 65_536);
    const before = read();
    await Deno.truncate(path);
    await until(() => read().includes(`client c${count + 1} left`));
    const lines = (before + read()).split("\n");
    const joins = lines.flatMap((line) => /client c(\d+) joined/.exec(line)?.[1] ?? []);
    // Of the write that failed, all lines may be there twice: 4,096 bytes of at least 60 each.
    // Each is told of when it has said something, which others may have done before it.
    const ids = [...new Set(joins.map(Number))].sort((a, b) => a - b);
    assertEquals(ids, Array.from(Array(count + 1), (_, i) => i + 1));
    assertLessOrEqual(joins.length, count + 1 + 4096 / 60);
    Deno.kill(shell.pid, "SIGTERM");
    await one.lines();
    one.close();
    await soon(shell.status, "the end of the relay");
  },
});

/** Whether a test may have a file system of its own. */
function canMount(): boolean {
  if (Deno.build.os !== "linux") return false;
  try {
    return new Deno.Command("unshare", { args: ["-rm", "true"] }).outputSync().success;
  } catch {
    return false;
  }
}

Deno.test({
  name: "relay goes on and can be stopped when its log has no reader",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // The pipe to "sleep" takes 64 KiB, and then blocks whoever writes to it.
    const script = `"$0" run --quiet --allow-net mod.ts --port 0 | { head -n 1; exec sleep 60; }`;
    const shell = new Deno.Command("sh", {
      args: ["-c", script, Deno.execPath()],
      cwd: `${import.meta.dirname}/../..`,
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = shell.stdout.getReader();
    const { value } = await soon(reader.read(), "the port");
    const port = Number(/:(\d+)\n/.exec(textOf(value!))![1]);
    const children = await Deno.readTextFile(`/proc/${shell.pid}/task/${shell.pid}/children`);
    const [relay, sleep] = children.trim().split(" ").map(Number);
    for (let i = 0; i < 600; i++) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      conn.close();
    }
    await using one = await Peer.connect(["127.0.0.1", port]);
    await one.send('{"event":"a"}\n');
    await one.sees("a");
    Deno.kill(relay!, "SIGTERM");
    assertEquals((await one.lines()).at(-1), '{"control":"close","reason":"shutdown"}');
    one.close();
    Deno.kill(sleep!, "SIGTERM");
    await shell.status;
    await reader.cancel();
  },
});

Deno.test("relay --schema passes on only valid events, and reports the issues of others", async () => {
  const flags = ["--allow-net=127.0.0.1", "--allow-read"];
  await using command = new Command(["--port", "0", "--schema", TICK_SCHEMA], flags);
  await using one = await Peer.connect(await command.listens());
  await one.send('{"event":"tick"}\n{"event":"tick","__dict__":{"n":1}}\n');
  await one.sees('{"event":"tick","__dict__":{"n":1}}\n');
  const [refusal, event] = one.text.trimEnd().split("\n").map((line) => JSON.parse(line)).toSorted(
    (line) => "control" in line ? -1 : 1,
  );
  assertObjectMatch(refusal, { control: "error", reason: "bad-attributes" });
  assertEquals(event.__dict__, { n: 1 });
});

Deno.test("relay --no-inspect and --max-subscriptions reach the relay", async () => {
  await using command = new Command(["--port", "0", "--no-inspect", "--max-subscriptions=1"]);
  await using one = await Peer.connect(await command.listens());
  await one.send(
    '{"control":"stats","id":"i1"}\n{"control":"subscribe","events":["a","b"],"id":"s1"}\n',
  );
  await one.sees('"id":"s1"');
  const reasons = one.text.trimEnd().split("\n").map((line) => JSON.parse(line).reason);
  assertEquals(reasons, ["not-allowed", "too-many-subscriptions"]);
});

Deno.test("relay --history memory keeps the events that its options choose", async () => {
  const args = ["--port=0", "--history", "memory", "--keep", "a.*", "--keep-count", "2"];
  await using command = new Command(args);
  const address = await command.listens();
  await using sender = await Peer.connect(address);
  const events = ["a.1", "b", "a.2", "a.3"].map((name) => `{"event":"${name}"}\n`).join("");
  await sender.send(`${events}{"event":"last","ack":"x"}\n`);
  await sender.sees('"ack","id":"x"');
  await using late = await Peer.connect(address);
  await late.send(
    '{"control":"subscribe","events":[">"],"id":"s","since":{"first":true},"live":false}\n',
  );
  await late.sees('"end"');
  const [answer, ...lines] = late.text.split("\n").slice(0, -2);
  assertObjectMatch(JSON.parse(answer!), { id: "s", history: { from: 1, to: 3 } });
  assertEquals(lines, [
    '{"offset":2,"past":"s","event":"a.2"}',
    '{"offset":3,"past":"s","event":"a.3"}',
  ]);
});

Deno.test("relay without the permissions for the folder of its history names both, and exits with 1", async () => {
  using folder = new TempFolder();
  const path = `${folder.path}/log`;
  const complaint = `error: Cannot keep the history in ${path}: Deno does not permit it; ` +
    `run it with -A or --allow-read=${path} --allow-write=${path}\n`;
  for (const flags of [[], [`--allow-read=${path}`], [`--allow-write=${path}`]]) {
    const args = ["--port=0", "--history", path];
    const { code, stderr } = await run(args, ["--allow-net=127.0.0.1", ...flags]);
    assertEquals([code, stderr], [1, complaint], flags.join());
  }
});

Deno.test({
  name:
    "relay keeps its history in a folder that is a link, with the permissions for the link alone",
  ignore: isWindows,
  async fn() {
    using folder = new TempFolder();
    const path = `${folder.path}/link`;
    Deno.mkdirSync(`${folder.path}/real`);
    Deno.symlinkSync("real", path); // as systemd does with StateDirectory= and DynamicUser=
    const flags = ["--allow-net=127.0.0.1", `--allow-read=${path}`, `--allow-write=${path}`];
    const args = ["--port=0", "--history", path, "--keep-last=>", "--keep-bytes=1048576"];
    let offset = 0;
    for (let run = 0; run < 2; run++) {
      await using command = new Command(args, flags);
      await using sender = await Peer.connect(await command.listens());
      const line = `{"event":"e","__dict__":{"text":"${"x".repeat(100_000)}"}}\n`;
      await sender.send(line.repeat(20)); // more than is kept
      await sender.send('{"event":"e","ack":"x"}\n');
      await sender.sees('"ack","id":"x"');
      await sender.send('{"control":"subscribe","events":[],"id":"s","since":{"count":1}}\n');
      await sender.sees('"id":"s"');
      const answer = sender.text.split("\n").find((line) => line.includes('"id":"s"'))!;
      assertEquals(JSON.parse(answer).history.to, offset += 21);
      command.kill("SIGTERM");
      const { code, stderr } = await command.end();
      assertEquals([code, stderr], [0, ""]);
    }
  },
});

Deno.test("relay logs where its history is, what it has found there, and which patterns look wrong", async () => {
  using folder = new TempFolder();
  const path = `${folder.path}/log`;
  const args = ["--port=0", "--history", path];
  {
    await using command = new Command([...args, "--log=json"], ["-A"]);
    const [line, port] = await command.expect(/^.*"type":"history".*\n.*"port":(\d+).*\n/);
    const [entry] = line!.split("\n");
    const fields = { state: "open", where: path, events: 0, first: 1, offset: 0 };
    assertObjectMatch(JSON.parse(entry!), fields);
    await using sender = await Peer.connect(["127.0.0.1", Number(port)]);
    await sender.send('{"event":"a"}\n{"event":"b","ack":"x"}\n');
    await sender.sees('"ack","id":"x"');
    command.kill("SIGTERM");
    await command.end();
  }
  await using command = new Command(args, ["-A"]);
  await command.listens();
  const found = `Z history in ${path}, 2 events up to offset 2, epoch `;
  assertStringIncludes(command.stdout, found);
  await using other = new Command(["--port=0", "--history=memory", "--keep=a,b", "--keep-last=c*"]);
  await other.listens();
  assertMatch(other.stdout, /Z history in memory, 0 events up to offset 0, epoch \S+\n/);
  assertMatch(other.stderr, /^Note: --keep: in "a,b", .*\nNote: --keep-last: in "c\*", .*\n$/);
});
