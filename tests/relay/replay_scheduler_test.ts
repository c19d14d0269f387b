import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import type { Need, Replay } from "../../relay/replay.ts";
import { ReplayScheduler } from "../../relay/replay_scheduler.ts";
import { nextTurn, shareTurns } from "../../net/turn.ts";
import { FakeRecipient } from "../support/routes.ts";
import { pause } from "../support/waiting.ts";

/** A client that notes why it was closed. */
class FakeClient extends FakeRecipient {
  /** The reasons and details. */
  readonly closed: string[] = [];
  hasLeft = false;

  flush(): Promise<void> {
    return this.hasLeft ? Promise.reject(new Error("the client has left")) : Promise.resolve();
  }

  close(reason: string, detail: string): void {
    this.open = false;
    this.closed.push(`${reason}: ${detail}`);
  }
}

const UNREADABLE = ["overloaded: the history cannot be read"];

/** A replay that takes the given steps. */
class FakeReplay {
  readonly recipient = new FakeClient(1);
  readonly client = { recipient: this.recipient };
  steps = 0;
  readonly #needs: (Need | Error)[];

  constructor(...needs: (Need | Error)[]) {
    this.#needs = needs;
  }

  step(): Need {
    this.steps++;
    const need = this.#needs.shift() ?? "nothing";
    if (need instanceof Error) throw need;
    return need;
  }
}

function start(scheduler: ReplayScheduler, ...replays: FakeReplay[]): void {
  for (const replay of replays) scheduler.start(replay as unknown as Replay);
}

Deno.test("ReplayScheduler closes the client of a step that throws, and goes on with others", async () => {
  const idle = Promise.withResolvers<void>();
  const scheduler = new ReplayScheduler(idle.resolve);
  const bad = new FakeReplay("step", new Error("a fault"), "step");
  const good = new FakeReplay("step", "step", "step");
  start(scheduler, bad, good);
  await idle.promise;
  assertEquals([bad.steps, good.steps], [2, 4]);
  assertEquals(bad.recipient.closed, UNREADABLE);
  assertEquals(good.recipient.closed, []);
});

Deno.test("ReplayScheduler closes the client of a read that fails, and forgets one that has left", async () => {
  const idle = Promise.withResolvers<void>();
  const scheduler = new ReplayScheduler(idle.resolve);
  const bad = new FakeReplay(Promise.reject(new Error("the disk has failed")));
  const left = new FakeReplay("room");
  left.recipient.hasLeft = true;
  const good = new FakeReplay(Promise.resolve(), "room");
  start(scheduler, bad, left, good);
  await idle.promise;
  assertEquals([bad.steps, left.steps, good.steps], [1, 1, 3]);
  assertEquals(bad.recipient.closed, UNREADABLE);
  assertEquals([left.recipient.closed, good.recipient.closed], [[], []]);
});

/** A replay that goes on for ever, in steps of 0.1 ms. */
class BusyReplay extends FakeReplay {
  override step(): Need {
    const need = super.step();
    if (need !== "nothing") return need;
    const began = performance.now();
    while (performance.now() - began < 0.1);
    return "step";
  }
}

Deno.test("ReplayScheduler does more in a turn while no client sends", async () => {
  const scheduler = new ReplayScheduler(() => {});
  const replay = new BusyReplay();
  start(scheduler, replay);
  const stepsInTurn = async (onTurn: () => void): Promise<number> => {
    const steps: number[] = [];
    for (let i = 0; i < 101; i++) {
      const before = replay.steps;
      onTurn();
      await nextTurn();
      steps.push(replay.steps - before);
    }
    return steps.sort((a, b) => a - b)[50]!;
  };
  const alone = await stepsInTurn(() => {});
  const beside = await stepsInTurn(() => shareTurns({}));
  scheduler.stop();
  assertGreater(alone, 2 * beside);
});

Deno.test("ReplayScheduler ends a slice when its time is over, however many replays have waited for the same", async () => {
  const scheduler = new ReplayScheduler(() => {});
  const block = Promise.withResolvers<void>();
  const busy = Array.from({ length: 200 }, () => new BusyReplay(block.promise));
  start(scheduler, ...busy);
  block.resolve();
  await block.promise;
  const count = () => busy.reduce((sum, { steps }) => sum + steps, 0);
  await nextTurn();
  assertLess(count() - busy.length, 100); // of 0.1 ms each
  scheduler.stop();
});

Deno.test("ReplayScheduler.stop() closes no client whose read fails after it", async () => {
  const scheduler = new ReplayScheduler(() => {});
  const read = Promise.withResolvers<void>();
  const replay = new FakeReplay(read.promise);
  start(scheduler, replay);
  scheduler.stop();
  read.reject(new Error("the file was closed"));
  await pause(1);
  assertEquals(replay.recipient.closed, []);
});
