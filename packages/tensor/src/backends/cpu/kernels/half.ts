import type { View } from "../../../backend.ts";
import { cast, type Expr, leaf } from "../../../expr/expr.ts";
import { denseLayout } from "../../../layout.ts";
import { numel } from "../../../shape.ts";
import type { CpuEngine } from "../engine.ts";
import { pointwise } from "./pointwise.ts";

const WIDEN: Expr = cast(leaf(0, "f16"), "f32");
const NARROW: Expr = cast(leaf(0, "f32"), "f16");

type Views<Name extends string> = { readonly [N in Name]?: View };

/**
 * Addresses of f32 operands for a kernel that knows f32 only: what is f16 is widened before and narrowed after `work`. On a CPU f16
 * saves memory, not time.
 */
export function asFloats<In extends string, Out extends string>(
  cpu: CpuEngine,
  inputs: Views<In>,
  outputs: Views<Out>,
  work: (addresses: Record<In | Out, number>) => void,
): void {
  cpu.withTemporaries((take) => {
    const addresses: Record<string, number> = {};
    const widened = ({ layout }: View): View => {
      const storage = take(4 * numel(layout.shape), "f16 as f32");
      return { storage, layout: denseLayout(layout.shape), dtype: "f32" };
    };
    for (const [name, view] of Object.entries<View | undefined>(inputs)) {
      if (!view) continue;
      const own = view.dtype === "f16" ? widened(view) : view;
      if (own !== view) pointwise(cpu, { out: own, tree: WIDEN, leaves: [view], params: [] });
      addresses[name] = cpu.address(own);
    }
    const narrow: (() => void)[] = [];
    for (const [name, view] of Object.entries<View | undefined>(outputs)) {
      if (!view) continue;
      const own = view.dtype === "f16" ? widened(view) : view;
      if (own !== view) narrow.push(() => pointwise(cpu, { out: view, tree: NARROW, leaves: [own], params: [] }));
      addresses[name] = cpu.address(own);
    }
    work(addresses as Record<In | Out, number>);
    for (const finish of narrow) finish();
  });
}
