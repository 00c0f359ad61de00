import { checkNumber, checkOptionalTensor, checkOptions, checkTensor, wrongArgument } from "../arguments.ts";
import { composed, recordTogether } from "../autograd.ts";
import type { Backend, MlpLayerCall, View } from "../backend.ts";
import { describe, ShapeError } from "../errors.ts";
import { denseLayout } from "../layout.ts";
import { follows, joined } from "../lots.ts";
import { deviceOf, filled, made } from "../making.ts";
import type { Shape } from "../shape.ts";
import type { Storage } from "../storage.ts";
import { storedIn, type Tensor } from "../tensor.ts";
import { copyInto } from "../value.ts";
import { relu } from "./activation.ts";
import { checkFloats } from "./floats.ts";
import { linear } from "./linear.ts";
import { layerNorm } from "./norm.ts";

/** A linear layer of `normMlp`, with the layer norm and ReLU before it. */
export interface NormMlpLayer {
  /** `(out, in)`. */
  readonly weight: Tensor;
  /** `(out)`. */
  readonly bias: Tensor;
  /** Weight and bias `(in)` of the layer norm; the first layer has none. */
  readonly norm?: { readonly weight: Tensor; readonly bias: Tensor };
}

/** Values of a row, and layers, that one launch takes. */
const MAX_WIDTH = 16;
const MAX_LAYERS = 8;

/**
 * A perceptron over the last axis: a linear layer, then layer norm, ReLU and linear for each further one. `x (…, in)` → `(…, out)`; all f32, or all f16.
 * Where rows are up to 16 wide, WebGPU computes it in one launch, and the gradients of all its parameters in two.
 * @param options `eps` of the layer norms, default 1e-5
 * @throws ShapeError for layers that do not fit one another
 */
export function normMlp(x: Tensor, layers: readonly NormMlpLayer[], options: { readonly eps?: number } = {}): Tensor {
  checkTensor("normMlp", "x", x);
  checkLayers(x, layers);
  checkOptions("normMlp", options, ["eps"]);
  const { eps = 1e-5 } = options;
  checkNumber("normMlp", "eps", eps, 0);
  const tensors = layers.flatMap(tensorsOf);
  checkFloats(
    "normMlp",
    Object.fromEntries([x, ...tensors].map((tensor, i) => [i === 0 ? "x" : `tensor ${i}`, tensor])),
  );
  const { backend } = deviceOf("normMlp", x, ...tensors);
  const narrow = layers.every(({ weight }) => weight.shape.every((size) => size > 0 && size <= MAX_WIDTH));
  const small = narrow && layers.length <= MAX_LAYERS && x.size > 0 && x.dtype === "f32" && !x.requiresGrad;
  if (backend.normMlp && small) return fused(x, layers, tensors, eps);
  return composed("normMlp", () =>
    layers.reduce(
      (y, { weight, bias, norm }) => linear(norm ? relu(layerNorm(y, { ...norm, eps })) : y, weight, bias),
      x,
    ),
  );
}

function tensorsOf({ weight, bias, norm }: NormMlpLayer): Tensor[] {
  return [...(norm ? [norm.weight, norm.bias] : []), weight, bias];
}

function checkLayers(x: Tensor, layers: readonly NormMlpLayer[]): void {
  if (!Array.isArray(layers) || layers.length === 0)
    throw wrongArgument("normMlp", "layers", "an array of at least one layer", layers);
  let width = x.shape.at(-1);
  for (const [i, layer] of (layers as readonly NormMlpLayer[]).entries()) {
    const at = `layers[${i}]`;
    if (typeof layer !== "object" || layer === null)
      throw wrongArgument("normMlp", at, "an object with weight and bias", layer);
    const { weight, bias, norm } = layer;
    checkTensor("normMlp", `${at}.weight`, weight);
    checkTensor("normMlp", `${at}.bias`, bias);
    if ((norm !== undefined) !== i > 0) {
      throw new ShapeError(`normMlp: ${at} ${norm ? "has a norm, and the first layer takes none" : "has no norm"}`);
    }
    checkOptionalTensor("normMlp", `${at}.norm.weight`, norm?.weight);
    checkOptionalTensor("normMlp", `${at}.norm.bias`, norm?.bias);
    const before = i === 0 ? `x ${describe(x)}` : `layers[${i - 1}]`;
    if (weight.rank !== 2 || weight.shape[1] !== width)
      throw new ShapeError(`normMlp: ${at}.weight ${describe(weight)} does not fit ${before} (${width} wide)`);
    const sizes: readonly (readonly [string, Tensor, number])[] = [
      [".bias", bias, weight.shape[0]!],
      ...(norm
        ? ([
            [".norm.weight", norm.weight, width!],
            [".norm.bias", norm.bias, width!],
          ] as const)
        : []),
    ];
    for (const [name, tensor, size] of sizes) {
      if (tensor.rank !== 1 || tensor.size !== size)
        throw new ShapeError(`normMlp: ${at}${name} ${describe(tensor)} does not fit ${at}.weight ${describe(weight)}`);
    }
    width = weight.shape[0];
  }
}

/** In launches of its own, which read all parameters, and write all gradients, side by side. */
function fused(x: Tensor, layers: readonly NormMlpLayer[], tensors: readonly Tensor[], eps: number): Tensor {
  const { device } = x;
  const { backend } = device;
  const shape = [...x.shape.slice(0, -1), layers.at(-1)!.weight.shape[0]!];
  const rows = x.size / x.shape.at(-1)!;
  const shapes = tensors.map((tensor) => tensor.shape);
  const planned = (offsets: readonly number[]): MlpLayerCall[] =>
    plan(
      layers.map(({ weight }) => weight.shape),
      offsets,
    );
  const y = filled(device, shape, "f32", "normMlp", (y) => {
    const { parameters, offsets, release } = sideBySide(backend, tensors);
    try {
      backend.normMlp!({ rows, eps, layers: planned(offsets), x: x.dense("normMlp"), parameters, y });
    } finally {
      release();
    }
  });
  recordTogether([y], "normMlp", [x, ...tensors], [x, ...tensors], ([dy], give, [x, ...tensors], place) => {
    const { parameters, offsets, release } = sideBySide(backend, tensors);
    const pieces =
      placesFor(
        tensors.map((_, i) => place(i + 1)),
        tensors,
      ) ?? newPieces(backend, shapes);
    const gradients = shapes.map((shape, i) => made(device, storedIn(pieces[i]!, shape), shape, "f32", "normMlp.grad"));
    try {
      const call = { rows, eps, layers: planned(offsets), x: x!.dense("normMlp"), parameters };
      const out = joined(gradients.map((gradient) => gradient.view("normMlp")));
      backend.normMlpGrad!({ ...call, dy: dy!.dense("normMlp"), gradients: out });
    } finally {
      release();
    }
    for (const [i, gradient] of gradients.entries()) give(i + 1, gradient);
  });
  return y;
}

/** The places of gradients where those are neighbours; each with a reference more. */
function placesFor(places: readonly (Storage | undefined)[], tensors: readonly Tensor[]): Storage[] | undefined {
  const found = places.filter((place) => place !== undefined);
  if (found.length < places.length) return undefined;
  const views = found.map((storage, i): View => ({ storage, layout: denseLayout(tensors[i]!.shape), dtype: "f32" }));
  if (!neighbours(views)) return undefined;
  for (const place of found) place.retain();
  return found;
}

function newPieces(backend: Backend, shapes: readonly Shape[]): readonly Storage[] {
  return backend.allocateLot(
    shapes.map((shape) => 4 * shape.reduce((a, b) => a * b, 1)),
    "normMlp.grad",
  ).pieces;
}

function neighbours(views: readonly View[]): boolean {
  return views.every((view, i) => i === 0 || follows(view, views[i - 1]!));
}

/** Tensors as one, where they lie so or in copies; with the element at which each begins. */
function sideBySide(
  backend: Backend,
  tensors: readonly Tensor[],
): { readonly parameters: View; readonly offsets: readonly number[]; release(): void } {
  const views = tensors.map((tensor) => tensor.dense("normMlp"));
  if (views.length > 1 && neighbours(views))
    return { parameters: joined(views), offsets: offsetsOf(views), release() {} };
  const pieces = newPieces(
    backend,
    tensors.map(({ shape }) => shape),
  );
  const copies = views.map(({ layout, dtype }, i): View => ({ storage: pieces[i]!, layout, dtype }));
  const release = (): void => {
    for (const piece of pieces) piece.release();
  };
  try {
    for (const [i, view] of views.entries()) copyInto(backend, view, copies[i]!);
  } catch (error) {
    release();
    throw error;
  }
  return { parameters: joined(copies), offsets: offsetsOf(copies), release };
}

function offsetsOf(views: readonly View[]): number[] {
  const { piece, lot } = views[0]!.storage;
  return views.map((_, i) => (lot!.offsets[piece + i]! - lot!.offsets[piece]!) / 4);
}

/** What each layer's kernel needs to know. */
function plan(weights: readonly Shape[], offsets: readonly number[]): MlpLayerCall[] {
  let next = 0;
  return weights.map(([outer, inner], i) => {
    const [normWeight, normBias] = i === 0 ? [0, 0] : [offsets[next++]!, offsets[next++]!];
    return { inner: inner!, outer: outer!, normWeight, normBias, weight: offsets[next++]!, bias: offsets[next++]! };
  });
}
