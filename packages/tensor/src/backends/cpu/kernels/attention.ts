import type { AttentionCall, View } from "../../../backend.ts";
import { denseLayout } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { CpuEngine, Take } from "../engine.ts";
import { type KernelBuilder, kernel, type Spec, variants } from "../kernel.ts";
import { type F32, type F32x4, f32x4, type I32, i32, lanes } from "../wasm/values.ts";
import { copy } from "./copy.ts";
import { accumulateLines, blockingOf, emptySums, linesOf, pack, storeTile } from "./gemm.ts";
import { exponentials, isLong } from "./rows.ts";

/** Floats of a pair of vectors. */
const PAIR = 8;
/** Nanoseconds that the softmax of one score takes, about. */
const SOFTMAX_COST = 1;

/** Arguments of a kernel: these, and an address and four strides for each bias. */
export function specWith(names: readonly string[], biases: number): Spec {
  const all = [...names, "size1", "size2"];
  for (let i = 0; i < biases; i++) all.push(`bias${i}`, ...[0, 1, 2, 3].map((axis) => `stride${i}_${axis}`));
  return { ...Object.fromEntries(all.map((name) => [name, "i32"])), scale: "f32" };
}

/** What the biases are for it. */
export function biasArguments(cpu: CpuEngine, biases: readonly View[]): Record<string, number> {
  const args: Record<string, number> = {
    size1: biases[0]?.layout.shape[1] ?? 1,
    size2: biases[0]?.layout.shape[2] ?? 1,
  };
  biases.forEach((bias, i) => {
    args[`bias${i}`] = cpu.address(bias);
    for (const axis of [0, 1, 2, 3]) args[`stride${i}_${axis}`] = 4 * bias.layout.strides[axis]!;
  });
  return args;
}

/** Arguments for batches of matrices. */
export function matrixNames(...matrices: readonly string[]): string[] {
  return matrices.flatMap((name) => [name, `${name}Inner`, `${name}P`, `${name}Q`, `${name}Row`]);
}

/** What they are for matrices whose rows are dense; others are copied. */
export function matrixArguments(
  cpu: CpuEngine,
  take: Take,
  matrices: Readonly<Record<string, View>>,
): Record<string, number> {
  const args: Record<string, number> = {};
  for (const [name, view] of Object.entries(matrices)) {
    const { storage, layout } = denseRows(cpu, take, view);
    args[name] = cpu.address({ ...view, storage, layout });
    args[`${name}Inner`] = layout.shape[1]!;
    ["P", "Q", "Row"].forEach((axis, i) => {
      args[name + axis] = 4 * layout.strides[i]!;
    });
  }
  return args;
}

function denseRows(cpu: CpuEngine, take: Take, view: View): View {
  const { shape, strides } = view.layout;
  if (strides[3] === 1 || shape[3] === 1) return view;
  const out: View = { ...view, storage: take(4 * numel(shape), "attention operand"), layout: denseLayout(shape) };
  copy(cpu, { input: view, out });
  return out;
}

/** Where the matrix of an entry of the batch begins. */
export function matrixAt(f: KernelBuilder, int: (name: string) => I32, name: string, batch: I32): I32 {
  const inner = int(`${name}Inner`);
  const outer = f.let(batch.divU(inner));
  return f.let(
    int(name)
      .add(outer.mul(int(`${name}P`)))
      .add(batch.sub(outer.mul(inner)).mul(int(`${name}Q`))),
  );
}

/** Where its rows begin from `first` on, as many as a tile has; those past the `last` repeat that. */
export function rowsAt(f: KernelBuilder, start: I32, stride: I32, first: I32, last: I32): I32[] {
  const { rows } = blockingOf(f.target);
  return Array.from({ length: rows }, (_, r) => f.let(start.add(first.add(r).minU(last).mul(stride))));
}

const NAMES = [...matrixNames("q", "v"), "k", "batchK", "out", "stats", "scratch", "n", "m", "d", "e"];

/**
 * A unit computes a tile's rows of the result: their scores, the exponentials of these, and the product of those with the values, all
 * in a scratch area of the thread.
 * @param biases how many there are @param long as for the rows of a softmax @param stats whether they are wanted
 */
const attentionKernel = variants(({ biases, long, stats }: { biases: number; long: boolean; stats: boolean }) =>
  kernel("attention", specWith(NAMES, biases), (f, loose) => {
    const int = (name: string): I32 => loose[name] as I32;
    const { rows: height, cols: width } = blockingOf(f.target);
    const scale = f.let((loose.scale as F32).splat());
    const [n, m, d, e] = [int("n"), int("m"), int("d"), int("e")];
    const panels = f.let(n.add(height - 1).divU(height));
    const lineBytes = f.let(
      m
        .add(width - 1)
        .and(-width)
        .shl(2),
    );
    const scores = f.let(int("scratch").add(f.thread.mul(lineBytes.add(16).mul(height))));
    // A vector for each row: what its sums are multiplied with in the end, since that is less work than scaling the exponentials. Values
    // of more than 3e38 / m overflow before that.
    const factors = f.let(scores.add(lineBytes.mul(height)));
    const lines = Array.from({ length: height }, (_, r) => f.let(scores.add(lineBytes.mul(r))));
    f.units((unit) => {
      const batch = f.let(unit.divU(panels));
      const panel = f.let(unit.remU(panels));
      const first = f.let(panel.mul(height));
      const last = f.let(n.sub(1));
      const q = rowsAt(f, matrixAt(f, int, "q", batch), int("qRow"), first, last);
      const k = f.let(int("k").add(batch.mul(int("batchK"))));
      const rows = biasRows(f, int, { biases, batch, first, last });
      storeScores(f, { q, k, d, m, scale, rows, lines });
      // Whole pairs of vectors.
      const padded = f.let(m.add(7).and(-8));
      const factorAt = f.let(factors);
      const statsAt = f.let(int("stats").add(batch.mul(n).add(first).shl(3)));
      const statsEnd = f.let(int("stats").add(batch.add(1).mul(n).shl(3)));
      f.range(scores, factors, lineBytes, (row) => {
        const { top, all } = exponentials(f, long, row, row, padded);
        const factor = f.let(f32x4(1).div(all));
        f.store(factorAt, factor);
        f.advance(factorAt, 16);
        if (!stats) return;
        f.if(statsAt.ltU(statsEnd), () => {
          f.store(statsAt, top.extract(0));
          f.store(statsAt, factor.extract(0), 4);
        });
        f.advance(statsAt, 8);
      });
      const v = matrixAt(f, int, "v", batch);
      const out = f.let(int("out").add(batch.mul(n).add(first).mul(e).shl(2)));
      f.range(0, e, width, (j) => {
        const tile = emptySums(f, (height * width) / 4);
        accumulateLines(f, { lines, b: v.add(j.shl(2)), stride: int("vRow"), cols: width, depth: m }, tile);
        tile.forEach((sum, index) => {
          f.set(sum, sum.mul(factors.f32x4(16 * Math.floor(index / (width / 4)))));
        });
        const targets = linesOf(f, { c: out.add(j.shl(2)), rowStride: f.let(e.shl(2)) });
        storeTile(f, targets, tile, { rows: f.let(n.sub(first)), cols: f.let(e.sub(j)) });
      });
    });
  }),
);

/** A tile's rows of queries against all keys. */
interface Scores {
  readonly q: readonly I32[];
  /** The panels of the keys. */
  readonly k: I32;
  readonly d: I32;
  readonly m: I32;
  readonly scale: F32x4;
  /** The rows of each bias. */
  readonly rows: readonly (readonly I32[])[];
  /** Where they go. */
  readonly lines: readonly I32[];
}

/** Stores the scores of a tile's rows, and −∞ behind the last one up to whole pairs of vectors. */
export function storeScores(f: KernelBuilder, { q, k, d, m, scale, rows, lines }: Scores): void {
  overKeys(f, { lines: q, b: k, depth: d, m }, (products, r, at, rest) => {
    const to = f.let(lines[r]!.add(at));
    const sums = products.map((sum) => f.let(sum.mul(scale)));
    for (const row of rows) {
      const bias = f.let(row[r]!.add(at));
      sums.forEach((sum, h) => {
        f.set(sum, sum.add(bias.f32x4(16 * h)));
      });
    }
    sums.forEach((sum, h) => {
      f.store(to, rest ? firstLanes(rest, sum, 4 * h) : sum, 16 * h);
    });
  });
}

/** A tile's rows, and the panels of `m` keys or values. */
interface Keys {
  readonly lines: readonly I32[];
  readonly b: I32;
  readonly depth: I32;
  readonly m: I32;
}

/**
 * Multiplies rows with all keys, a panel at a time, and with half of the last one where that is enough.
 * @param use is given the products of row `r` with the keys that lie `at` bytes from a row's first on; `rest` of them where it is given
 */
export function overKeys(
  f: KernelBuilder,
  { lines, b, depth, m }: Keys,
  use: (products: readonly F32x4[], r: number, at: I32, rest?: I32) => void,
): void {
  const { cols: width } = blockingOf(f.target);
  const multiply = (at: I32, cols: number, rest?: I32): void => {
    const tile = emptySums(f, (lines.length * cols) / 4);
    accumulateLines(f, { lines, b: b.add(at.mul(depth)), stride: i32(4 * width), cols, depth }, tile);
    lines.forEach((_, r) => {
      use(tile.slice((r * cols) / 4, ((r + 1) * cols) / 4), r, at, rest);
    });
  };
  const whole = f.let(m.and(-width).shl(2));
  f.range(0, whole, 4 * width, (at) => multiply(at, width));
  const rest = f.let(m.and(width - 1));
  f.if(
    rest.gtU(PAIR),
    () => multiply(whole, width, rest),
    () => f.if(rest, () => multiply(whole, PAIR, rest)),
  );
}

/** Where the rows of each bias begin that belong to a unit; rows past the last repeat it. */
export function biasRows(
  f: KernelBuilder,
  int: (name: string) => I32,
  { biases, batch, first, last }: { biases: number; batch: I32; first: I32; last: I32 },
): I32[][] {
  if (biases === 0) return [];
  const axis2 = f.let(batch.remU(int("size2")));
  const rest = f.let(batch.divU(int("size2")));
  const axis1 = f.let(rest.remU(int("size1")));
  const axis0 = f.let(rest.divU(int("size1")));
  return Array.from({ length: biases }, (_, i) => {
    const stride = (axis: number): I32 => int(`stride${i}_${axis}`);
    const origin = f.let(
      int(`bias${i}`)
        .add(axis0.mul(stride(0)))
        .add(axis1.mul(stride(1)))
        .add(axis2.mul(stride(2))),
    );
    return rowsAt(f, origin, stride(3), first, last);
  });
}

/** The lanes of `vector`, which begins at lane `from` of a panel, that are below `count`; −∞ behind. */
function firstLanes(count: I32, vector: F32x4, from: number): F32x4 {
  const index = lanes(from, from + 1, from + 2, from + 3);
  return index.ltS(count.splat()).select(vector, f32x4(Number.NEGATIVE_INFINITY));
}

/** The two axes that a batch is folded into. */
export function batchOf({ layout }: View): [number, number] {
  return [layout.shape[0]!, layout.shape[1]!];
}

/** Attention of a batch: keys into panels, then a few rows at a time. */
export function attention(cpu: CpuEngine, call: AttentionCall): void {
  cpu.withTemporaries((take) => attend(cpu, take, call));
}

function attend(cpu: CpuEngine, take: Take, { q, k, v, out, stats, scale, biases }: AttentionCall): void {
  const [batch, n, e] = out.layout.shape as [number, number, number];
  const [m, d] = k.layout.shape.slice(2) as [number, number];
  const { rows, cols, speed } = blockingOf(cpu.options.target);
  const packedK = pack(cpu, take, k, 2, cols, batchOf(k));
  const line = 4 * Math.ceil(m / cols) * cols;
  const scratch = take(cpu.options.threads * rows * (line + 16), "attention scores");
  const args = {
    ...biasArguments(cpu, biases),
    ...matrixArguments(cpu, take, { q, v }),
    k: packedK.address,
    out: cpu.address(out),
    stats: stats ? cpu.address(stats) : 0,
    scratch: scratch.place,
    n,
    m,
    d,
    e,
    batchK: packedK.batchBytes,
    scale,
  };
  const cost = rows * m * ((2 * (d + e)) / speed + SOFTMAX_COST);
  const form = attentionKernel({ biases: biases.length, long: isLong(m), stats: stats !== undefined });
  cpu.launch(form, args, batch * Math.ceil(n / rows), 20 + cost);
}
