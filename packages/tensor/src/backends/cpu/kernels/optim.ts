import type { AdamCall } from "../../../backend.ts";
import { numel } from "../../../shape.ts";
import type { CpuEngine } from "../engine.ts";
import { kernel } from "../kernel.ts";
import { f32x4, type I32 } from "../wasm/values.ts";

const BLOCK = 4096;

/** A unit updates a block of values. Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019 for the decoupled decay, `shrink`. */
const adamKernel = kernel(
  "adam",
  {
    param: "i32",
    grad: "i32",
    expAvg: "i32",
    expAvgSq: "i32",
    count: "i32",
    beta1: "f32",
    beta2: "f32",
    rest1: "f32",
    rest2: "f32",
    eps: "f32",
    decay: "f32",
    shrink: "f32",
    stepSize: "f32",
    rootCorrection: "f32",
  },
  (f, a) => {
    const [beta1, beta2, rest1, rest2, eps, decay, shrink, stepSize] = [
      a.beta1,
      a.beta2,
      a.rest1,
      a.rest2,
      a.eps,
      a.decay,
      a.shrink,
      a.stepSize,
    ].map((x) => f.let(x.splat()));
    const inverse = f.let(f32x4(1).div(a.rootCorrection.splat()));
    f.units((unit) => {
      const begin = f.let(unit.mul(BLOCK));
      f.range(begin, f.let(begin.add(BLOCK).minU(a.count)), 4, (i) => {
        const at = f.let(i.shl(2));
        const left = f.let(a.count.sub(i));
        const put = (base: I32, value: Parameters<typeof f.storeSome>[1]): void =>
          f.storeSome(f.let(base.add(at)), value, left);
        const p = f.let(a.param.add(at).f32x4());
        const g = f.let(f.fma(decay!, p, a.grad.add(at).f32x4()));
        const m = f.let(f.fma(beta1!, a.expAvg.add(at).f32x4(), rest1!.mul(g)));
        const v = f.let(f.fma(beta2!, a.expAvgSq.add(at).f32x4(), rest2!.mul(g).mul(g)));
        put(a.expAvg, m);
        put(a.expAvgSq, v);
        const move = stepSize!.mul(m).div(f.fma(v.sqrt(), inverse, eps!));
        put(a.param, p.sub(shrink!.mul(p)).sub(move));
      });
    });
  },
);

/** One step in place. */
export function adam(cpu: CpuEngine, { param, grad, expAvg, expAvgSq, numbers }: AdamCall): void {
  const count = numel(param.layout.shape);
  const args = {
    param: cpu.address(param),
    grad: cpu.address(grad),
    expAvg: cpu.address(expAvg),
    expAvgSq: cpu.address(expAvgSq),
    count,
    ...numbers,
  };
  cpu.launch(adamKernel, args, Math.ceil(count / BLOCK), Math.min(count, BLOCK));
}
