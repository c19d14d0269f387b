import { assertEquals } from "@std/assert/equals";
import { assertArrayIncludes } from "@std/assert/array-includes";
import type { EbsocketClient } from "../../client.ts";
import { EbsocketEvent } from "../../mod.ts";
import { matches } from "../../protocol/pattern.ts";
import { TestCluster } from "../support/cluster.ts";
import { randomsFrom } from "../support/random.ts";
import { size } from "../support/size.ts";
import { pause } from "../support/waiting.ts";

const RELAYS = 3;
const CLIENTS = 9;
const ROUNDS = size(12, 100);
const EVENTS = 60;
const PATTERNS = ["a.*", "a.b", "b.>", "*.b", "c", ">"];
const NAMES = ["a.a", "a.b", "b.b", "b.c.d", "c", "d"];
const QUEUES = ["q1", "q2"];

/** Random choices, the same each time for a seed. */
class Random {
  readonly #next: (below: number) => number;

  constructor(seed: number) {
    this.#next = randomsFrom(seed);
  }

  below(max: number): number {
    return this.#next(max);
  }

  chance(share: number): boolean {
    return this.below(1000) < 1000 * share;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** What a client has subscribed to. */
interface Model {
  readonly client: EbsocketClient;
  readonly patterns: Set<string>;
  /** By queue. */
  readonly shared: Map<string, Set<string>>;
  /** The losses that it was told of. There should be none. */
  readonly losses: string[];
}

/** An event that was sent, and whom it was for. */
interface Sent {
  readonly sender: number;
  readonly name: string;
  readonly to: number | null;
}

const isHeard = (patterns: Iterable<string>, name: string) =>
  Iterator.from(patterns).some((pattern) => matches(pattern, name));

Deno.test("Clients of a cluster get exactly what they have subscribed to, whatever is cut", async () => {
  const random = new Random(Number(Deno.env.get("SEED") ?? 1));
  await using cluster = new TestCluster(RELAYS);
  const models: Model[] = [];
  for (let i = 0; i < CLIENTS; i++) {
    const client = await cluster.connect(i % RELAYS, ["end"]);
    const losses: string[] = [];
    noteLosses(client, losses);
    models.push({
      client,
      patterns: new Set(),
      shared: new Map(QUEUES.map((q) => [q, new Set()])),
      losses,
    });
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const model of models) await change(model, random);
    // A removed subscription is confirmed before other relays know of it. A further one of the same
    // relay is confirmed after that. Events in between would be handed back, and come late.
    const known = [`known.${round}`];
    await Promise.all(models.slice(0, RELAYS).map(({ client }) => client.subscribe(known)));
    const sent: Sent[] = [];
    const received = models.map(({ client }) => receive(client, CLIENTS));
    for (let n = 0; n < EVENTS; n++) {
      if (random.chance(0.1)) await disturb(cluster, random);
      const sender = random.below(CLIENTS);
      const name = random.of(NAMES);
      const to = random.chance(0.15) ? random.below(CLIENTS) : null;
      const event = new EbsocketEvent(name, { n });
      sent.push({ sender, name, to });
      const { client } = models[sender]!;
      await client.sendEvent(event, to === null ? {} : { to: models[to]!.client.id! });
    }
    cluster.hub.start();
    cluster.hub.dropsMessages = () => false;
    for (const [sender, { client }] of models.entries()) client.send("end", { sender });
    check(models, sent, await Promise.all(received), `round ${round}`);
  }
});

async function noteLosses(client: EbsocketClient, losses: string[]): Promise<void> {
  for await (const status of client.status()) {
    if (status.type === "cluster-gap") losses.push(JSON.stringify(status));
  }
}

/** Subscribes to something, or unsubscribes. */
async function change({ client, patterns, shared }: Model, random: Random): Promise<void> {
  if (random.chance(0.5)) return;
  const pattern = random.of(PATTERNS);
  const queue = random.chance(0.4) ? random.of(QUEUES) : null;
  const set = queue === null ? patterns : shared.get(queue)!;
  const options = queue === null ? {} : { queue };
  if (set.has(pattern)) await client.unsubscribe([pattern], options);
  else await client.subscribe([pattern], options);
  if (!set.delete(pattern)) set.add(pattern);
}

/** Cuts relays off, mends what was cut, or lets messages get lost. */
async function disturb({ hub, backplanes }: TestCluster, random: Random): Promise<void> {
  const backplane = random.of(backplanes);
  const what = random.below(4);
  if (what === 0) backplane.cut();
  else if (what === 1) backplane.mend();
  else if (what === 2) hub.start();
  else hub.dropsMessages = () => random.chance(0.2);
  await pause(random.below(3));
}

/** Resolves to the numbers of the events that a client gets until all senders have ended a round. */
async function receive(client: EbsocketClient, senders: number): Promise<number[]> {
  const numbers: number[] = [];
  for (let ends = 0; ends < senders;) {
    const event = (await client.recvEvent())!;
    if (event.event === "end") ends++;
    else numbers.push(event.getAttribute("n") as number);
  }
  return numbers;
}

function check(models: Model[], sent: Sent[], received: number[][], round: string): void {
  assertEquals(models.flatMap(({ losses }) => losses), [], round);
  for (const [n, { name, to, sender }] of sent.entries()) {
    const by = received.flatMap((numbers, i) => numbers.filter((each) => each === n).map(() => i));
    const what = `${round}: ${name} from ${sender} to ${to}, got by ${by}`;
    if (to !== null) {
      assertEquals(by, [to], what);
      continue;
    }
    const plain = models.flatMap(({ patterns }, i) => isHeard(patterns, name) ? [i] : []);
    assertArrayIncludes(by, plain, what);
    assertEquals(new Set(by).size, by.length, what);
    let others = by.filter((i) => !plain.includes(i));
    for (const queue of QUEUES) {
      const members = models.flatMap(({ shared }, i) =>
        isHeard(shared.get(queue)!, name) ? [i] : []
      );
      if (members.length === 0) continue;
      const [taker] = others.filter((i) => members.includes(i));
      const isTaken = taker !== undefined || members.some((i) => by.includes(i));
      assertEquals(isTaken, true, `${what}; ${queue}: ${members}`);
    }
    const allowed = QUEUES.filter((queue) =>
      models.some(({ shared }) => isHeard(shared.get(queue)!, name))
    );
    others = others.filter((i) => !QUEUES.some((q) => isHeard(models[i]!.shared.get(q)!, name)));
    assertEquals(others, [], what);
    const extra = by.filter((i) => !plain.includes(i)).length;
    assertEquals(extra <= allowed.length, true, what);
  }
  // In the order of each sender.
  for (const numbers of received) {
    for (let sender = 0; sender < models.length; sender++) {
      const own = numbers.filter((n) => sent[n]!.sender === sender);
      assertEquals(own, own.toSorted((a, b) => a - b), round);
    }
  }
}
