/**
 * The time that events take to arrive while there are few of them.
 *
 * @module
 */

import { connect, MEASURED_SECONDS, type Shape, WARM_UP_SECONDS } from "./load.ts";
import { meter } from "./measured_process.ts";
import type { Sample, Target } from "./sample.ts";
import { percentile } from "./stats.ts";

const PACED_PER_SECOND = 1000;

/** The next event when everyone has the last one. Each delivery is timed. */
export async function measureSingle(target: Target): Promise<Sample> {
  const watch = new Stopwatch();
  using traffic = await connect(target, { subscribers: 50 }, watch.onDelivered);
  const publish = async (seconds: number) => {
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) {
      watch.sent();
      await traffic.publish(1);
    }
  };
  await publish(WARM_UP_SECONDS);
  watch.restart();
  const { cpuMicros } = await meter(target.server, () => publish(MEASURED_SECONDS));
  await traffic.finish();
  return { ...watch.figures(), cpuMicros: cpuMicros && cpuMicros / watch.events };
}

/** Events at a steady pace, whether or not they arrive. */
export async function measurePaced(target: Target, shape: Shape, seconds: number): Promise<Sample> {
  const watch = new Stopwatch();
  using traffic = await connect(target, shape, watch.onDelivered);
  const publish = async (count: number) => {
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      const wait = start + i * 1000 / PACED_PER_SECOND - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      watch.sent();
      await traffic.send();
    }
    await traffic.settle();
  };
  await publish(WARM_UP_SECONDS * PACED_PER_SECOND);
  watch.restart();
  const events = target.events ?? seconds * PACED_PER_SECOND;
  const { cpuMicros } = await meter(target.server, () => publish(events));
  await traffic.finish();
  return { ...watch.figures(), cpuMicros: cpuMicros && cpuMicros / watch.events };
}

/** The time from just before an event is written to when a subscriber has read it. */
class Stopwatch {
  readonly #sentAt: number[] = [];
  #first = 0;
  #micros: number[] = [];

  /** How many events were sent since the restart. */
  get events(): number {
    return this.#sentAt.length - this.#first;
  }

  /** The next event is about to be written. */
  sent(): void {
    this.#sentAt.push(performance.now());
  }

  /** Forgets the times, not the events. */
  restart(): void {
    this.#first = this.#sentAt.length;
    this.#micros = [];
  }

  readonly onDelivered = (from: number, to: number): void => {
    const now = performance.now();
    for (let i = from; i < to; i++) this.#micros.push((now - this.#sentAt[i]!) * 1000);
  };

  figures(): Pick<Sample, "p50Micros" | "p99Micros"> {
    const sorted = new Float64Array(this.#micros).sort();
    return { p50Micros: percentile(sorted, 0.5), p99Micros: percentile(sorted, 0.99) };
  }
}
