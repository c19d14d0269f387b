import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { formatAddress } from "../../protocol/address.ts";
import { testRelay } from "../../testing.ts";
import { Program } from "../support/process.ts";
import { hasPython, inTerminal, toolWords } from "../support/streams.ts";
import { Terminals } from "../support/terminals.ts";

const ignore = !Terminals.isAvailable();
const cwd = `${import.meta.dirname}/../..`;

/** Runs the words, then says whether the terminal shows what is typed, and waits for the end of lines. */
const THEN_STTY = '"$@"; echo "ended: $?"; stty -a | grep -o ".icanon"; echo .';

/** Runs the words as a job that can be stopped, and lets it go on once a line has been typed. */
const AS_JOB = 'set -m; "$@"; echo "stopped: $?"; read line; fg > /dev/null; echo "ended: $?"';

/** The command line of `top`, of which a shell with this script knows what becomes of it. */
function top(
  { address }: { address: [string, number] | readonly [string, number] },
  script: string,
) {
  const words = toolWords("top", formatAddress([...address]), "--interval", "100");
  return ["sh", "-c", script, "sh", ...words];
}

Deno.test({
  name: "top ends with q, and leaves the terminal as it was",
  ignore,
  async fn() {
    await using relay = testRelay();
    await using terminals = new Terminals();
    await terminals.start("top", top(relay, THEN_STTY), { cwd });
    await terminals.sees("top", /^CLIENT /m);
    assertFalse(await terminals.hasCursor("top"));
    await terminals.press("top", "x", "q");
    await terminals.sees("top", /^before\nended: 0\n icanon\n\.$/m);
    assert(await terminals.hasCursor("top"));
  },
});

Deno.test({
  name: "top restores the screen and the keys while it is stopped, and uses them again after",
  ignore,
  async fn() {
    await using relay = testRelay();
    await using terminals = new Terminals();
    await terminals.start("top", top(relay, AS_JOB), { cwd });
    for (const [key, text] of [["C-z", "stopped"], ["q", "ended"]]) {
      await terminals.sees("top", /^CLIENT /m);
      assertFalse(await terminals.hasCursor("top"));
      await terminals.press("top", key!);
      await terminals.sees("top", new RegExp(`^before\n(.*\n)*${text}: \\d+$`, "m"));
      assert(await terminals.hasCursor("top"));
      if (key === "C-z") await terminals.press("top", "Enter");
    }
    await terminals.sees("top", /ended: 0\nafter: 0$/m);
  },
});

Deno.test({
  name: "top goes on where no shell could continue it if it stopped",
  ignore,
  async fn() {
    await using relay = testRelay();
    await using terminals = new Terminals();
    await terminals.start("top", toolWords("top", formatAddress(relay.address)), { cwd });
    await terminals.sees("top", /^CLIENT /m);
    await terminals.press("top", "C-z");
    await terminals.resize("top", 60, 20);
    await terminals.sees("top", /^CLIENT +ADDRESS +IN +OUT +WAITING +PATTERNS$/m);
    await terminals.press("top", "q");
    await terminals.sees("top", /^after: 0$/m);
  },
});

for (const [signal, code] of [["SIGHUP", 129], ["SIGQUIT", 131]] as const) {
  Deno.test({
    name: `top restores the screen and the keys on ${signal}`,
    ignore,
    async fn() {
      await using relay = testRelay();
      await using terminals = new Terminals();
      await terminals.start("top", top(relay, `echo; exec "$@"`), { cwd });
      await terminals.sees("top", /^CLIENT /m);
      await terminals.kill("top", signal);
      await terminals.sees("top", new RegExp(`^after: ${code}$`, "m"));
      assert(await terminals.hasCursor("top"));
    },
  });
}

Deno.test({
  name: "Screen restores the screen and the keys before a crash is reported",
  ignore,
  async fn() {
    const url = new URL("../../cli/screen.ts", import.meta.url).href;
    const crashes = [
      "setTimeout(() => { throw new Error('Boom') })",
      "Promise.reject(Error('Boom'))",
    ];
    await using terminals = new Terminals();
    for (const [i, crash] of crashes.entries()) {
      const source = `import { Screen } from "${url}"; new Screen(undefined, { onKey() {} });
        setTimeout(() => { ${crash} }, 100); setInterval(() => {}, 1000);`;
      const file = await Deno.makeTempFile({ suffix: ".ts" });
      await Deno.writeTextFile(file, source);
      const words = [Deno.execPath(), "run", "-A", "--quiet", "--no-check", file];
      await terminals.start(`crash${i}`, ["sh", "-c", THEN_STTY, "sh", ...words], { cwd });
      await terminals.sees(`crash${i}`, /^before\n(.*\n)*.*Boom(.*\n)+ended: 1\n icanon\n/);
      assert(await terminals.hasCursor(`crash${i}`));
      await Deno.remove(file);
    }
  },
});

Deno.test({
  name: "top treats a terminal of 0 columns and 0 rows as one of 80 and 24",
  ignore: !hasPython(),
  async fn() {
    await using relay = testRelay();
    const words = toolWords("top", formatAddress(relay.address), "--interval", "100");
    const [command, ...args] = inTerminal(words);
    await using terminal = new Program(command!, args, { env: { TERM: "xterm" } });
    await terminal.expect(/CLIENT +ADDRESS +IN +OUT +BYTES IN +BYTES OUT +WAITING +PATTERNS/);
    await terminal.type("q");
    assertEquals((await terminal.end()).code, 0);
    const [once, ...onceArgs] = inTerminal([...words, "--once"]);
    await using snapshot = new Program(once!, onceArgs, { env: { TERM: "xterm" } });
    assertMatch((await snapshot.end()).stdout, /CLIENT .* PATTERNS/);
  },
});

Deno.test({
  name: "top can be read in 40 columns, live and with --once",
  ignore,
  async fn() {
    await using relay = testRelay();
    const client = await relay.connect();
    await client.subscribe(["a.*"]);
    await using terminals = new Terminals();
    await terminals.start("shell", ["sh", "-c", "read line"], { cwd });
    await terminals.resize("shell", 40, 24);
    for (const [name, args] of [["live", []], ["once", ["--once"]]] as const) {
      const words = toolWords("top", formatAddress(relay.address), "--interval", "100", ...args);
      await terminals.start(name, words, { cwd });
      await terminals.resize(name, 40, 24);
      if (name === "once") await terminals.sees(name, /^after: 0$/m);
      await terminals.sees(
        name,
        /^CLIENT +IN +OUT +WAITING +PATTERNS\n(c\d .* (a\.\*|none)\n){2,3}/m,
      );
      const screen = await terminals.screen(name);
      assertMatch(screen, /^up \d+s {3}(2|3) clients of \1( {3}|\n)memory .*\nloop late .*\n/m);
      assertMatch(screen, /^in [^,\n]+, \S+ \S+( {3}|\n)out .*\n/m);
      assertNotMatch(screen, /…/);
    }
  },
});

Deno.test({
  name: "The tools write nothing but text where TERM is dumb",
  ignore,
  async fn() {
    await using relay = testRelay();
    const where = formatAddress(relay.address);
    const dumb = ["env", "-u", "NO_COLOR", "TERM=dumb"];
    await using terminals = new Terminals();
    await terminals.start("sub", [...dumb, ...toolWords("sub", where, "--count", "1")], { cwd });
    await terminals.sees("sub", /^Listening to /m);
    const load = ["--events", "500", "--rate", "500"];
    await terminals.start("bench", [...dumb, ...toolWords("bench", where, ...load)], { cwd });
    await terminals.sees("sub", /^\d\d:\d\d:\d\d\.\d{3} bench\.(.*\n)+after: 0$/m);
    await terminals.start("top", [...dumb, ...toolWords("top", where, "--interval", "100")], {
      cwd,
    });
    // It shows once what there is, and ends.
    await terminals.sees("top", /^before\nRelay at \S+\n(.*\n)+after: 0$/m);
    // Nothing but what it says at the end has ever been there.
    await terminals.sees("bench", /^before\n500 events of 128 bytes(.*\n)+after: 0$/m);
    for (const name of ["sub", "top", "bench"]) {
      assertFalse((await terminals.screen(name, { colors: true })).includes("\x1b"), name);
    }
  },
});
