import type { Epilogue, PointwiseCall, View } from "../../../backend.ts";
import { bytesPerElement } from "../../../dtype.ts";
import { collapse, denseLayout, isDense } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { copy } from "./copy.ts";
import { type Finish, PlainFinish, TreeFinish } from "./finish.ts";
import { gridStride } from "./wgsl.ts";

const WG = 64;

/** One thread computes `width` neighbouring outputs at a time and strides over the rest of the grid. */
const pointwiseKernel = kernel("pointwise", ({ finish }: { finish: Finish }) => ({
  inputs: finish.inputs,
  outputs: finish.outputs,
  uniforms: { count: "u32", ...finish.uniforms },
  workgroupSize: WG,
  source: `${finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) { finish(i); }
}`,
}));

/** A leaf of at least so many elements that is read across its rows is transposed first. */
const WORTH_A_COPY = 4096;

/** Evaluates a tree over views of one shape; `out` may have any layout. */
export function pointwise(gpu: Gpu, call: PointwiseCall): void {
  const { out } = call;
  const count = numel(out.layout.shape);
  if (count === 0) return;
  const tooMany = !TreeFinish.takes(call);
  const temporary: View[] = [];
  const dense = ({ layout, dtype }: View): View => {
    const own = denseLayout(layout.shape);
    const view = { storage: gpu.pool.take(count * bytesPerElement(dtype), "laid out"), layout: own, dtype };
    temporary.push(view);
    return view;
  };
  try {
    const leaves = call.leaves.map((view) => {
      const apart = view.layout.strides.some((stride) => stride !== 0);
      if (!(tooMany && apart) && !readAcross(view)) return view;
      const copied = dense(view);
      copy(gpu, { out: copied, input: view });
      return copied;
    });
    const target = tooMany && !isDense(out.layout) ? dense(out) : out;
    const finish = new TreeFinish({ ...call, out: target, leaves, product: -1 });
    const threads = Math.ceil(count / finish.width);
    pointwiseKernel.run(gpu, {
      template: { finish },
      operands: finish.operands,
      uniforms: { count: threads, ...finish.values },
      workgroups: gridStride(gpu, threads, WG),
    });
    if (target !== out) copy(gpu, { out, input: target });
  } finally {
    for (const { storage } of temporary) storage.release();
  }
}

/** True for a view whose neighbours along the last axis lie apart, while those along another axis lie side by side. */
function readAcross({ layout, dtype }: View): boolean {
  if (dtype !== "f32" || numel(layout.shape) < WORTH_A_COPY) return false;
  const { shape, strides } = collapse(layout.shape, [layout.strides]);
  const own = strides[0]!;
  const last = own.at(-1)!;
  return last > 1 && own.includes(1) && !own.some((stride) => stride <= 0) && shape.at(-1)! >= 4;
}

/**
 * Runs a kernel that ends in an epilogue, if there is one. `run` records it with what it is given, for four neighbours at a time where `wide` says
 * that it can and operands allow it.
 */
export function finishing(
  gpu: Gpu,
  out: View,
  epilogue: Epilogue | undefined,
  wide: boolean,
  run: (finish: Finish) => void,
): void {
  if (epilogue && TreeFinish.takes(epilogue)) run(new TreeFinish(epilogue, wide));
  else apart(gpu, out, epilogue, (product) => run(new PlainFinish(product, wide ? 4 : 1)));
}

/** Runs a kernel that takes no epilogue, or not this one: its result is stored, and read again. */
export function apart(gpu: Gpu, out: View, epilogue: Epilogue | undefined, run: (product: View) => void): void {
  if (!epilogue) {
    run(out);
    return;
  }
  const { product, leaves, ...call } = epilogue;
  const { shape } = epilogue.out.layout;
  const storage = gpu.pool.take(numel(shape) * bytesPerElement(out.dtype), "product");
  try {
    run({ ...out, storage });
    const own: View = { storage, layout: denseLayout(shape), dtype: out.dtype };
    pointwise(gpu, { ...call, leaves: leaves.map((leaf, i) => (i === product ? own : leaf)) });
  } finally {
    storage.release();
  }
}
