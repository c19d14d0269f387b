import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { StartError } from "../../cli/errors.ts";
import { type Question, Requester } from "../../cli/requester.ts";
import { FEATURES, said } from "../support/fake_relay.ts";
import { FakeServer, type FakeSession, type WelcomeMembers } from "../support/fake_server.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const { signal } = new AbortController();

/** A requester, its end of a fake relay, and what both have heard; all of it ends together. */
async function requesterAt(welcome: WelcomeMembers, answers: string[]) {
  const server = new FakeServer(welcome);
  const requester = await Requester.open(server.address, { signal });
  const session = await server.session();
  const ask = (more: Partial<Question> = {}) =>
    requester.ask({
      name: "time.now",
      line: encoder.encode('{"event":"time.now"}\n'),
      count: 1,
      timeout: 60_000,
      onAnswer: (line) => answers.push(decoder.decode(line)),
      signal,
      ...more,
    });
  return {
    session,
    ask,
    async [Symbol.asyncDispose](): Promise<void> {
      await server[Symbol.asyncDispose]();
      await requester[Symbol.asyncDispose]();
    },
  };
}

/** The line of the request, behind which everything else is said. */
async function requestLine(session: FakeSession): Promise<string> {
  assertEquals((await said(session)).events, []);
  return (await session.line())!;
}

/** The id of the request. */
async function requestId(session: FakeSession): Promise<string> {
  return JSON.parse(await requestLine(session)).id;
}

Deno.test("Requester.ask() sends the line as it is, behind an envelope, and gives answers as they came", async () => {
  const answers: string[] = [];
  await using asker = await requesterAt(FEATURES, answers);
  const asking = asker.ask({ to: "c7", count: 2 });
  const line = await requestLine(asker.session);
  const { id } = JSON.parse(line);
  assertEquals(line, `{"id":"${id}","ack":"a1","to":"c7","event":"time.now"}`);
  const answer = `{"event":"time", "reply_to":"${id}"}\n`;
  const others = '{"event":"x","reply_to":"r1"}\n{"event":"y"}\n';
  await asker.session.write(`${answer}${others}${answer}`);
  assertEquals([await asking, answers], [2, [answer, answer]]);
});

Deno.test("Requester.ask() is content with what has come when the time is up", async () => {
  const answers: string[] = [];
  await using asker = await requesterAt(FEATURES, answers);
  const asking = asker.ask({ count: 3, timeout: 500 });
  await asker.session.send({ event: "time", reply_to: await requestId(asker.session) });
  assertEquals([await asking, answers.length], [1, 1]);
});

Deno.test("Requester.ask() says why there is no answer", async () => {
  const nobody = (id: string) => ({ control: "ack", id, clients: 0 });
  const refusal = { control: "error", id: "a1", reason: "bad-attributes", detail: "zone: No" };
  const cases: [said: (id: string) => object, more: Partial<Question>, why: string][] = [
    [nobody, {}, 'No client receives "time.now": start a service '],
    [nobody, { to: "c9" }, 'No client "c9"; ebsockets top '],
    [
      () => ({ control: "ack", id: "a1", clients: 2 }),
      { timeout: 300 },
      'No answer to "time.now" within 300 ms, although 2 clients received it, perhaps only subscribers; use --timeout to wait longer',
    ],
    [() => refusal, {}, 'The relay refuses "time.now": bad-attributes: zone: No'],
  ];
  for (const [toLine, more, why] of cases) {
    await using asker = await requesterAt(FEATURES, []);
    const asking = assertRejects(() => asker.ask(more), StartError, why);
    await asker.session.send(toLine(await requestId(asker.session)));
    await asking;
  }
});

Deno.test("Requester.ask() sends nothing that the relay would not take", async () => {
  await using asker = await requesterAt({ ...FEATURES, limits: { max_line_bytes: 40 } }, []);
  await assertRejects(
    () => asker.ask(),
    StartError,
    "its 47 bytes exceed the 40 that the relay accepts",
  );
});

Deno.test("Requester.ask() gives up with the reason of its signal", async () => {
  await using asker = await requesterAt(FEATURES, []);
  const reason = new Error("Stopped");
  const stop = new AbortController();
  const asking = asker.ask({ signal: stop.signal });
  await requestLine(asker.session);
  stop.abort(reason);
  assertEquals(await assertRejects(() => asking), reason);
});

Deno.test("Requester.ask() says that the connection has ended, and why", async () => {
  await using asker = await requesterAt(FEATURES, []);
  const asking = assertRejects(() => asker.ask(), StartError, "ended with shutdown before an ans");
  await requestLine(asker.session);
  await asker.session.close("shutdown");
  await asking;
});
