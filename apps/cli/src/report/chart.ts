/** Curves as SVG. */
import { escapeHtml, type Html } from "./html.ts";

/** One curve: `y[i]` at `x[i]`. */
export interface Series {
  /** Stands in the legend; empty where the title says it all. */
  readonly name: string;
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** False for what has steps, not noise: it is drawn as it is. Default true. */
  readonly smooth?: boolean;
}

const WIDTH = 440;
const HEIGHT = 240;
const MARGIN = { left: 52, right: 12, top: 28, bottom: 40 };
/** Curves of so few points show where they are. */
const MARKED = 40;
/** Okabe and Ito's palette, told apart by colour-blind readers too. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"] as const;

/**
 * A line chart with axes, ticks and a legend. Each curve is drawn twice: faint as it is, and strong as a running mean over a twentieth of
 * its length, so that a noisy loss shows where it goes.
 *
 * @param title stands above it
 * @param axis what the x axis counts, `step`
 * @param unit of the y axis, `dB`
 */
export function lineChart(title: string, axis: string, series: readonly Series[], unit = ""): Html {
  const xs = series.flatMap((s) => s.x);
  const ys = series.flatMap((s) => s.y).filter((y) => Number.isFinite(y));
  const [x0, x1] = span(xs);
  const yTicks = ticks(...span(ys), 5);
  const y0 = yTicks[0]!;
  const y1 = yTicks[yTicks.length - 1]!;
  const right = WIDTH - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const px = (x: number): number => MARGIN.left + ((x - x0) / (x1 - x0)) * (right - MARGIN.left);
  const py = (y: number): number => bottom - ((y - y0) / (y1 - y0)) * (bottom - MARGIN.top);
  const parts = [`<text x="${MARGIN.left}" y="16" class="title">${escapeHtml(title)}</text>`];
  if (unit !== "") parts.push(`<text x="${MARGIN.left - 6}" y="16" text-anchor="end">${escapeHtml(unit)}</text>`);
  for (const tick of yTicks) {
    const y = py(tick).toFixed(1);
    parts.push(`<line class="axis" x1="${MARGIN.left}" x2="${right}" y1="${y}" y2="${y}"/>`);
    parts.push(
      `<text x="${MARGIN.left - 6}" y="${y}" text-anchor="end" dominant-baseline="middle">${label(tick)}</text>`,
    );
  }
  for (const tick of ticks(x0, x1, 5).filter((t) => t >= x0 && t <= x1)) {
    parts.push(`<text x="${px(tick).toFixed(1)}" y="${bottom + 16}" text-anchor="middle">${label(tick)}</text>`);
  }
  parts.push(`<text x="${right}" y="${HEIGHT - 4}" text-anchor="end">${escapeHtml(axis)}</text>`);
  series.forEach((s, i) => {
    const colour = COLOURS[i % COLOURS.length]!;
    const path = (y: readonly number[]): string =>
      s.x.flatMap((x, k) => (Number.isFinite(y[k]!) ? [`${px(x).toFixed(1)},${py(y[k]!).toFixed(1)}`] : [])).join(" ");
    const smooth = s.smooth ?? true;
    if (smooth) {
      parts.push(
        `<polyline points="${path(s.y)}" fill="none" stroke="${colour}" stroke-opacity=".3" stroke-width="1"/>`,
      );
    }
    const strong = smooth ? runningMean(s.y) : s.y;
    parts.push(`<polyline points="${path(strong)}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    if (s.x.length <= MARKED) {
      for (const [k, y] of s.y.entries()) {
        if (!Number.isFinite(y)) continue;
        parts.push(`<circle cx="${px(s.x[k]!).toFixed(1)}" cy="${py(y).toFixed(1)}" r="2.5" fill="${colour}"/>`);
      }
    }
    if (s.name === "") return;
    const left = MARGIN.left + i * 120;
    parts.push(`<rect x="${left}" y="${HEIGHT - 12}" width="12" height="4" fill="${colour}"/>`);
    parts.push(`<text x="${left + 17}" y="${HEIGHT - 6}">${escapeHtml(s.name)}</text>`);
  });
  const names = series.map((s) => s.name).filter((name) => name !== "");
  const name = escapeHtml(names.length === 0 ? title : `${title}: ${names.join(", ")}`);
  return {
    html: `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${name}">${parts.join("")}</svg>`,
  };
}

/** The mean of a window around each value, the window being a twentieth of the series (at least 1, cut at the ends). */
export function runningMean(values: readonly number[]): number[] {
  const half = Math.floor(values.length / 40);
  return values.map((_, i) => {
    const window = values.slice(Math.max(0, i - half), i + half + 1);
    return window.reduce((sum, value) => sum + value, 0) / window.length;
  });
}

/** Round numbers that cover `low` to `high`, about `count` of them: steps of 1, 2 or 5 times a power of ten. */
export function ticks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  // An end that is a tick may have come out a hair beyond it.
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function span(values: readonly number[]): [low: number, high: number] {
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (!(low <= high)) return [0, 1];
  if (low < high) return [low, high];
  const half = Math.abs(low) / 2 || 0.5;
  return [low - half, high + half];
}

/** Short: there is room for some seven characters beside the axis. */
function label(value: number): string {
  const short = Number(value.toPrecision(6));
  const size = Math.abs(short);
  if (size >= 10_000) return size >= 1e6 ? `${short / 1e6}M` : `${short / 1e3}k`;
  return size > 0 && size < 1e-3 ? short.toExponential() : String(short);
}
