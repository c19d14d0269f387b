/**
 * A clock that jumps by up to a year whenever it is read. Loaded before a program, it shows
 * whether that depends on the time of day.
 *
 * @module
 */

const YEAR_MS = 365 * 86_400_000;

const now = Date.now;

Date.now = () => now() + Math.round((2 * Math.random() - 1) * YEAR_MS);

globalThis.Date = new Proxy(Date, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length > 0 ? args : [Date.now()], newTarget),
});
