/**
 * Owns one thing: which of several words somebody may have meant who wrote another.
 *
 * @module
 */

/** How many letters may be wrong at most, for how many that the word has. */
const LETTERS_PER_MISTAKE = 3;

/** The one of `words` that `word` is most likely a misspelling of, or `null` if it is like none. */
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
 * How many letters must be put in, left out, changed or swapped with their neighbour to get from one
 * word to the other (the optimal string alignment distance).
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

/** ` (did you mean …?)`, or nothing where no word is near. Who writes `publish` may mean `pub`. */
export function suggestion(word: string, words: readonly string[]): string {
  const meant = nearest(word, words) ?? words.find((other) => word.startsWith(other)) ?? null;
  return meant === null ? "" : ` (did you mean ${meant}?)`;
}
