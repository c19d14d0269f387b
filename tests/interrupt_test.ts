/**
 * Ctrl+C in the programs of README and guides: whatever they are doing, no stack trace, and a program
 * that has a handler for it ends by itself, and in order.
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
import { soon, until } from "./support/waiting.ts";

/** What a program does by itself after it has been interrupted: end, or be killed by the signal. */
type Ending = "ends" | "is killed";

/** The programs that are clients, and stay until they are interrupted. */
const CLIENTS: Record<string, Record<string, Ending>> = {
  "README.md": {
    "hello.ts": "ends",
    "subscriber.ts": "ends",
    "service.ts": "ends",
    "steady.ts": "ends",
    "typed.ts": "is killed",
    "checked.ts": "is killed",
  },
  "guides/chat.md": { "chat.ts": "is killed" },
  "guides/devices.md": { "watch.ts": "is killed" },
  "guides/requests.md": { "clock.ts": "ends" },
  "guides/work_queue.md": { "worker.ts": "ends", "boss.ts": "is killed" },
};

/** The servers, and what each prints once it has a client. */
const SERVERS: Record<string, RegExp> = {
  "chat_server.ts": /has connected/,
  "echo_server.ts": /has come/,
  "embedded.ts": /Relaying/,
};

/** The programs that end by themselves, and those that are none. */
const OTHERS = ["asker.ts", "ask.ts", "events.ts"];

/** The names of the events that one of the clients may do something about. */
const NAMES = [
  "message",
  "chat.lobby",
  "game.move.left",
  "sensor.cellar",
  "time.now",
  "jobs.resize",
];

const ignore = Deno.build.os === "windows";

/** Interrupts a program, and looks at how it ends. */
async function interrupt(program: Program, name: string, ending: Ending): Promise<void> {
  program.kill("SIGINT");
  const { code, stderr } = await program.end();
  assertEquals([stderr, ending, code], ["", code === 0 ? "ends" : "is killed", code], name);
}

Deno.test("Each program of README and guides has a place in the tests of Ctrl+C", async () => {
  for (const [path, clients] of Object.entries(CLIENTS)) {
    await using document = await Document.open(path, 7982);
    const known = [...Object.keys(clients), ...Object.keys(SERVERS), ...OTHERS];
    assertEquals(document.programs.filter((name) => !known.includes(name)), [], path);
  }
});

for (const [path, clients] of Object.entries(CLIENTS)) {
  Deno.test({
    name: `${path}: Ctrl+C while a client connects, when it is idle, and when it is busy`,
    ignore,
    async fn() {
      for (const [name, ending] of Object.entries(clients)) {
        const run = (document: Document) => document.run(name, [], "--no-check");
        {
          await using silent = new FakeServer(null);
          await using document = await Document.open(path, silent.address[1]);
          await using program = run(document);
          await until(() => silent.accepted === 1);
          await interrupt(program, `${name} while it connects`, ending);
        }
        await using relay = testRelay();
        await using document = await Document.open(path, relay.address[1]);
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

/** Sends and asks while `isGoing`, as fast as the relay and who answers can. */
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
      // Most of them are answered by nobody.
      await client.request(event, { timeout: 50 }).catch(() => {});
    }
  };
  const done = Promise.all([send(), send(), ask(), ask(), ask(), ask()]);
  return { asked: () => count, done };
}

Deno.test({
  name: "README.md: Ctrl+C in a server when it is idle, and when it is busy",
  ignore,
  async fn() {
    for (const [name, sign] of Object.entries(SERVERS)) {
      for (const isBusy of [false, true]) {
        const port = freePort();
        await using document = await Document.open("README.md", port);
        await using program = document.run(name, [], "--no-check");
        const peer = await connect(port);
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

/** A peer of a program that is about to listen. */
async function connect(port: number): Promise<Peer> {
  for (;;) {
    try {
      return await Peer.connect(["127.0.0.1", port]);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
