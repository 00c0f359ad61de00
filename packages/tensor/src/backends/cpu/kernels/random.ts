import type { RandomCall } from "../../../backend.ts";
import { numel } from "../../../shape.ts";
import type { CpuEngine } from "../engine.ts";
import { type KernelBuilder, kernel, variants } from "../kernel.ts";
import { exp, log } from "../wasm/math.ts";
import { type F32, type F32x4, f32, type I32, type I32x4, i32, i32x4, lanes } from "../wasm/values.ts";
import { transpose4 } from "./copy.ts";

const DRAW = { y: "i32", count: "i32", key0: "i32", key1: "i32", counter0: "i32", counter1: "i32" } as const;
type Draw = { readonly [Name in keyof typeof DRAW]: I32 };

/** Counters of one unit. */
const BLOCK = 256;

const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
const WEYL = [0x9e3779b9, 0xbb67ae85] as const;

/** Lower and upper words of the products with a constant. */
function multiply(f: KernelBuilder, x: I32x4, by: number): { low: I32x4; high: I32x4 } {
  const [first, second] = [f.let(x.productLow(i32x4(by))), f.let(x.productHigh(i32x4(by)))];
  return { low: f.let(first.shuffle(second, 0, 2, 4, 6)), high: f.let(first.shuffle(second, 1, 3, 5, 7)) };
}

/**
 * Philox 4x32-10 at four counters side by side: result k holds word k of each. Salmon et al. 2011, "Parallel random numbers: as easy
 * as 1, 2, 3". The same words as `Rng` gives on the host.
 */
function philox(f: KernelBuilder, a: Draw, index: I32x4, block: I32): I32x4[] {
  const c0 = f.let(index.add(a.counter0.splat()));
  // A comparison is −1 where the lower word has run over.
  const c1 = f.let(a.counter1.splat().sub(c0.ltU(index)));
  let c = [c0, c1, f.let(block.splat()), f.let(i32x4(0))] as [I32x4, I32x4, I32x4, I32x4];
  for (let round = 0; round < 10; round++) {
    const k0 = a.key0.add(Math.imul(WEYL[0], round)).splat();
    const k1 = a.key1.add(Math.imul(WEYL[1], round)).splat();
    const p = multiply(f, c[0], MULTIPLIERS[0]);
    const q = multiply(f, c[2], MULTIPLIERS[1]);
    c = [f.let(q.high.xor(c[1]).xor(k0)), q.low, f.let(p.high.xor(c[3]).xor(k1)), p.low];
  }
  return c;
}

/**
 * Box & Muller 1958: radius from the first words, in (0, 1], angle from the second as a fraction of a turn: the nearest quarter, and
 * the rest in [−π/4, π/4] by the polynomials of S. Moshier's Cephes.
 */
function boxMuller(f: KernelBuilder, first: I32x4, second: I32x4): [F32x4, F32x4] {
  const u = f.fma(first.toF32U(), 2 ** -32, 2 ** -33);
  const radius = f.let(f.let(log(f, u).mul(-2)).max(0).sqrt());
  const quarter = f.let(second.add(0x20000000).shrU(30));
  const r = f.let(
    second
      .sub(quarter.shl(30))
      .toF32()
      .mul(2 * Math.PI * 2 ** -32),
  );
  const s = f.let(r.mul(r));
  const sine = f.let(f.fma(r.mul(s), f.fma(s, f.fma(s, -1.9515296e-4, 8.3321609e-3), -1.6666655e-1), r));
  const cosine = f.let(
    f.fma(s.mul(s), f.fma(s, f.fma(s, 2.4433157e-5, -1.3887316e-3), 4.1666646e-2), f.fma(s, -0.5, 1)),
  );
  const odd = f.let(quarter.and(1).eq(1));
  const flip = f.let(quarter.and(2).shl(30));
  const signed = f.let(radius.bits().xor(flip).float());
  return [f.let(odd.select(sine.neg(), cosine).mul(signed)), f.let(odd.select(cosine, sine).mul(signed))];
}

/** A unit turns a block of counters into four results each. */
const drawKernel = variants((kind: "bits" | "uniform" | "normal") =>
  kernel(`random-${kind}`, DRAW, (f, a) => {
    f.units((unit) => {
      const begin = f.let(unit.mul(BLOCK));
      f.range(begin, f.let(begin.add(BLOCK).shl(2).minU(a.count)).add(3).shrU(2), 4, (i) => {
        const words = philox(f, a, f.let(i.splat().add(lanes(0, 1, 2, 3))), i32(0));
        let columns: F32x4[];
        if (kind === "bits") columns = words.map((w) => w.float());
        else if (kind === "uniform")
          columns = words.map((w) =>
            f.let(
              w
                .shrU(8)
                .toF32()
                .mul(2 ** -24),
            ),
          );
        else columns = [...boxMuller(f, words[0]!, words[1]!), ...boxMuller(f, words[2]!, words[3]!)];
        const left = f.let(a.count.sub(i.shl(2)));
        const to = f.let(a.y.add(i.shl(4)));
        transpose4(f, columns).forEach((line, k) => {
          const put = (): void => f.storeSome(to, line, f.let(left.sub(4 * k)), 16 * k);
          if (k === 0) put();
          else f.if(left.gtS(4 * k), put);
        });
      });
    });
  }),
);

/** A function of four floats on one. */
function one(f: KernelBuilder, of: (f: KernelBuilder, x: F32x4) => F32x4, x: F32): F32 {
  return f.let(of(f, f.let(x.splat())).extract(0));
}

/** Four uniforms strictly between 0 and 1, exact in f32, of one counter and block. */
function openUniforms(f: KernelBuilder, a: Draw, index: I32, block: I32): F32x4 {
  const words = philox(f, a, f.let(index.splat()), block);
  const [w0, w1, w2, w3] = words.map((w) =>
    f.let(
      w
        .shrU(9)
        .toF32U()
        .add(0.5)
        .mul(2 ** -23),
    ),
  );
  return f.let(w0!.shuffle(w1!, 0, 4, 0, 4).shuffle(w2!.shuffle(w3!, 0, 4, 0, 4), 0, 1, 4, 5));
}

/** Rates below 10: the number of uniforms whose product stays above exp(−rate). Knuth, TAOCP 2, 3.4.1. */
function smallRate(f: KernelBuilder, a: Draw, index: I32, rate: F32, result: F32): void {
  const limit = one(f, exp, rate.neg());
  const product = f.let(f32(1));
  f.set(result, f32(0));
  f.block((leave) => {
    f.range(0, 64, 1, (block) => {
      const v = openUniforms(f, a, index, block);
      for (let lane = 0; lane < 4; lane++) {
        f.set(product, product.mul(v.extract(lane)));
        leave(product.le(limit));
        f.set(result, result.add(1));
      }
    });
  });
}

/** Logarithm of the Poisson probability of k: factorials below 8, Stirling's series above. */
function logProbability(f: KernelBuilder, k: F32, rate: F32): F32 {
  const value = f.let(f32(0));
  f.if(
    k.lt(8),
    () => {
      const factorial = f.let(f32(1));
      for (let j = 2; j < 8; j++) f.if(k.ge(j), () => f.set(factorial, factorial.mul(j)));
      f.set(
        value,
        k
          .mul(one(f, log, rate))
          .sub(rate)
          .sub(one(f, log, factorial)),
      );
    },
    () => {
      // k log(k / m) + m − k without cancellation: C. Loader 2000, "Fast and accurate computation of binomial probabilities".
      const v = f.let(k.sub(rate).div(k.add(rate)));
      const s = f.let(v.mul(v));
      const deviance = f.let(
        k
          .mul(one(f, log, k.div(rate)))
          .add(rate)
          .sub(k),
      );
      const series = s
        .mul(1 / 9)
        .add(1 / 7)
        .mul(s)
        .add(1 / 5)
        .mul(s)
        .add(1 / 3);
      f.if(v.abs().lt(0.1), () => f.set(deviance, k.sub(rate).mul(v).add(k.mul(2).mul(v).mul(s).mul(series))));
      const r = f.let(f32(1).div(k.mul(k)));
      const stirling = f32(1 / 12)
        .sub(r.mul(f32(1 / 360).sub(r.mul(1 / 1260))))
        .div(k);
      f.set(
        value,
        stirling
          .neg()
          .sub(deviance)
          .sub(one(f, log, k.mul(2 * Math.PI)).mul(0.5)),
      );
    },
  );
  return value;
}

/** Larger rates: transformed rejection with squeeze, PTRS of Hörmann 1993, "The transformed rejection method". */
function largeRate(f: KernelBuilder, draw: Draw, index: I32, rate: F32, result: F32): void {
  const b = f.let(rate.sqrt().mul(2.53).add(0.931));
  const a = f.let(b.mul(0.02483).add(-0.059));
  const inverseAlpha = f.let(f32(1.1328).div(b.sub(3.4)).add(1.1239));
  const squeeze = f.let(f32(0.9277).sub(f32(3.6224).div(b.sub(2))));
  f.set(result, rate.floor());
  f.block((leave) => {
    f.range(0, 64, 1, (block) => {
      const words = openUniforms(f, draw, index, block);
      for (const pair of [0, 2]) {
        const x = f.let(words.extract(pair).sub(0.5));
        const v = f.let(words.extract(pair + 1));
        const s = f.let(f32(0.5).sub(x.abs()));
        const k = f.let(a.mul(2).div(s).add(b).mul(x).add(rate).add(0.43).floor());
        f.if(s.ge(0.07).and(v.le(squeeze)), () => {
          f.set(result, k);
          leave(i32(1));
        });
        f.if(
          k
            .lt(0)
            .or(s.lt(0.013).and(v.gt(s)))
            .eqz(),
          () => {
            const hat = one(f, log, v.mul(inverseAlpha).div(a.div(s.mul(s)).add(b)));
            const probability = logProbability(f, k, rate);
            f.if(hat.le(probability), () => {
              f.set(result, k);
              leave(i32(1));
            });
          },
        );
      }
    });
  });
}

/** A unit draws a block of counts, exactly distributed, each from its own counter and as many blocks of it as it needs. */
const poissonKernel = kernel("random-poisson", { ...DRAW, rate: "i32" }, (f, a) => {
  f.units((unit) => {
    const begin = f.let(unit.mul(BLOCK));
    f.range(begin, f.let(begin.add(BLOCK).minU(a.count)), 1, (i) => {
      const m = f.let(a.rate.add(i.shl(2)).f32());
      const result = f.let(f32(Number.NaN));
      f.if(m.eq(0), () => f.set(result, f32(0)));
      f.if(m.gt(0).and(m.lt(Number.POSITIVE_INFINITY)), () =>
        f.if(
          m.lt(10),
          () => smallRate(f, a, i, m, result),
          () => largeRate(f, a, i, m, result),
        ),
      );
      f.store(f.let(a.y.add(i.shl(2))), result);
    });
  });
});

/** Fills an output with draws. Poisson uses a counter for each element, the others one for each four. */
export function random(cpu: CpuEngine, { kind, key, counter, out, rate }: RandomCall): void {
  const count = numel(out.layout.shape);
  if (count === 0) return;
  const args = {
    y: cpu.address(out),
    count,
    key0: key[0],
    key1: key[1],
    counter0: counter % 2 ** 32,
    counter1: Math.floor(counter / 2 ** 32),
  };
  if (kind === "poisson") {
    if (!rate) throw new Error("internal: a Poisson draw without rates");
    cpu.launch(poissonKernel, { ...args, rate: cpu.address(rate) }, Math.ceil(count / BLOCK), BLOCK * 200);
    return;
  }
  const units = Math.ceil(count / 4 / BLOCK);
  cpu.launch(drawKernel(kind), args, units, BLOCK * (kind === "normal" ? 25 : 12));
}
