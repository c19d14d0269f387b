/**
 * Searches lists for a text.
 *
 * @module
 */

/**
 * Returns the items of which a text contains `wanted`, in lower or upper case. All of them if it is
 * empty.
 */
export function search<T>(
  items: readonly T[],
  wanted: string,
  textsOf: (item: T) => readonly string[],
): readonly T[] {
  const text = wanted.trim().toLowerCase();
  if (text === "") return items;
  return items.filter((item) => textsOf(item).some((each) => each.toLowerCase().includes(text)));
}

/** Returns `12`, `3 of 12` if some are shown, or `100 of 5,000` if the relay reports only some. */
export function countShown(shown: number, total: number): string {
  const all = total.toLocaleString("en-US");
  return shown === total ? all : `${shown.toLocaleString("en-US")} of ${all}`;
}
