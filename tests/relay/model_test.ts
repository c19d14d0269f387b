// A relay against a model that knows nothing of how it works: random clients say random things, cut
// anywhere, and every line that they get is accounted for. The sockets are made of promises, so that it
// is known what the relay has seen first.

import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertObjectMatch } from "@std/assert/object-match";
import { textOf, utf8 } from "../support/bytes.ts";
import { randomsFrom } from "../support/random.ts";
import { covers } from "../support/reference.ts";
import { size } from "../support/size.ts";
import { StepListener, type StepSocket } from "../support/step_socket.ts";
import { pretendWritesTake } from "../support/turns.ts";
import { until } from "../support/waiting.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";

const RUNS = size(12, 400);
const STEPS = 250;
const CLIENTS = 8;
/** More would make the relay read more slowly. */
const MAX_CHATTER = 80;

type Random = (below: number) => number;

/** An event that the relay has been given, and who is to get it. */
interface Sent {
  readonly n: number;
  readonly sender: Client;
  /** What others get, without a number. */
  readonly text: string;
  readonly id: string | undefined;
  readonly ack: string | undefined;
  /** Who gets it in any case, and for each queue, of whom one does. */
  readonly sure: Set<Client>;
  readonly queues: Set<Client>[];
  readonly got: Set<Client>;
}

/** What a client has asked for, of a line on its way to the relay. */
type Said =
  | { kind: "event"; n: number; name: string; to?: string; id?: string; ack?: string; text: string }
  | {
    kind: "wish";
    isAdding: boolean;
    events: string[];
    queue: string;
    id: string;
    isGood: boolean;
  }
  | { kind: "hello" }
  | { kind: "other" };

/** One client: its socket, what it has said, and what the model knows of it. */
class Client {
  /** What has been said and not been given to the relay, and what each line of it means. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  readonly said: Said[] = [];
  chatter = 0;
  hasLeft = false;
  isNarrowed = false;
  /** When its events began to be numbered: by how many things the relay had seen. */
  numberedFrom = Infinity;
  /** Patterns by queue; an empty string for none. */
  readonly patterns = new Map<string, Set<string>>();
  /** When each wish came that was granted, by its id. */
  readonly granted = new Map<string, number>();
  refused = 0;

  constructor(readonly number: number, readonly socket: StepSocket) {}

  /** Whether it hears a name, by a queue or by itself. */
  hears(name: string, queue = ""): boolean {
    if (!this.isNarrowed) return queue === "";
    return [...this.patterns.get(queue) ?? []].some((pattern) => covers(pattern, name));
  }
}

/** One relay and its model. */
class Trial {
  readonly #random: Random;
  readonly #echo: boolean;
  readonly #listener = new StepListener();
  readonly #relay: Relay;
  readonly #clients: Client[] = [];
  readonly #sent = new Map<number, Sent>();
  /** How many things the relay has seen, and when it has seen each event. */
  #time = 0;
  readonly #seenAt = new Map<number, number>();
  #made = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#echo = random(2) === 0;
    this.#relay = new Relay(new EbsocketServer({ listener: this.#listener }), {
      echo: this.#echo,
      maxSubscriptions: 100,
      maxTotalSubscriptions: Infinity,
    });
  }

  async run(): Promise<void> {
    for (let i = 0; i < CLIENTS; i++) await this.#join();
    for (let i = 0; i < STEPS; i++) await this.#step();
    for (const client of this.#clients) await this.#give(client, Infinity);
    for (const client of this.#clients) client.socket.takeAll();
    await this.#relay.close();
    this.#check();
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random(items.length)]!;
  }

  #isOneOf(count: number): boolean {
    return this.#random(count) === 0;
  }

  async #join(): Promise<void> {
    const socket = this.#listener.connect(this.#random);
    const client = new Client(this.#clients.length + 1, socket);
    this.#clients.push(client);
    await until(() => this.#relay.stats().clientsTotal === this.#clients.length);
    if (this.#isOneOf(4)) client.bytes = utf8("\ufeff");
  }

  async #step(): Promise<void> {
    const present = this.#clients.filter(({ hasLeft }) => !hasLeft);
    const client = this.#pick(present);
    const dice = this.#random(100);
    if (dice < 2) this.#bulk(client);
    else if (dice < 4 && present.length > 3) await this.#leave(client);
    else if (dice < 6) await this.#join();
    else if (dice < 12) client.socket.isSlow = this.#isOneOf(2);
    else if (dice < 20) client.socket.takeSome();
    else if (dice < 60) this.#say(client);
    else await this.#give(client, this.#isOneOf(3) ? Infinity : this.#random(400));
  }

  // What clients say

  #say(client: Client): void {
    for (let i = this.#random(6); i >= 0; i--) {
      const dice = this.#random(20);
      if (dice < 12 || client.chatter >= MAX_CHATTER) this.#sayEvent(client);
      else if (dice < 17) this.#sayWish(client);
      else this.#sayOther(client);
    }
  }

  /** More than one read takes: then the relay keeps lines for a moment. */
  #bulk(client: Client): void {
    for (let i = 500 + this.#random(3000); i > 0; i--) this.#sayEvent(client);
  }

  #line(client: Client, text: string, said: Said): void {
    const end = this.#pick(["\n", "\n", "\n", "\r\n"]);
    const bytes = utf8(text + end);
    const joined = new Uint8Array(client.bytes.length + bytes.length);
    joined.set(client.bytes);
    joined.set(bytes, client.bytes.length);
    client.bytes = joined;
    client.said.push(said);
    if (said.kind !== "event") client.chatter++;
  }

  #tokens(most: number, choices: readonly string[]): string {
    return Array.from({ length: 1 + this.#random(most) }, () => this.#pick(choices)).join(".");
  }

  #sayEvent(client: Client): void {
    const n = ++this.#made;
    const name = this.#tokens(3, ["a", "a", "b", "c", "*", "é", "x\ud800"]) +
      (this.#isOneOf(50) ? ".".repeat(this.#random(3)) : "");
    const to = this.#isOneOf(6) ? `c${1 + this.#random(this.#clients.length + 2)}` : undefined;
    const id = this.#isOneOf(6) ? `r${n}` : undefined;
    const ack = this.#isOneOf(6) ? `e${n}` : undefined;
    const members = [
      this.#member("event", this.#spell(name)),
      this.#member("__dict__", `{"n":${n},"from":"c1", "seq" : [{}]}`),
    ];
    if (to) members.push(this.#member("to", this.#spell(to)));
    if (id) members.push(this.#member("id", this.#spell(id)));
    if (ack) members.push(this.#member("ack", this.#spell(ack)));
    if (this.#isOneOf(6)) members.push(this.#member("reply_to", '"r1"'));
    if (this.#isOneOf(8)) members.push(this.#member("zz", '{"id":"x","to":"c1"}'));
    const junk = ["1", '"c1"', "-1e5", "null", '{"x":[1,"}],\\""]}', '[[],"\\\\"]'];
    const forged = (["from", "seq"] as const).filter(() => this.#isOneOf(8))
      .map((key) => this.#member(key, this.#pick(junk)));
    members.push(...forged);
    members.sort(() => this.#random(3) - 1);
    const space = () => this.#isOneOf(10) ? this.#pick([" ", "\t", " \r "]) : "";
    const parts = [`${space()}{`];
    for (const member of members) parts.push(space(), member, space(), ",");
    parts.splice(-1, 1, "}");
    // At the end, a return is either white space or a part of the end of the line.
    const sent = parts.join("");
    for (const member of forged) cut(parts, member);
    if (to || id) parts.splice(1, 0, `"from":"c${client.number}",`);
    const said = { kind: "event", n, name, text: parts.join("") } as const;
    this.#line(client, sent, {
      ...said,
      ...(to && { to }),
      ...(id && { id }),
      ...(ack && { ack }),
    });
  }

  /** A member, with or without white space; the key may be spelled with an escape. */
  #member(key: string, value: string): string {
    const spelled = this.#isOneOf(12)
      ? `"\\u${hex(key.charCodeAt(0))}${key.slice(1)}"`
      : `"${key}"`;
    return `${spelled}${this.#isOneOf(12) ? " : " : ":"}${value}`;
  }

  /** A string, as JSON; a character may be spelled with an escape. */
  #spell(text: string): string {
    if (!this.#isOneOf(12)) return JSON.stringify(text);
    return `"\\u${hex(text.charCodeAt(0))}${JSON.stringify(text.slice(1)).slice(1)}`;
  }

  #sayWish(client: Client): void {
    const isAdding = this.#random(3) > 0;
    const control = isAdding ? "subscribe" : "unsubscribe";
    const choices = ["a", "a", "b", "c", "*", "*", ">", "é", "x\ud800"];
    const events = Array.from({ length: this.#random(4) }, () => this.#tokens(3, choices));
    const isGood = !isAdding ||
      !events.some((pattern) => pattern.split(".").slice(0, -1).includes(">"));
    const queue = this.#isOneOf(2) ? "" : this.#pick(["q", "p", "\ud800"]);
    const id = `s${++this.#made}`;
    const text = JSON.stringify({ control, events, queue: queue || undefined, id });
    this.#line(client, text, { kind: "wish", isAdding, events, queue, id, isGood });
  }

  #sayOther(client: Client): void {
    const lines = [
      "",
      '{"control":"unknown","events":["a"]}',
      '{"control":"ack","events":-1}',
      '{"control":"stats","id":"i"}',
      '{"control":"subscribe","events":"a"}',
      '{"control":"subscribe","events":["a",1],"__proto__":{"queue":"q"}}',
      '{"control":"unsubscribe","events":["a"],"queue":""}',
      '{"__proto__":[],"control":"constructor"}',
    ];
    if (this.#isOneOf(4)) {
      this.#line(client, '{"control":"hello","sequence":true}', { kind: "hello" });
    } else this.#line(client, this.#pick(lines), { kind: "other" });
  }

  // What the relay sees

  /** Gives the relay some of what a client has said; the model learns of each block right before. */
  async #give(client: Client, most: number): Promise<void> {
    const part = client.bytes.subarray(0, most);
    client.bytes = client.bytes.slice(part.length);
    await client.socket.give(part, (taken) => {
      for (const byte of taken) if (byte === 0x0a) this.#see(client, client.said.shift()!);
    });
  }

  #see(client: Client, said: Said): void {
    const time = ++this.#time;
    if (said.kind === "event") this.#seeEvent(client, said);
    else if (said.kind === "hello") client.numberedFrom = Math.min(client.numberedFrom, time);
    else if (said.kind === "wish") this.#seeWish(client, said);
  }

  #seeWish(client: Client, { isAdding, events, queue, id, isGood }: Said & { kind: "wish" }): void {
    if (!isGood) return void client.refused++;
    client.granted.set(id, this.#time);
    client.isNarrowed ||= isAdding;
    const patterns = client.patterns.get(queue) ?? new Set();
    client.patterns.set(queue, patterns);
    for (const pattern of events) isAdding ? patterns.add(pattern) : patterns.delete(pattern);
  }

  #seeEvent(sender: Client, { n, name, to, id, ack, text }: Said & { kind: "event" }): void {
    this.#seenAt.set(n, this.#time);
    const present = this.#clients.filter((client) =>
      !client.hasLeft && (client !== sender || this.#echo && id === undefined)
    );
    const isFor = (client: Client) => to ? to === `c${client.number}` : client.hears(name);
    const queues = to ? [] : ["q", "p", "\ud800"]
      .map((queue) => new Set(present.filter((client) => client.hears(name, queue))))
      .filter((members) => members.size > 0);
    const sure = new Set(present.filter(isFor));
    this.#sent.set(n, { n, sender, text, id, ack, sure, queues, got: new Set() });
  }

  async #leave(client: Client): Promise<void> {
    await this.#give(client, Infinity);
    client.hasLeft = true;
    await client.socket.end();
  }

  // What clients get

  #check(): void {
    const told = new Map(this.#clients.map((client) => [client, this.#read(client)]));
    let unheard = 0;
    for (const sent of this.#sent.values()) {
      const wrong = wrongOf(sent);
      assertEquals(wrong, "", `event ${sent.n}: ${sent.text}`);
      if (sent.got.size === 0) unheard++;
    }
    for (const [client, receipts] of told) {
      const sent = [...this.#sent.values()].filter(({ sender }) => sender === client);
      assertEquals(receipts, sent.flatMap(receiptsOf), `receipts of c${client.number}`);
    }
    const stats = this.#relay.stats();
    const queued = [...this.#sent.values()].reduce((sum, { got }) => sum + got.size, 0);
    assertObjectMatch(stats, {
      eventsIn: this.#sent.size,
      eventsOut: queued,
      eventsUnheard: unheard,
    });
    assertEquals(stats.closes["slow-consumer"], 0);
  }

  /** Checks the lines of a client, and notes which events it has got; gives its receipts. */
  #read(client: Client): string[] {
    const receipts: string[] = [];
    const granted: string[] = [];
    let refused = 0;
    let last = 0;
    let count = 0;
    for (const line of textOf(client.socket.written()).split("\n").slice(0, -1)) {
      if (/^\{"control":/.test(line)) {
        const { control, id, clients, reason } = JSON.parse(line);
        if (control === "ack" && clients !== undefined) receipts.push(`${id} ${clients}`);
        if (reason === "bad-pattern") refused++;
        if (control !== "ack" || clients !== undefined) continue;
        granted.push(id);
        const time = client.granted.get(id)!;
        assertGreater(time, last, `c${client.number} is told of ${id} too late`);
        last = time;
        continue;
      }
      const n = Number(/"n":(\d+)/.exec(line)![1]);
      const sent = this.#sent.get(n)!;
      const time = this.#seenAt.get(n)!;
      assertGreater(time, last, `c${client.number} gets ${n} again, or too late`);
      last = time;
      count++;
      const { text } = sent;
      const isNumbered = time > client.numberedFrom;
      assertEquals(line, isNumbered ? text.replace("{", `{"seq":${count},`) : text);
      sent.got.add(client);
    }
    assertEquals(granted, [...client.granted.keys()]);
    assertEquals(refused, client.refused);
    return receipts;
  }
}

/** Takes a member out of the parts of a line, with the comma and the white space behind it. */
function cut(parts: string[], member: string): void {
  const at = parts.indexOf(member);
  if (parts[at + 2] === ",") parts.splice(at, 4);
  else {
    const comma = parts.lastIndexOf(",");
    parts.splice(comma, parts.length - 1 - comma);
  }
}

/** What is wrong with who has got an event; an empty string if nothing is. */
function wrongOf({ sure, queues, got }: Sent): string {
  const name = (clients: Iterable<Client>) => [...clients].map(({ number }) => `c${number}`).join();
  const missing = [...sure].filter((client) => !got.has(client));
  if (missing.length > 0) return `${name(missing)} did not get it`;
  const deaf = queues.filter((members) => got.isDisjointFrom(members));
  if (deaf.length > 0) return `nobody of ${name(deaf[0]!)} got it`;
  const extra = [...got].filter((client) => !sure.has(client));
  return canServe(extra, queues) ? "" : `${name(extra)} got it for no queue of their own`;
}

/** Whether each of some clients can stand for a queue that no other one stands for. */
function canServe([first, ...others]: Client[], queues: Set<Client>[]): boolean {
  if (!first) return true;
  return queues.some((members, i) =>
    members.has(first) && canServe(others, queues.filter((_, k) => k !== i))
  );
}

/** What the sender of an event is told of it. */
function receiptsOf({ id, ack, got }: Sent): string[] {
  return [
    ...(ack ? [`${ack} ${got.size}`] : []),
    ...(id && got.size === 0 ? [`${id} 0`] : []),
  ];
}

function hex(code: number): string {
  return code.toString(16).padStart(4, "0");
}

Deno.test("Relay delivers to random clients exactly what a simple model delivers", async () => {
  const given = Deno.env.get("EBSOCKETS_SEED");
  const first = given === undefined ? Math.floor(Math.random() * 1e9) : Number(given);
  const runs = given === undefined ? RUNS : 1;
  for (let seed = first; seed < first + runs; seed++) {
    pretendWritesTake(seed % 2 === 0 ? 1 : 0.006);
    try {
      await new Trial(randomsFrom(seed)).run();
    } catch (error) {
      console.error(`To see it again: EBSOCKETS_SEED=${seed}`);
      throw error;
    }
  }
});
