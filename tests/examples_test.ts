/**
 * Shows that each example does what it says when run by the command in its own header, and that it
 * needs every permission that it asks for.
 *
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import { assertNotEquals } from "@std/assert/not-equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  EbsocketClient,
  EbsocketEvent,
  EbsocketServer,
  EbsocketSystem,
  type Pumped,
} from "../mod.ts";
import { utf8 } from "./support/bytes.ts";
import { TempFolder } from "./support/folder.ts";
import { freePort, freePorts } from "./support/free_port.ts";
import { NATS_SERVER } from "./support/nats_server.ts";
import { needingTest, program } from "./support/needs.ts";
import { canRun, Program } from "./support/process.ts";
import { newRelay } from "./support/relay.ts";
import { eventually, PATIENCE, soon } from "./support/waiting.ts";

const ROOT = `${import.meta.dirname}/..`;

/** The ports of all examples. They may be in use, so the tests put others in their place. */
const PORT = "7982";
const NATS_PORT = "4222";

/** Runs a program in a terminal of its own; what is typed there comes from this one's input. */
const IN_TERMINAL = `
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
`;

const names = [...Deno.readDirSync(`${ROOT}/examples`)]
  .map(({ name }) => name)
  .filter((name) => /\.(ts|py)$/.test(name))
  .sort();

const hasPython = canRun("python3", ["-c", "import socket"]);
const hasTerminal = canRun("python3", ["-c", "import pty"]);

/** The words of the command in the header of an example. */
function commandOf(name: string): string[] {
  const source = Deno.readTextFileSync(`${ROOT}/examples/${name}`);
  const [, command] = /^(?:\/\/ )? {4}((?:deno run|python3) .+)$/m.exec(source) ?? [];
  if (command === undefined) throw new Error(`No command in the header of examples/${name}`);
  return command.split(" ");
}

/** The permissions that the header of an example gives it, each for one thing. */
function permissionsOf(name: string): string[] {
  return commandOf(name).filter((word) => /^--allow-[a-z]+(=[^,]+)?$/.test(word));
}

/** What a test may change in the command of an example. */
interface Changes {
  /** Arguments of the program, instead of those in the header. */
  args?: string[];
  /** A permission that is taken away. */
  without?: string;
  /** Whether to run it in a terminal. */
  inTerminal?: boolean;
}

/** The examples in a folder of their own, with other ports. */
class Examples implements Disposable {
  readonly #folder = new TempFolder();
  readonly #port: string;

  constructor(port: number) {
    this.#port = String(port);
    Deno.mkdirSync(`${this.#folder.path}/examples`);
    for (const { name } of Deno.readDirSync(`${ROOT}/examples`)) {
      const source = Deno.readTextFileSync(`${ROOT}/examples/${name}`);
      Deno.writeTextFileSync(
        `${this.#folder.path}/examples/${name}`,
        withPorts(source, { [PORT]: port, [NATS_PORT]: freePort() }),
      );
    }
  }

  /** Runs the command in the header of an example. */
  start(name: string, { args, without, inTerminal = false }: Changes = {}): Program {
    let words = commandOf(name)
      .filter((word) => word !== without)
      .map((word) => word.replaceAll(PORT, this.#port));
    if (args) words = [...words.slice(0, words.indexOf(`examples/${name}`) + 1), ...args];
    if (words[0] === "deno") {
      // A copy is outside the folder whose deno.json says what "@ebsockets/relay" is.
      const config = ["--no-prompt", "--config", `${ROOT}/deno.json`];
      words = [Deno.execPath(), words[1]!, ...config, ...words.slice(2)];
    }
    if (inTerminal) words = ["python3", "-c", IN_TERMINAL, ...words];
    const [command, ...rest] = words;
    return new Program(command!, rest, { cwd: this.#folder.path, env: { TERM: "xterm" } });
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

/** Puts ports in the place of others, all at once: one may hold the digits of the next. */
function withPorts(source: string, ports: Record<string, number>): string {
  return source.replaceAll(new RegExp(Object.keys(ports).join("|"), "g"), (old) => `${ports[old]}`);
}

/** A client to talk to an example with. */
async function connect(port: number): Promise<EbsocketClient> {
  const client = new EbsocketClient();
  await client.connectTo(["127.0.0.1", port]);
  return client;
}

/** The next event that a client gets. */
async function receive(client: EbsocketClient): Promise<EbsocketEvent> {
  const event = await soon(client.recvEvent(), () => "an event");
  if (!event) throw new Error(`The connection ended with ${(await client.closed).reason}`);
  return event;
}

/** Pumps until there is what `pick` looks for. */
async function pumpUntil<T>(
  system: EbsocketSystem,
  pick: (pumped: Pumped) => T | undefined,
): Promise<T> {
  for (const start = performance.now(); performance.now() - start < PATIENCE;) {
    const picked = pick(await system.pump());
    if (picked !== undefined) return picked;
  }
  throw new Error(`Waited ${PATIENCE} ms for news of the system`);
}

function message(content: string): EbsocketEvent {
  return new EbsocketEvent("message", { content });
}

Deno.test("withPorts() leaves a port as it is that holds the digits of another", () => {
  const source = "7982, tcp://127.0.0.1:7982, nats://127.0.0.1:4222";
  assertEquals(
    withPorts(source, { 7982: 42221, 4222: 27982 }),
    "42221, tcp://127.0.0.1:42221, nats://127.0.0.1:27982",
  );
});

for (const name of names) {
  Deno.test(`examples/${name} begins with the command that runs it`, () => {
    const words = commandOf(name);
    const runner = name.endsWith(".py") ? ["python3"] : ["deno", "run", ...permissionsOf(name)];
    assertEquals(words.slice(0, runner.length + 1), [...runner, `examples/${name}`]);
  });
}

for (const name of names.filter((name) => name.endsWith(".ts"))) {
  for (const permission of permissionsOf(name)) {
    Deno.test(`examples/${name} does not run without ${permission}`, async () => {
      using examples = new Examples(Number(PORT));
      await using program = examples.start(name, { without: permission });
      const { code, stderr } = await program.end();
      assertNotEquals(code, 0);
      assertStringIncludes(stderr, "NotCapable");
    });
  }
}

Deno.test("examples/relay_server.ts passes messages, and nothing else, on to all of its clients", async () => {
  using examples = new Examples(0);
  await using server = examples.start("relay_server.ts");
  const [, port] = await server.expect(/^Server hosting on 127\.0\.0\.1:(\d+)\n/);
  await using alice = await connect(Number(port));
  await server.expect(
    /^New connection: EbsocketConnection\(127\.0\.0\.1:\d+\) from 127\.0\.0\.1:\d+\n/,
  );
  await using bob = await connect(Number(port));
  const [, bobsPort] = await server.expect(/^New connection: .+ from 127\.0\.0\.1:(\d+)\n/);

  alice.sendEvent(new EbsocketEvent("note", { content: "to the server alone" }));
  alice.sendEvent(new EbsocketEvent("message", { content: "to all", other: "not passed on" }));
  await server.expect(/^New event: EbsocketEvent<note>\nNew event: EbsocketEvent<message>\n/);
  for (const client of [alice, bob]) {
    const event = await receive(client);
    assertEquals(event.toJSON(), message("to all").toJSON());
  }

  await bob.close();
  await server.expect(new RegExp(`^Client disconnected: 127\\.0\\.0\\.1:${bobsPort} \\(eof\\)\\n`));
});

Deno.test("examples/chat_client.ts sends its input, and ends at the end of that", async () => {
  await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
  using examples = new Examples(system.server.address[1]);
  await using chat = examples.start("chat_client.ts");
  await chat.expect(/Connected/);
  await chat.type("Grüße 👋\n\nlast");
  const ended = chat.end();
  const contents: unknown[] = [];
  await pumpUntil(system, ([, newEvents]) => {
    contents.push(...newEvents.map((event) => event.getAttribute("content")));
    return contents.length === 2 || undefined;
  });
  assertEquals(contents, ["Grüße 👋", "last"]);
  const { code, stdout } = await ended;
  assertEquals(code, 0);
  assertMatch(stdout, /^Connecting to 127\.0\.0\.1:\d+\nConnected.*\nDisconnected: local\n$/);
});

/** The chat client in a terminal, connected, and at the place where it waits for a line. */
async function chatInTerminal(examples: Examples): Promise<Program> {
  const chat = examples.start("chat_client.ts", { inTerminal: true });
  for (const question of [/ip .*>>>/, /port .*>>>/]) {
    await chat.expect(question);
    await chat.type("\r");
  }
  await chat.expect(/Connected/);
  return chat;
}

Deno.test({
  name: "examples/chat_client.ts shows events as they arrive, and sends typed lines",
  ignore: !hasTerminal,
  fn: async () => {
    await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
    using examples = new Examples(system.server.address[1]);
    await using chat = await chatInTerminal(examples);
    await pumpUntil(system, ([newClients]) => newClients[0]);
    for (const content of ["first", "second \x1b[2J"]) system.sendEventToClients(message(content));
    await chat.expect(/New event received: EbsocketEvent<message>\r\n"first"/);
    await chat.expect(/New event received: EbsocketEvent<message>\r\n"second \\x1b\[2J"/);

    await chat.type("Grüße 👋\r");
    const event = await pumpUntil(system, ([, newEvents]) => newEvents[0]);
    assertEquals(event.toJSON(), message("Grüße 👋").toJSON());
    await chat.type("\x04");
    await chat.expect(/Disconnected: local/);
    assertEquals((await chat.end()).code, 0);
  },
});

Deno.test({
  name: "examples/chat_client.ts ends when the server has gone or on Ctrl+C, and says why",
  ignore: !hasTerminal,
  fn: async () => {
    for (const reason of ["shutdown", "local"]) {
      const system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
      using examples = new Examples(system.server.address[1]);
      await using chat = await chatInTerminal(examples);
      await pumpUntil(system, ([newClients]) => newClients[0]);
      if (reason === "local") await chat.type("\x03");
      else system.close();
      await chat.expect(new RegExp(`Disconnected: ${reason}`));
      assertEquals((await chat.end()).code, 0);
      await system.close();
    }
  },
});

Deno.test("examples/periodic_client.ts ends when the relay has gone, and says why", async () => {
  await using relay = newRelay();
  const [, port] = relay.server.address;
  await using peer = await connect(port);
  using examples = new Examples(port);
  await using program = examples.start("periodic_client.ts");
  assertEquals((await receive(peer)).event, "tick");
  await program.expect(/^EbsocketEvent<tick> \{ count: 1, time: ".+" \}\n/);
  await relay.close();
  const { code, stdout, stderr } = await program.end();
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^Closed: shutdown; \d+ ticks, 0 of them unsent$/m);
});

Deno.test({
  name: "examples/periodic_client.ts has sent every tick when SIGINT has ended it",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using relay = newRelay();
    const [, port] = relay.server.address;
    await using peer = await connect(port);
    using examples = new Examples(port);
    await using program = examples.start("periodic_client.ts", { args: ["1"] });
    await program.expect(/count: 20,/);
    program.kill("SIGINT");
    const { code, stdout, stderr } = await program.end();
    assertEquals(code, 0, stderr);
    const [, count] = /^Closed: local; (\d+) ticks, 0 of them unsent$/m.exec(stdout) ?? [];

    await relay.close();
    const events = await soon(Array.fromAsync(peer), () => "the end of the connection");
    const counts = events.map((event) => event.getAttribute("count"));
    assertEquals(counts, Array.from({ length: Number(count) }, (_, index) => index + 1));
  },
});

Deno.test("examples/typed_client.ts tells events apart and says why the connection ended", async () => {
  await using relay = newRelay();
  const [, port] = relay.server.address;
  await using peer = await connect(port);
  using examples = new Examples(port);
  await using program = examples.start("typed_client.ts");
  for (const name of ["hello", "reading"]) assertEquals((await receive(peer)).event, name);
  peer.sendEvent(new EbsocketEvent("unknown"));
  peer.sendEvent(new EbsocketEvent("reading", { station: "Rome", celsius: 20 }));
  await program.expect(/^"Rome": 20 °C, 68 °F\n/m);
  await relay.close();
  const { code, stdout, stderr } = await program.end();
  assertEquals(code, 0, stderr);
  assertEquals(stdout.split("\n"), [
    '"Oslo" is on the air',
    '"Oslo": -4.5 °C, 23.9 °F',
    '"Rome": 20 °C, 68 °F',
    "Closed: shutdown",
    "",
  ]);
});

needingTest(
  "examples/cluster.ts starts a cluster, spreads clients over it, and ends it on Ctrl+C",
  [NATS_SERVER, program("haproxy", ["-v"])],
  async () => {
    const port = freePorts(3);
    using examples = new Examples(port);
    await using cluster = examples.start("cluster.ts");
    for (let i = 0; i < 2; i++) await cluster.expect(/^Relay listening on /m);
    await using clients = new AsyncDisposableStack();
    const byRelay = new Map<string, EbsocketClient>();
    await eventually(async () => { // haproxy notices within seconds that a relay is up.
      const client = await connect(port);
      clients.defer(() => client.close());
      await client.subscribe(["message"]);
      byRelay.set(client.id!.split(".")[0]!, client);
      assertEquals(byRelay.size, 2);
    });
    const [one, other] = [...byRelay.values()];
    await one!.sendEvent(message("hi"));
    assertEquals((await receive(other!)).getAttribute("content"), "hi");
    cluster.kill("SIGINT");
    const { code, stdout } = await cluster.end();
    assertEquals(code, 0, stdout);
  },
);

Deno.test("examples/framing_only.ts counts the events of a file by name", async () => {
  using examples = new Examples(0);
  await using program = examples.start("framing_only.ts");
  const { code, stdout, stderr } = await program.end();
  assertEquals(code, 0, stderr);
  assertEquals(stdout, "1 join\n3 message\n1 move\n1 idle\n");
});

Deno.test({
  name: "examples/python_client.py sends a message and prints the events that come",
  ignore: !hasPython,
  fn: async () => {
    await using relay = newRelay();
    const [, port] = relay.server.address;
    await using peer = await connect(port);
    using examples = new Examples(port);
    await using program = examples.start("python_client.py");
    const { code, stdout, stderr } = await program.end();
    assertEquals(code, 0, stderr);
    assertEquals(stdout, "event: 'message' {'content': 'hello'}\n");
    assertEquals((await receive(peer)).toJSON(), message("hello").toJSON());
  },
});

Deno.test({
  name: "examples/python_client.py prints the reason of a close line",
  ignore: !hasPython,
  fn: async () => {
    await using relay = newRelay();
    const [, port] = relay.server.address;
    await using peer = await connect(port);
    using examples = new Examples(port);
    await using program = examples.start("python_client.py", { args: ["Grüße\u2028👋", "2"] });
    const event = await receive(peer);
    assertEquals(event.toJSON(), message("Grüße\u2028👋").toJSON());
    await relay.close();
    const { code, stdout, stderr } = await program.end();
    assertEquals(code, 0, stderr);
    assertEquals(stdout, "event: 'message' {'content': 'Grüße\\u2028👋'}\nclosed: shutdown\n");
  },
});

Deno.test({
  name: "examples/python_client.py puts lines together that come in pieces",
  ignore: !hasPython,
  fn: async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    using examples = new Examples(listener.addr.port);
    await using program = examples.start("python_client.py", { args: ["hello", "2"] });
    using conn = await soon(listener.accept(), () => "a connection");
    conn.setNoDelay();
    const lines = '\n{"event":"a","__dict__":{"b":"\u2028é"}}\r\n{"control":"?"}\n{"event":"c"}\n';
    for (const byte of utf8(lines)) await conn.write(new Uint8Array([byte]));
    const { code, stdout, stderr } = await program.end();
    assertEquals(code, 0, stderr);
    assertEquals(stdout, "event: 'a' {'b': '\\u2028é'}\nevent: 'c' {}\n");
  },
});
