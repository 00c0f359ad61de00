import type { NormCall, NormGradCall, SoftmaxCall, SoftmaxGradCall, View } from "../../../backend.ts";
import type { CpuEngine } from "../engine.ts";
import { type KernelBuilder, kernel, variants } from "../kernel.ts";
import { exp, expNegative, log } from "../wasm/math.ts";
import { F32x4, f32, f32x4, type I32, type I32x4, lanes } from "../wasm/values.ts";
import { asFloats } from "./half.ts";

/**
 * Runs `body` over a row in vectors of four. In the last, incomplete one `rest` is the number of elements that count; reads of the
 * others are harmless. `at` is the offset in bytes.
 */
function overRow(f: KernelBuilder, cols: I32, body: (at: I32, rest: I32 | undefined) => void): void {
  const whole = f.let(cols.and(-4).shl(2));
  f.range(0, whole, 16, (at) => body(at, undefined));
  f.if(cols.and(3), () => body(whole, f.let(cols.and(3))));
}

/** `value` in lanes below `rest`, `other` above. */
function masked(rest: I32 | undefined, value: F32x4, other: number): F32x4 {
  return rest ? below(rest).select(value, f32x4(other)) : value;
}

function below(rest: I32): I32x4 {
  return lanes(0, 1, 2, 3).ltS(rest.splat());
}

function put(f: KernelBuilder, at: I32, value: F32x4, rest: I32 | undefined): void {
  if (rest) f.storeSome(at, value, rest);
  else f.store(at, value);
}

/** The largest lane in every lane; a NaN wins. */
export function largest(f: KernelBuilder, v: F32x4): F32x4 {
  const pairs = f.let(v.max(v.shuffle(v, 2, 3, 0, 1)));
  return f.let(pairs.max(pairs.shuffle(pairs, 1, 0, 3, 2)));
}

/** The sum of the lanes in every lane. */
function total(f: KernelBuilder, v: F32x4): F32x4 {
  const pairs = f.let(v.add(v.shuffle(v, 2, 3, 0, 1)));
  return f.let(pairs.add(pairs.shuffle(pairs, 1, 0, 3, 2)));
}

/**
 * A unit is a row: maximum, then exponentials (kept in y) and their sum, then the scaling. A row that holds a NaN or +∞, or
 * nothing but −∞, has no softmax and becomes NaN, which the sum and ∞ − ∞ give by themselves.
 */
const softmaxKernel = variants((form: "softmax" | "log") =>
  kernel("softmax", { x: "i32", y: "i32", cols: "i32" }, (f, { x, y, cols }) => {
    f.units((row) => {
      const offset = f.let(row.mul(cols).shl(2));
      const from = f.let(x.add(offset));
      const to = f.let(y.add(offset));
      const best = f.let(f32x4(Number.NEGATIVE_INFINITY));
      overRow(f, cols, (at, rest) => {
        // A NaN does not count here: it comes back in the sum.
        f.set(best, best.notBelow(masked(rest, from.add(at).f32x4(), Number.NEGATIVE_INFINITY)));
      });
      const top = largest(f, best);
      const sum = f.local(F32x4);
      f.set(sum, f32x4(0));
      overRow(f, cols, (at, rest) => {
        const e = expNegative(f, from.add(at).f32x4().sub(top));
        if (form === "softmax") put(f, f.let(to.add(at)), e, rest);
        f.set(sum, sum.add(masked(rest, e, 0)));
      });
      const all = total(f, sum);
      if (form === "softmax") {
        const scale = f.let(f32x4(1).div(all));
        overRow(f, cols, (at, rest) => put(f, f.let(to.add(at)), to.add(at).f32x4().mul(scale), rest));
      } else {
        const shift = log(f, all);
        overRow(f, cols, (at, rest) => {
          put(f, f.let(to.add(at)), from.add(at).f32x4().sub(top).sub(shift), rest);
        });
      }
    });
  }),
);

/** A unit is a row: `dx = y (dy − Σ y dy)`, for log-softmax `dx = dy − exp(y) Σ dy`. */
const softmaxGradKernel = variants((form: "softmax" | "log") =>
  kernel("softmax-grad", { y: "i32", dy: "i32", dx: "i32", cols: "i32" }, (f, { y, dy, dx, cols }) => {
    f.units((row) => {
      const offset = f.let(row.mul(cols).shl(2));
      const sum = f.let(f32x4(0));
      const yAt = f.let(y.add(offset));
      const dyAt = f.let(dy.add(offset));
      const dxAt = f.let(dx.add(offset));
      overRow(f, cols, (at, rest) => {
        const slope = dyAt.add(at).f32x4();
        const term = form === "log" ? slope : slope.mul(yAt.add(at).f32x4());
        f.set(sum, sum.add(masked(rest, term, 0)));
      });
      const all = total(f, sum);
      overRow(f, cols, (at, rest) => {
        const [value, slope] = [f.let(yAt.add(at).f32x4()), f.let(dyAt.add(at).f32x4())];
        const result = form === "log" ? slope.sub(exp(f, value).mul(all)) : value.mul(slope.sub(all));
        put(f, f.let(dxAt.add(at)), result, rest);
      });
    });
  }),
);

/**
 * A unit is a row: mean, then the mean of the squared distances from it (E[x²] − E[x]² would cancel), then the result.
 */
const normKernel = variants(({ weight, bias }: { weight: boolean; bias: boolean }) =>
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
        const sum = f.let(f32x4(0));
        overRow(f, cols, (at, rest) => f.set(sum, sum.add(masked(rest, from.add(at).f32x4(), 0))));
        const mean = f.let(total(f, sum).div(count));
        const squares = f.let(f32x4(0));
        overRow(f, cols, (at, rest) => {
          const d = f.let(masked(rest, from.add(at).f32x4().sub(mean), 0));
          f.set(squares, f.fma(d, d, squares));
        });
        const scale = f.let(f32x4(1).div(total(f, squares).div(count).add(eps.splat()).sqrt()));
        overRow(f, cols, (at, rest) => {
          let value = from.add(at).f32x4().sub(mean).mul(scale);
          if (weight) value = value.mul(args.weight.add(at).f32x4());
          if (bias) value = value.add(args.bias.add(at).f32x4());
          put(f, f.let(to.add(at)), value, rest);
        });
        const place = f.let(stats.add(row.shl(3)));
        f.store(place, mean.extract(0));
        f.store(place, scale.extract(0), 4);
      });
    },
  ),
);

/** A unit is a row: `dx = (g − mean(g) − n mean(g n)) / σ` with `g = dy weight` and the normalised input `n`. */
const normGradKernel = variants(({ weight }: { weight: boolean }) =>
  kernel(
    "layer-norm-grad",
    { x: "i32", stats: "i32", dy: "i32", dx: "i32", weight: "i32", cols: "i32" },
    (f, { x, stats, dy, dx, weight: scale, cols }) => {
      const inverse = f.let(f32(1).div(cols.toF32()).splat());
      f.units((row) => {
        const offset = f.let(row.mul(cols).shl(2));
        const [xAt, dyAt, dxAt] = [f.let(x.add(offset)), f.let(dy.add(offset)), f.let(dx.add(offset))];
        const place = f.let(stats.add(row.shl(3)));
        const mean = f.let(place.splatF32());
        const slope = f.let(place.splatF32(4));
        const [sumG, sumGn] = [f.let(f32x4(0)), f.let(f32x4(0))];
        const terms = (at: I32): { g: F32x4; n: F32x4 } => {
          const d = dyAt.add(at).f32x4();
          return {
            g: f.let(weight ? d.mul(scale.add(at).f32x4()) : d),
            n: f.let(xAt.add(at).f32x4().sub(mean).mul(slope)),
          };
        };
        overRow(f, cols, (at, rest) => {
          const { g, n } = terms(at);
          f.set(sumG, sumG.add(masked(rest, g, 0)));
          f.set(sumGn, sumGn.add(masked(rest, g.mul(n), 0)));
        });
        const meanG = f.let(total(f, sumG).mul(inverse));
        const meanGn = f.let(total(f, sumGn).mul(inverse));
        overRow(f, cols, (at, rest) => {
          const { g, n } = terms(at);
          put(f, f.let(dxAt.add(at)), g.sub(meanG).sub(n.mul(meanGn)).mul(slope), rest);
        });
      });
    },
  ),
);

/** Softmax or log-softmax of dense rows. */
export function softmax(cpu: CpuEngine, { rows, cols, log: asLog, x, y }: SoftmaxCall): void {
  if (rows * cols === 0) return;
  asFloats(cpu, { x }, { y }, (a) => {
    cpu.launch(softmaxKernel(asLog ? "log" : "softmax"), { x: a.x, y: a.y, cols }, rows, 20 + cols * 3);
  });
}

/** The gradient of either, from the result. */
export function softmaxGrad(cpu: CpuEngine, { rows, cols, log: asLog, y, dy, dx }: SoftmaxGradCall): void {
  if (rows * cols === 0) return;
  asFloats(cpu, { y, dy }, { dx }, (a) => {
    const args = { y: a.y, dy: a.dy, dx: a.dx, cols };
    cpu.launch(softmaxGradKernel(asLog ? "log" : "softmax"), args, rows, 20 + cols * (asLog ? 2 : 1));
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
    const form = normKernel({ weight: weight !== undefined, bias: bias !== undefined });
    cpu.launch(form, args, rows, 20 + cols);
  });
}

/** The gradient of its input. */
export function layerNormGrad(cpu: CpuEngine, { rows, cols, x, stats, dy, dx, weight }: NormGradCall): void {
  if (rows * cols === 0) return;
  asFloats(cpu, { x, dy, ...present("weight", weight) }, { dx }, (a) => {
    const args = { x: a.x, stats: cpu.address(stats), dy: a.dy, dx: a.dx, weight: a.weight ?? 0, cols };
    cpu.launch(normGradKernel({ weight: weight !== undefined }), args, rows, 20 + cols);
  });
}
