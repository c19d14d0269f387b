// WebSockets of other people's libraries and of browsers, which talk with a relay.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertObjectMatch } from "@std/assert/object-match";
import type { CloseInfo } from "../../errors.ts";
import type { RelayOptions } from "../../relay.ts";
import { FOREIGN_KINDS } from "../support/foreign_kinds.ts";
import { needingTest, NpmPackage, program } from "../support/needs.ts";
import { Program } from "../support/process.ts";
import { join, newRelay } from "../support/relay.ts";
import { until } from "../support/waiting.ts";

/** A relay that browsers may use, with the ends of its clients. */
function newWebRelay(options: RelayOptions = {}) {
  const ends: CloseInfo[] = [];
  const relay = newRelay({
    web: {},
    ...options,
    observer: {
      // Chromium opens connections in advance that it then does not use.
      onLeave: ({ transport }, info) => void (transport === "websocket" && ends.push(info)),
    },
  });
  const address = `127.0.0.1:${relay.server.address[1]}/`;
  return { relay, ends, page: `http://${address}`, url: `ws://${address}ws` };
}

/** An event whose line has so many bytes, apart from its line end. */
function lineOf(length: number, name = "peer.long"): string {
  const [before, after] = [`{"event":"${name}","__dict__":{"x":"`, '"}}'];
  return `${before}${"x".repeat(length - before.length - after.length)}${after}`;
}

/** Lengths around those at which a frame gets a longer head, up to the limit of a line. */
const LENGTHS = [60, 125, 126, 127, 65_535, 65_536, 1_048_575];

for (const kind of FOREIGN_KINDS) {
  needingTest(`${kind.name} talks with a relay`, kind.needs, async (t) => {
    const { relay, ends, page, url } = newWebRelay({ keepAliveInterval: 600 });
    await using _relay = relay;
    await using socket = await kind.start(page);
    await using tcp = await join(relay);
    const webSocket = () => relay.clients.findLast(({ transport }) => transport === "websocket");

    await t.step("is welcomed", async () => {
      await socket.open(url);
      await socket.send('{"control":"hello"}');
      await socket.sees(({ messages }) => messages.length === 1);
      assertObjectMatch(JSON.parse(socket.messages[0]!), { control: "welcome" });
      assert(webSocket());
    });

    await t.step("subscribes", async () => {
      await socket.send('{"control":"subscribe","events":["peer.*"],"id":"1"}');
      await socket.sees(({ messages }) => messages.length === 2);
      assertObjectMatch(JSON.parse(socket.messages[1]!), { control: "ack", id: "1" });
    });

    await t.step("receives events of any length as they were sent", async () => {
      const lines = LENGTHS.map((length) => lineOf(length));
      await tcp.send(['{"event":"other"}', ...lines, ""].join("\n"));
      await socket.sees(({ messages }) => messages.length === 2 + lines.length);
      for (const [i, line] of lines.entries()) {
        assert(socket.messages[2 + i] === line, `the line of ${line.length} bytes is another one`);
      }
    });

    await t.step("sends several lines in one message, without the last line end", async () => {
      const lines = [
        '{"event":"a"}',
        '{"event":"b","__dict__":{"x":"grüß dich 👋"}}',
        '{"event":"c"}',
      ];
      await socket.send(lines.join("\n"));
      await tcp.sees(`${lines.join("\n")}\n`);
    });

    await t.step("sends events of any length", async () => {
      for (const length of LENGTHS) {
        const line = lineOf(length, "back");
        await socket.send(line);
        await tcp.sees(`\n${line}\n`);
      }
    });

    await t.step("answers the Pings of the relay", async () => {
      const { bytesIn } = webSocket()!;
      await until(() => webSocket()!.bytesIn >= bytesIn + 2 * EMPTY_PONG);
      if (kind.seesPings) await socket.sees(({ pings }) => pings.length >= 2);
      assertEquals(ends, []);
    });

    if (kind.canPing) {
      await t.step("gets answers to its Pings", async () => {
        await socket.ping("one");
        await socket.ping("two");
        await socket.sees(({ pongs }) => pongs.includes("two"));
      });
    }

    await t.step("closes the connection", async () => {
      await socket.close(4000, "bye");
      await socket.sees(({ closed }) => closed !== null);
      assertEquals(socket.closed, { code: 1000, reason: "eof", isClean: true });
      await until(() => ends.length === 1);
      assertObjectMatch(ends[0]!, { reason: "eof", detail: "WebSocket close code 4000" });
    });

    await t.step("is told of its bad line", async () => {
      await socket.open(url);
      await socket.send('{"event":"a"}\nbad');
      await socket.sees(({ closed }) => closed !== null);
      const [event, close] = socket.messages;
      assertEquals(event, '{"event":"a"}');
      assertObjectMatch(JSON.parse(close!), { control: "close", reason: "bad-json" });
      assertEquals(socket.closed, { code: 1003, reason: "bad-json", isClean: true });
    });

    await t.step("is told of the relay's end", async () => {
      await socket.open(url);
      await socket.send('{"event":"a"}');
      await socket.sees(({ messages }) => messages.length === 1);
      tcp.close(); // The relay would wait for it, because it does not end by itself.
      await relay.close();
      await socket.sees(({ closed }) => closed !== null);
      assertEquals(socket.closed, { code: 1001, reason: "shutdown", isClean: true });
    });
  });
}

const wscat = new NpmPackage("wscat");

needingTest("wscat shows events, and sends what is typed", [wscat, program("node")], async () => {
  const { relay, url } = newWebRelay();
  await using _relay = relay;
  await using tcp = await join(relay);
  await using terminal = new Program(wscat.program, ["-c", url]);
  await until(() => relay.clients.length === 2);
  await tcp.send('{"event":"a"}\n');
  await terminal.expect(/\{"event":"a"\}\n/);
  await terminal.type('{"event":"b","__dict__":{"x":"typed"}}\n');
  await tcp.sees('{"event":"b","__dict__":{"x":"typed"}}\n');
  tcp.close();
  await relay.close();
  assertEquals((await terminal.end()).code, 0);
});

/** The bytes of a Pong without a payload. */
const EMPTY_PONG = 6;
