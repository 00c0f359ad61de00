import type { BatchStatsCall, BatchStatsGradCall } from "../../../backend.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { elementType, gridStride, overRow, rowReductions, rowThreads } from "./wgsl.ts";

/** Threads of a channel: a graphics card has few of those, and long ones. */
function channelThreads(gpu: Gpu): number {
  return gpu.software ? rowThreads(gpu) : 256;
}

/** Threads side by side share the rows of one image where those are that long, else take several images at a time. */
const UNIFORMS = {
  batch: "u32",
  channels: "u32",
  area: "u32",
  across: "u32",
  count: "f32",
  zero: "u32",
} as const;

/** WGSL that begins to walk over channels: one workgroup has one at a time. */
const CHANNELS = `
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = lane / u.across;
  let column = lane % u.across;
  let images = WG / u.across;
  for (var c = group.x + group.y * groups.x; c < u.channels; c += groups.x * groups.y) {`;

/** WGSL that adds up values of all elements of channel `c`, by their names: those of a row, of 64 rows, and of all, so that additions in a row are few. */
function overChannel(F: string, x: string, values: Readonly<Record<string, string>>): string {
  const names = Object.keys(values);
  const each = (text: (name: string) => string): string => names.map(text).join(" ");
  const row = overRow(
    F,
    names.map((name) => `${name}Rows`),
    `${x} ${each((name) => `${name}RowsPart += ${values[name]};`)}`,
    { lane: "column", threads: "u.across", cols: "u.area" },
  );
  return `${each((name) => `var ${name} = ${F}(0.0);`)}
    for (var some = first; some < u.batch; some += 64u * images) {
      ${each((name) => `var ${name}Rows = ${F}(0.0);`)}
      for (var image = some; image < min(u.batch, some + 64u * images); image += images) {
        let base = (image * u.channels + c) * u.area;
        ${row}
      }
      ${each((name) => `${name} += ${name}Rows;`)}
    }`;
}

interface Template {
  readonly wide: boolean;
}

interface StatsTemplate extends Template {
  readonly weight: boolean;
  readonly bias: boolean;
  /** What moves running statistics counts batches in place, or from one storage to another. */
  readonly running: "in place" | "apart" | undefined;
}

/**
 * The mean is summed as distances from the channel's first value, then once more as what is left in the distances from that: so neither a mean that is
 * large beside the distances nor a first value that is costs digits, and equal values are exactly 0 apart. Variances are those of distances.
 */
const statsKernel = kernel("batch-stats", ({ wide, weight, bias, running }: StatsTemplate, gpu) => {
  const { subgroups, source } = rowReductions(gpu, channelThreads(gpu));
  const F = elementType("f32", wide ? 4 : 1);
  const total = (sum: string): string => `rowSum(${wide ? `dot(${sum}, vec4f(1.0))` : sum}, lane) / u.count`;
  // Adding a zero to the bits of a number keeps compilers from looking through its rounding.
  const rounded = (value: string): string => `bitcast<f32>(bitcast<u32>(${value}) + u.zero)`;
  return {
    inputs: {
      x: F,
      ...(weight ? { weight: "f32" } : {}),
      ...(bias ? { bias: "f32" } : {}),
      ...(running === "apart" ? { before: "i32" } : {}),
    },
    outputs: {
      stats: "f32",
      ...(running ? { runningMean: "f32", runningVariance: "f32", batches: "i32" } : {}),
    },
    uniforms: { ...UNIFORMS, eps: "f32", momentum: "f32" },
    workgroupSize: channelThreads(gpu),
    subgroups,
    source: `${source}${CHANNELS}
    let origin = x[c * u.area]${wide ? ".x" : ""};
    ${overChannel(F, "", { distance: "x[base + i] - origin" })}
    let near = ${rounded(`origin + ${total("distance")}`)};
    ${overChannel(F, "let d = x[base + i] - near;", { off: "d", squares: "d * d" })}
    let rest = ${total("off")};
    let spread = ${total("squares")} - rest * rest;
    let variance = select(spread, 0.0, spread < 0.0);
    let mean = ${rounded("near + rest")};
    let scale = 1.0 / sqrt(variance + u.eps);
    let shift = ((mean - near) - rest) * scale;
    if (lane == 0u) {
      stats[c] = mean;
      stats[u.channels + c] = variance;
      stats[2u * u.channels + c] = scale;
      stats[3u * u.channels + c] = shift;
      stats[4u * u.channels + c] = scale${weight ? " * weight[c]" : ""};
      stats[5u * u.channels + c] = shift${weight ? " * weight[c]" : ""}${bias ? " + bias[c]" : ""};
      ${
        running
          ? `runningMean[c] = runningMean[c] * (1.0 - u.momentum) + mean * u.momentum;
      runningVariance[c] = runningVariance[c] * (1.0 - u.momentum) + variance * (u.count / (u.count - 1.0)) * u.momentum;
      if (c == 0u) { batches[0] = ${running === "apart" ? "before" : "batches"}[0] + 1; }`
          : ""
      }
    }
  }
}`,
  };
});

const gradKernel = kernel("batch-stats-grad", ({ wide }: Template, gpu) => {
  const { subgroups, source } = rowReductions(gpu, channelThreads(gpu));
  const F = elementType("f32", wide ? 4 : 1);
  const total = (sum: string): string => `rowSum(${wide ? `dot(${sum}, vec4f(1.0))` : sum}, lane)`;
  return {
    inputs: { x: F, stats: "f32", dy: F },
    outputs: { byWeight: "f32", byBias: "f32", factors: "f32" },
    uniforms: UNIFORMS,
    workgroupSize: channelThreads(gpu),
    subgroups,
    source: `${source}${CHANNELS}
    let mean = stats[c];
    let scale = stats[2u * u.channels + c];
    let shift = stats[3u * u.channels + c];
    ${overChannel(F, "let d = dy[base + i];", {
      sumDy: "d",
      sumDyN: `d * fma(x[base + i] - mean, ${F}(scale), ${F}(shift))`,
    })}
    let ofDy = ${total("sumDy")};
    let ofDyN = ${total("sumDyN")};
    if (lane == 0u) {
      byWeight[c] = ofDyN;
      byBias[c] = ofDy;
      // slope · (dy − mean(dy) − n · mean(dy n))
      let share = stats[4u * u.channels + c] / u.count;
      factors[c] = -share * ofDyN * scale;
      factors[u.channels + c] = -share * (ofDy + ofDyN * shift);
    }
  }
}`,
  };
});

type Sizes = Pick<BatchStatsCall, "batch" | "channels" | "area">;

/** What both launches have in common. */
function launchOf(gpu: Gpu, { batch, channels, area }: Sizes) {
  const wide = area % 4 === 0;
  const row = wide ? area / 4 : area;
  const threads = channelThreads(gpu);
  // Both are powers of two.
  const across = Math.min(threads, 2 ** Math.ceil(Math.log2(row)));
  return {
    wide,
    uniforms: { batch, channels, area: row, across, count: batch * area, zero: 0 },
    workgroups: gridStride(gpu, channels * threads, threads),
  };
}

/** Statistics of each channel, and how they move running ones. */
export function batchStats(gpu: Gpu, { eps, x, stats, weight, bias, running, ...sizes }: BatchStatsCall): void {
  const { wide, uniforms, workgroups } = launchOf(gpu, sizes);
  const { before, after } = running?.count ?? {};
  const way = running && (before!.storage === after!.storage ? "in place" : "apart");
  statsKernel.run(gpu, {
    template: { wide, weight: weight !== undefined, bias: bias !== undefined, running: way },
    operands: {
      x,
      stats,
      ...(weight && { weight }),
      ...(bias && { bias }),
      ...(running && { runningMean: running.mean, runningVariance: running.variance, batches: after! }),
      ...(way === "apart" && { before: before! }),
    },
    uniforms: { ...uniforms, eps, momentum: running?.momentum ?? 0 },
    workgroups,
  });
}

/** The gradients of weight and bias, and what that of x is computed with. */
export function batchStatsGrad(
  gpu: Gpu,
  { x, stats, dy, byWeight, byBias, factors, ...sizes }: BatchStatsGradCall,
): void {
  const { wide, uniforms, workgroups } = launchOf(gpu, sizes);
  gradKernel.run(gpu, {
    template: { wide },
    operands: { x, stats, dy, byWeight, byBias, factors },
    uniforms,
    workgroups,
  });
}
