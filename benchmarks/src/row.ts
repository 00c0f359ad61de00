/** What a row of the table is: the same work for ours and for each peer, and the numbers that it must give. */
import type { Shape, Tensor } from "@deplsr/tensor";
import { inverse, permute, size, uniform } from "./arrays.ts";
import { type Ours, operationOfOurs } from "./ours.ts";
import { type Jax, type JaxArray, operationOfJax } from "./peers/jax-js.ts";
import type { OnnxNode } from "./peers/onnx.ts";
import { type Ort, operationOfOrt } from "./peers/ort-node.ts";
import { operationOfTf, type Tf, type TfTensor } from "./peers/tfjs.ts";
import type { Raw } from "./raw.ts";
import type { Feeds, Task } from "./task.ts";

/** Prepares a row's work with an open library. */
export type Prepare<A> = (api: A) => Promise<Task>;

/** Who can do the work of a row, by the library that does it. Who cannot is left out; who has several ways names the quickest first. */
export interface Tasks {
  readonly ours?: readonly Prepare<Ours>[];
  readonly jax?: readonly Prepare<Jax>[];
  readonly tfjs?: readonly Prepare<Tf>[];
  readonly ort?: readonly Prepare<Ort>[];
  readonly raw?: readonly Prepare<Raw>[];
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
  readonly reference: () => Float64Array;
  /** Largest error allowed, as a fraction of the largest number of the reference. */
  readonly tolerance: number;
  readonly tasks: Tasks;
  /** Measured in a fresh process without shader caches too, in every run of the benchmarks. */
  readonly alsoCold?: boolean;
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

/** An operation: named f32 inputs, filled with uniform numbers in [−1, 1), to one f32 output. */
export interface Operation<K extends string> extends Omit<Row, "shape" | "reference" | "tolerance" | "tasks"> {
  readonly inputs: Readonly<Record<K, Shape>>;
  readonly output: Shape;
  readonly reference: (inputs: Readonly<Record<K, Float32Array>>) => Float64Array;
  /** Default 1e-4: room for a peer's fast math, none for a wrong result. */
  readonly tolerance?: number;
  readonly ours: (inputs: Readonly<Record<K, Tensor>>) => Tensor;
  /** Consumes its arguments, as all functions of jax-js do. */
  readonly jax?: Way<(jax: Jax, inputs: Readonly<Record<K, JaxArray>>) => JaxArray>;
  readonly tfjs?: Way<(tf: Tf, inputs: Readonly<Record<K, TfTensor>>) => TfTensor>;
  /** Graphs from the inputs, by their names, to `output`: the first that gives the right result on this adapter is measured. */
  readonly ort?: readonly Way<readonly OnnxNode[]>[];
}

/** Makes a row of an operation. */
export function operation<K extends string>(definition: Operation<K>): Row {
  const { inputs, output, reference, tolerance = 1e-4, ours, jax, tfjs, ort, ...rest } = definition;
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
        jax: [(api: Jax) => operationOfJax(api, feeds(jax.layouts), (x) => jax.run(api, x as Record<K, JaxArray>))],
      }),
      ...(tfjs && {
        tfjs: [(api: Tf) => operationOfTf(api, feeds(tfjs.layouts), (x) => tfjs.run(api, x as Record<K, TfTensor>))],
      }),
      ...(ort && {
        ort: ort.map(
          ({ layouts, run }) =>
            (api: Ort) =>
              operationOfOrt(api, feeds(layouts), run),
        ),
      }),
    },
  };
}

function seen(shape: Shape, { permute: dims, shape: joined }: Layout): Shape {
  return joined ?? dims.map((dim) => shape[dim]!);
}
