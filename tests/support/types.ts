/** Comparisons of types, which the compiler makes. */

/** `true` if two types are the same; `any` is the same as nothing but itself. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2)
  ? true
  : false;

/** Compiles only for `true`. */
export function isSame<S extends true>(_same: S): void {}
