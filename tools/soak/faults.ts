/**
 * The faults of a soak, and their times.
 *
 * The relay is killed and restarted in the first third only: the one that is there from then on has
 * to get on with all the rest without growing.
 *
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import { now } from "../../tests/faults/protocol.ts";
import { complaintsOf } from "../../tests/faults/relay_process.ts";
import type { Mark } from "./plot.ts";
import type { Stage } from "./stage.ts";

/** Each restart of the relay is by this signal in turn. */
const ENDS: readonly Deno.Signal[] = ["SIGTERM", "SIGTERM", "SIGKILL"];

/** Within which time a frozen client must be taken for dead, in milliseconds. */
const NAP_LIMIT_MS = 60_000;

/** Does things to everyone on a stage. */
export class Faults {
  /** What has been done. */
  readonly marks: Mark[] = [];
  /** How long it took until a frozen client was taken for dead, in ms; `null` if that was not tried. */
  napMs: number | null = null;
  readonly #stage: Stage;
  readonly #start: number;

  /** Prepares them for a stage on which it all begins now. */
  constructor(stage: Stage) {
    this.#stage = stage;
    this.#start = now();
  }

  /** Restarts the relay over and over, for `ms` milliseconds. */
  async restart(ms: number): Promise<void> {
    const { relay, fleets } = this.#stage;
    await repeat(ms, 3000, async (i) => {
      const signal = ENDS[i % ENDS.length]!;
      this.#mark(`relay ${signal}`);
      const outcome = await relay.stop(signal);
      if (signal === "SIGTERM") assertEquals([outcome.code, complaintsOf(outcome)], [0, ""]);
      await relay.restart();
      await Promise.all(fleets.map((fleet) => fleet.isIn()));
    });
  }

  /** Does everything else, for `ms` milliseconds. */
  async disturb(ms: number): Promise<void> {
    const { freezing, relay, cable } = this.#stage;
    await Promise.all([
      repeat(ms, 5000, (i) => this.#killOne(i)),
      repeat(ms, 8000, () => this.#freeze("clients", (signal) => freezing.signal(signal), 3000)),
      repeat(ms, 20_000, () => this.#freeze("relay", (signal) => relay.kill(signal), 2000)),
      typeof cable === "string" ? null : repeat(ms, 15_000, async () => {
        this.#mark("cable pulled");
        await cable.pull();
        await pass(4000);
        await cable.plug();
      }),
      ms > NAP_LIMIT_MS ? this.#nap() : null,
    ]);
  }

  async #killOne(i: number): Promise<void> {
    const victim = this.#stage.victim(`victim${i}-`);
    await victim.joins();
    await pass(3000);
    this.#mark("clients killed");
    await victim.kill();
  }

  async #freeze(
    who: string,
    signal: (signal: Deno.Signal) => void,
    ms: number,
  ): Promise<void> {
    this.#mark(`${who} frozen`);
    signal("SIGSTOP");
    await pass(ms);
    signal("SIGCONT");
  }

  /** Freezes a client, with the deadlines that everyone has, until the relay takes it for dead. */
  async #nap(): Promise<void> {
    const { ledger, napping, relay } = this.#stage;
    const client = Number(ledger.idOf(napping.names[0]!)!.slice(1));
    const leave = () => relay.log.find((line) => line.type === "leave" && line.client === client);
    this.#mark("a client takes a nap");
    napping.signal("SIGSTOP");
    const start = performance.now();
    try {
      while (!leave() && performance.now() - start < NAP_LIMIT_MS) await pass(1000);
    } finally {
      napping.signal("SIGCONT");
    }
    this.napMs = performance.now() - start;
    assertEquals(leave()?.reason, "idle-timeout");
  }

  #mark(what: string): void {
    this.marks.push({ at: (now() - this.#start) / 1000, what });
  }
}

/** Does something over and over, with pauses, for `ms` milliseconds; what was begun is finished. */
async function repeat(
  ms: number,
  pause: number,
  act: (i: number) => Promise<void>,
): Promise<void> {
  const end = performance.now() + ms;
  for (let i = 0; performance.now() + pause < end; i++) {
    await pass(pause);
    await act(i);
  }
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
