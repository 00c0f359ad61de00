import type * as Calls from "./backend.ts";
import type { DType } from "./dtype.ts";
import { signatureOf } from "./expr/expr.ts";

/**
 * What each family of kernels takes: the dtypes of its operands, one line for each way in which they go together. Checked at every call,
 * on every backend, before anything is recorded, so that no kernel ever reads the bytes of one type as those of another. An operand that
 * is left out is not looked at.
 */
const TAKES: Readonly<Record<string, readonly Readonly<Record<string, DType>>[]>> = {
  copy: alike("out", "input"),
  roll: alike("out", "input"),
  matmul: f32("a", "b", "out", "rowSums"),
  conv2d: f32("x", "weight", "y"),
  conv2dInputGrad: f32("x", "weight", "y"),
  conv2dWeightGrad: f32("x", "weight", "y", "sums"),
  softmax: floats("x", "y"),
  softmaxGrad: floats("y", "dy", "dx"),
  layerNorm: floats("x", "y", "weight", "bias").map((types) => ({ ...types, stats: "f32" })),
  layerNormGrad: floats("x", "dy", "dx", "weight").map((types) => ({ ...types, stats: "f32" })),
  layerNormSums: f32("x", "stats", "dy", "byWeight", "byBias"),
  batchStatsGrad: f32("x", "stats", "dy", "byWeight", "byBias", "factors"),
  normMlp: f32("x", "parameters", "y"),
  normMlpGrad: f32("x", "parameters", "dy", "gradients"),
  gather: indexed(alike("x", "out")),
  gatherElements: indexed(alike("x", "out")),
  segmentSum: floats("x", "out").map((types) => ({ ...types, order: "i32", start: "i32" })),
  scatterAdd: indexed(floats("x", "out")),
  resample: f32("x", "weights", "out").map((types) => ({ ...types, start: "i32" })),
  countDistinct: f32("x", "out"),
  hostCall: f32("input", "out"),
  attention: f32("q", "k", "v", "out", "stats"),
  attentionSlopes: f32("q", "k", "v", "dy", "weights", "slopes"),
  attentionGrad: f32("q", "k", "v", "stats", "dy", "dq", "dk", "dv", "dbias"),
};

const REDUCES: Readonly<Record<Calls.Reduction, (input: DType, out: DType) => boolean>> = {
  sum: (input, out) => input === out && input !== "f16" && input !== "bool",
  max: (input, out) => input === out && input !== "f16",
  min: (input, out) => input === out && input !== "f16",
  argmax: (input, out) => input !== "f16" && out === "i32",
  argmin: (input, out) => input !== "f16" && out === "i32",
};

function all(operands: readonly string[], dtype: DType): Record<string, DType> {
  return Object.fromEntries(operands.map((name) => [name, dtype]));
}

function alike(...operands: string[]): Record<string, DType>[] {
  return (["f32", "f16", "i32", "u32", "bool"] as const).map((dtype) => all(operands, dtype));
}

function floats(...operands: string[]): Record<string, DType>[] {
  return (["f32", "f16"] as const).map((dtype) => all(operands, dtype));
}

function f32(...operands: string[]): Record<string, DType>[] {
  return [all(operands, "f32")];
}

function indexed(ways: readonly Record<string, DType>[]): Record<string, DType>[] {
  return ways.flatMap((types) => [
    { ...types, index: "i32" },
    { ...types, index: "u32" },
  ]);
}

type Operands = Readonly<Record<string, unknown>>;

/** What is wrong with a call, or nothing. */
const CHECKS: Readonly<Record<string, (call: never) => boolean>> = {
  ...Object.fromEntries(Object.entries(TAKES).map(([family, ways]) => [family, byTable(ways)])),
  pointwise: takesTree,
  reduce: ({ kind, input, out }: Calls.ReduceCall) => REDUCES[kind](input.dtype, out.dtype),
  random: ({ kind, out, rate }: Calls.RandomCall) =>
    out.dtype === (kind === "bits" ? "u32" : "f32") && (rate === undefined || rate.dtype === "f32"),
  batchStats: ({ x, stats, weight, bias, running }: Calls.BatchStatsCall) =>
    [x, stats, weight, bias, running?.mean, running?.variance].every((view) => (view?.dtype ?? "f32") === "f32") &&
    (!running || [running.count.before, running.count.after].every(({ dtype }) => dtype === "i32")),
  adam: ({ grad, param, expAvg, expAvgSq }: Calls.AdamCall) =>
    grad.dtype === "f32" && [param, expAvg, expAvgSq].every((u) => u.before.dtype === "f32" && u.after.dtype === "f32"),
  ...Object.fromEntries(
    ["attention", "attentionGrad", "attentionSlopes"].map((family) => [family, withBiases(TAKES[family]!)]),
  ),
};

/** A tree and what it reads and writes, of a pointwise kernel or of an epilogue. */
function takesTree({ tree, leaves, params, out }: Calls.PointwiseCall): boolean {
  if (tree.dtype !== out.dtype) return false;
  const { leaves: types, params: numbers } = signatureOf(tree);
  if (types.length > leaves.length || numbers.length > params.length) return false;
  return types.every((type, i) => type === undefined || type === leaves[i]!.dtype);
}

function byTable(ways: readonly Readonly<Record<string, DType>>[]): (call: Operands) => boolean {
  const names = Object.keys(ways[0]!);
  return (call) =>
    ways.some((types) =>
      names.every((name) => {
        const view = call[name] as Calls.View | undefined;
        return view === undefined || view.dtype === types[name];
      }),
    );
}

function withBiases(
  ways: readonly Readonly<Record<string, DType>>[],
): (call: Operands & { readonly biases: readonly Calls.View[] }) => boolean {
  const others = byTable(ways);
  return (call) => call.biases.every(({ dtype }) => dtype === "f32") && others(call);
}

const checked = new WeakSet<Calls.Backend>();

/** Lets a backend refuse calls whose operands are not of the types that the family takes. Returns it. */
export function checkOperands<B extends Calls.Backend>(backend: B): B {
  if (checked.has(backend)) return backend;
  checked.add(backend);
  for (const [family, takes] of Object.entries(CHECKS)) {
    // Families are properties of their own of a backend, so that this, and what watches it, can stand before them.
    const record = (backend as unknown as Record<string, ((call: unknown) => void) | undefined>)[family];
    if (!record) continue;
    const checkedRecord = (call: unknown): void => {
      const { epilogue } = call as { readonly epilogue?: Calls.Epilogue };
      if (!takes(call as never) || (epilogue && !takesTree(epilogue)))
        throw new Error(`internal: ${family} does not take ${operandsOf(call as object)}`);
      record(call);
    };
    Object.assign(backend, { [family]: checkedRecord });
  }
  return backend;
}

function operandsOf(call: object): string {
  const texts: string[] = [];
  const visit = (name: string, value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if ("storage" in value && "dtype" in value) texts.push(`${name} ${value.dtype}`);
    else if (name !== "tree")
      for (const [key, part] of Object.entries(value)) visit(name ? `${name}.${key}` : key, part);
  };
  for (const [name, value] of Object.entries(call)) visit(name, value);
  return texts.join(", ");
}
