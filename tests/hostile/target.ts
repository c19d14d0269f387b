/**
 * The relay that is attacked: the command as a process, two well-behaved clients of it, and the
 * checks after every attack.
 *
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { type Address, formatAddress } from "../../protocol/address.ts";
import { Command } from "../support/command.ts";
import { Peer } from "../support/peer.ts";
import { until } from "../support/waiting.ts";
import { size } from "../support/size.ts";
import { Pair } from "./pair.ts";
import { canTell, openFiles, residentBytes } from "../support/usage.ts";

/** A line of the log. */
export interface Entry {
  readonly type: string;
  readonly address?: string;
  readonly reason?: string;
  readonly detail?: string;
  readonly [field: string]: unknown;
}

/** How a target is started. */
export interface TargetOptions {
  /** Environment variables, and whatever else Deno's flags permit it. */
  readonly flags?: string[];
  /** What its well-behaved clients send first. */
  readonly hello?: string;
  /** How its well-behaved clients connect, if not over TCP. */
  readonly dial?: (address: Address) => Promise<Deno.Conn>;
}

/**
 * How much memory the relay may have more once an attack is over, in bytes: what V8 and the allocator
 * keep for the next time. Whether that is all is what the waves of attacks show, see `floods_test.ts`.
 */
const MAX_GROWTH = size(100e6, 400e6);

export class Target implements AsyncDisposable {
  readonly command: Command;
  readonly address: Address;
  readonly pair: Pair;
  /** Up to where in the log the peer at an address has left: a port may come again. */
  readonly #leftAt = new Map<string, number>();
  #calm = { memory: 0, files: 0, others: 0 };

  private constructor(command: Command, address: Address, pair: Pair) {
    this.command = command;
    this.address = address;
    this.pair = pair;
  }

  /** Starts the relay with `args`, and lets the two clients join. */
  static async start(
    args: string[] = [],
    { flags = ["--allow-all"], hello = "", dial }: TargetOptions = {},
  ): Promise<Target> {
    const command = new Command(["--port", "0", "--log", "json", ...args], flags);
    const [, hostname, port] = await command.expect(
      /"type":"listening".*"hostname":"([^"]*)","port":(\d+).*\n/,
    );
    const address: Address = [hostname!, Number(port)];
    dial ??= ([hostname, port]) => Deno.connect({ hostname, port });
    const isEchoed = !args.includes("--no-echo");
    const pair = await Pair.join(() => dial(address), { hello, isEchoed });
    const target = new Target(command, address, pair);
    target.#calm = target.#now();
    return target;
  }

  /** One more client, or attacker. */
  async peer(options: { silent?: boolean } = {}): Promise<Peer> {
    return await Peer.connect(this.address, options);
  }

  #now(): { memory: number; files: number; others: number } {
    return {
      memory: canTell ? residentBytes(this.command.pid) : 0,
      files: canTell ? openFiles(this.command.pid) : 0,
      others: this.pair.others.count,
    };
  }

  /** What the relay has logged so far. Each line must be JSON and printable. */
  get log(): Entry[] {
    return this.command.stdout.split("\n").slice(0, -1).map((line) => {
      assertPrintable(line);
      return JSON.parse(line);
    });
  }

  /** What the log says of the peer at an address. */
  entriesOf(address: string): Entry[] {
    return this.log.filter((entry) => entry.address === address);
  }

  /** Waits until the log says that a peer at an address has joined, that has not left before. */
  async joined(address: string): Promise<void> {
    await this.#says(address, ({ type }) => type === "join");
  }

  /** Waits until the log says that the peer at an address has left or been refused. */
  async left(address: string): Promise<Entry> {
    const { entry, end } = await this.#says(address, ({ type }) => type !== "join");
    this.#leftAt.set(address, end);
    return entry;
  }

  async #says(
    address: string,
    isIt: (entry: Entry) => boolean,
  ): Promise<{ entry: Entry; end: number }> {
    let looked = this.#leftAt.get(address) ?? 0;
    let found: { entry: Entry; end: number } | undefined;
    await until(() => {
      const { stdout } = this.command;
      for (let at; !found && (at = stdout.indexOf(`"${address}"`, looked)) >= 0;) {
        const end = stdout.indexOf("\n", at);
        if (end < 0) return false;
        const entry = JSON.parse(stdout.slice(stdout.lastIndexOf("\n", at) + 1, end));
        if (isIt(entry)) found = { entry, end };
        looked = end;
      }
      return found !== undefined;
    });
    return found!;
  }

  /** How much memory it has, in bytes. */
  get memory(): number {
    return residentBytes(this.command.pid);
  }

  /**
   * Asks what is asked after every attack, once all attackers have gone: do the others exchange
   * events as before, did they get nothing but their own (unless `passes` events of attackers were
   * right to pass, or `"some"` were), is everything that the attack has cost given back?
   */
  async isCalm({ passes = 0 }: { passes?: number | "some" } = {}): Promise<void> {
    for (let i = 0; i < 5; i++) await this.pair.talk();
    const { count, some } = this.pair.others;
    if (passes !== "some") {
      assertEquals(count - this.#calm.others, passes, `came through: ${some.slice(0, 5)}`);
    }
    this.#calm.others = count;
    if (!canTell) return;
    await until(() => openFiles(this.command.pid) <= this.#calm.files, {
      what: "the relay closes its sockets",
      everyMs: 20,
    });
    const grown = residentBytes(this.command.pid) - this.#calm.memory;
    assertLess(grown, MAX_GROWTH, `${grown} bytes more than before the attack`);
    assertGreater(this.#calm.memory, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pair[Symbol.asyncDispose]();
    await this.command[Symbol.asyncDispose]();
  }
}

/** The address of a peer, as the relay's log shows it. */
export function addressOf(peer: Peer): string {
  const { hostname, port } = peer.conn.localAddr;
  return formatAddress([hostname, port]);
}

/** Fails if a terminal, or a reader of logs, could be fooled by `line`. */
export function assertPrintable(line: string): void {
  // deno-lint-ignore no-control-regex
  const unsafe = /[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/.exec(line);
  if (unsafe) throw new Error(`Unprintable at ${unsafe.index} of ${JSON.stringify(line)}`);
}
