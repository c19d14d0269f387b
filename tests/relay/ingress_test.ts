import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertLess } from "@std/assert/less";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { utf8 } from "../support/bytes.ts";
import { A, B, type Client, setUp, texts } from "../support/ingress.ts";

Deno.test("Ingress.take() returns the number of events and empty lines, and where a bad line begins", () => {
  const { controls, take } = setUp(1);
  assertEquals(take(`${A}\n{"control":"x"}\n${B}`), {
    events: 2,
    empty: 1,
    end: 45,
    isBad: false,
  });
  assertEquals(take(`${A}bad\n${B}`), {
    events: 1,
    empty: 0,
    end: A.length,
    isBad: true,
  });
  assertEquals(controls, ["x"]);
});

Deno.test("Ingress.take() stops within a block when its time is up, and goes on from there", () => {
  const { clients, ingress, subscribe, controls } = setUp(2);
  subscribe(clients[1]!, ["a"]);
  const block = utf8(A.repeat(100));
  const { end, isBad, events } = ingress.take(clients[0]!, block, false, () => true);
  assertFalse(isBad);
  assertEquals(end, events * A.length);
  assertLess(events, 100);
  ingress.take(clients[0]!, block.subarray(end), false, () => false);
  assertEquals(clients[1]!.recipient.text, A.repeat(100));

  const wish = '{"control":"x"}\n';
  assertEquals(ingress.take(clients[0]!, utf8(wish + wish), false, () => true).end, wish.length);
  assertEquals(controls, ["x"]);
});

Deno.test("Ingress.take() never stops within lines that it passes on together", () => {
  const { clients, ingress } = setUp(2);
  const block = utf8(A.repeat(1000));
  assertEquals(ingress.take(clients[0]!, block, false, () => true).end, block.length);
});

Deno.test("Ingress passes a whole block on unchanged while no client has requested anything", () => {
  const { clients: [, two, three], take, ingress, clients } = setUp(3);
  const block = utf8(A + B);
  ingress.take(clients[0]!, block, false);
  assertStrictEquals(two!.recipient.pieces[0], block);
  assertStrictEquals(three!.recipient.pieces[0], block);
  take(`${A}\n${B}{"control":"x"}\n${A}\r\n`);
  assertEquals(two!.recipient.text, A + B + A + B + A);
  assertEquals(two!.recipient.pieces.length, 2);
});

Deno.test("Ingress drops the CR before the end of a line, wherever the line goes", () => {
  const { clients: [, two, three], subscribe, take } = setUp(3);
  subscribe(three!, ["a"]);
  take('{"event":"a"}\r\n{"event":"a","to":"c3"}\r\n{"event":"b"}\r\n');
  assertEquals(two!.recipient.text, A + B);
  assertEquals(three!.recipient.text, `${A}{"from":"c1","event":"a","to":"c3"}\n`);
});

Deno.test("Ingress applies a subscription between two lines of a block", () => {
  const { clients, take } = setUp(1, { echo: true });
  take(`${A}${B}{"control":"narrow"}\n${B}${A}${B}`);
  assertEquals(texts(clients), [A + B + A]);
});

/** What a client wrote, and what another gets of it, from client 1. */
const ENVELOPES: [sent: string, received: string][] = [
  ['{"event":"a","from":"c9"}', '{"event":"a"}'],
  ['{"from":"c9","event":"a"}', '{"event":"a"}'],
  ['{"seq":7,"event":"a","from":{"x":[1,"}"]}}', '{"event":"a"}'],
  ['{"from":1,"seq":2,"event":"a"}', '{"event":"a"}'],
  ['{"event":"a","from":1,"seq":2}', '{"event":"a"}'],
  ['{"event":"a", "seq" : -1e5 , "x":1}', '{"event":"a", "x":1}'],
  ['{"event":"a","\\u0066rom":"c9"}', '{"event":"a"}'],
  ['{"\\u0073\\u0065\\u0071":1,"event":"a"}', '{"event":"a"}'],
  ['{"event":"a","id":"r"}', '{"from":"c1","event":"a","id":"r"}'],
  ['{"event":"a","\\u0069d":"r"}', '{"from":"c1","event":"a","\\u0069d":"r"}'],
  [' {\t"event":"a","id":"r"} ', ' {"from":"c1",\t"event":"a","id":"r"} '],
  ['{"from":"c2","event":"a","id":"r"}', '{"from":"c1","event":"a","id":"r"}'],
  ['{"event":"a","to":"c2"}', '{"from":"c1","event":"a","to":"c2"}'],
  ['{"event":"a","to":"\\u00632"}', '{"from":"c1","event":"a","to":"\\u00632"}'],
  ['{"event":"a","reply_to":"r"}', '{"event":"a","reply_to":"r"}'],
  ['{"event":"a","ack":"e"}', '{"event":"a","ack":"e"}'],
  [
    '{"event":"a","__dict__":{"from":1,"seq":2,"to":"c9","id":3}}',
    '{"event":"a","__dict__":{"from":1,"seq":2,"to":"c9","id":3}}',
  ],
];

Deno.test("Ingress writes and removes the members that only a relay may write, and no others", () => {
  for (const [sent, received] of ENVELOPES) {
    for (const end of ["\n", "\r\n"]) {
      const { clients, take } = setUp(2);
      take(`${A}${sent}${end}${B}`);
      assertEquals(clients[1]!.recipient.text, `${A}${received}\n${B}`);
    }
  }
});

Deno.test("Ingress numbers the events of clients that request it, and removes forged numbers", () => {
  const { clients: [, two], router, take } = setUp(2);
  router.change(two!, two!.subscriptions, true);
  take(`${A}{"event":"a","seq":7}\n{"event":"a","id":"r"}\n`);
  assertEquals(
    two!.recipient.text,
    '{"seq":1,"event":"a"}\n{"seq":2,"event":"a"}\n{"seq":3,"from":"c1","event":"a","id":"r"}\n',
  );
});

Deno.test("Ingress refuses envelopes of a wrong type, and keys that are repeated", () => {
  const bad = ['"id":1', '"to":null', '"to":""', '"ack":{}', '"reply_to":["r"]'];
  bad.push(
    '"from":1,"\\u0066rom":1',
    '"seq":1,"seq":1',
    '"id":"a","id":"a"',
    '"to":"c2","to":"c2"',
  );
  bad.push(`"id":"${"x".repeat(256)}"`);
  for (const members of bad) {
    const { clients, take } = setUp(2);
    const { events, end } = take(`${A}{"event":"a",${members}}\n${B}`);
    assertEquals(events, 1, members);
    assertEquals(end, A.length, members);
    assertEquals(clients[1]!.recipient.text, A);
  }
});

Deno.test("Ingress.recipientsAmong() returns the clients that would receive an event of a block", () => {
  const { clients, ingress, router, subscribe } = setUp(6, { echo: true });
  const [all, a, ab, one, two, mute] = clients as [Client, Client, Client, Client, Client, Client];
  subscribe(a, ["a"]);
  subscribe(ab, ["a", "b.>"]);
  subscribe(one, ["q"], "queue");
  subscribe(two, ["q"], "queue");
  subscribe(mute, []);
  const hear = (text: string, some = clients, source = mute) =>
    [...ingress.recipientsAmong(some, source, utf8(text))].map(({ recipient }) => recipient.id)
      .sort();
  assertEquals(hear('{"event":"x"}\n'), [1]);
  assertEquals(hear('{"event":"x"}\n', [a, ab, mute]), []);
  assertEquals(hear(`${A}`), [1, 2, 3]);
  assertEquals(hear('{"event":"x"}\n{"event":"b.c","id":"r"}\n', [a, ab]), [3]);
  // What comes after a bad line is nobody's, and control lines are for us.
  assertEquals(hear(`bad\n${A}`), []);
  assertEquals(hear('{"control":"x"}\n\n', [all]), []);
  // What is for one client alone.
  assertEquals(hear('{"event":"a","to":"c6"}\n'), [6]);
  assertEquals(hear('{"event":"a","to":"c6"}\n{"event":"a","to":"c9"}\n', [all, a]), []);
  // Another client of a queue gets what one cannot take.
  assertEquals(hear('{"event":"q"}\n', [one, a]), []);
  assertEquals(hear('{"event":"q"}\n', [one, two, a]).length, 1);
  assertEquals(hear(A, [a], a), [2]);
  // It does not look on without end, or without time.
  const others = '{"event":"x"}\n';
  assertEquals(hear(others.repeat(1000) + A, [a]), [2]);
  assertEquals(hear(others.repeat(2000) + A, [a]), []);
  const late = ingress.recipientsAmong([a], mute, utf8(others.repeat(100) + A), () => true);
  assertEquals([...late], []);
  assertEquals(router.eventsUnheard, 0);
});

Deno.test("Ingress.recipientsAmong() leaves the source out if it does not receive its own events", () => {
  const { clients, ingress, router } = setUp(2);
  router.routes.startCounting();
  const found = [...ingress.recipientsAmong(clients, clients[0]!, utf8(A))];
  assertEquals(found, [clients[1]!]);
  assertEquals(router.routes.counts(1), []); // It has not been passed on yet.
});
