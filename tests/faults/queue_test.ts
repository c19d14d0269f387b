/** A queue of five workers, one of which is killed in the middle of its work. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import type { EbsocketClient } from "../../client.ts";
import { EbsocketError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { testRelay } from "../../testing.ts";
import { Program } from "../support/process.ts";
import { size } from "../support/size.ts";

const WORKERS = 5;
const JOBS = size(3000, 30_000);
const AT_ONCE = 50;

/** How long an answer may take, in milliseconds; then the job counts as lost. */
const TIMEOUT = 5000;

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

/** Calls `job` for each number, at most {@link AT_ONCE} at a time. */
async function inParallel(count: number, job: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const run = async () => {
    while (next < count) await job(next++);
  };
  await Promise.all(numbers(AT_ONCE).map(run));
}

async function startWorkers(port: number): Promise<Program[]> {
  const program = `${import.meta.dirname}/worker_program.ts`;
  const flags = ["run", "--quiet", "--no-prompt", `--allow-net=127.0.0.1:${port}`];
  const workers = numbers(WORKERS).map((n) =>
    new Program(Deno.execPath(), [...flags, program, `worker${n}`, `${port}`])
  );
  for (const worker of workers) await worker.expect(/ready\n/);
  return workers;
}

/** The numbers of the jobs that a worker says it has done. */
function doneBy(worker: Program): number[] {
  return [...worker.stdout.matchAll(/^did (\d+)\n/gm)].map(([, n]) => Number(n));
}

Deno.test({
  name: "a queue sends each job to one worker, and reports jobs that are lost with their worker",
  ignore: Deno.build.os === "windows", // It has no such signals.
  async fn() {
    await using relay = testRelay();
    await using stack = new AsyncDisposableStack();
    const workers = await startWorkers(relay.address[1]);
    for (const worker of workers) stack.use(worker);
    const boss = await relay.connect();
    await boss.subscribe([]);

    const answered = new Map<number, string>();
    const reported = new Map<number, string>();
    await inParallel(JOBS, async (n) => {
      if (n === JOBS / 3) workers[2]!.kill("SIGKILL");
      try {
        const answer = await boss.request(new EbsocketEvent("jobs.one", { n }), {
          timeout: TIMEOUT,
        });
        assertEquals(answer.getAttribute("n"), n);
        assert(!answered.has(n), `${n} was answered twice`);
        answered.set(n, String(answer.getAttribute("name")));
      } catch (error) {
        if (!(error instanceof EbsocketError)) throw error;
        reported.set(n, error.code);
      }
    });

    assertEquals(answered.size + reported.size, JOBS);
    assertEquals([...new Set(reported.values())].filter((code) => code !== "timeout"), []);
    assertLessOrEqual(reported.size, AT_ONCE);
    // Each has had its share, and nobody did what somebody else has done.
    const shares = workers.map(doneBy);
    const all = shares.flat();
    assertEquals(new Set(all).size, all.length);
    for (const [i, share] of shares.entries()) {
      assertGreater(share.length, JOBS / 20, `worker${i} has done only ${share.length}`);
    }
    for (const [n, name] of answered) {
      assert(shares[Number(name.slice("worker".length))]!.includes(n), `${name} did not do ${n}`);
    }
  },
});

Deno.test({
  name: "a queue's events are confirmed for one client each, also while one is killed",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using relay = testRelay();
    await using stack = new AsyncDisposableStack();
    const workers = await startWorkers(relay.address[1]);
    for (const worker of workers) stack.use(worker);
    const boss: EbsocketClient = await relay.connect();
    await boss.subscribe([]);
    const counts = new Map<number, number>();
    await inParallel(JOBS, async (n) => {
      if (n === JOBS / 3) workers[2]!.kill("SIGKILL");
      const count = await boss.sendEvent(new EbsocketEvent("jobs.two", { n }), { confirm: true });
      counts.set(count, (counts.get(count) ?? 0) + 1);
    });
    assertEquals([...counts], [[1, JOBS]]);
  },
});
