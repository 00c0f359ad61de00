import { backward, Device, mul, permute, requireGrad, type Shape, scope, slice, sum, type Tensor } from "./index.ts";
import { broadcastShapes, denseStrides, numel } from "./shape.ts";

/** A plain array in double precision: what references compute on. */
export interface NdArray {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** An array of `shape`, from its row-major elements. */
export function ndarray(shape: Shape, data: ArrayLike<number>): NdArray {
  if (data.length !== numel(shape)) throw new Error(`ndarray: ${data.length} values for [${shape.join(", ")}]`);
  return { shape, data: Float64Array.from(data) };
}

/** How far a result may be from the reference: `|a − b| ≤ abs + rel · max|b|`. */
export interface Tolerance {
  readonly rel?: number;
  readonly abs?: number;
}

const devices = new Map<string, Promise<Device>>();

/**
 * The device that tests share: the one that is chosen of itself, or that of a backend, whose kernels are then compiled once for all of them. Rejects with instructions
 * where there is no adapter: tests fail, they never skip.
 */
export async function testDevice(backend?: "cpu" | "webgpu"): Promise<Device> {
  const open = (name: string, request: () => Promise<Device>): Promise<Device> => {
    const device = devices.get(name) ?? request();
    devices.set(name, device);
    return device;
  };
  const first = open("", () => Device.request());
  if (backend === undefined || (await first).info.backend === backend) return first;
  return open(backend, () => Device.request({ backend }));
}

/** Numbers in [0, 1) that depend on nothing but the seed (a linear congruential generator, Numerical Recipes' constants). */
export function seeded(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Throws unless `actual` is within tolerance of `expected`, naming the worst element. NaN equals NaN, infinities themselves. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance = {},
  what = "result",
): void {
  if (actual.length !== expected.length)
    throw new Error(`${what}: ${actual.length} values, expected ${expected.length}`);
  const { rel = 1e-5, abs = 1e-6 } = tolerance;
  let largest = 0;
  for (let i = 0; i < expected.length; i++)
    if (Number.isFinite(expected[i]!)) largest = Math.max(largest, Math.abs(expected[i]!));
  const bound = abs + rel * largest;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (!(Math.abs(a - b) <= bound))
      throw new Error(`${what}: element ${i} is ${a}, expected ${b} (bound ${bound.toExponential(2)})`);
  }
}

/** One input of a checked op. */
export interface InputSpec {
  readonly shape: Shape;
  /** Values are uniform in it; default [-1, 1]. */
  readonly range?: readonly [number, number];
  /** Set to false for an input without gradient. */
  readonly gradient?: boolean;
}

/** What `checkOp` is told. */
export interface CheckOptions {
  readonly op: (...inputs: Tensor[]) => Tensor;
  /** The op on plain arrays in double precision, written from its definition. */
  readonly reference: (...inputs: NdArray[]) => NdArray;
  readonly inputs: readonly InputSpec[];
  readonly tolerance?: Tolerance;
  readonly gradientTolerance?: Tolerance;
  readonly seed?: number;
  /** Set to false for an op whose result is piecewise constant. */
  readonly gradient?: boolean;
  /** Set to false to check dense inputs only. */
  readonly layouts?: boolean;
}

/** Ways to lay the same numbers out in memory. */
const LAYOUTS = {
  dense: (x: Tensor): Tensor => x,
  permuted: (x: Tensor): Tensor => {
    const reversed = x.shape.map((_, axis) => x.rank - 1 - axis);
    const copy = permute(x, reversed);
    copy.dense();
    return permute(copy, reversed);
  },
  sliced: (x: Tensor): Tensor => {
    if (x.rank === 0) return x;
    // Every second element of a wider tensor, from an odd offset on.
    const wide = x.device.full(
      x.shape.map((size) => 2 * size + 1),
      777,
    );
    const target = slice(
      wide,
      x.shape.map((size) => [1, 2 * size + 1, 2] as const),
    ).view();
    x.device.backend.copy({ out: target, input: x.view() });
    return slice(
      wide,
      x.shape.map((size) => [1, 2 * size + 1, 2] as const),
    );
  },
} as const;

/** Central differences of a weighted sum of the reference, at up to 40 positions of one input. */
function differences(
  options: CheckOptions,
  values: readonly NdArray[],
  weights: Float64Array,
  which: number,
): Map<number, number> {
  const result = new Map<number, number>();
  const { data } = values[which]!;
  const every = Math.max(1, Math.floor(data.length / 40));
  for (let i = 0; i < data.length; i += every) {
    const at = (shift: number): number => {
      const moved = values.map((value, k) => (k === which ? { ...value, data: Float64Array.from(value.data) } : value));
      moved[which]!.data[i]! += shift;
      const y = options.reference(...moved).data;
      let total = 0;
      for (let j = 0; j < y.length; j++) total += y[j]! * weights[j]!;
      return total;
    };
    const h = 1e-4;
    result.set(i, (at(h) - at(-h)) / (2 * h));
  }
  return result;
}

/**
 * Compares an op with its reference: the result and the gradient of every input, for dense, permuted and sliced inputs. The
 * gradient is compared with central differences of the reference in double precision.
 */
export async function checkOp(name: string, options: CheckOptions): Promise<void> {
  const gpu = await testDevice();
  const random = seeded(options.seed ?? 1);
  const values = options.inputs.map(({ shape, range = [-1, 1] }) =>
    // Rounded to f32, so that the reference sees the numbers that the device sees.
    ndarray(
      shape,
      Float32Array.from({ length: numel(shape) }, () => range[0] + (range[1] - range[0]) * random()),
    ),
  );
  const expected = options.reference(...values);
  const weights = Float64Array.from(Float32Array.from({ length: expected.data.length }, () => 2 * random() - 1));
  for (const [layout, arrange] of Object.entries(LAYOUTS)) {
    if (options.layouts === false && layout !== "dense") continue;
    const what = `${name} (${options.inputs.map((input) => `[${input.shape.join(", ")}]`).join(", ")}; ${layout})`;
    const leaves = values.map(({ shape, data }) => arrange(gpu.tensor(data, shape)));
    const wantsGradient = options.gradient !== false;
    leaves.forEach((leaf, i) => {
      if (wantsGradient && options.inputs[i]!.gradient !== false) requireGrad(leaf);
    });
    const y = options.op(...leaves);
    if (y.shape.join() !== expected.shape.join()) {
      throw new Error(`${what}: shape [${y.shape.join(", ")}], expected [${expected.shape.join(", ")}]`);
    }
    expectClose(await y.data(), expected.data, options.tolerance, what);
    if (!wantsGradient) continue;
    const gradients = backward(sum(mul(y, gpu.tensor(weights, expected.shape))));
    for (const [i, leaf] of leaves.entries()) {
      if (options.inputs[i]!.gradient === false) continue;
      const own = gradients.get(leaf);
      if (!own) throw new Error(`${what}: no gradient for input ${i}`);
      const numbers = await own.data();
      const reference = differences(options, values, weights, i);
      const picked = [...reference.keys()].map((at) => numbers[at]!);
      const bound = options.gradientTolerance ?? { rel: 2e-5, abs: 2e-5 };
      expectClose(picked, [...reference.values()], bound, `${what}: gradient of input ${i}`);
    }
  }
}

/** A reference for a pointwise op out of its function of numbers, with NumPy's broadcasting. */
export function elementwise(f: (...x: number[]) => number): (...inputs: NdArray[]) => NdArray {
  return (...inputs) => {
    const shape = inputs.map((x) => x.shape).reduce((a, b) => broadcastShapes("reference", a, b));
    const strides = denseStrides(shape);
    const own = inputs.map((x) => denseStrides(x.shape));
    const data = Float64Array.from({ length: numel(shape) }, (_, i) =>
      f(
        ...inputs.map((x, k) => {
          const added = shape.length - x.shape.length;
          let at = 0;
          for (let axis = 0; axis < x.shape.length; axis++) {
            const position = Math.floor(i / strides[axis + added]!) % shape[axis + added]!;
            if (x.shape[axis] !== 1) at += position * own[k]![axis]!;
          }
          return x.data[at]!;
        }),
      ),
    );
    return { shape, data };
  };
}

/** Shapes that find mistakes: a scalar, nothing, one, primes, one past a workgroup, several axes. */
export const AWKWARD_SHAPES: readonly Shape[] = [[], [0], [1], [7], [65], [257], [3, 5], [4, 8], [2, 3, 5, 4]];

/** `checkOp` for a pointwise op of one argument, over the awkward shapes; the layouts on one of them. */
export async function checkUnary(
  name: string,
  op: (x: Tensor) => Tensor,
  f: (x: number) => number,
  options: {
    range?: readonly [number, number];
    tolerance?: Tolerance;
    gradientTolerance?: Tolerance;
    gradient?: boolean;
  } = {},
): Promise<void> {
  const { range = [-2, 2], ...rest } = options;
  for (const shape of AWKWARD_SHAPES) {
    await checkOp(name, {
      op,
      reference: elementwise(f),
      inputs: [{ shape, range }],
      layouts: shape.length === 4,
      ...rest,
    });
  }
}

/** Throws when running `step` again leaves more live buffers behind, or creates new ones after three times. */
export async function expectNoLeak(step: () => void): Promise<void> {
  const gpu = await testDevice();
  for (let i = 0; i < 3; i++) scope(step);
  await gpu.sync();
  const before = gpu.memory();
  for (let i = 0; i < 3; i++) scope(step);
  await gpu.sync();
  const after = gpu.memory();
  if (after.liveBuffers > before.liveBuffers || after.createdBuffers > before.createdBuffers) {
    throw new Error(
      `a step leaks: ${before.liveBuffers} live buffers became ${after.liveBuffers}, ${after.createdBuffers - before.createdBuffers} were created`,
    );
  }
}
