/** Probabilities as bars of text. */
import type { KindDiagnosis } from "@deplsr/restore";

/** Characters of a bar of 100 %. */
const BAR = 20;

/** One line a kind: the likeliest level, a bar and its probability; with `all` one line a level. */
export function chart(found: readonly KindDiagnosis[], all: boolean): string[] {
  const rows = found.flatMap(({ name, level, probability, levels }) =>
    all
      ? [...levels].map(([text, share], i) => [i === 0 ? name : "", text, share] as const)
      : [[name, level, probability] as const],
  );
  return bars(rows);
}

/** Rows of two texts and a share, aligned, with a bar of the share. */
export function bars(rows: readonly (readonly [name: string, text: string, share: number])[]): string[] {
  const width = (column: 0 | 1): number => Math.max(...rows.map((row) => row[column].length));
  const [names, texts] = [width(0), width(1)];
  return rows.map(([name, text, share]) => {
    const filled = Math.round(share * BAR);
    const bar = "#".repeat(filled) + " ".repeat(BAR - filled);
    return `${name.padEnd(names)}  ${text.padEnd(texts)}  [${bar}] ${String(Math.round(100 * share)).padStart(3)} %`;
  });
}
