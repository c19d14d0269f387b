/**
 * A table in Markdown.
 *
 * @module
 */

/** A Markdown table as the formatter leaves it. */
export function table(headings: string[], rows: string[][]): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, i) => Math.max(3, ...all.map((row) => [...row[i]!].length)));
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const padded = all.map((row) => line(row.map((cell, i) => cell.padEnd(widths[i]!))));
  const rule = line(widths.map((width) => "-".repeat(width)));
  return [padded[0], rule, ...padded.slice(1)].join("\n");
}
