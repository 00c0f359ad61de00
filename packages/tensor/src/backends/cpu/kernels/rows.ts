import type { NormCall, NormGradCall, SoftmaxCall, SoftmaxGradCall, View } from "../../../backend.ts";
import type { CpuEngine } from "../engine.ts";
import { type KernelBuilder, kernel, variants } from "../kernel.ts";
import { exp, expNegative, log } from "../wasm/math.ts";
import { type F32x4, f32, f32x4, type I32, type I32x4, lanes } from "../wasm/values.ts";
import { asFloats } from "./half.ts";
import { overRow, type Part, put } from "./vectors.ts";

/** `value` in lanes below `rest`, `other` above. */
function masked(rest: I32 | undefined, value: F32x4, other: number): F32x4 {
  return rest ? below(rest).select(value, f32x4(other)) : value;
}

function below(rest: I32): I32x4 {
  return lanes(0, 1, 2, 3).ltS(rest.splat());
}

/** Two vectors that hold the running result of a row, one for each side. */
type Running = readonly [F32x4, F32x4];

function running(f: KernelBuilder, value: number): Running {
  return [f.let(f32x4(value)), f.let(f32x4(value))];
}

/** The largest lane in every lane; a NaN wins. */
function largest(f: KernelBuilder, sides: Running): F32x4 {
  const [a, b] = f.paired(sides);
  const v = f.let(a.max(b));
  const pairs = f.let(v.max(v.shuffle(v, 2, 3, 0, 1)));
  return f.let(pairs.max(pairs.shuffle(pairs, 1, 0, 3, 2)));
}

/** The sum of the lanes in every lane. */
function total(f: KernelBuilder, sides: Running): F32x4 {
  const [a, b] = f.paired(sides);
  const v = f.let(a.add(b));
  const pairs = f.let(v.add(v.shuffle(v, 2, 3, 0, 1)));
  return f.let(pairs.add(pairs.shuffle(pairs, 1, 0, 3, 2)));
}

/** Adds to the sum of a vector's side. */
function accumulate(f: KernelBuilder, sums: Running, { side, rest }: Part, value: F32x4): void {
  f.set(sums[side], sums[side].add(masked(rest, value, 0)));
}

/** Elements of a row that are summed in a row. */
const STRETCH = 512;

/** Whether rows are summed in stretches. Short ones have kernels of their own, which know nothing of that. */
export function isLong(cols: number): boolean {
  return cols > STRETCH;
}

/**
 * Sums over rows that begin at `starts`: `run` adds a stretch of them to `sums`. What the sums of stretches lose when they are added up is
 * carried along (Kahan 1965), unless it is not finite.
 */
function inStretches(
  f: KernelBuilder,
  long: boolean,
  starts: readonly I32[],
  cols: I32,
  sums: readonly Running[],
  run: (starts: readonly I32[], cols: I32) => void,
): void {
  if (!long) {
    run(starts, cols);
    return;
  }
  const all = sums.map(() => running(f, 0));
  const lost = sums.map(() => running(f, 0));
  const place = f.let(cols);
  f.range(0, cols, STRETCH, (begin) => {
    const offset = f.let(begin.shl(2));
    f.set(place, begin.add(STRETCH).minU(cols).sub(begin));
    run(
      starts.map((start) => f.let(start.add(offset))),
      place,
    );
    f.if(place.ltU(cols), () => {
      sums.forEach((sum, i) => {
        for (const side of [0, 1] as const) {
          const term = f.let(sum[side].sub(lost[i]![side]));
          const total = f.let(all[i]![side].add(term));
          const rest = f.let(total.sub(all[i]![side]).sub(term));
          f.set(lost[i]![side], rest.eq(rest).select(rest, f32x4(0)));
          f.set(all[i]![side], total);
          f.set(sum[side], f32x4(0));
        }
      });
    });
  });
  f.if(cols.gtU(STRETCH), () => {
    sums.forEach((sum, i) => {
      for (const side of [0, 1] as const) f.set(sum[side], all[i]![side]);
    });
  });
}

/** The largest of a row in every lane, and the sum of the exponentials of the distances from it; these are kept in `to`. */
export function exponentials(
  f: KernelBuilder,
  long: boolean,
  from: I32,
  to: I32 | undefined,
  cols: I32,
): { top: F32x4; all: F32x4 } {
  const best = running(f, Number.NEGATIVE_INFINITY);
  overRow(f, [from], cols, ([at], { offset, rest, side }) => {
    // A NaN does not count here: it comes back in the sum.
    f.set(best[side], best[side].notBelow(masked(rest, at!.f32x4(offset), Number.NEGATIVE_INFINITY)));
  });
  const top = largest(f, best);
  const sums = running(f, 0);
  inStretches(f, long, to ? [from, to] : [from], cols, [sums], (starts, cols) =>
    overRow(
      f,
      starts,
      cols,
      ([at], { offset }) => expNegative(f, at!.f32x4(offset).sub(top)),
      (e, [, at], part) => {
        if (at) put(f, at, e, part);
        accumulate(f, sums, part, e);
      },
    ),
  );
  return { top, all: total(f, sums) };
}

/** What there is a kernel for. */
interface SoftmaxForm {
  readonly form: "softmax" | "log";
  readonly long: boolean;
}

/**
 * A unit is a row: maximum, then exponentials and their sum, then the scaling. A row that holds a NaN or +∞, or nothing but −∞, has no
 * softmax and becomes NaN, which the sum and ∞ − ∞ give by themselves.
 */
const softmaxKernel = variants(({ form, long }: SoftmaxForm) =>
  kernel("softmax", { x: "i32", y: "i32", cols: "i32" }, (f, { x, y, cols }) => {
    f.units((row) => {
      const offset = f.let(row.mul(cols).shl(2));
      const from = f.let(x.add(offset));
      const to = f.let(y.add(offset));
      const { top, all } = exponentials(f, long, from, form === "softmax" ? to : undefined, cols);
      const [source, change] = form === "softmax" ? [to, f.let(f32x4(1).div(all))] : [from, log(f, all)];
      overRow(
        f,
        [source, to],
        cols,
        ([at], { offset }) => {
          const value = at!.f32x4(offset);
          return f.let(form === "softmax" ? value.mul(change) : value.sub(top).sub(change));
        },
        (value, [, at], part) => put(f, at!, value, part),
      );
    });
  }),
);

/** A unit is a row. */
const softmaxGradKernel = variants((form: SoftmaxForm) =>
  kernel("softmax-grad", { y: "i32", dy: "i32", dx: "i32", cols: "i32" }, (f, { y, dy, dx, cols }) => {
    f.units((row) => {
      const offset = f.let(row.mul(cols).shl(2));
      const [from, slopes, to] = [y, dy, dx].map((start) => f.let(start.add(offset))) as [I32, I32, I32];
      softmaxGradRow(f, form, { y: from, dy: slopes, dx: to }, cols);
    });
  }),
);

/** `dx = y (dy − Σ y dy)` of a row, for log-softmax `dx = dy − exp(y) Σ dy`; `dx` may lie where `dy` does. */
export function softmaxGradRow(
  f: KernelBuilder,
  { form, long }: SoftmaxForm,
  { y, dy, dx }: Readonly<Record<"y" | "dy" | "dx", I32>>,
  cols: I32,
): void {
  const sums = running(f, 0);
  inStretches(f, long, [y, dy], cols, [sums], (rows, cols) =>
    overRow(f, rows, cols, ([yAt, dyAt], part) => {
      const slope = dyAt!.f32x4(part.offset);
      accumulate(f, sums, part, form === "log" ? slope : slope.mul(yAt!.f32x4(part.offset)));
    }),
  );
  const all = total(f, sums);
  overRow(
    f,
    [y, dy, dx],
    cols,
    ([yAt, dyAt], { offset }) => {
      const [value, slope] = [f.let(yAt!.f32x4(offset)), f.let(dyAt!.f32x4(offset))];
      return f.let(form === "log" ? slope.sub(exp(f, value).mul(all)) : value.mul(slope.sub(all)));
    },
    (value, [, , at], part) => put(f, at!, value, part),
  );
}

/**
 * A unit is a row: mean, then the mean of the squared distances from it (E[x²] − E[x]² would cancel), then the result. The mean is
 * summed as distances from the row's first value, and kept with what rounding took from it: so a mean that is large beside the distances
 * costs no digits, and equal values are exactly 0.
 */
const normKernel = variants(({ weight, bias, long }: { weight: boolean; bias: boolean; long: boolean }) =>
  kernel(
    "layer-norm",
    { x: "i32", y: "i32", stats: "i32", weight: "i32", bias: "i32", cols: "i32", eps: "f32" },
    (f, args) => {
      const { x, y, stats, cols, eps } = args;
      const count = f.let(cols.toF32().splat());
      f.units((row) => {
        const offset = f.let(row.mul(cols).shl(2));
        const from = f.let(x.add(offset));
        const to = f.let(y.add(offset));
        const origin = f.let(from.splatF32());
        const sums = running(f, 0);
        inStretches(f, long, [from], cols, [sums], (starts, cols) =>
          overRow(f, starts, cols, ([at], part) => accumulate(f, sums, part, at!.f32x4(part.offset).sub(origin))),
        );
        const distance = f.let(total(f, sums).div(count));
        const mean = f.let(origin.add(distance));
        // What the mean was rounded by.
        const error = f.let(mean.sub(origin).sub(distance));
        const squares = running(f, 0);
        inStretches(f, long, [from], cols, [squares], (starts, cols) =>
          overRow(f, starts, cols, ([at], { offset, rest, side }) => {
            const d = f.let(masked(rest, at!.f32x4(offset).sub(mean), 0));
            f.set(squares[side], f.fma(d, d, squares[side]));
          }),
        );
        const spread = total(f, squares).div(count).sub(error.mul(error)).max(0);
        const scale = f.let(f32x4(1).div(spread.add(eps.splat()).sqrt()));
        const shift = f.let(error.mul(scale));
        overRow(
          f,
          [from, to, args.weight, args.bias],
          cols,
          ([at, , weightAt, biasAt], { offset }) => {
            const n = f.fma(at!.f32x4(offset).sub(mean), scale, shift);
            if (weight && bias) return f.let(f.fma(n, weightAt!.f32x4(offset), biasAt!.f32x4(offset)));
            if (weight) return f.let(n.mul(weightAt!.f32x4(offset)));
            return f.let(bias ? n.add(biasAt!.f32x4(offset)) : n);
          },
          (value, [, at], part) => put(f, at!, value, part),
        );
        const place = f.let(stats.add(row.mul(12)));
        f.store(place, mean.extract(0));
        f.store(place, scale.extract(0), 4);
        f.store(place, shift.extract(0), 8);
      });
    },
  ),
);

/** A unit is a row: `dx = (g − mean(g) − n mean(g n)) / σ` with `g = dy weight` and the normalised input `n`. */
const normGradKernel = variants(({ weight, long }: { weight: boolean; long: boolean }) =>
  kernel(
    "layer-norm-grad",
    { x: "i32", stats: "i32", dy: "i32", dx: "i32", weight: "i32", cols: "i32" },
    (f, { x, stats, dy, dx, weight: scale, cols }) => {
      const inverse = f.let(f32(1).div(cols.toF32()).splat());
      f.units((row) => {
        const offset = f.let(row.mul(cols).shl(2));
        const rows = [...[x, dy, dx].map((start) => f.let(start.add(offset))), scale];
        const place = f.let(stats.add(row.mul(12)));
        const mean = f.let(place.splatF32());
        const slope = f.let(place.splatF32(4));
        const shift = f.let(place.splatF32(8));
        const [sumG, sumGn] = [running(f, 0), running(f, 0)];
        const terms = ([xAt, dyAt, , scaleAt]: readonly I32[], offset: number): { g: F32x4; n: F32x4 } => {
          const d = dyAt!.f32x4(offset);
          return {
            g: f.let(weight ? d.mul(scaleAt!.f32x4(offset)) : d),
            n: f.let(f.fma(xAt!.f32x4(offset).sub(mean), slope, shift)),
          };
        };
        inStretches(f, long, rows, cols, [sumG, sumGn], (rows, cols) =>
          overRow(f, rows, cols, (at, part) => {
            const { g, n } = terms(at, part.offset);
            accumulate(f, sumG, part, g);
            accumulate(f, sumGn, part, g.mul(n));
          }),
        );
        const meanG = f.let(total(f, sumG).mul(inverse));
        const meanGn = f.let(total(f, sumGn).mul(inverse));
        overRow(
          f,
          rows,
          cols,
          (at, { offset }) => {
            const { g, n } = terms(at, offset);
            return f.let(g.sub(meanG).sub(n.mul(meanGn)).mul(slope));
          },
          (value, [, , at], part) => put(f, at!, value, part),
        );
      });
    },
  ),
);

/** Softmax or log-softmax of dense rows. */
export function softmax(cpu: CpuEngine, { rows, cols, log: asLog, x, y }: SoftmaxCall): void {
  if (rows * cols === 0) return;
  asFloats(cpu, { x }, { y }, (a) => {
    const form = softmaxKernel({ form: asLog ? "log" : "softmax", long: isLong(cols) });
    cpu.launch(form, { x: a.x, y: a.y, cols }, rows, 20 + cols * 3);
  });
}

/** The gradient of either, from the result. */
export function softmaxGrad(cpu: CpuEngine, { rows, cols, log: asLog, y, dy, dx }: SoftmaxGradCall): void {
  if (rows * cols === 0) return;
  asFloats(cpu, { y, dy }, { dx }, (a) => {
    const args = { y: a.y, dy: a.dy, dx: a.dx, cols };
    const form = softmaxGradKernel({ form: asLog ? "log" : "softmax", long: isLong(cols) });
    cpu.launch(form, args, rows, 20 + cols * (asLog ? 2 : 1));
  });
}

function present<Name extends string>(name: Name, view: View | undefined): Partial<Record<Name, View>> {
  return view ? ({ [name]: view } as Record<Name, View>) : {};
}

/** Layer normalisation of dense rows. */
export function layerNorm(cpu: CpuEngine, { rows, cols, eps, x, y, stats, weight, bias }: NormCall): void {
  if (rows * cols === 0) return;
  asFloats(cpu, { x, ...present("weight", weight), ...present("bias", bias) }, { y }, (a) => {
    const args = { x: a.x, y: a.y, stats: cpu.address(stats), weight: a.weight ?? 0, bias: a.bias ?? 0, cols, eps };
    const form = normKernel({ weight: weight !== undefined, bias: bias !== undefined, long: isLong(cols) });
    cpu.launch(form, args, rows, 20 + cols);
  });
}

/** The gradient of its input. */
export function layerNormGrad(cpu: CpuEngine, { rows, cols, x, stats, dy, dx, weight }: NormGradCall): void {
  if (rows * cols === 0) return;
  asFloats(cpu, { x, dy, ...present("weight", weight) }, { dx }, (a) => {
    const args = { x: a.x, stats: cpu.address(stats), dy: a.dy, dx: a.dx, weight: a.weight ?? 0, cols };
    cpu.launch(normGradKernel({ weight: weight !== undefined, long: isLong(cols) }), args, rows, 20 + cols);
  });
}
