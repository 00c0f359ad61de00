import type { AdamCall } from "../../../backend.ts";
import { numel } from "../../../shape.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { copy } from "./copy.ts";
import { elementType, gridStride } from "./wgsl.ts";

const WG = 64;

/**
 * One thread updates one value (or four) at a time. Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019 for the decoupled decay,
 * `shrink`.
 */
const adamKernel = kernel("adam", ({ wide, inPlace }: { wide: boolean; inPlace: boolean }) => {
  const F = elementType("f32", wide ? 4 : 1);
  return {
    inputs: inPlace ? { grad: F } : { grad: F, before: F },
    outputs: { param: F, expAvg: F, expAvgSq: F },
    uniforms: {
      count: "u32",
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
    workgroupSize: WG,
    source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let p = ${inPlace ? "param" : "before"}[i];
    let g = grad[i] + u.decay * p;
    let m = u.beta1 * expAvg[i] + u.rest1 * g;
    let v = u.beta2 * expAvgSq[i] + u.rest2 * g * g;
    expAvg[i] = m;
    expAvgSq[i] = v;
    param[i] = p - u.shrink * p - u.stepSize * m / (sqrt(v) / u.rootCorrection + u.eps);
  }
}`,
  };
});

/** One step: the parameter, of which others often hold the old values, in place or not; the moments in place. */
export function adam(gpu: Gpu, { param, grad, expAvg, expAvgSq, numbers, later }: AdamCall): void {
  const size = numel(grad.layout.shape);
  if (size === 0) return;
  for (const { before, after } of [expAvg, expAvgSq]) {
    if (before.storage !== after.storage) copy(gpu, { out: after, input: before });
  }
  // Whole vectors only: past the end of a parameter there may be another one.
  const wide = size % 4 === 0;
  const count = wide ? size / 4 : size;
  const inPlace = param.before.storage === param.after.storage;
  adamKernel.run(gpu, {
    template: { wide, inPlace },
    operands: {
      grad,
      ...(inPlace ? {} : { before: param.before }),
      param: param.after,
      expAvg: expAvg.after,
      expAvgSq: expAvgSq.after,
    },
    uniforms: { count, ...numbers },
    workgroups: gridStride(gpu, count, WG),
    ...(later && { later }),
  });
}
