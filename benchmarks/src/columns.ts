/** Numbers and columns for a terminal. */

/** A share: `12%`. */
export function percent(value: number): string {
  return `${Math.round(value * 100)}%`;
}

/** Three digits, without an exponent. */
export function short(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toPrecision(3);
}

/** Lines of these columns, each as wide as its widest cell, the first to the left, numbers to the right. */
export function align(columns: readonly (readonly string[])[]): string[] {
  const padded = columns.map((cells, column) => {
    const width = Math.max(...cells.map((cell) => cell.length));
    return cells.map((cell) => (column === 0 ? cell.padEnd(width) : cell.padStart(width)));
  });
  return padded[0]!.map((_, line) =>
    padded
      .map((cells) => cells[line])
      .join("  ")
      .trimEnd(),
  );
}

/** Four digits: more than any time is worth. */
export function round(value: number): number {
  return Number(value.toPrecision(4));
}
