import { expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { checkOp, expectClose, expectNoLeak, type NdArray, ndarray, seeded, testDevice } from "../../src/testing.ts";
import { affine, alongAxes, normalizeRow } from "../reference/rows.ts";

const gpu = await testDevice();

/** Shapes of the tensors of layers between these widths, in the order of their fields. */
function shapesOf(widths: readonly number[]): number[][] {
  return widths.slice(1).flatMap((outer, i) => {
    const inner = widths[i]!;
    return [...(i > 0 ? [[inner], [inner]] : []), [outer, inner], [outer]];
  });
}

function layersOf<X>(tensors: readonly X[]): { weight: X; bias: X; norm?: { weight: X; bias: X } }[] {
  const layers = [{ weight: tensors[0]!, bias: tensors[1]! }];
  const rest = tensors.slice(2);
  const further = Array.from({ length: rest.length / 4 }, (_, i) => rest.slice(4 * i, 4 * i + 4));
  return [
    ...layers,
    ...further.map(([scale, shift, weight, bias]) => ({
      ...{ weight: weight!, bias: bias! },
      norm: { weight: scale!, bias: shift! },
    })),
  ];
}

function product(x: NdArray, weight: NdArray, bias: NdArray): NdArray {
  const [outer, inner] = weight.shape as [number, number];
  const rows = x.data.length / inner;
  const at = (r: number, o: number): number =>
    bias.data[o]! +
    Array.from({ length: inner }, (_, i) => x.data[r * inner + i]! * weight.data[o * inner + i]!).reduce(
      (a, b) => a + b,
    );
  return ndarray(
    [...x.shape.slice(0, -1), outer],
    Array.from({ length: rows * outer }, (_, i) => at(Math.floor(i / outer), i % outer)),
  );
}

function reference(eps: number): (x: NdArray, ...tensors: NdArray[]) => NdArray {
  return (x, ...tensors) =>
    layersOf(tensors).reduce((y, { weight, bias, norm }) => {
      if (!norm) return product(y, weight, bias);
      const width = y.shape.at(-1)!;
      const normal = alongAxes(y, [y.shape.length - 1], (row) => normalizeRow(row, eps));
      const { shape, data } = affine(normal, norm.weight, norm.bias, (i) => i % width);
      return product(
        ndarray(
          shape,
          data.map((value) => Math.max(0, value)),
        ),
        weight,
        bias,
      );
    }, x);
}

const PERCEPTRONS: readonly (readonly [rows: readonly number[], widths: readonly number[]])[] = [
  [[12], [2, 5, 5, 5, 3]],
  [
    [3, 7],
    [3, 16, 16, 1],
  ],
  [[7], [16, 4]],
  [[], [2, 3, 2]],
  [[5], [1, 2, 2, 2, 2, 2, 2, 2, 2]],
  // Too wide, and too many layers, for one launch.
  [[3], [3, 17, 4]],
  [[3], [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]],
];

const name = (widths: readonly number[]): string => widths.join("-");

it.each(PERCEPTRONS.map(([rows, widths]) => [name(widths), rows, widths] as const))(
  "computes layers between widths %s, and the gradients of all parameters",
  async (_, rows, widths) => {
    const inputs = [
      { shape: [...rows, widths[0]!], range: [-3, 3], gradient: false },
      ...shapesOf(widths).map((shape) => ({ shape })),
    ] as const;
    await checkOp("normMlp", {
      op: (x, ...tensors) => T.normMlp(x!, layersOf(tensors), { eps: 1e-2 }),
      reference: (x, ...tensors) => reference(1e-2)(x!, ...tensors),
      inputs,
      // A kink of ReLU between the two points of a difference is rare with these numbers, and none of them has one.
      gradientTolerance: { rel: 1e-4, abs: 1e-4 },
    });
  },
);

it("has a gradient of its input", async () => {
  const widths = [2, 5, 3];
  await checkOp("normMlp", {
    op: (x, ...tensors) => T.normMlp(x!, layersOf(tensors)),
    reference: (x, ...tensors) => reference(1e-5)(x!, ...tensors),
    inputs: [{ shape: [11, 2] }, ...shapesOf(widths).map((shape) => ({ shape }))],
    gradientTolerance: { rel: 1e-4, abs: 1e-4 },
  });
});

/** A perceptron with random parameters, the same each time. */
function perceptron(device: T.Device, widths: readonly number[]): T.Tensor[] {
  const random = seeded(5);
  return shapesOf(widths).map((shape) =>
    T.requireGrad(
      device.tensor(
        Float32Array.from({ length: T.numel(shape) }, () => 2 * random() - 1),
        shape,
      ),
    ),
  );
}

/** The numbers of a result, and of the gradients of the sum of its squares by `tensors`. */
async function numbersOf(y: T.Tensor, tensors: readonly T.Tensor[]): Promise<T.HostArray[]> {
  T.keep(y);
  const gradients = T.backward(T.sum(T.square(y)));
  return Promise.all([y, ...tensors.map((tensor) => gradients.get(tensor)!)].map((tensor) => tensor.data()));
}

const waves = (rows: number): T.Tensor =>
  gpu.tensor(
    Float32Array.from({ length: 2 * rows }, (_, i) => Math.sin(i)),
    [rows, 2],
  );

it("agrees with its parts over many rows", async () => {
  const widths = [2, 5, 5, 5, 3];
  const x = waves(2111);
  const [tensors, others] = [perceptron(gpu, widths), perceptron(gpu, widths)];
  const composed = layersOf(others).reduce(
    (y, { weight, bias, norm }) => T.linear(norm ? T.relu(T.layerNorm(y, norm)) : y, weight, bias),
    x,
  );
  const actual = await numbersOf(T.normMlp(x, layersOf(tensors)), tensors);
  const expected = await numbersOf(composed, others);
  for (const [i, numbers] of actual.entries()) expectClose(numbers, expected[i]!, { rel: 2e-5 });
});

it("gives the same bits wherever its parameters lie", async () => {
  const widths = [2, 5, 5, 3];
  const [apart, together] = [perceptron(gpu, widths), perceptron(gpu, widths)];
  T.layTogether(together);
  const [one, other] = await Promise.all(
    [apart, together].map((tensors) => numbersOf(T.normMlp(waves(200), layersOf(tensors)), tensors)),
  );
  expect(one).toEqual(other);
});

it("gives gradients to those that want one", async () => {
  const [weight, bias] = perceptron(gpu, [2, 3]);
  const x = gpu.tensor([1, 2, 3, 4], [2, 2]);
  const gradients = T.backward(T.sum(T.normMlp(x, [{ weight: weight!, bias: T.detach(bias!) }])));
  expect([...gradients.keys()]).toEqual([weight]);
  expectClose(await gradients.get(weight!)!.data(), [4, 6, 4, 6, 4, 6]);
});

it("normalises equal values to exactly 0", async () => {
  const ones = gpu.ones([5, 1]);
  const layer = { weight: gpu.ones([1, 5]), bias: gpu.zeros([1]) };
  const norm = { weight: gpu.full([5], 1e6), bias: gpu.zeros([5]) };
  const x = gpu.tensor([0.1, 0.3, 1 / 3], [3, 1]);
  const y = T.normMlp(
    x,
    [
      { weight: ones, bias: gpu.full([5], 0.7) },
      { ...layer, norm },
    ],
    { eps: 0.25 },
  );
  expect([...(await y.data())]).toEqual([0, 0, 0]);
});

it("lets nothing lie about", async () => {
  const x = gpu.tensor([1, 2, 3, 4], [2, 2]);
  const tensors = perceptron(gpu, [2, 3, 2]);
  await expectNoLeak(() => {
    for (const gradient of T.backward(T.sum(T.normMlp(x, layersOf(tensors)))).values()) gradient.view();
  });
});

it.each([
  ["that are none", [], /normMlp: layers has to be an array of at least one layer/],
  ["whose first has a norm", [{ weight: [4, 2], bias: [4], norm: [2] }], /layers\[0\] has a norm/],
  [
    "of which a further one has none",
    [
      { weight: [4, 2], bias: [4] },
      { weight: [1, 4], bias: [1] },
    ],
    /layers\[1\] has no norm/,
  ],
  [
    "that do not fit x",
    [{ weight: [4, 3], bias: [4] }],
    /layers\[0\]\.weight f32\[4, 3\] does not fit x f32\[5, 2\] \(2 wide\)/,
  ],
  [
    "that do not fit one another",
    [
      { weight: [4, 2], bias: [4] },
      { weight: [1, 3], bias: [1], norm: [3] },
    ],
    /does not fit layers\[0\] \(4 wide\)/,
  ],
  ["with a bias of another size", [{ weight: [4, 2], bias: [3] }], /layers\[0\]\.bias f32\[3\] does not fit/],
  [
    "with a norm of another size",
    [
      { weight: [4, 2], bias: [4] },
      { weight: [1, 4], bias: [1], norm: [2] },
    ],
    /layers\[1\]\.norm\.weight f32\[2\]/,
  ],
] as const)("refuses layers %s", (_, layers, message) => {
  const made = layers.map(
    ({ weight, bias, ...layer }: { weight: readonly number[]; bias: readonly number[]; norm?: readonly number[] }) => ({
      ...{ weight: gpu.ones(weight), bias: gpu.ones(bias) },
      ...(layer.norm && { norm: { weight: gpu.ones(layer.norm), bias: gpu.ones(layer.norm) } }),
    }),
  );
  expect(() => T.normMlp(gpu.ones([5, 2]), made)).toThrow(message);
});
