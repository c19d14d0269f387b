import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { StartError } from "../../cli/errors.ts";
import { Publisher, type PublisherOptions } from "../../cli/publisher.ts";
import { testRelay } from "../../testing.ts";
import { FakeServer, type FakeSession, type WelcomeMembers } from "../support/fake_server.ts";

const RELAY = { ack: true, features: ["subscribe", "ack"] };

const line = (text: string) => new TextEncoder().encode(`${text}\n`);

/** A publisher at a server that says `welcome`. */
async function open(
  welcome: WelcomeMembers,
  options: Partial<PublisherOptions> = {},
  stop = new AbortController(),
) {
  const server = new FakeServer(welcome);
  const said: string[] = [];
  const publisher = await Publisher.open(
    server.address,
    { onRefused: (text) => said.push(text), ...options },
    { signal: stop.signal },
  );
  return { server, session: await server.session(), publisher, said };
}

/** The next line that is not empty. */
async function next(session: FakeSession): Promise<string | null> {
  for (;;) {
    const line = await session.line();
    if (line !== "") return line;
  }
}

Deno.test("Publisher.finish() waits until the relay has taken all", async () => {
  await using relay = testRelay();
  const client = await relay.connect();
  await using publisher = await Publisher.open(
    relay.address,
    { onRefused() {} },
    { signal: new AbortController().signal },
  );
  await publisher.send([line('{"event":"a"}'), line('{"event":"b"}')]);
  await publisher.send([line('{"event":"c"}')]);
  await publisher.finish();
  assertEquals([publisher.sent, publisher.taken, publisher.refused], [3, 3, 0]);
  for (const name of ["a", "b", "c"]) assertEquals((await client.recvEvent())?.event, name);
});

Deno.test("Publisher sends lines as they are, and asks to hear nothing", async () => {
  const { server, session, publisher } = await open(RELAY);
  await using _ = server;
  assertEquals(JSON.parse((await next(session))!), { control: "subscribe", events: [] });
  const text = ' { "event" : "a", "id":"r1", "__dict__" : {"n":1.00} }';
  await publisher.send([line(text)]);
  assertEquals(await next(session), text);
  await session.ack(1);
  await publisher.finish();
  await publisher[Symbol.asyncDispose]();
  assertEquals(await next(session), null);
});

Deno.test("Publisher puts into the envelope what is asked for, in place of what is there", async () => {
  const reached: [string, number][] = [];
  const { server, session, publisher } = await open(RELAY, {
    to: 'c"7',
    onReached: (name, clients) => reached.push([name, clients]),
  });
  await using _ = server;
  await next(session);
  await publisher.send([
    line('{"event":"a"}'),
    line('{"to":"x","event":"b\\n","ack":"y","id":"z"}'),
  ]);
  assertEquals(await next(session), '{"to":"c\\"7","ack":"e1","event":"a"}');
  assertEquals(await next(session), '{"to":"c\\"7","ack":"e2","event":"b\\n","id":"z"}');
  await session.ack(2);
  const finishing = publisher.finish();
  await session.send({ control: "ack", id: "e1", clients: 1 });
  await session.send({ control: "ack", id: "of another", clients: 9 });
  await session.send({ control: "ack", id: "e2", clients: 0 });
  await finishing;
  assertEquals(reached, [["a", 1], ["b\n", 0]]);
  await publisher[Symbol.asyncDispose]();
});

Deno.test("Publisher tells of events that the relay refuses", async () => {
  const { server, session, publisher, said } = await open(RELAY, { onReached() {} });
  await using _ = server;
  await publisher.send([line('{"event":"a"}')]);
  await session.send({
    control: "error",
    id: "e1",
    reason: "bad-attributes",
    detail: "x\x1b",
  });
  await session.ack(1);
  await publisher.finish();
  assertEquals(said, ['The relay refuses "a": bad-attributes: x\\u001b']);
  assertEquals(publisher.refused, 1);
  await publisher[Symbol.asyncDispose]();
});

Deno.test("Publisher.finish() says how many were taken when the connection ends before", async () => {
  const { server, session, publisher } = await open(RELAY);
  await using _ = server;
  await publisher.send([line('{"event":"a"}'), line('{"event":"b"}')]);
  await session.ack(1);
  await session.close("shutdown");
  const { message } = await assertRejects(() => publisher.finish(), StartError);
  assertEquals(
    message,
    `The connection to 127.0.0.1:${server.address[1]} ended with shutdown: ` +
      "it accepted 1 of 2 events",
  );
  await assertRejects(() => publisher.send([line('{"event":"c"}')]), StartError);
  await publisher[Symbol.asyncDispose]();
});

Deno.test("Publisher does not claim what a server does not say", async () => {
  const { server, publisher } = await open({});
  await using _ = server;
  await publisher.send([line('{"event":"a"}')]);
  await assertRejects(() => publisher.finish(), StartError, "may not have arrived");
  await publisher[Symbol.asyncDispose]();
  for (
    const [options, name] of [[{ to: "c1" }, "--to"], [{ onReached() {} }, "--confirm"]] as const
  ) {
    await assertRejects(
      () =>
        Publisher.open(
          server.address,
          { onRefused() {}, ...options },
          { signal: new AbortController().signal },
        ),
      StartError,
      `Cannot use ${name}`,
    );
  }
});

Deno.test("Publisher.send() refuses a line that is longer than the relay takes", async () => {
  const { server, publisher } = await open({ ...RELAY, limits: { max_line_bytes: 20 } });
  await using _ = server;
  const long = line(`{"event":"${"x".repeat(9)}"}`);
  const { message } = await assertRejects(() => publisher.send([long]), StartError);
  assertEquals(message, "Cannot send an event of 21 bytes: the relay accepts at most 20");
  await publisher[Symbol.asyncDispose]();
});

Deno.test("Publisher gives up when its signal is aborted", async () => {
  const stop = new AbortController();
  const { server, publisher } = await open(RELAY, {}, stop);
  await using _ = server;
  await publisher.send([line('{"event":"a"}')]);
  const finishing = publisher.finish();
  const reason = new Error("Stopped");
  stop.abort(reason);
  assertEquals(await assertRejects(() => finishing), reason);
  await publisher[Symbol.asyncDispose]();
});

Deno.test("Publisher.send() waits for receipts when too many have yet to come", async () => {
  let reached = 0;
  const { server, session, publisher } = await open(RELAY, { onReached: () => reached++ });
  await using _ = server;
  const count = 10_001;
  let hasRoom = false;
  const sending = publisher.send(Array(count).fill(line('{"event":"a"}')))
    .then(() => hasRoom = true);
  await next(session);
  await session.events(count);
  assertEquals(hasRoom, false);
  await session.send({ control: "ack", id: "e1", clients: 1 });
  await sending;
  assertEquals(reached, 1);
  await session.close();
  await publisher[Symbol.asyncDispose]();
});
