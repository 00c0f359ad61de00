/** The page of results: Markdown out of numbers, nothing else. */
import type { Machine } from "../machine.ts";
import type { Shifts } from "./chart.ts";
import type { Comparison, Row } from "./compare.ts";
import type { Recognition } from "./recognition.ts";
import type { Scores } from "./scores.ts";
import type { Blend, Seams } from "./seams.ts";
import type { Speed } from "./speed.ts";

/** Everything that a run found; what was not asked for is empty. */
export interface Results {
  readonly machine: Machine;
  readonly threads: string;
  /** The command, as it was typed. */
  readonly command: string;
  readonly models: readonly string[];
  readonly peers: string | null;
  readonly niqeModel: string;
  readonly sets: readonly Comparison[];
  readonly chart: readonly { readonly model: string; readonly colour: "keep" | "free"; readonly shifts: Shifts }[];
  /** Of so many images together. */
  readonly tiles: readonly {
    readonly model: string;
    readonly blend: Blend;
    readonly images: number;
    readonly seams: Seams;
  }[];
  readonly recognition: readonly Recognition[];
  readonly time: readonly Speed[];
}

/** A table: the first column to the left, numbers to the right. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

/** A number, or a dash where there is none. */
export function digits(value: number | null, places: number): string {
  return value === null ? "-" : value.toFixed(places);
}

/** A difference with its sign: `+0.31`, `-0.02`, `0.00`. */
export function signed(value: number | null, places: number): string {
  if (value === null) return "-";
  const text = value.toFixed(places);
  if (Number(text) === 0) return (0).toFixed(places);
  return value > 0 ? `+${text}` : text;
}

/** A share as a percentage. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** A score less that of bicubic interpolation; null where either is missing, and for that row itself. */
export function beside(row: Row, rows: readonly Row[], score: keyof Scores): number | null {
  const plain = rows.find(({ name }) => name === "bicubic")?.scores[score] ?? null;
  const own = row.scores[score];
  return plain === null || own === null || row.name === "bicubic" ? null : own - plain;
}

/** Ours is what a reader looks for: it is bold. */
function named({ name, ours }: Row): string {
  return ours ? `**${name}**` : name;
}

function comparisonTable({ rows, originals }: Comparison): string {
  const hasOriginals = rows.some(({ scores }) => scores.psnrY !== null);
  if (!hasOriginals) {
    return markdownTable(
      ["", "NIQE (lower is better)", "vs bicubic"],
      rows.map((row) => [named(row), digits(row.scores.niqe, 2), signed(beside(row, rows, "niqe"), 2)]),
    );
  }
  return markdownTable(
    ["", "PSNR-Y", "vs bicubic", "SSIM-Y", "vs bicubic", "PSNR-RGB", "NIQE"],
    [
      ...rows.map((row) => [
        named(row),
        digits(row.scores.psnrY, 2),
        signed(beside(row, rows, "psnrY"), 2),
        digits(row.scores.ssimY, 4),
        signed(beside(row, rows, "ssimY"), 4),
        digits(row.scores.psnrRgb, 2),
        digits(row.scores.niqe, 2),
      ]),
      ["originals", "-", "-", "-", "-", "-", digits(originals?.niqe ?? null, 2)],
    ],
  );
}

/** What a comparison is about: `5 images.`, or how many of how many, and who has no row in it. */
export function aboutOf({ about, images, of, failed }: Comparison): string {
  const count = images === of ? `${about}.` : `${about}; here ${images} of them.`;
  return failed.length === 0 ? count : `${count} Failed on every image: ${failed.join(", ")}.`;
}

function comparisons(sets: readonly Comparison[]): string[] {
  const scales = [...new Set(sets.map(({ scale }) => scale))].sort((a, b) => a - b);
  return scales.flatMap((scale) => [
    `## x${scale}`,
    ...sets
      .filter((set) => set.scale === scale)
      .flatMap((set) => [`### ${set.title}, x${scale}`, aboutOf(set), comparisonTable(set)]),
  ]);
}

/** One line a row, one column a set, as the rows of different scales and sets may differ. */
function gridTable(sets: readonly Comparison[]): string {
  const names = [...new Set(sets.flatMap(({ rows }) => rows.map(named)))];
  const cell = (scores: Scores | null | undefined): string =>
    scores ? `${digits(scores.gridLevels, 2)} (${digits(scores.gridExcess, 1)})` : "-";
  return markdownTable(
    ["", ...sets.map(({ title, scale }) => `${title}, x${scale}`)],
    [
      ["originals", ...sets.map(({ originals }) => cell(originals))],
      ...names.map((name) => [name, ...sets.map(({ rows }) => cell(rows.find((row) => named(row) === name)?.scores))]),
    ],
  );
}

function gridSection(sets: readonly Comparison[]): string[] {
  const known = sets.filter(({ originals }) => originals !== null);
  if (known.length === 0) return [];
  return [
    "## Patterns of the pixel grid",
    "What repeats every `scale` pixels, as the checkerboards of a pixel shuffle do, in the luma of the middle 256 x 256 pixels: its size in levels of 8 bits (root mean square), and in " +
      "brackets how many times the power at its frequencies is that of the frequencies around them. Rounding to 8 bits alone is an error of 0.29. Photographs have lines along the axes and are not at 0 and 1 " +
      "themselves: compare with the originals (`gridPattern` in `benchmarks/src/results/spectrum.ts` is the definition).",
    gridTable(known),
  ];
}

function colourSection(chart: Results["chart"]): string[] {
  if (chart.length === 0) return [];
  return [
    "## Colours",
    "How far the means of a ColorChecker's 24 patches move, in levels of 8 bits, over 72 channels. `keep` is how `deplsr upscale` works by default, `free` leaves " +
      "colours as the network makes them.",
    markdownTable(
      ["", "colours", "on average", "largest"],
      chart.map(({ model, colour, shifts }) => [model, colour, digits(shifts.mean, 2), digits(shifts.largest, 2)]),
    ),
  ];
}

function tileSection(tiles: Results["tiles"]): string[] {
  if (tiles.length === 0) return [];
  return [
    "## Tiles",
    `${tiles[0]!.images} photographs of Kodak, 288 x 288 pixels of each, by tiles of 96 beside the same image as a whole, in levels of 8 bits: the largest difference, and how steep it ` +
      "is (mean step between neighbouring pixels) at the borders of tiles and elsewhere between two pixels of the input. A seam would show as a steeper border. `blended` is the default.",
    markdownTable(
      ["", "tiles", "largest difference", "on average", "step at borders", "step elsewhere"],
      tiles.map(({ model, blend, seams }) => [
        model,
        blend === "cosine" ? "blended" : "cut, as the reference does",
        ...[seams.largest, seams.mean, seams.border, seams.elsewhere].map((value) => digits(value, 3)),
      ]),
    ),
  ];
}

function recognitionSection(recognition: Results["recognition"]): string[] {
  if (recognition.length === 0) return [];
  return [
    "## Recognition",
    "What SRCLIP says of degraded squares of Kodak photographs, 96 x 96 pixels, each with one of the levels that the prompts name, all levels equally likely. An image has one " +
      "noise: either kind is judged on the squares that have it.",
    markdownTable(
      ["", "right", "guessing", "best constant answer", "squares"],
      recognition.map(({ name, accuracy, chance, constant, images }) => [
        name,
        percent(accuracy),
        percent(chance),
        percent(constant),
        String(images),
      ]),
    ),
  ];
}

function timeSection({ time, machine, threads }: Results): string[] {
  if (time.length === 0) return [];
  return [
    "## Time",
    `Seconds for one megapixel (1000 x 1000) on the CPU backend with ${threads}, Node ${machine.node}, ${machine.cpu}; load ${machine.load} when the run began.`,
    markdownTable(
      ["", "from", "to", "seconds"],
      time.map(({ model, scale, seconds }) => [model, "1 MP", `${scale ** 2} MP`, digits(seconds, 1)]),
    ),
  ];
}

/** The whole page. */
export function formatPage(results: Results): string {
  const { machine, command, threads, models, peers, niqeModel, sets } = results;
  const blocks = [
    "# Results",
    "How good the models in the box are, as `npm run results` measured it; nothing on this page is written by hand.",
    `    ${command}`,
    `${machine.date.slice(0, 10)}, commit ${machine.commit}; CPU backend with ${threads}, Node ${machine.node}; ${machine.cpu}, ${machine.cores} cores. ` +
      `Models: ${models.join(", ")}. ${peers ?? "Without UpscalerJS"}.`,
    ...(sets.length === 0 ? [] : [introduction(niqeModel)]),
    ...comparisons(sets),
    ...gridSection(sets),
    ...colourSection(results.chart),
    ...tileSection(results.tiles),
    ...recognitionSection(results.recognition),
    ...timeSection(results),
  ];
  return `${blocks.join("\n\n")}\n`;
}

function introduction(niqeModel: string): string {
  return [
    "All rows of a table are about the same pixels. PSNR (dB) and SSIM as in BasicSR: Y is the luma of BT.601, a border of `scale` pixels does not count; higher is better.",
    `NIQE of the result needs no original; lower is better (${niqeModel}). The sets are parts of the public ones: numbers differ from those of papers.`,
    "Low-quality images are bicubic as MATLAB makes them of bytes, unless the heading says otherwise. Rows of ours are bold, with colours held as `deplsr upscale` does by default. UpscalerJS' networks",
    "were trained on DIV2K without damage, as their packages say.",
  ].join("\n");
}
