import type { AdamCall } from "../../../backend.ts";
import { numel } from "../../../shape.ts";
import type { CpuEngine } from "../engine.ts";
import { kernel } from "../kernel.ts";
import { f32x4 } from "../wasm/values.ts";
import { overRow, put } from "./vectors.ts";

const BLOCK = 4096;

/** A unit updates a block of values. Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019 for the decoupled decay, `shrink`. */
const adamKernel = kernel(
  "adam",
  {
    param: "i32",
    grad: "i32",
    expAvg: "i32",
    expAvgSq: "i32",
    nextParam: "i32",
    nextExpAvg: "i32",
    nextExpAvgSq: "i32",
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
      const count = f.let(begin.add(BLOCK).minU(a.count).sub(begin));
      const starts = [a.param, a.grad, a.expAvg, a.expAvgSq, a.nextParam, a.nextExpAvg, a.nextExpAvgSq].map((start) =>
        f.let(start.add(begin.shl(2))),
      );
      overRow(
        f,
        starts,
        count,
        ([param, grad, expAvg, expAvgSq], { offset }) => {
          const p = f.let(param!.f32x4(offset));
          const g = f.let(f.fma(decay!, p, grad!.f32x4(offset)));
          const m = f.let(f.fma(beta1!, expAvg!.f32x4(offset), rest1!.mul(g)));
          const v = f.let(f.fma(beta2!, expAvgSq!.f32x4(offset), rest2!.mul(g).mul(g)));
          const move = stepSize!.mul(m).div(f.fma(v.sqrt(), inverse, eps!));
          return { m, v, next: f.let(p.sub(shrink!.mul(p)).sub(move)) };
        },
        ({ m }, [, , , , , next], part) => put(f, next!, m, part),
        ({ v }, [, , , , , , next], part) => put(f, next!, v, part),
        ({ next }, [, , , , nextParam], part) => put(f, nextParam!, next, part),
      );
    });
  },
);

/** One step, in place or not. */
export function adam(cpu: CpuEngine, { param, grad, expAvg, expAvgSq, numbers }: AdamCall): void {
  const count = numel(grad.layout.shape);
  const args = {
    param: cpu.address(param.before),
    grad: cpu.address(grad),
    expAvg: cpu.address(expAvg.before),
    expAvgSq: cpu.address(expAvgSq.before),
    nextParam: cpu.address(param.after),
    nextExpAvg: cpu.address(expAvg.after),
    nextExpAvgSq: cpu.address(expAvgSq.after),
    count,
    ...numbers,
  };
  cpu.launch(adamKernel, args, Math.ceil(count / BLOCK), Math.min(count, BLOCK));
}
