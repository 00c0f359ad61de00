/** What a row of the table is: the same work for ours and for each peer, and the numbers that it must give. */
import type { Shape, Tensor } from "@deplsr/tensor";
import { inverse, permute, size, uniform } from "./arrays.ts";
import { type Ours, operationOfOurs } from "./ours.ts";
import { type Jax, type JaxArray, operationOfJax } from "./peers/jax-js.ts";
import type { OnnxNode } from "./peers/onnx.ts";
import { type Ort, operationOfOrt } from "./peers/ort.ts";
import { operationOfTf, type Tf, type TfTensor } from "./peers/tfjs.ts";
import { operationOfTorch, type Torch } from "./peers/torch.ts";
import type { Raw } from "./raw.ts";
import type { Feeds, Ways } from "./task.ts";

/** Who can do the work of a row, by the library that does it. */
export interface Tasks {
  readonly ours?: Ways<Ours>;
  readonly jax?: Ways<Jax>;
  readonly tfjs?: Ways<Tf>;
  readonly ort?: Ways<Ort>;
  readonly torch?: Ways<Torch>;
  readonly raw?: Ways<Raw>;
}

/** What we want to reach on the CPU with one thread. */
export interface Target {
  /** Times as fast as the fastest peer. */
  readonly ratio?: number;
  /** Part of PyTorch's speed. */
  readonly torch?: number;
}

/** One row of the table. */
export interface Row {
  readonly name: string;
  /** Sizes, for the reader. */
  readonly shape: string;
  /** Floating-point operations of a run, where they are what limits it. */
  readonly flops?: number;
  /** Bytes that a run must at least read and write, where they are what limits it. */
  readonly bytes?: number;
  /** The result of the definition, in f64. */
  readonly reference: () => Float64Array | Promise<Float64Array>;
  /** Largest error allowed, as a fraction of the largest number of the reference. */
  readonly tolerance: number;
  readonly target?: Target;
  readonly tasks: Tasks;
  /** Measured in a fresh process without shader caches too, in every run of the benchmarks. */
  readonly alsoCold?: boolean;
  /** Ours is a training step that is looked into after it was timed. */
  readonly profiled?: boolean;
}

/** An input or output in the order of axes that a contender is at its best with. */
export interface Layout {
  /** Axis i of what the contender sees is axis `permute[i]` of the row's. */
  readonly permute: readonly number[];
  /** The shape after that; only needed where axes are joined as well. */
  readonly shape?: Shape;
}

/** A peer's way to do an operation; inputs and output are laid out as the row says unless `layouts` names them (the output as `output`). */
export interface Way<F> {
  readonly run: F;
  readonly layouts?: Readonly<Record<string, Layout>>;
}

/** A model of ONNX Runtime. */
export interface OrtWay extends Way<readonly OnnxNode[]> {
  /** Inputs whose numbers belong to the model, such as weights, which the library may then pack once. */
  readonly constants?: readonly string[];
}

/** An operation: named f32 inputs, filled with uniform numbers in [−1, 1), to one f32 output. */
export interface Operation<K extends string> extends Omit<Row, "shape" | "reference" | "tolerance" | "tasks"> {
  readonly inputs: Readonly<Record<K, Shape>>;
  readonly output: Shape;
  readonly reference: (inputs: Readonly<Record<K, Float32Array>>) => Float64Array;
  /** Default 1e-4: room for a peer's fast math, none for a wrong result. */
  readonly tolerance?: number;
  readonly ours: (inputs: Readonly<Record<K, Tensor>>) => Tensor;
  /** Consumes its arguments, as all functions of jax-js do. */
  readonly jax?: Way<(jax: Jax, inputs: Readonly<Record<K, JaxArray>>) => JaxArray> & {
    /** Runs its operations one by one instead of as one compiled function. */
    readonly eager?: boolean;
  };
  readonly tfjs?: Way<(tf: Tf, inputs: Readonly<Record<K, TfTensor>>) => TfTensor>;
  /** Graphs from the inputs, by their names, to `output`: the first that gives the right result on this adapter is measured. Or why there is none. */
  readonly ort?: readonly OrtWay[] | string;
  /** A Python expression of the inputs, by their names; there are `torch`, `torch.nn.functional` as `F` and `attention(q, k, v, bias)`. */
  readonly torch?: string | Way<string>;
}

/** Makes a row of an operation. */
export function operation<K extends string>(definition: Operation<K>): Row {
  const { inputs, output, reference, tolerance = 1e-4, ours, jax, tfjs, ort, torch, ...rest } = definition;
  const shapes: Readonly<Record<string, Shape>> = inputs;
  const values = (): Record<K, Float32Array> =>
    Object.fromEntries(
      Object.entries(shapes).map(([key, shape], index) => [key, uniform(size(shape), index)]),
      // Object.fromEntries forgets which keys there are.
    ) as Record<K, Float32Array>;
  const feeds = (layouts: Readonly<Record<string, Layout>> = {}): Feeds => {
    const data: Readonly<Record<string, Float32Array>> = values();
    const laidOut = Object.entries(shapes).map(([key, shape]) => {
      const layout = layouts[key];
      if (!layout) return [key, { shape, data: data[key]! }] as const;
      return [key, { shape: seen(shape, layout), data: permute(data[key]!, shape, layout.permute) }] as const;
    });
    const { output: last } = layouts;
    return {
      inputs: Object.fromEntries(laidOut),
      output: last ? seen(output, last) : output,
      read: (result) => {
        if (!last) return result;
        const permuted = last.permute.map((dim) => output[dim]!);
        return permute(result, permuted, inverse(last.permute));
      },
    };
  };
  return {
    ...rest,
    shape: Object.values<Shape>(shapes)
      .map((shape) => `[${shape.join(", ")}]`)
      .join(" "),
    tolerance,
    reference: () => reference(values()),
    tasks: {
      ours: [(api) => operationOfOurs(api, feeds(), (tensors) => ours(tensors as Record<K, Tensor>))],
      ...(jax && {
        jax: [
          (api: Jax) =>
            operationOfJax(api, feeds(jax.layouts), (x) => jax.run(api, x as Record<K, JaxArray>), jax.eager),
        ],
      }),
      ...(tfjs && {
        tfjs: [(api: Tf) => operationOfTf(api, feeds(tfjs.layouts), (x) => tfjs.run(api, x as Record<K, TfTensor>))],
      }),
      ...(ort && {
        ort:
          typeof ort === "string"
            ? ort
            : ort.map(
                ({ layouts, run, constants = [] }) =>
                  (api: Ort) =>
                    operationOfOrt(api, feeds(layouts), run, constants),
              ),
      }),
      ...(torch && {
        torch: [
          (api: Torch) => {
            const { run, layouts }: Way<string> = typeof torch === "string" ? { run: torch } : torch;
            return operationOfTorch(api, feeds(layouts), run);
          },
        ],
      }),
    },
  };
}

function seen(shape: Shape, { permute: dims, shape: joined }: Layout): Shape {
  return joined ?? dims.map((dim) => shape[dim]!);
}
