/**
 * A clock by which each standstill of more than half a second has taken a minute longer. Loaded
 * before a program, it shows in moments how that takes being stopped for a minute.
 *
 * @module
 */

const now = performance.now.bind(performance);
let last = now();
let ahead = 0;

performance.now = () => {
  const time = now();
  if (time - last > 500) ahead += 60_000;
  last = time;
  return time + ahead;
};

// Deno waits for what a preloaded module has begun, before the program.
Deno.unrefTimer(setInterval(() => performance.now(), 50));
