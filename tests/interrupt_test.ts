/**
 * Ctrl+C in the programs of README and docs: never a stack trace, and a program with a handler ends
 * in order.
 */

import { assertEquals } from "@std/assert/equals";
import type { EbsocketClient } from "../client.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { testRelay } from "../testing.ts";
import { Document } from "./support/document.ts";
import { FakeServer } from "./support/fake_server.ts";
import { freePort } from "./support/free_port.ts";
import { Peer } from "./support/peer.ts";
import type { Program } from "./support/process.ts";
import { eventually, soon, until } from "./support/waiting.ts";

/** The end of an interrupted program: in order, or by the signal. */
type Ending = "ends" | "is killed";

/** The clients that run until they are interrupted, by document. */
const CLIENTS: Record<string, Record<string, Ending>> = {
  "README.md": {
    "hello.ts": "ends",
    "subscriber.ts": "ends",
    "service.ts": "ends",
  },
  "docs/chat.md": { "chat.ts": "ends" },
  "docs/devices.md": { "watch.ts": "is killed" },
  "docs/binary.md": { "viewer.ts": "is killed" },
  "docs/leaving.md": { "leaving.ts": "ends" },
  "docs/reconnecting.md": { "steady.ts": "ends" },
  "docs/requests.md": { "clock.ts": "ends" },
  "docs/typed_events.md": { "typed.ts": "is killed", "checked.ts": "is killed" },
  "docs/work_queue.md": { "worker.ts": "ends", "boss.ts": "is killed" },
};

/** The servers, by document, and the output of each for a new client. */
const SERVERS: Record<string, Record<string, RegExp>> = {
  "README.md": { "chat_server.ts": /has connected/ },
  "docs/servers.md": { "echo_server.ts": /has come/, "embedded.ts": /Relaying/ },
};

/** Programs that end by themselves, modules, and those that need two relays or one with a history. */
const OTHERS = [
  "asker.ts",
  "ask.ts",
  "camera.ts",
  "client.ts",
  "dashboard.ts",
  "events.ts",
  "forward.ts",
  "greeter.ts",
  "greeter_test.ts",
  "past.ts",
  "start.ts",
  "states.ts",
  "sums.ts",
  "sums_test.ts",
  "token.ts",
];

/** Event names that one of the clients handles. */
const NAMES = [
  "message",
  "chat.lobby",
  "game.move.left",
  "sensor.cellar",
  "time.now",
  "jobs.resize",
  "camera.frame",
];

const ignore = Deno.build.os === "windows";

/** Interrupts a program, and checks its end. */
async function interrupt(program: Program, name: string, ending: Ending): Promise<void> {
  program.kill("SIGINT");
  const { code, stderr } = await program.end();
  assertEquals(stderr, "", name);
  assertEquals(code === 0 ? "ends" : "is killed", ending, `${name}: ${code}`);
}

Deno.test("the tests of Ctrl+C cover each program of README and docs", async () => {
  const pages = [...Deno.readDirSync(`${import.meta.dirname}/../docs`)].map(({ name }) =>
    `docs/${name}`
  );
  for (const path of ["README.md", ...pages]) {
    using document = await Document.open(path, 7982);
    const clients = Object.keys(CLIENTS[path] ?? {});
    const known = [...clients, ...Object.keys(SERVERS[path] ?? {}), ...OTHERS];
    assertEquals(document.programs.filter((name) => !known.includes(name)), [], path);
  }
});

for (const [path, clients] of Object.entries(CLIENTS)) {
  Deno.test({
    name: `${path}: Ctrl+C while a client connects, when it is idle, and when it is busy`,
    ignore,
    async fn() {
      for (const [name, ending] of Object.entries(clients)) {
        const run = (document: Document) => document.run(name);
        {
          await using silent = new FakeServer(null);
          using document = await Document.open(path, silent.address[1]);
          await using program = run(document);
          await until(() => silent.accepted === 1);
          await interrupt(program, `${name} while it connects`, ending);
        }
        await using relay = testRelay();
        using document = await Document.open(path, relay.address[1]);
        const client = await relay.connect();
        await client.subscribe([]);
        const joins = () => until(() => relay.relay.clients.length === 2);
        {
          await using program = run(document);
          await joins();
          await interrupt(program, `${name} when it is idle`, ending);
        }
        await until(() => relay.relay.clients.length === 1);
        await using program = run(document);
        await joins();
        const { asked, done } = makeBusy(client, () => relay.relay.clients.length === 2);
        await until(() => asked() > 100);
        await interrupt(program, `${name} when it is busy`, ending);
        await soon(done, "the end of the noise");
      }
    },
  });
}

/** Sends events and requests while `isGoing`, as fast as the recipients handle them. */
function makeBusy(client: EbsocketClient, isGoing: () => boolean) {
  let count = 0;
  const send = async () => {
    for (; isGoing(); count++) {
      const event = new EbsocketEvent(NAMES[count % NAMES.length]!, { content: "hi", celsius: 20 });
      await client.sendEvent(event, { confirm: true });
    }
  };
  const ask = async () => {
    for (; isGoing(); count++) {
      const event = new EbsocketEvent(NAMES[count % NAMES.length]!, { file: "a" });
      // Most of them get no reply.
      await client.request(event, { timeout: 50 }).catch(() => {});
    }
  };
  const done = Promise.all([send(), send(), ask(), ask(), ask(), ask()]);
  return { asked: () => count, done };
}

for (const [path, servers] of Object.entries(SERVERS)) {
  Deno.test({
    name: `${path}: Ctrl+C in a server when it is idle, and when it is busy`,
    ignore,
    async fn() {
      for (const [name, sign] of Object.entries(servers)) {
        for (const isBusy of [false, true]) {
          const port = freePort();
          using document = await Document.open(path, port);
          await using program = document.run(name);
          const peer = await eventually(() => Peer.connect(["127.0.0.1", port]));
          await program.expect(sign);
          const line = '{"event":"message","__dict__":{"content":"hi"}}\n';
          const sending = isBusy && peer.send(line.repeat(20_000)).catch(() => {}); // It may be cut off.
          await interrupt(program, `${name}, ${isBusy ? "busy" : "idle"}`, "ends");
          await sending;
          await peer[Symbol.asyncDispose]();
        }
      }
    },
  });
}
