import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertNotEquals } from "@std/assert/not-equals";
import fc from "fast-check";
import { assertNoDearer } from "../support/collisions.ts";
import { A, B, setUp, texts } from "../support/ingress.ts";
import { pretendWritesTake } from "../support/turns.ts";
import { until } from "../support/waiting.ts";

Deno.test("Router sends an addressed event to that client alone, whatever its subscriptions", () => {
  const { clients, router, subscribe, take } = setUp(4);
  subscribe(clients[1]!, []);
  take(`${A}{"event":"b","to":"c2"}\n{"event":"b","to":"c3"}\n${B}`);
  const [from2, from3] = ["c2", "c3"].map((to) => `{"from":"c1","event":"b","to":"${to}"}\n`);
  assertEquals(texts(clients), ["", from2, A + from3 + B, A + B]);
  take('{"event":"b","to":"c9"}\n{"event":"b","to":"2"}\n{"event":"b","to":"c1"}\n');
  assertEquals(router.eventsUnheard, 3);
});

Deno.test("Router reports the number of recipients to the sender, and does not send a request back to it", () => {
  const { clients, subscribe, take } = setUp(4, { echo: true });
  subscribe(clients[2]!, ["a"]);
  subscribe(clients[3]!, ["b"], "q");
  const told = (line: string) => {
    const before = clients[0]!.recipient.text.length;
    take(line + "\n");
    return clients[0]!.recipient.text.slice(before).split("\n").filter((text) =>
      text.includes("control")
    ).map((text) => JSON.parse(text)).map(({ id, clients }) => [id, clients]);
  };
  assertEquals(told('{"event":"a","ack":"1"}'), [["1", 3]]);
  assertEquals(told('{"event":"b","ack":"2"}'), [["2", 3]]);
  assertEquals(told('{"event":"a","ack":"3","to":"c4"}'), [["3", 1]]);
  assertEquals(told('{"event":"a","ack":"4","to":"c9"}'), [["4", 0]]);
  assertEquals(told('{"event":"a","ack":"5","to":"c1"}'), [["5", 1]]);
  assertEquals(told('{"event":"a","id":"6"}'), []);
  assertEquals(told('{"event":"a","id":"7","to":"c9"}'), [["7", 0]]);
  assertEquals(told('{"event":"a","id":"8","ack":"9","to":"c9"}'), [["9", 0], ["8", 0]]);
  clients[1]!.recipient.open = false;
  assertEquals(told('{"event":"a","ack":"10"}'), [["10", 2]]);
});

Deno.test("Router does not send a request back to its sender, and reports no recipient if there is no other", () => {
  const { clients, take } = setUp(1, { echo: true });
  take(`${A}{"event":"a","id":"r"}\n${B}`);
  assertEquals(texts(clients), [A + B + '{"control":"ack","id":"r","clients":0}\n']);
});

Deno.test("Router sends an event to one member of each queue, and to no client twice", () => {
  const { clients, subscribe, take } = setUp(5);
  subscribe(clients[1]!, ["job.*"], "q");
  subscribe(clients[2]!, ["job.>"], "q");
  subscribe(clients[3]!, ["job.>", "job.1"], "p");
  subscribe(clients[4]!, ["job.1"], "p");
  subscribe(clients[4]!, ["job.1"]);
  const line = '{"event":"job.1"}\n';
  take(line.repeat(10));
  assertEquals(texts(clients), [
    "",
    line.repeat(5),
    line.repeat(5),
    line.repeat(5),
    line.repeat(10),
  ]);
});

Deno.test("Router goes round the members of a queue for every name, while members come and go", () => {
  const { clients, subscribe, take } = setUp(4);
  subscribe(clients[1]!, ["*"], "q");
  subscribe(clients[2]!, ["*"], "q");
  for (let i = 0; i < 10; i++) {
    take(A + B);
    subscribe(clients[3]!, ["c", "d"].slice(0, i % 3)); // and with that, all routes are looked up again
  }
  const [one, two] = texts(clients.slice(1));
  for (const text of [one!, two!]) {
    assertEquals([A, B].map((line) => text.split(line).length - 1), [5, 5]);
  }
});

Deno.test("Router sends a queue's events to other members while one lags or has left", () => {
  const { clients, router, subscribe, take } = setUp(4);
  for (const client of clients.slice(1)) subscribe(client, ["*"], "q");
  clients[1]!.recipient.pendingBytes = 1;
  take(A.repeat(4));
  assertEquals(texts(clients), ["", "", A + A, A + A]);
  router.close(clients[2]!);
  clients[3]!.recipient.open = false;
  take(A.repeat(2));
  assertEquals(texts(clients), ["", A + A, A + A, A + A]);
  subscribe(clients[1]!, [], "q");
  router.change(
    clients[1]!,
    clients[1]!.subscriptions.after({
      control: "unsubscribe",
      events: ["*"],
      queue: "q",
    }),
    false,
  );
  take(A);
  assertEquals(clients[1]!.recipient.text, A + A);
  assertEquals(router.eventsUnheard, 1);
});

Deno.test("Router skips the sender within a queue if it does not receive its own events", () => {
  const { clients, subscribe, take } = setUp(2);
  for (const client of clients) subscribe(client, ["*"], "q");
  take(A.repeat(4));
  assertEquals(texts(clients), ["", A.repeat(4)]);
});

Deno.test("Router ignores the subscriptions of a client that has left", () => {
  const { clients: [one, two], router, subscribe, take } = setUp(2);
  router.close(two!);
  subscribe(two!, ["a"]);
  assert(router.isIdle);
  take(A, two!);
  assertEquals(one!.recipient.text, A);
  take(A);
  assertEquals(two!.recipient.text, "");
  assertEquals(router.eventsUnheard, 1);
});

Deno.test("Router sends each client its lines in order, also gathered ones", () => {
  const line = fc.record({
    source: fc.nat(3),
    name: fc.constantFrom("a", "b"),
    to: fc.option(fc.constantFrom("c1", "c2", "c3"), { nil: undefined }),
    isRequest: fc.boolean(),
    isLast: fc.boolean(),
    hasMore: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(line, { maxLength: 40 }), fc.boolean(), (lines, echo) => {
    const { clients, router, subscribe, take } = setUp(4, { echo });
    subscribe(clients[0]!, ["a"]);
    subscribe(clients[1]!, ["a"]);
    const expected = clients.map(() => "");
    lines.forEach(({ source, name, to, isRequest, hasMore }, n) => {
      const text = JSON.stringify({ event: name, to, id: isRequest ? "r" : undefined, n }) + "\n";
      take(text, clients[source], hasMore);
      const isSigned = to !== undefined || isRequest;
      const received = isSigned ? `{"from":"c${source + 1}",${text.slice(1)}` : text;
      clients.forEach((_, i) => {
        if (i === source && (!echo || isRequest)) return;
        const hears = to === undefined ? i > 1 || name === "a" : to === `c${i + 1}`;
        if (hears) expected[i] += received;
      });
    });
    router.flush();
    const heard = texts(clients).map((text) => text.replaceAll(/\{"control".*\n/g, ""));
    assertEquals(heard, expected);
  }));
});

Deno.test("Router gathers nothing while all clients receive everything", () => {
  const { clients, router, subscribe, take } = setUp(3);
  take(A, clients[0], true);
  assertEquals(texts(clients), ["", A, A]);
  subscribe(clients[2]!, ["a"]);
  take(A, clients[0], true);
  assertEquals(texts(clients), ["", A, A]);
  router.flush();
  assertEquals(texts(clients), ["", A + A, A + A]);
});

Deno.test("Router sends others few pieces, however a client mixes requests and events", () => {
  const { clients, subscribe, take } = setUp(3, { echo: true });
  const request = '{"event":"a","id":"r"}\n';
  const signed = '{"from":"c1","event":"a","id":"r"}\n';
  take(`${A}${request}`.repeat(100) + A);
  const all = `${A}${signed}`.repeat(100) + A;
  assertEquals(texts(clients), [A.repeat(101), all, all]);
  assertEquals([1, 2].map((i) => clients[i]!.recipient.pieces.length), [1, 1]);
  subscribe(clients[0]!, ["a"]);
  subscribe(clients[1]!, ["a"]);
  take(`${B}${request}${A}{"event":"a","to":"c1"}\n`.repeat(50));
  assertEquals([1, 2].map((i) => clients[i]!.recipient.pieces.length), [2, 2]);
});

Deno.test("Router is as fast with ids that look like integers", () => {
  const { router, take } = setUp(2);
  let count = 0;
  assertNoDearer(20_000, (ids) => {
    count += ids.length;
    take(ids.map((id) => `{"event":"a","to":"${id}"}\n`).join(""));
  });
  assertEquals(router.eventsUnheard, count);
});

Deno.test("Router gathers events, but sends requests at once to those that may answer", async () => {
  const { clients, subscribe, take } = setUp(40);
  const [sender, hearer, service] = clients;
  subscribe(service!, ["ask"]);
  const text = (client: typeof hearer) => client!.recipient.text;
  pretendWritesTake(10);
  for (let i = 0; i < 4; i++) take(A);
  const before = text(hearer);
  assertNotEquals(before, A.repeat(4));

  const ask = '{"from":"c1","event":"ask","id":"1"}\n';
  take('{"event":"ask","id":"1"}\n');
  assertEquals(text(service), ask);
  assertEquals(text(hearer), before);
  take('{"event":"who","id":"2"}\n');
  const all = `${A.repeat(4)}${ask}{"from":"c1","event":"who","id":"2"}\n`;
  assertEquals(text(hearer), all);

  // A receipt waits for its event, and comes with it.
  take('{"event":"b","ack":"3"}\n');
  assertEquals(text(hearer), all);
  assertEquals(text(sender), "");
  await until(() => text(sender) === '{"control":"ack","id":"3","clients":38}\n');
  assertEquals(text(hearer), `${all}{"event":"b","ack":"3"}\n`);
  pretendWritesTake(0.006);
});
