import { expect, it } from "vitest";
import { environment } from "#platform";
import * as T from "../src/index.ts";
import { numel, type Shape } from "../src/shape.ts";
import { expectClose, type NdArray, seeded, testDevice } from "../src/testing.ts";
import * as R from "./reference/programs.ts";

const device = await testDevice();

/** More with DEPLSR_PROGRAMS; on WebGPU fewer, since every program makes new shaders. */
const COUNT = Number(environment("DEPLSR_PROGRAMS") ?? (device.info.backend === "cpu" ? 200 : 20));

/** One operation with its operands chosen: on tensors, and on arrays in double precision. */
interface Step {
  readonly name: string;
  readonly shape: Shape;
  readonly run: (values: readonly T.Tensor[]) => T.Tensor;
  readonly reference: (values: readonly NdArray[]) => NdArray;
}

type Random = (count: number) => number;

/** How a step may be made from the shapes so far; undefined where none of them fits. */
type Maker = (shapes: readonly Shape[], random: Random) => Step | undefined;

function pickWhere(shapes: readonly Shape[], random: Random, fits: (shape: Shape) => boolean): number {
  const found = shapes.flatMap((shape, i) => (fits(shape) ? [i] : []));
  return found.length === 0 ? -1 : found[random(found.length)]!;
}

function unary(name: string, op: (x: T.Tensor) => T.Tensor, f: (x: number) => number): Maker {
  return (shapes, random) => {
    const i = random(shapes.length);
    return { name, shape: shapes[i]!, run: (v) => op(v[i]!), reference: (v) => R.map(v[i]!, f) };
  };
}

function binary(name: string, op: (a: T.Tensor, b: T.Tensor) => T.Tensor, f: (a: number, b: number) => number): Maker {
  return (shapes, random) => {
    const i = random(shapes.length);
    const j = pickWhere(shapes, random, (shape) => compatible(shapes[i]!, shape));
    const shape = T.broadcastShapes(name, shapes[i]!, shapes[j]!);
    if (numel(shape) > 400) return undefined;
    return { name, shape, run: (v) => op(v[i]!, v[j]!), reference: (v) => R.zip(shape, v[i]!, v[j]!, f) };
  };
}

function compatible(a: Shape, b: Shape): boolean {
  for (let back = 1; back <= Math.min(a.length, b.length); back++) {
    const [x, y] = [a.at(-back)!, b.at(-back)!];
    if (x !== y && x !== 1 && y !== 1) return false;
  }
  return true;
}

function replaced(shape: readonly number[], axis: number, size: number): number[] {
  return shape.map((own, i) => (i === axis ? size : own));
}

/** A step on one value with an axis to choose. */
function axial(
  name: string,
  make: (i: number, shape: Shape, axis: number, random: Random) => Omit<Step, "name">,
): Maker {
  return (shapes, random) => {
    const i = pickWhere(shapes, random, (shape) => shape.length > 0);
    return i < 0 ? undefined : { name, ...make(i, shapes[i]!, random(shapes[i]!.length), random) };
  };
}

const MAKERS: readonly Maker[] = [
  unary("tanh", T.tanh, Math.tanh),
  unary("sigmoid", T.sigmoid, (x) => 1 / (1 + Math.exp(-x))),
  unary("sin", T.sin, Math.sin),
  unary(
    "scale",
    (x) => T.mul(x, 0.7),
    (x) => 0.7 * x,
  ),
  unary(
    "bell",
    (x) => T.exp(T.neg(T.square(x))),
    (x) => Math.exp(-x * x),
  ),
  unary(
    "root",
    (x) => T.sqrt(T.add(T.square(x), 1)),
    (x) => Math.sqrt(x * x + 1),
  ),
  unary(
    "log",
    (x) => T.log(T.add(T.square(x), 2)),
    (x) => Math.log(x * x + 2),
  ),
  binary("add", T.add, (a, b) => a + b),
  binary("sub", T.sub, (a, b) => a - b),
  binary("mul", T.mul, (a, b) => a * b),
  binary(
    "ratio",
    (a, b) => T.div(a, T.add(T.square(b), 1)),
    (a, b) => a / (b * b + 1),
  ),
  axial("mean", (i, shape, axis) => ({
    shape: shape.map((size, k) => (k === axis ? 1 : size)),
    run: (v) => T.mean(v[i]!, { dim: axis, keepDim: true }),
    reference: (v) => R.map(R.sumAxis(v[i]!, axis), (x) => x / shape[axis]!),
  })),
  axial("softmax", (i, shape) => ({ shape, run: (v) => T.softmax(v[i]!, -1), reference: (v) => R.softmax(v[i]!) })),
  axial("layerNorm", (i, shape) => ({
    shape,
    run: (v) => T.layerNorm(v[i]!, { eps: 1e-2 }),
    reference: (v) => R.layerNorm(v[i]!),
  })),
  axial("transpose", (i, shape, axis) => {
    const order = [...shape.keys()];
    [order[axis], order[shape.length - 1]] = [order[shape.length - 1]!, order[axis]!];
    const turned = order.map((k) => shape[k]!);
    return {
      shape: turned,
      run: (v) => T.permute(v[i]!, order),
      reference: (v) =>
        R.fill(turned, (p) =>
          R.at(
            v[i]!,
            order.map((_, k) => p[order.indexOf(k)]!),
          ),
        ),
    };
  }),
  axial("flatten", (i, shape) => ({
    shape: [numel(shape)],
    run: (v) => T.reshape(v[i]!, [-1]),
    reference: (v) => ({ shape: [numel(shape)], data: v[i]!.data }),
  })),
  axial("narrow", (i, shape, axis, random) => {
    const length = 1 + random(shape[axis]!);
    const start = random(shape[axis]! - length + 1);
    const part = replaced(shape, axis, length);
    return {
      shape: part,
      run: (v) => T.narrow(v[i]!, axis, start, length),
      reference: (v) =>
        R.fill(part, (p) =>
          R.at(
            v[i]!,
            p.map((x, k) => (k === axis && shape[k] !== 1 ? x + start : x)),
          ),
        ),
    };
  }),
  axial("flip", (i, shape, axis) => ({
    shape,
    run: (v) => T.flip(v[i]!, axis),
    reference: (v) => R.fill(shape, (p) => R.at(v[i]!, replaced(p, axis, shape[axis]! - 1 - p[axis]!))),
  })),
  axial("roll", (i, shape, axis, random) => {
    const shift = random(shape[axis]!);
    const size = shape[axis]!;
    return {
      shape,
      run: (v) => T.roll(v[i]!, shift, axis),
      reference: (v) => R.fill(shape, (p) => R.at(v[i]!, replaced(p, axis, (p[axis]! - shift + size) % size))),
    };
  }),
  axial("indexSelect", (i, shape, axis, random) => {
    const rows = Array.from({ length: 1 + random(5) }, () => random(shape[axis]!));
    const picked = replaced(shape, axis, rows.length);
    return {
      shape: picked,
      run: (v) => T.indexSelect(v[i]!, axis, device.tensor(rows, [rows.length], { dtype: "i32" })),
      reference: (v) => R.fill(picked, (p) => R.at(v[i]!, replaced(p, axis, rows[p[axis]!]!))),
    };
  }),
  axial("cat", (i, shape, axis) => {
    const doubled = replaced(shape, axis, 2 * shape[axis]!);
    return {
      shape: doubled,
      run: (v) => T.cat([v[i]!, T.tanh(v[i]!)], axis),
      reference: (v) =>
        R.fill(doubled, (p) => {
          const inside = R.at(v[i]!, replaced(p, axis, p[axis]! % shape[axis]!));
          return p[axis]! < shape[axis]! ? inside : Math.tanh(inside);
        }),
    };
  }),
  (shapes, random) => {
    const i = pickWhere(shapes, random, (shape) => shape.length === 2);
    const j = i < 0 ? -1 : pickWhere(shapes, random, (shape) => shape.length === 2 && shape[0] === shapes[i]![1]);
    if (j < 0) return undefined;
    const k = shapes[i]![1]!;
    return {
      name: "matmul",
      shape: [shapes[i]![0]!, shapes[j]![1]!],
      run: (v) => T.mul(T.matmul(v[i]!, v[j]!), 1 / k),
      reference: (v) => R.map(R.matmul(v[i]!, v[j]!), (x) => x / k),
    };
  },
];

interface Program {
  readonly inputs: readonly NdArray[];
  readonly steps: readonly Step[];
}

function makeProgram(seed: number): Program {
  const uniform = seeded(seed);
  const random: Random = (count) => Math.floor(uniform() * count);
  const sizes = [2 + random(5), 1 + random(8), 3 + random(6)];
  const inputShapes: Shape[] = [[sizes[0]!, sizes[1]!], [sizes[1]!, sizes[2]!], [sizes[2]!], [sizes[0]!, 1, sizes[2]!]];
  const inputs = inputShapes.map((shape) => R.fill(shape, () => Math.fround(2 * uniform() - 1)));
  const shapes = [...inputShapes];
  const steps: Step[] = [];
  const length = 5 + random(26);
  while (steps.length < length) {
    const step = MAKERS[random(MAKERS.length)]!(shapes, random);
    if (!step || numel(step.shape) > 400) continue;
    steps.push(step);
    shapes.push(step.shape);
  }
  return { inputs, steps };
}

/** The sum of the last three values, each weighted by a fixed pattern: what gradients are taken of. */
function weightOf(i: number): number {
  return Math.fround(Math.cos(1 + 3 * i));
}

function referenceLoss({ inputs, steps }: Program): { loss: number; last: NdArray } {
  const values = [...inputs];
  for (const step of steps) values.push(step.reference(values));
  let loss = 0;
  for (const value of values.slice(-3)) for (const [i, x] of value.data.entries()) loss += x * weightOf(i);
  return { loss, last: values.at(-1)! };
}

async function check(seed: number): Promise<void> {
  const program = makeProgram(seed);
  const what = `program ${seed} (${program.steps.map((step) => step.name).join(", ")})`;
  const { last } = referenceLoss(program);
  const inputs = program.inputs.map(({ shape, data }) => T.requireGrad(device.tensor(data, shape)));
  const values = [...inputs];
  for (const step of program.steps) values.push(step.run(values));
  expect(values.at(-1)!.shape, what).toEqual(last.shape);
  expectClose(await values.at(-1)!.data(), last.data, { rel: 1e-4, abs: 1e-5 }, what);
  const terms = values.slice(-3).map((x) => {
    const weights = Float32Array.from({ length: x.size }, (_, i) => weightOf(i));
    return T.sum(T.mul(x, device.tensor(weights, x.shape)));
  });
  const loss = T.add(T.add(terms[0]!, terms[1]!), terms[2]!);
  if (!loss.requiresGrad) return;
  const gradients = T.backward(loss);
  for (const [i, input] of inputs.entries()) {
    const own = gradients.get(input);
    const gradient: readonly number[] = own ? [...(await own.data())] : input.shape.map(() => 0);
    // Along a direction of ±1: a central difference of the reference, whose own error is far below the bound.
    const direction = Float64Array.from({ length: input.size }, (_, k) => (weightOf(7 * k + i) > 0 ? 1 : -1));
    const moved = (h: number): number => {
      const shifted = program.inputs.map((x, j) =>
        j === i ? { shape: x.shape, data: x.data.map((v, k) => v + h * direction[k]!) } : x,
      );
      return referenceLoss({ inputs: shifted, steps: program.steps }).loss;
    };
    const slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
    const along = gradient.reduce((sum, g, k) => sum + g * direction[k]!, 0);
    const size = gradient.reduce((sum, g) => sum + Math.abs(g), 0);
    const bound = 1e-4 + 3e-4 * size;
    expect(Math.abs(along - slope), `${what}: gradient of input ${i}: ${along}, expected ${slope}`).toBeLessThan(bound);
  }
}

it(`${COUNT} random programs and their gradients agree with the reference`, { timeout: 1_800_000 }, async () => {
  for (let seed = 1; seed <= COUNT; seed++) {
    await check(seed);
    // Their tensors go by the collector; what a program made on the way goes at once.
    if (seed % 20 === 0) await device.sync();
  }
});
