/**
 * Finds the word that a misspelled one was probably meant to be.
 *
 * @module
 */

/** The number of letters per allowed mistake. */
const LETTERS_PER_MISTAKE = 3;

/** Returns the one of `words` that `word` most likely misspells, or `null` if none is similar. */
export function nearest(word: string, words: readonly string[]): string | null {
  let best: string | null = null;
  let least = Math.ceil(word.length / LETTERS_PER_MISTAKE) + 1;
  for (const other of words) {
    const distance = mistakes(word, other);
    if (distance >= least) continue;
    least = distance;
    best = other;
  }
  return best;
}

/**
 * Returns how many letters must be inserted, deleted, changed or swapped with their neighbour to
 * turn one word into the other (the optimal string alignment distance).
 */
function mistakes(from: string, to: string): number {
  const rows = [Array.from({ length: to.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= from.length; row++) {
    const last = rows[row - 1]!;
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1];
      const isSwapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] &&
        from[row - 2] === to[column - 1];
      current.push(Math.min(
        last[column]! + 1,
        current[column - 1]! + 1,
        last[column - 1]! + (isSame ? 0 : 1),
        isSwapped ? rows[row - 2]![column - 2]! + 1 : Infinity,
      ));
    }
    rows.push(current);
  }
  return rows[from.length]![to.length]!;
}

/**
 * Returns ` (did you mean …?)`, or an empty text if no word is similar. A word that begins with one
 * of `words` also matches: `publish` suggests `pub`.
 */
export function suggestion(word: string, words: readonly string[]): string {
  const meant = nearest(word, words) ?? words.find((other) => word.startsWith(other)) ?? null;
  return meant === null ? "" : ` (did you mean ${meant}?)`;
}
