import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { type Address, formatAddress } from "../../protocol/address.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { testRelay } from "../../testing.ts";
import { Peer } from "../support/peer.ts";
import { Terminals } from "../support/terminals.ts";
import { until } from "../support/waiting.ts";

const ignore = !Terminals.isAvailable();
const cwd = `${import.meta.dirname}/../..`;

const DENO = [Deno.execPath(), "run", "-A", "--quiet", "--no-prompt", "mod.ts"];

/** The command line of a tool, as people with colours have it. */
function tool(...args: string[]): string[] {
  return ["env", "-u", "NO_COLOR", ...DENO, ...args];
}

/** The same of somebody whose environment says where the relay is, so that it goes without saying. */
function toolAt(where: string, ...args: string[]): string[] {
  return ["env", "-u", "NO_COLOR", `EBSOCKETS_URL=${where}`, ...DENO, ...args];
}

/** The address that a relay has printed. */
function addressIn(where: string): Address {
  const [hostname, port] = where.split(":");
  return [hostname!, Number(port)];
}

/** Starts a relay in a terminal; gives where it listens. */
async function startRelay(terminals: Terminals, ...args: string[]): Promise<string> {
  await terminals.start("relay", tool("relay", "--port", "0", ...args), { cwd });
  return (await terminals.sees("relay", /Relay listening on (\S+)/))[1]!;
}

Deno.test({
  name: "the session of the README runs as it shows, each command in its own terminal",
  ignore,
  async fn() {
    await using terminals = new Terminals();
    const where = await startRelay(terminals);
    const start = async (name: string, ...args: string[]) =>
      await terminals.start(name, toolAt(where, ...args), { cwd });
    await start("sub", "sub", "chat.*");
    await terminals.sees("sub", /^Listening to \S+ as c1$/m);
    await start("pub", "pub", "chat.lobby", "text=hello", "n:=3");
    await terminals.sees("pub", /^before\nafter: 0$/m);
    await terminals.sees("sub", /^\d\d:\d\d:\d\d\.\d{3} chat\.lobby text="hello" n=3$/m);
    await start("serve", "serve", "time.now", "--exec", "date");
    await terminals.sees("serve", /^Serving time\.now at \S+; Ctrl\+C ends it$/m);
    await start("req", "req", "time.now", "zone=UTC");
    await terminals.sees(
      "req",
      /time\.now \[answer to [\w-]{12}, from c3\] output=".+" code=0\nafter: 0$/m,
    );
    await terminals.sees("serve", /answered time\.now for c4 in /);
    await start("top", "top", "--interval=100");
    await terminals.sees("top", /^c1 .*chat\.\*$/m);
    await terminals.sees("top", /^c3 .*time\.now$/m);
    await terminals.press("relay", "C-c");
    await terminals.sees("relay", /stopping on SIGINT \(3 connected\)(.*\n)+after: 0$/m);
    await terminals.sees("sub", /^Lost the connection to \S+ \(shutdown\); reconnecting$/m);
    await terminals.sees("top", /does not answer; retrying/);
  },
});

Deno.test({
  name: "pub - in a terminal shows how to end the input, and the progress of a file",
  ignore,
  async fn() {
    await using terminals = new Terminals();
    const where = await startRelay(terminals);
    await terminals.start("typing", toolAt(where, "pub", "-"), { cwd });
    await terminals.sees("typing", /^Type events, one on each line; Ctrl\+D ends$/m);
    await terminals.press("typing", '{"event":"a"}', "Enter", "C-d");
    await terminals.sees("typing", /^after: 0$/m);

    const gate = await Deno.makeTempFile();
    const script = `{ echo '{"event":"a"}'; tail -f "$0"; } | exec "$@"`;
    const command = ["sh", "-c", script, gate, ...toolAt(where, "pub", "-")];
    await terminals.start("piping", command, { cwd });
    await terminals.sees("piping", /^1 event {2}[\d.]+\/s$/m);
    await Deno.writeTextFile(gate, "no event\n");
    await terminals.sees("piping", /^before\nerror: standard input:2:1: .* before it: 1\n/m);
    await Deno.remove(gate);
  },
});

Deno.test({
  name: "sub in a terminal shows the events of pub in another, in colours",
  ignore,
  async fn() {
    await using terminals = new Terminals();
    const where = await startRelay(terminals);
    await terminals.start("sub", tool("sub", where, "chat.*"), { cwd });
    await terminals.sees("sub", /^Listening to \S+ as c1$/m);
    const words = ["chat.message", "content=hi \x1b[31m there", "n:=1"];
    await terminals.start("pub", tool("pub", where, "--confirm", ...words), { cwd });
    await terminals.sees("pub", /^1 chat\.message$/m);
    await terminals.sees("sub", /chat\.message content="hi \\u001b\[31m there" n=1$/m);
    // deno-lint-ignore no-control-regex
    await terminals.sees("sub", /\x1b\[1mchat\.message\x1b\[/, { colors: true });
    await terminals.sees("relay", /client c1 joined/);
  },
});

Deno.test({
  name: "req in a terminal shows the replies of serve in another",
  ignore,
  async fn() {
    await using terminals = new Terminals();
    const where = await startRelay(terminals);
    await terminals.start("serve", tool("serve", where, "greet", "--exec", "echo hello"), { cwd });
    await terminals.sees("serve", /^Serving greet at /m);
    await terminals.start("req", tool("req", where, "greet"), { cwd });
    await terminals.sees(
      "req",
      /greet \[answer to [\w-]{12}, from c1\] output="hello" code=0\nafter: 0$/m,
    );
    await terminals.sees("serve", /answered greet for c2 in /);
    await terminals.press("serve", "C-c");
    await terminals.sees("serve", /stopping \(0 running\).*\nafter: 0$/m);
    await terminals.start("again", tool("req", where, "greet"), { cwd });
    await terminals.sees("again", /^error: No client receives "greet": .*\nafter: 1$/m);
  },
});

Deno.test({
  name: "top uses the screen, redraws it, fits it, and restores it on Ctrl+C",
  ignore,
  async fn() {
    await using terminals = new Terminals();
    const where = await startRelay(terminals);
    await terminals.start("sub", tool("sub", where, "chat.*"), { cwd });
    await terminals.sees("sub", /Listening/);
    await terminals.start("top", tool("top", where, "--interval", "100"), { cwd });
    await terminals.sees("top", /^Relay at \S+\nup \d+s {3}2 clients of 2(.*\n)+c1 .*chat\.\*$/m);
    assertNotMatch(await terminals.screen("top"), /before/);
    await terminals.sees("top", /^c2 .*none$/m);
    await terminals.start("pub", tool("pub", where, "chat.message"), { cwd });
    await terminals.sees("top", /^chat\.message +[\d.]+\/s +1$/m);
    await terminals.resize("top", 40, 8);
    await terminals.sees("top", /^CLIENT +IN +OUT +WAITING +PATTERNS$/m);
    await terminals.press("top", "C-c");
    await terminals.resize("top", 100, 30);
    await terminals.sees("top", /^before\nafter: 0$/m);
    assertNotMatch(await terminals.screen("top"), /CLIENT/);
  },
});

Deno.test({
  name: "top restores the screen when it is terminated, and before it reports an error",
  ignore,
  async fn() {
    await using terminals = new Terminals();
    const where = await startRelay(terminals);
    await terminals.start("top", tool("top", where), { cwd });
    await terminals.sees("top", /^Relay at /m);
    await terminals.kill("top", "SIGTERM");
    await terminals.sees("top", /^before\nafter: 0$/m);

    await using silent = new Relay(new EbsocketServer(["127.0.0.1", 0]), { inspect: false });
    const command = tool("top", formatAddress(silent.server.address));
    await terminals.start("error", command, { cwd });
    await terminals.sees("error", /^before\nerror: The relay at .* --no-inspect\nafter: 1$/m);
  },
});

Deno.test({
  name: "top shows that the relay is away, and goes on when it is back",
  ignore,
  async fn() {
    await using terminals = new Terminals();
    const where = await startRelay(terminals);
    await terminals.start("top", tool("top", where, "--interval", "100"), { cwd });
    await terminals.sees("top", /^Relay at \S+\nup /m);
    await terminals.press("relay", "C-c");
    await terminals.sees("top", /^Relay at \S+ does not answer; retrying, Ctrl\+C ends it$/m);
    const port = where.split(":").at(-1)!;
    await terminals.start("again", tool("relay", "--port", port), { cwd });
    await terminals.sees("top", /^Relay at \S+\nup .*(.*\n)+c1 /m);
  },
});

Deno.test({
  name: "bench in a terminal shows how far it is, and clears that away",
  ignore,
  async fn() {
    await using terminals = new Terminals();
    const where = await startRelay(terminals, "--log", "quiet");
    const args = ["--events", "2000", "--rate", "500"];
    await terminals.start("bench", tool("bench", where, ...args), { cwd });
    await terminals.sees("bench", /\[█*[▏▎▍▌▋▊▉]? *\] +\d+ % {2}[\d,]+ of 2,000 events/);
    await terminals.sees("bench", /^Nothing was lost: 2,000 events arrived(.*\n)+after: 0$/m);
    const screen = await terminals.screen("bench");
    assertMatch(screen, /^before\n2,000 events of 128 bytes/);
    assertNotMatch(screen, /left/);
  },
});

Deno.test({
  name: "relay ends in order when its terminal is closed",
  ignore,
  async fn() {
    await using terminals = new Terminals();
    await terminals.start("other", ["true"], { cwd });
    const where = await startRelay(terminals);
    await using peer = await Peer.connect(addressIn(where));
    await peer.send('{"event":"a"}\n');
    await peer.sees("a");
    await terminals.close("relay");
    assertEquals((await peer.lines()).at(-1), '{"control":"close","reason":"shutdown"}');
  },
});

Deno.test({
  name: "relay under nohup goes on when its terminal is closed, and logs it",
  ignore,
  async fn() {
    await using terminals = new Terminals();
    await terminals.start("other", ["true"], { cwd });
    const log = await Deno.makeTempFile();
    const script = `echo $$; exec nohup "$@" > ${log} 2>&1`;
    const command = ["sh", "-c", script, "sh", ...tool("relay", "--port", "0")];
    await terminals.start("relay", command, { cwd });
    const pid = Number((await terminals.sees("relay", /^\d+$/m))[0]);
    const read = () => Deno.readTextFileSync(log);
    await until(() => read().includes("Relay listening on "));
    await using peer = await Peer.connect(addressIn(/Relay listening on (\S+)/.exec(read())![1]!));
    await terminals.close("relay");
    await until(() => read().includes("ignored SIGHUP"));
    await peer.send('{"event":"a"}\n');
    await peer.sees("a");
    Deno.kill(pid, "SIGTERM");
    assertEquals((await peer.lines()).at(-1), '{"control":"close","reason":"shutdown"}');
    await Deno.remove(log);
  },
});

Deno.test({
  name: "serve answers its pending requests when its terminal is closed",
  ignore,
  async fn() {
    await using relay = testRelay();
    await using terminals = new Terminals();
    await terminals.start("other", ["true"], { cwd });
    const gate = await Deno.makeTempFile();
    const begun = await Deno.makeTempFile();
    const wait = `echo begun > ${begun}; while [ ! -s ${gate} ]; do sleep 0.05; done; ` +
      `echo '{"a":1}'`;
    const words = ["serve", formatAddress(relay.address), "a", "--exec", wait];
    await terminals.start("serve", tool(...words), { cwd });
    await terminals.sees("serve", /^Serving a at /m);
    await using peer = await Peer.connect(relay.address);
    await peer.send('{"control":"subscribe","events":[]}\n{"event":"a","id":"r1"}\n');
    await until(() => Deno.statSync(begun).size > 0);
    const { bytesIn } = relay.relay.clients[0]!;
    await terminals.close("serve");
    await until(() => relay.relay.clients[0]!.bytesIn > bytesIn); // It takes its subscription back.
    await Deno.writeTextFile(gate, "open");
    await peer.sees('"reply_to":"r1"');
    await peer.sees('"__dict__":{"a":1}}');
    await until(() => relay.relay.clients.length === 1);
    await Deno.remove(begun);
    await Deno.remove(gate);
  },
});
