import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { type ProducerNotes, ProducerTable } from "../../history/producer_table.ts";
import { decodeStreamMessage, encodeProducers } from "../../history/stream_format.ts";
import { TableStore } from "../../history/table_store.ts";
import { MemoryStream, type MemoryStreamPort } from "../support/memory_stream.ts";
import { randomsFrom } from "../support/random.ts";
import { utf8 } from "../support/bytes.ts";

/** A table and the messages that it was made of. */
class Messages {
  readonly table: ProducerTable;
  seq = 0;

  constructor(max?: number) {
    this.table = new ProducerTable(max);
  }

  say(relay: string, notes: ProducerNotes): void {
    this.table.apply(relay, notes, ++this.seq);
  }

  /** What is known of a producer, in short. */
  of(id: string): object {
    const { owner, ownerAttempt, next, taken, isExact, isKnown } = this.table.get(id)!;
    return { owner, attempt: ownerAttempt, next, taken, isExact, isKnown };
  }
}

Deno.test("ProducerTable gives a producer to the first relay that claims it, and then to the last", () => {
  const messages = new Messages();
  messages.say("rA", { claims: [["p", 3]] });
  const fresh = { attempt: 3, next: null, taken: 0, isExact: true, isKnown: false };
  assertEquals(messages.of("p"), { ...fresh, owner: "rA" });
  messages.say("rB", { claims: [["p", 2]] }); // It is too late.
  assertEquals(messages.of("p"), { ...fresh, owner: "rA" });
  messages.say("rB", { claims: [["p", 4]] });
  messages.say("rC", { claims: [["p", 5]] });
  assertEquals(messages.of("p"), { ...fresh, owner: "rA", next: "rC" });
  messages.say("rA", { counts: [["p", 10, 0]] });
  messages.say("rA", { releases: [["p", 2, 99, 0, 1]] }); // It is about an earlier attempt.
  messages.say("rA", { releases: [["p", 3, 12, 0, 1]] });
  const known = { taken: 12, isExact: true, isKnown: true, next: null };
  assertEquals(messages.of("p"), { ...known, owner: "rC", attempt: 5 });
  messages.say("rC", { releases: [["p", 5, 12, 0, 1]] });
  assertEquals(messages.of("p"), { ...known, owner: null, attempt: 0 });
  assertEquals(messages.table.get("p")!.releasedAttempt, 5);
});

Deno.test("ProducerTable cannot tell what a relay has kept that does not own a producer", () => {
  const messages = new Messages();
  messages.say("rA", { claims: [["p", 1]], counts: [["p", 3, 0]] });
  messages.say("rB", { counts: [["p", 7, 0]] }); // It has missed messages.
  const { owner, taken, faulted } = messages.table.get("p")!;
  assertEquals([owner, taken, faulted], ["rA", 3, 7]);
});

Deno.test("ProducerTable lets a relay release and claim a producer in one message, in any case", () => {
  const messages = new Messages();
  messages.say("rA", { claims: [["p", 1]] });
  messages.say("rA", { claims: [["p", 2]], releases: [["p", 1, 7, 0, 1]] });
  const { owner, ownerAttempt, taken, releasedAttempt } = messages.table.get("p")!;
  assertEquals([owner, ownerAttempt, taken, releasedAttempt], ["rA", 2, 7, 1]);
});

Deno.test("ProducerTable vouches for no more than the stream tells, once a relay is disowned", () => {
  const messages = new Messages();
  messages.say("rA", { claims: [["p", 1], ["q", 1]], counts: [["p", 3, 0]] });
  messages.say("rB", { claims: [["p", 2]] });
  messages.say("rA", { claims: [["r", 1]], disowns: true }); // what follows counts
  const lost = { isExact: false, next: null };
  assertEquals(messages.of("p"), { ...lost, owner: "rB", attempt: 2, taken: 3, isKnown: true });
  assertEquals(messages.of("q"), { ...lost, owner: null, attempt: 0, taken: 0, isKnown: false });
  assertEquals(messages.table.get("r")!.owner, "rA");
});

Deno.test("ProducerTable vouches for no unkept events over the end of an epoch", () => {
  const messages = new Messages();
  messages.table.begin("e1", ++messages.seq);
  messages.say("rA", { claims: [["p", 1]], releases: [["p", 1, 3, 0, 1]] });
  messages.table.begin("e1", ++messages.seq); // It is repeated.
  assert(messages.table.get("p")!.isExact);
  messages.table.begin("e0", 1); // The table was restored with what has followed.
  assert(messages.table.get("p")!.isExact);
  messages.table.begin("e2", ++messages.seq);
  assert(!messages.table.get("p")!.isExact);
});

Deno.test("ProducerTable forgets those of which it has heard nothing for longest", () => {
  const { table, ...messages } = new Messages(2);
  const say = (seq: number, notes: ProducerNotes) => table.apply("rA", notes, messages.seq + seq);
  say(1, { claims: [["a", 1], ["b", 1]] });
  assert(!table.hasForgotten);
  say(2, { counts: [["a", 1, 0]] });
  say(3, { claims: [["c", 1]] });
  assertEquals(["a", "b", "c"].map((id) => table.get(id)?.owner), ["rA", undefined, "rA"]);
  assertEquals([table.size, table.hasForgotten], [2, true]);
  table.clear();
  assertEquals([table.size, table.hasForgotten], [0, true]);
});

/** Random notes of random relays about few producers. */
function randomNotes(random: (below: number) => number): [relay: string, notes: ProducerNotes] {
  const id = () => `p${random(4)}`;
  const list = <T>(row: () => T): T[] => Array.from({ length: random(3) }, row);
  return [`r${random(3)}`, {
    ...(random(20) === 0 && { disowns: true as const }),
    claims: list(() => [id(), random(50)] as const),
    counts: list(() => [id(), random(100), random(10)] as const),
    releases: list(() => [id(), random(50), random(100), random(10), random(2) as 0 | 1] as const),
    declines: list(() => [id(), random(50)] as const),
  }];
}

Deno.test("ProducerTable that is restored anywhere goes on like the one that has read everything", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = randomsFrom(seed);
    const whole = new ProducerTable(3);
    const notes = Array.from({ length: 60 }, () => randomNotes(random));
    const at = random(60);
    let restored: ProducerTable | null = null;
    for (const [i, [relay, each]] of notes.entries()) {
      whole.apply(relay, each, i + 1);
      restored?.apply(relay, each, i + 1);
      if (i !== at) continue;
      restored = new ProducerTable(3);
      const data = new Uint8Array(encodeProducers(whole.snapshot, i + 1, []));
      const message = { writer: "producers", seq: 1, at: 0, stamp: "1", data };
      const item = decodeStreamMessage(message);
      if (item?.kind === "producers") restored.restore(item.table, item.seq);
      restored.apply(relay, { disowns: true, claims: [["late", 1]] }, i + 1); // It has that already.
    }
    assertEquals(restored!.snapshot, whole.snapshot);
  }
});

/** A stream with so many messages, and a way to it. */
async function streamOf(messages: number): Promise<[MemoryStream, MemoryStreamPort]> {
  const stream = new MemoryStream();
  const port = stream.port();
  await port.create(stream.settings);
  for (let i = 0; i < messages; i++) stream.add("rA", utf8("{}\n"));
  return [stream, port];
}

/** A table with so many producers. */
function tableOf(count: number): ProducerTable {
  const messages = new Messages();
  for (let i = 0; i < count; i++) messages.say("rA", { claims: [[`producer-${i}`, i + 1]] });
  return messages.table;
}

Deno.test("TableStore saves a long table in parts, and restores it", async () => {
  const [stream, port] = await streamOf(2000);
  const table = tableOf(1500);
  const store = new TableStore(port, table);
  await store.save((await port.info())!, 2000);
  const found = new ProducerTable();
  assertEquals(await new TableStore(port, found).restore((await port.info())!), 2000);
  assertEquals(found.snapshot, table.snapshot);
  assertEquals(stream.last, 2003);
  // One that was not saved to its end is not taken for a whole one.
  stream.drop(2002);
  const publish = port.publish.bind(port);
  let published = 0;
  port.publish = (...args) => ++published === 2 ? Promise.reject(new Error()) : publish(...args);
  await new TableStore(port, table).save((await port.info())!, 2003);
  const none = new ProducerTable();
  assertEquals(await new TableStore(port, none).restore((await port.info())!), 2004);
  assertEquals([none.size, none.hasForgotten], [0, true]);
});

Deno.test("TableStore does not trust a table of which a part is gone", async () => {
  const [stream, port] = await streamOf(2000);
  await new TableStore(port, tableOf(1500)).save((await port.info())!, 2000);
  // A message of the table that is gone makes the rest worthless.
  stream.messages = stream.messages.filter(({ seq }) => seq !== 2001);
  const other = new ProducerTable();
  assertEquals(await new TableStore(port, other).restore((await port.info())!), 2003);
  assertEquals([other.size, other.hasForgotten], [0, true]);
});

Deno.test("TableStore reads a short stream from its beginning, and trusts no other without a table", async () => {
  for (
    const [messages, dropped, from, hasForgotten] of [
      [0, 0, 0, false],
      [1000, 0, 0, false],
      [1000, 1, 1000, true],
      [1100, 0, 1100, true],
    ] as const
  ) {
    const [stream, port] = await streamOf(messages);
    stream.drop(1 + dropped);
    const table = new ProducerTable();
    assertEquals(await new TableStore(port, table).restore((await port.info())!), from);
    assertEquals(table.hasForgotten, hasForgotten);
  }
});

Deno.test("TableStore does not trust a table after which messages were dropped", async () => {
  const [stream, port] = await streamOf(100);
  const table = tableOf(1);
  await new TableStore(port, table).save((await port.info())!, 90);
  stream.drop(92);
  const found = new ProducerTable();
  assertEquals(await new TableStore(port, found).restore((await port.info())!), 101);
  assert(found.hasForgotten);
});

Deno.test("TableStore saves again when much has come, or the stream is about to drop the table", async () => {
  const [stream, port] = await streamOf(10);
  const table = tableOf(1);
  const store = new TableStore(port, table);
  const save = async () => {
    const before = stream.last;
    await store.save((await port.info())!, before);
    if (stream.last > before) store.note([], stream.last);
    return stream.last - before;
  };
  assertEquals([await save(), await save()], [1, 0]);
  for (let i = 0; i < 8; i++) stream.add("rA", utf8("{}\n"));
  assertEquals(await save(), 0);
  stream.drop(6); // The table is in the older half.
  assertEquals([await save(), await save()], [1, 0]);
  stream.lose(5); // also the table
  port.mend();
  assertEquals([await save(), await save()], [1, 0]);
  stream.refusal = "it is full";
  stream.drop(stream.last + 1);
  assertEquals(await save(), 0); // It fails, and is tried again.
  stream.refusal = "";
  assertEquals(await save(), 1);
  const [, empty] = await streamOf(1000);
  const none = new TableStore(empty, new ProducerTable());
  await none.save((await empty.info())!, 1000);
  assertEquals(empty.published, 0); // A relay that comes can read it all.
});
