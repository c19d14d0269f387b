/**
 * The account of every event that was sent: its recipients, and the reason if one has not received
 * it.
 *
 * An event has to reach a client that was connected from before it was sent until after it was
 * confirmed. If that connection then broke, what was still under way may be lost with it, and its
 * owner is told the reason; but nothing is lost out of the middle, so whatever arrives later on a
 * connection proves that all before it had to arrive.
 *
 * @module
 */

/** Something that a client has noted. Times are in milliseconds, on one clock for all. */
export type Entry =
  /** It was about to send the events from `first` to `last`. */
  | { readonly kind: "sent"; client: string; first: number; last: number; at: number }
  /** All that it had sent up to `last` is confirmed, unless told otherwise. */
  | { readonly kind: "confirmed"; client: string; last: number; at: number }
  /** What is known of these events is only that they have not been confirmed, or not been sent. */
  | { readonly kind: Doubt; client: string; first: number; last: number }
  /** Events of the client `from` have arrived, in this order. */
  | { readonly kind: "received"; client: string; from: string; first: number; last: number }
  /** It is connected: an event of its own has come back. The relay calls it `id`. */
  | { readonly kind: "joined"; client: string; at: number; id: string | null }
  /** It is not connected any more. */
  | { readonly kind: "left"; client: string; at: number; reason: string }
  /** It was told that events of clients of another relay are missing; `null`: nobody knows how many. */
  | { readonly kind: "gap"; client: string; relay: string; events: number | null };

/** Why it is not known, or known not to be so, that an event was passed on. */
export type Doubt = "unconfirmed" | "refused" | "unsent";

/** What became of all events. Every number counts events, or events times clients. */
export interface Balance {
  readonly sent: number;
  readonly confirmed: number;
  readonly unconfirmed: number;
  readonly refused: number;
  readonly unsent: number;
  /** Sent by a client that was killed before it knew more. */
  readonly cutShort: number;
  /** Arrivals, at all clients. */
  readonly received: number;
  /** Arrivals that failed to happen because a connection broke, by the reason that was given. */
  readonly lostWithConnection: Readonly<Record<string, number>>;
  /** Arrivals that failed to happen, of which the client was told. */
  readonly told: number;
  /** Arrivals that nothing excuses the lack of. */
  readonly missing: number;
  /** Arrivals that came twice or in a wrong order. */
  readonly disordered: number;
  /** Arrivals of what nobody sent, or of what its sender was told had not been sent. */
  readonly invented: number;
  /** Events of which their sender never learned what became of them. */
  readonly unaccounted: number;
  /** The sum of the last four. Zero, or something is wrong. */
  readonly unexplained: number;
  /** The first few of them, in words. */
  readonly examples: readonly string[];
}

/** How far apart two moments have to be for their order to be certain, in milliseconds. */
const MARGIN = 50;

/**
 * An end of a connection before which the relay has sent all that it had confirmed. A client must not
 * be frozen meanwhile: if it notices the end after others have met the next relay, it seems to have
 * been there too.
 */
const IN_ORDER = "shutdown";

const MAX_EXAMPLES = 20;

/** How long after its first event a client may notice that it is connected, in milliseconds. */
const STAY_MARGIN = 500;

/** When a client was connected. */
interface Stay {
  readonly id: string | null;
  readonly from: number;
  until: number;
  reason: string;
}

/** The books of one client. */
class Account {
  /** By event number, from 1 on. */
  readonly sentAt: number[] = [];
  readonly confirmedAt: (number | undefined)[] = [];
  readonly doubts: (Doubt | undefined)[] = [];
  confirmedUpTo = 0;
  readonly stays: Stay[] = [];
  /** By sender: runs of event numbers, in the order of their arrival. */
  readonly received = new Map<string, [first: number, last: number][]>();
  /** At most how many events are missing, as it was told, by the relay of their senders. */
  readonly gaps = new Map<string, number>();
  wasKilled = false;
}

/** Keeps the books of all clients of one relay. */
export class Ledger {
  readonly #accounts = new Map<string, Account>();

  /** Takes an entry down. */
  add(entry: Entry): void {
    const account = this.#account(entry.client);
    switch (entry.kind) {
      case "sent":
        for (let n = entry.first; n <= entry.last; n++) account.sentAt[n] = entry.at;
        break;
      case "confirmed":
        for (let n = account.confirmedUpTo + 1; n <= entry.last; n++) {
          account.confirmedAt[n] = entry.at;
        }
        account.confirmedUpTo = Math.max(account.confirmedUpTo, entry.last);
        break;
      case "received": {
        let runs = account.received.get(entry.from);
        if (!runs) account.received.set(entry.from, runs = []);
        const last = runs.at(-1);
        if (last && last[1] + 1 === entry.first) last[1] = entry.last;
        else runs.push([entry.first, entry.last]);
        break;
      }
      case "joined":
        account.stays.push({ id: entry.id, from: entry.at, until: Infinity, reason: "" });
        break;
      case "left":
        this.#leave(account, entry.at, entry.reason);
        break;
      case "gap": {
        const before = account.gaps.get(entry.relay) ?? 0;
        account.gaps.set(entry.relay, before + (entry.events ?? Infinity));
        break;
      }
      default:
        for (let n = entry.first; n <= entry.last; n++) account.doubts[n] = entry.kind;
    }
  }

  /** A client has been killed: it will note nothing more. */
  kill(client: string, at: number): void {
    const account = this.#account(client);
    account.wasKilled = true;
    this.#leave(account, at, "killed");
  }

  /** How often a client has become connected so far. */
  joins(client: string): number {
    return this.#accounts.get(client)?.stays.length ?? 0;
  }

  /** Whether a client is connected. */
  isIn(client: string): boolean {
    return this.#accounts.get(client)?.stays.at(-1)?.until === Infinity;
  }

  /** What the relay calls a client, or called it last: `c7`. */
  idOf(client: string): string | null {
    return this.#accounts.get(client)?.stays.at(-1)?.id ?? null;
  }

  /** Draws the balance. */
  balance(): Balance {
    return new Audit(this.#accounts).balance;
  }

  #leave(account: Account, at: number, reason: string): void {
    const stay = account.stays.at(-1);
    if (stay?.until !== Infinity) return; // It had not become connected since the last time.
    stay.until = at;
    stay.reason = reason;
  }

  #account(client: string): Account {
    let account = this.#accounts.get(client);
    if (!account) this.#accounts.set(client, account = new Account());
    return account;
  }
}

/** Adds up once, and compares each sender with each receiver. */
class Audit {
  readonly #examples: string[] = [];
  readonly #lost: Record<string, number> = {};
  #received = 0;
  #told = 0;
  #missing = 0;
  #disordered = 0;
  #invented = 0;
  /** By client and relay, how many events may still be missing, as the client was told. */
  readonly #allowances = new Map<string, Map<string, number>>();
  readonly balance: Balance;

  constructor(accounts: ReadonlyMap<string, Account>) {
    const sums = { sent: 0, confirmed: 0, unconfirmed: 0, refused: 0, unsent: 0, cutShort: 0 };
    let unaccounted = 0;
    for (const [name, { gaps }] of accounts) this.#allowances.set(name, new Map(gaps));
    for (const [name, sender] of accounts) {
      for (let n = 1; n < sender.sentAt.length; n++) {
        sums.sent++;
        const doubt = sender.doubts[n];
        if (doubt) sums[doubt]++;
        else if (sender.confirmedAt[n] !== undefined) sums.confirmed++;
        else if (sender.wasKilled) sums.cutShort++;
        else {
          unaccounted++;
          this.#note(`${name} never learned what became of its event ${n}`);
        }
      }
      for (const [reader, receiver] of accounts) this.#compare(name, sender, reader, receiver);
    }
    for (const [reader, { received }] of accounts) {
      for (const [name, runs] of received) {
        if (accounts.has(name)) continue;
        for (const [first, last] of runs) this.#invented += last - first + 1;
        this.#note(`${reader} received events of ${name}, whom nobody knows`);
      }
    }
    this.balance = {
      ...sums,
      received: this.#received,
      lostWithConnection: this.#lost,
      told: this.#told,
      missing: this.#missing,
      disordered: this.#disordered,
      invented: this.#invented,
      unaccounted,
      unexplained: this.#missing + this.#disordered + this.#invented + unaccounted,
      examples: this.#examples,
    };
  }

  /** Looks for what a receiver lacks, or has twice, of what a sender has sent. */
  #compare(name: string, sender: Account, reader: string, receiver: Account): void {
    const runs = receiver.received.get(name) ?? [];
    const ordered: [number, number][] = [];
    let highest = 0;
    for (const [first, last] of runs) {
      this.#received += last - first + 1;
      if (first <= highest) {
        this.#disordered += last - first + 1;
        this.#note(`${reader} received ${name} ${first} to ${last} after ${highest}`);
      } else {
        ordered.push([first, last]);
      }
      highest = Math.max(highest, last);
      if (last >= sender.sentAt.length) {
        this.#invented++;
        this.#note(`${reader} received ${name} ${last}, which was never sent`);
      }
    }
    if (receiver.wasKilled) return; // What it received last, it could not tell.
    this.#findDenied(name, sender, reader, ordered);
    const provenUntil = latestArrivals(sender, ordered, receiver.stays);
    let run = 0;
    for (let n = 1; n < sender.sentAt.length; n++) {
      while (run < ordered.length && ordered[run]![1] < n) run++;
      const has = run < ordered.length && ordered[run]![0] <= n;
      const confirmedAt = sender.confirmedAt[n];
      if (has || confirmedAt === undefined || sender.doubts[n]) continue;
      const stay = receiver.stays.find(({ from, until }) =>
        from + MARGIN < sender.sentAt[n]! && sender.sentAt[n]! < until
      );
      if (!stay) continue; // It was not connected yet, or not any more.
      const isProven = n < (provenUntil.get(stay) ?? 0);
      const isOwed = isProven || isDue(stay, confirmedAt, sender);
      if (isOwed && this.#isTold(reader, relayOf(sender, sender.sentAt[n]!))) {
        this.#told++;
      } else if (isOwed) {
        this.#missing++;
        this.#note(
          `${reader} lacks ${name} ${n}, sent ${round(sender.sentAt[n]!)}, confirmed ` +
            `${round(confirmedAt)}; connected from ${round(stay.from)} to ${round(stay.until)} ` +
            `(${stay.reason || "still"})`,
        );
      } else if (stay.reason !== IN_ORDER) {
        this.#lost[stay.reason] = (this.#lost[stay.reason] ?? 0) + 1;
      }
    }
  }

  /** Whether a client was told that an event of this relay is missing, for each event once. */
  #isTold(reader: string, relay: string): boolean {
    const allowances = this.#allowances.get(reader)!;
    const left = allowances.get(relay) ?? 0;
    allowances.set(relay, left - 1);
    return left > 0;
  }

  /** Looks for what has arrived although its sender was told that it was not sent. */
  #findDenied(name: string, { doubts }: Account, reader: string, runs: [number, number][]): void {
    for (const [first, last] of runs) {
      for (let n = first; n <= last; n++) {
        if (doubts[n] !== "refused" && doubts[n] !== "unsent") continue;
        this.#invented++;
        this.#note(`${reader} received ${name} ${n}, which was ${doubts[n]}`);
      }
    }
  }

  #note(example: string): void {
    if (this.#examples.length < MAX_EXAMPLES) this.#examples.push(example);
  }
}

/** The relay of a cluster that a client was connected to; empty without a cluster. */
function relayOf({ stays }: Account, at: number): string {
  const stay = stays.findLast(({ from }) => from - STAY_MARGIN <= at);
  return stay?.id?.split(".")[0] ?? "";
}

/** Whether what was sent during a stay, and confirmed then, has to have arrived by its end. */
function isDue({ from, until, reason }: Stay, confirmedAt: number, sender: Account): boolean {
  if (until === Infinity) return true;
  if (reason !== IN_ORDER) return false;
  const met = sender.stays.find((stay) => stay.from < confirmedAt && confirmedAt < stay.until);
  // Those who were connected at the same time were connected to the same relay.
  return met ? met.from < until && from < met.until : confirmedAt + MARGIN < until;
}

/** For each stay the last event of a sender that certainly arrived before its end. */
function latestArrivals(
  { confirmedAt }: Account,
  runs: [number, number][],
  stays: Stay[],
): Map<Stay, number> {
  const latest = new Map<Stay, number>();
  let index = 0;
  for (const [first, last] of runs) {
    for (let n = first; n <= last; n++) {
      const at = confirmedAt[n];
      if (at === undefined) continue;
      while (index < stays.length && stays[index]!.until < at + MARGIN) index++;
      const stay = stays[index];
      if (stay && stay.from < at) latest.set(stay, n);
    }
  }
  return latest;
}

function round(time: number): number {
  return Math.round(time);
}
