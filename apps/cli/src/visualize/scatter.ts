/** Points on a plane as SVG, in groups of a colour each. */
import { escapeHtml } from "../report/html.ts";
import { viridis } from "./colour.ts";

/** A point and what stands beside the pointer on it. */
export interface ScatterPoint {
  readonly x: number;
  readonly y: number;
  /** Which of the groups it is in. */
  readonly group: number;
  readonly title: string;
}

/** How a plot is labelled. */
export interface ScatterOptions {
  readonly title: string;
  /** What the groups are, above the legend. */
  readonly legend: string;
  /** Names of the groups; those without points are left out of the legend. */
  readonly groups: readonly string[];
  /** Whether the groups are steps of one thing: then colours go from dark to light, otherwise they differ. */
  readonly ordered: boolean;
}

const SIDE = 560;
const TOP = 44;
const MARGIN = 16;
const LEGEND = 190;
/** Okabe and Ito's palette without black, told apart by colour-blind readers too. */
const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b8a800"] as const;
/** What of viridis stands out from white; the outline does it from black. */
const LIGHTEST = 0.92;

/** A scatter plot without axes: t-SNE's have no meaning. Its colours follow the reader's light or dark page. */
export function scatterPlot(
  points: readonly ScatterPoint[],
  { title, legend, groups, ordered }: ScatterOptions,
): string {
  const [x, y] = [placed(points.map((point) => point.x)), placed(points.map((point) => point.y))];
  // Neighbours are easier to tell apart where the colours go from the first level that is there to the last.
  const used = points.map(({ group }) => group);
  const [first, last] = [Math.min(...used), Math.max(...used)];
  const colours = groups.map((_, group) => colourOf(group - first, last - first + 1, ordered));
  const [width, height] = [SIDE + LEGEND + 3 * MARGIN, SIDE + TOP + MARGIN];
  const dots = points.map(
    (point, i) =>
      `<circle cx="${(MARGIN + x[i]!).toFixed(1)}" cy="${(TOP + y[i]!).toFixed(1)}" r="${radius(points.length)}" fill="${colours[point.group]!}"><title>${escapeHtml(point.title)}</title></circle>`,
  );
  const left = SIDE + 2 * MARGIN;
  const there = groups.flatMap((name, group) => {
    const count = points.filter((point) => point.group === group).length;
    return count > 0 ? [{ name, group, count }] : [];
  });
  const lines = there.map(({ name, group, count }, row) => {
    const top = TOP + 34 + 22 * row;
    return `<circle cx="${left + 8}" cy="${top - 4}" r="6" fill="${colours[group]!}"/><text x="${left + 22}" y="${top}">${escapeHtml(cut(name))} (${count})</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeHtml(title)}">
<style>
.page { fill: #ffffff } .frame { fill: none; stroke: #999999 } text { fill: #1a1a1a; font: 13px sans-serif } .title { font-size: 16px }
circle { stroke: #1a1a1a; stroke-width: .6; stroke-opacity: .6 }
@media (prefers-color-scheme: dark) { .page { fill: #16181c } .frame { stroke: #666666 } text { fill: #e8e8e8 } circle { stroke: #ffffff } }
</style>
<rect class="page" width="${width}" height="${height}"/>
<text class="title" x="${MARGIN}" y="28">${escapeHtml(title)}</text>
<rect class="frame" x="${MARGIN}" y="${TOP}" width="${SIDE}" height="${SIDE}"/>
${dots.join("\n")}
<text x="${left}" y="${TOP + 10}">${escapeHtml(legend)}</text>
${lines.join("\n")}
</svg>
`;
}

/** Values over the width of the frame, with room for the points at its border. */
function placed(values: readonly number[]): number[] {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const span = most > least ? most - least : 1;
  return values.map((value) => 12 + ((value - least) / span) * (SIDE - 24));
}

function colourOf(group: number, groups: number, ordered: boolean): string {
  if (!ordered && groups <= PALETTE.length) return PALETTE[group] ?? "none";
  return `rgb(${viridis((LIGHTEST * group) / Math.max(1, groups - 1)).join(",")})`;
}

function radius(points: number): number {
  return points > 1000 ? 2.5 : points > 300 ? 3.5 : 5;
}

/** A name that fits beside the plot. */
function cut(name: string): string {
  return name.length > 22 ? `${name.slice(0, 21)}…` : name;
}
