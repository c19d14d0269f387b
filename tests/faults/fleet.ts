/**
 * The handle of a fleet of clients that is a process of its own. Enters the notes of the fleet
 * into the ledger.
 *
 * @module
 */

import { soon, until } from "../support/waiting.ts";
import { launch, type LaunchOptions } from "./launch.ts";
import type { Ledger } from "./ledger.ts";
import {
  type Delays,
  type FleetOrder,
  type FleetPlan,
  namesOf,
  type Note,
  now,
} from "./protocol.ts";

export type { Delays, FleetPlan };

/** How a fleet ended. */
export interface FleetOutcome {
  readonly code: number;
  /** What it complained about: nothing, if all is well. */
  readonly stderr: string;
}

/** A fleet under way. Disposing of it kills it, if it has not ended by itself. */
export class Fleet implements AsyncDisposable {
  /** The names of its clients. */
  readonly names: readonly string[];
  /** How long events took to arrive, in the order in which it was noted. */
  readonly delays: Delays[] = [];
  /** Whose iteration over its events has ended. */
  readonly iterated = new Set<string>();
  readonly #ledger: Ledger;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #noting: Promise<void>;
  readonly #stderr: Promise<string>;
  readonly #resting = Promise.withResolvers<void>();

  /** Starts it. */
  constructor(plan: FleetPlan, ledger: Ledger, options: LaunchOptions = {}) {
    this.names = namesOf(plan);
    this.#ledger = ledger;
    const [command, args] = launch(
      "tests/faults/fleet_program.ts",
      [JSON.stringify(plan)],
      options,
    );
    this.#child = new Deno.Command(command, {
      args,
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#noting = this.#note(this.#child.stdout);
    this.#stderr = new Response(this.#child.stderr).text();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits until each client has become connected `times` times since it was started. */
  async joins(times = 1): Promise<void> {
    const isThere = () => this.names.every((name) => this.#ledger.joins(name) >= times);
    await this.#while("joins", () => until(isThere));
  }

  /** Waits until each client is connected. */
  async isIn(): Promise<void> {
    await this.#while(
      "is in",
      () => until(() => this.names.every((name) => this.#ledger.isIn(name))),
    );
  }

  /** Has it publish nothing more; resolves when all that it has published is settled. */
  async rest(): Promise<void> {
    await this.#order("rest");
    await this.#while("rests", () => soon(this.#resting.promise, "a fleet that rests"));
  }

  /** Ends it in order. */
  async finish(): Promise<FleetOutcome> {
    await this.#order("finish");
    return await this.#end();
  }

  /** Sends it a signal. */
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Kills it. */
  async kill(): Promise<void> {
    const at = now();
    this.#child.kill("SIGKILL");
    await this.#end();
    for (const name of this.names) this.#ledger.kill(name, at);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.#end();
  }

  async #order(order: FleetOrder): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${order}\n`));
  }

  async #end(): Promise<FleetOutcome> {
    await this.#input.close().catch(() => {}); // It may have ended before.
    const { code } = await soon(this.#child.status, "the end of a fleet");
    await this.#noting;
    return { code, stderr: await this.#stderr };
  }

  /** Waits, but not for one that has ended: says then what it complained about. */
  async #while(what: string, wait: () => Promise<void>): Promise<void> {
    const end = this.#noting.then(async () => {
      throw new Error(`A fleet ended instead of what was awaited: ${what}; ${await this.#stderr}`);
    });
    await Promise.race([wait(), end]);
  }

  async #note(stdout: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let text = "";
    for await (const chunk of stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (text + chunk).split("\n");
      text = lines.pop()!; // Of one that was killed, the last line may have been cut off.
      for (const line of lines) {
        for (const note of JSON.parse(line) as Note[]) this.#take(note);
      }
    }
  }

  #take(note: Note): void {
    if (note.kind === "delays") this.delays.push(note);
    else if (note.kind === "resting") this.#resting.resolve();
    else if (note.kind === "iterated") this.iterated.add(note.client);
    else this.#ledger.add(note);
  }
}
