import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { StartError } from "../../cli/errors.ts";
import { Listener } from "../../cli/listener.ts";
import type { Address } from "../../protocol/address.ts";
import { FakeServer } from "../support/fake_server.ts";
import { freePort } from "../support/free_port.ts";
import { until } from "../support/waiting.ts";

/** A listener, and all that it has said. */
function listen(where: Address) {
  const names: string[] = [];
  const news: string[] = [];
  const stop = new AbortController();
  const listener = new Listener({ where, token: null, tls: null }, { patterns: [] }, {
    onEvent: ({ name }) => names.push(name),
    onNews: (text) => news.push(text),
  });
  const running = listener.run(stop.signal);
  running.catch(() => {});
  return { names, news, stop, running, listener };
}

Deno.test("Listener.run() connects again, and says so, until it is stopped", async () => {
  await using server = new FakeServer();
  const { names, news, stop, running } = listen(server.address);
  const first = await server.session();
  await first.write('{"event":"a"}\n');
  await until(() => names.length === 1);
  await first.close("shutdown");
  const second = await server.session();
  await second.write('{"event":"b"}\n');
  await until(() => names.length === 2);
  const reason = new Error("Enough");
  stop.abort(reason);
  assertEquals(await assertRejects(() => running), reason);
  assertEquals(await second.line(), null);
  assertEquals(names, ["a", "b"]);
  assertMatch(
    news.join("\n"),
    /^Listening to \S+:\d+ as c1\nLost .* \(shutdown\); reconnecting\nReconnected to .* as c2; /,
  );
});

Deno.test("Listener.run() says what the server calls it, in what no terminal acts on", async () => {
  await using server = new FakeServer({ id: "c1\x1b[2J" });
  const { news, stop, running } = listen(server.address);
  await until(() => news.length === 1);
  stop.abort();
  await running.catch(() => {});
  assertMatch(news[0]!, /^Listening to \S+:\d+ as c1\\u001b\[2J$/);
});

Deno.test("Listener.run() does not try again what cannot succeed", async () => {
  await using server = new FakeServer();
  const { running } = listen(server.address);
  const session = await server.session();
  await session.close("unauthorized", { detail: "who are you?" });
  await assertRejects(() => running, StartError, "(unauthorized: who are you?)");
  const { running: second } = listen(["127.0.0.1", freePort()]);
  await assertRejects(() => second, StartError, "is a server running there?");
});

Deno.test("Listener.pause() lets nothing more come until resume()", async () => {
  await using server = new FakeServer();
  const paused = listen(server.address);
  const pausedSession = await server.session();
  const other = listen(server.address);
  const otherSession = await server.session();
  await pausedSession.write('{"event":"a"}\n');
  await until(() => paused.names.length === 1);
  paused.listener.pause();
  const lines = `{"event":"b","__dict__":{"x":"${"x".repeat(1_000_000)}"}}\n`.repeat(16);
  const writing = pausedSession.write(lines);
  await otherSession.write(lines);
  await until(() => other.names.length === 16);
  assertEquals(paused.names, ["a"]);
  paused.listener.resume();
  await writing;
  await until(() => paused.names.length === 17);
  for (const { stop, running } of [paused, other]) {
    stop.abort(new Error("Enough"));
    await assertRejects(() => running);
  }
});
