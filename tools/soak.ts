/**
 * Soaks the relay in everything that can happen to it, for as many minutes as the argument says, and
 * draws the balance: every event that well-behaved clients sent is accounted for, and memory is
 * flat, or this ends with 1. Writes `soak/memory.svg` and `soak/ledger.json`.
 *
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import { complaintsOf } from "../tests/faults/relay_process.ts";
import { settle } from "../tests/faults/settle.ts";
import type { Balance } from "../tests/faults/ledger.ts";
import { describeCommit, describeMachine } from "../bench/machine.ts";
import { Faults } from "./soak/faults.ts";
import { judge, MAX_GROWTH, sample, type Series } from "./soak/memory.ts";
import { drawMemory } from "./soak/plot.ts";
import { Stage } from "./soak/stage.ts";

const ROOT = `${import.meta.dirname}/..`;
const OUTPUT = `${ROOT}/soak`;

/** How often memory is looked at, in milliseconds. */
const SAMPLE_MS = 500;

/** What came of a soak. */
interface Report {
  readonly balance: Balance;
  readonly napMs: number | null;
  readonly series: readonly Series[];
  /** When the relay was started that was there to the end, in seconds. */
  readonly lastStart: number;
}

if (Deno.build.os !== "linux") {
  console.log("Left out: memory is read, and processes are frozen, as Linux does it");
  Deno.exit(0);
}
const minutes = Number(Deno.args[0] ?? "2");
if (!(minutes > 0)) {
  console.error("Usage: deno task soak [MINUTES], from 0.5");
  Deno.exit(2);
}
console.log(`${await describeMachine()}, commit ${await describeCommit(ROOT)}, ${minutes} min`);
Deno.exit(tell(await soak(minutes * 60_000)) ? 0 : 1);

async function soak(ms: number): Promise<Report> {
  await using stage = await Stage.set();
  if (typeof stage.cable === "string") console.log(`No cable to pull: ${stage.cable}`);
  const faults = new Faults(stage);
  const { relay, steady, freezing, napping, far } = stage;
  const relaySeries: Series = { name: "relay", samples: [] };
  const series = [relaySeries];
  const watched: [Series, () => number][] = [[relaySeries, () => relay.pid]];
  for (const [name, fleet] of Object.entries({ steady, freezing, napping, far })) {
    if (!fleet) continue;
    series.push({ name, samples: [] });
    watched.push([series.at(-1)!, () => fleet.pid]);
  }
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const sampling = setInterval(() => {
    for (const [{ samples }, pid] of watched) {
      const bytes = sample(pid());
      if (bytes !== null) samples.push({ at: seconds(), bytes });
    }
  }, SAMPLE_MS);

  let lastStart = 0;
  try {
    await faults.restart(ms / 3);
    lastStart = seconds();
    await faults.disturb(ms * 2 / 3);
  } finally {
    clearInterval(sampling);
    await Deno.mkdir(OUTPUT, { recursive: true });
    await Deno.writeTextFile(`${OUTPUT}/memory.svg`, drawMemory(series, faults.marks));
  }
  const balance = await settle(stage.ledger, stage.fleets);
  await Deno.writeTextFile(`${OUTPUT}/ledger.json`, JSON.stringify(balance, null, 2));
  await stage.dismissStrangers();
  tellLog(relay.log);
  const outcome = await relay.stop();
  assertEquals([outcome.code, complaintsOf(outcome), stage.complaints], [0, "", ""]);
  return { balance, napMs: faults.napMs, series, lastStart };
}

/** Says how often the last relay gave which reason to whom it let go. */
function tellLog(log: readonly { type: string; reason?: string }[]): void {
  const counts: Record<string, number> = {};
  for (const { type, reason } of log) {
    if (!reason) continue;
    counts[`${type}: ${reason}`] = (counts[`${type}: ${reason}`] ?? 0) + 1;
  }
  console.log("The relay since its last restart:", counts);
}

/** Says what came of it; whether all is well. */
function tell({ balance, napMs, series, lastStart }: Report): boolean {
  console.log("Ledger:", balance);
  if (napMs !== null) {
    console.log(`A frozen client was taken for dead after ${Math.round(napMs / 1000)} s`);
  }
  let isFlat = true;
  for (const { name, samples } of series) {
    const verdict = judge(samples.filter(({ at }) => at >= lastStart));
    const [before, after] = [verdict.before, verdict.after].map((bytes) =>
      (bytes / 1e6).toFixed(1)
    );
    console.log(`Memory of ${name}: ${before} MB, then ${after} MB`);
    isFlat &&= verdict.isFlat;
  }
  console.log(
    `Memory is ${isFlat ? "" : "not "}flat: at most ${
      MAX_GROWTH / 1e6
    } MB more in the last third ` +
      "of the time since the last restart than in the second, by the medians",
  );
  console.log(`Unexplained: ${balance.unexplained}`);
  return balance.unexplained === 0 && isFlat;
}
