import { describe, expect, it } from "vitest";
import * as T from "../../src/index.ts";
import { expectClose, testDevice } from "../../src/testing.ts";

/*
 * What long sums lose, as a part of the sum of magnitudes. Random numbers of one sign, and equal numbers, whose additions are all rounded the
 * same way: f32 sums of those in one go are off by 1e-3.
 */

const device = await testDevice();
const cpu = T.Device.request({ backend: "cpu", threads: 1 });
const LONG = 20_000_000;

type Kind = "random" | "signed" | "tenths";

const draws = new Map<Kind, Float32Array>();

/** The first `count` of a fixed sequence. */
function values(kind: Kind, count: number): Float32Array {
  let known = draws.get(kind);
  if (!known || known.length < count) {
    let seed = 1;
    const next = (): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed / 2 ** 32;
    };
    known = Float32Array.from({ length: count }, () =>
      kind === "tenths" ? 0.1 : kind === "random" ? next() : next() - 0.5,
    );
    draws.set(kind, known);
  }
  return known.subarray(0, count);
}

/** Sums of x and of its magnitudes over the middle of three axes with any strides. */
function reference(
  x: Float32Array,
  { shape, strides, offset }: ThreeAxes,
): { sums: Float64Array; sizes: Float64Array } {
  const [outer, n, inner] = shape;
  const sums = new Float64Array(outer * inner);
  const sizes = new Float64Array(outer * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let at = offset + o * strides[0] + i * strides[2];
      let [sum, size] = [0, 0];
      for (let k = 0; k < n; k++, at += strides[1]) {
        sum += x[at]!;
        size += Math.abs(x[at]!);
      }
      sums[o * inner + i] = sum;
      sizes[o * inner + i] = size;
    }
  }
  return { sums, sizes };
}

interface ThreeAxes {
  readonly shape: readonly [number, number, number];
  readonly strides: readonly [number, number, number];
  readonly offset: number;
}

/** The largest error of `got`, as a part of the magnitudes. */
function worst(got: ArrayLike<number>, sums: Float64Array, sizes: Float64Array): number {
  let error = 0;
  for (let i = 0; i < sums.length; i++) {
    const own = Math.abs(got[i]! - sums[i]!) / Math.max(sizes[i]!, 1e-30);
    // A NaN is the worst of all.
    if (!(own <= error)) error = Number.isNaN(own) ? Number.POSITIVE_INFINITY : own;
  }
  return error;
}

/** A way to lay the middle of three axes into memory: the view of dense storage, and where its elements lie. */
const LAYOUTS: Record<
  string,
  (n: number, kind: Kind) => { x: T.Tensor; data: Float32Array; axes: ThreeAxes; dim: number | undefined }
> = {
  all: (n, kind) => {
    const data = values(kind, n);
    return { x: device.tensor(data), data, axes: { shape: [1, n, 1], strides: [0, 1, 0], offset: 0 }, dim: undefined };
  },
  "last axis": (n, kind) => {
    const data = values(kind, 3 * n);
    return { x: device.tensor(data, [3, n]), data, axes: { shape: [3, n, 1], strides: [n, 1, 0], offset: 0 }, dim: 1 };
  },
  "first axis": (n, kind) => {
    const data = values(kind, 5 * n);
    return { x: device.tensor(data, [n, 5]), data, axes: { shape: [1, n, 5], strides: [0, 5, 1], offset: 0 }, dim: 0 };
  },
  "first axis, whole vectors": (n, kind) => {
    const data = values(kind, 36 * n);
    return {
      x: device.tensor(data, [n, 36]),
      data,
      axes: { shape: [1, n, 36], strides: [0, 36, 1], offset: 0 },
      dim: 0,
    };
  },
  "middle axis": (n, kind) => {
    const data = values(kind, 6 * n);
    return {
      x: device.tensor(data, [2, n, 3]),
      data,
      axes: { shape: [2, n, 3], strides: [3 * n, 3, 1], offset: 0 },
      dim: 1,
    };
  },
  "every second of a transposed view": (n, kind) => {
    const data = values(kind, 8 * n);
    const x = T.slice(T.transpose(device.tensor(data, [2 * n, 4]), 0, 1), [null, [1, 2 * n, 2]]);
    return { x, data, axes: { shape: [4, n, 1], strides: [1, 8, 0], offset: 4 }, dim: 1 };
  },
  flipped: (n, kind) => {
    const data = values(kind, 2 * n);
    const x = T.flip(device.tensor(data, [2, n]), [0, 1]);
    return { x, data, axes: { shape: [2, n, 1], strides: [-n, -1, 0], offset: 2 * n - 1 }, dim: 1 };
  },
};

describe("sums", () => {
  const lengths = [1, 2, 7, 64, 97, 255, 1021, 2048, 4099, 16_385, 65_537];
  for (const [name, lay] of Object.entries(LAYOUTS)) {
    it.each(["random", "signed", "tenths"] as const)(`over ${name} of any length, %s`, async (kind) => {
      for (const n of lengths) {
        const { x, data, axes, dim } = lay(n, kind);
        const { sums, sizes } = reference(data, axes);
        const options = dim === undefined ? {} : { dim };
        expect(worst(await T.sum(x, options).data(), sums, sizes), `sum of ${n}`).toBeLessThan(5e-7);
        const [low, high] = [T.amin(x, options), T.amax(x, options)];
        if (kind === "tenths") expectClose(await T.sub(high, low).data(), new Float32Array(sums.length));
      }
    });
  }

  it.each([
    ["all", [LONG - 1], undefined, [1, LONG - 1, 1], [0, 1, 0]],
    ["of rows", [4, LONG / 4], 1, [4, LONG / 4, 1], [LONG / 4, 1, 0]],
    ["of few columns", [LONG / 4, 4], 0, [1, LONG / 4, 4], [0, 4, 1]],
    ["of many columns", [20_000, 1000], 0, [1, 20_000, 1000], [0, 1000, 1]],
    ["of a middle axis", [2, 1_000_003, 5], 1, [2, 1_000_003, 5], [5 * 1_000_003, 5, 1]],
  ] as const)("of 20 million, %s, are right to 1e-6 of their magnitudes", async (_, shape, dim, axes, strides) => {
    for (const kind of ["random", "tenths"] as const) {
      const data = values(kind, LONG).subarray(
        0,
        shape.reduce<number>((a, b) => a * b, 1),
      );
      const { sums, sizes } = reference(data, { shape: axes, strides, offset: 0 });
      using x = device.tensor(data, shape);
      expect(worst(await T.sum(x, dim === undefined ? {} : { dim }).data(), sums, sizes), kind).toBeLessThan(1e-6);
    }
  });

  it("come out the same every time", async () => {
    const x = device.tensor(values("signed", 1_000_000), [10_000, 100]);
    const first = [...(await T.sum(x, { dim: 0 }).data()), await T.sum(x).item()];
    for (let i = 0; i < 3; i++) expect([...(await T.sum(x, { dim: 0 }).data()), await T.sum(x).item()]).toEqual(first);
  });

  it("of whole numbers are exact, and wrap around", async () => {
    const x = Int32Array.from({ length: 100_003 }, (_, i) => (i * 7919) % 1_000_003);
    const total = x.reduce((a, b) => (a + b) | 0, 0);
    expect(await T.sum(device.tensor(x)).item()).toBe(total);
    const [low, high] = [x.reduce((a, b) => Math.min(a, b)), x.reduce((a, b) => Math.max(a, b))];
    expect([await T.amin(device.tensor(x)).item(), await T.amax(device.tensor(x)).item()]).toEqual([low, high]);
  });
});

describe("sums over the first and other axes together", () => {
  it.each([
    ["rows of a few matrices", [3, 7, 5_000], [0, 2]],
    ["rows of many matrices", [700, 3, 1_001], [0, 2]],
    ["long rows, one output", [9, 1, 200_003], [0, 2]],
    ["columns", [5, 6, 700, 8], [0, 2]],
    ["columns of one element", [5_000, 6, 1, 1], [0, 2, 3]],
  ])("%s", async (_, shape, dim) => {
    for (const kind of ["signed", "tenths"] as const) {
      const x = values(kind, T.numel(shape));
      const [outer, n, inner] = [shape[1]!, shape[2]!, shape[3] ?? 1];
      const [sums, sizes] = [new Float64Array(outer * inner), new Float64Array(outer * inner)];
      x.forEach((value, at) => {
        const o = (Math.floor(at / (n * inner)) % outer) * inner + (at % inner);
        sums[o]! += value;
        sizes[o]! += Math.abs(value);
      });
      for (const on of [device, await cpu]) {
        expect(worst(await T.sum(on.tensor(x, shape), { dim }).data(), sums, sizes)).toBeLessThan(1e-6);
      }
    }
  });
});

describe("axes that repeat one value", () => {
  const of = (value: number, shape: number[], dtype: T.DType = "f32"): T.Tensor =>
    T.expand(
      device.full(
        shape.map(() => 1),
        value,
        { dtype },
      ),
      shape,
    );

  it("of more than 2^32 elements are reduced", async () => {
    const square = of(1, [66_000, 66_000]);
    expectClose([await T.sum(square).item(), await T.mean(square).item()], [66_000 ** 2, 1]);
    expectClose(await T.sum(of(1, [2 ** 33])).data(), [2 ** 33]);
    expect([await T.amax(of(3, [2 ** 33])).item(), await T.amin(square).item()]).toEqual([3, 1]);
    expect(await T.argmax(square).item()).toBe(0);
    expect(await T.sum(of(Number.NaN, [2 ** 33])).item()).toBeNaN();
    const columns = T.expand(device.arange(66_000).reshape([66_000, 1]), [66_000, 66_000]);
    expectClose((await T.sum(columns, { dim: 1 }).data()).slice(0, 3), [0, 66_000, 132_000]);
    expectClose((await T.sum(columns, { dim: 0 }).data()).slice(0, 2), [2_177_967_000, 2_177_967_000]);
    const x = T.requireGrad(device.ones([1]));
    expectClose(
      await T.backward(T.sum(T.expand(x, [2 ** 33])))
        .get(x)!
        .data(),
      [2 ** 33],
    );
  });

  it("of whole numbers wrap around", async () => {
    expect(await T.sum(of(7, [100_003], "i32")).item()).toBe(700_021);
    expect(await T.sum(of(7, [2 ** 33 + 3], "i32")).item()).toBe(21);
    expect(await T.sum(of(-3, [2 ** 31 - 1], "i32")).item()).toBe(Math.imul(-3, 2 ** 31 - 1));
  });

  it("agree with copies of them", async () => {
    const x = device.tensor(values("signed", 12), [1, 3, 1, 4]);
    const view = T.expand(x, [5, 3, 2, 4]);
    for (const dim of [[0], [1], [2], [3], [0, 1], [1, 2], [0, 2], [0, 1, 2, 3]]) {
      for (const op of [T.sum, T.mean, T.amax, T.amin]) {
        expectClose(await op(view, { dim }).data(), [...(await op(T.clone(view), { dim }).data())]);
      }
    }
    for (const dim of [0, 1, 2, 3]) {
      expectClose(await T.argmax(view, { dim }).data(), [...(await T.argmax(T.clone(view), { dim }).data())]);
    }
  });

  it("are refused where they would have to be stored", async () => {
    const square = of(1, [66_000, 66_000]);
    for (const work of [() => T.clone(square), () => T.softmax(square, -1), () => T.add(square, 1).view()]) {
      expect(work).toThrow(/f32\[66000, 66000\]: a tensor of 17424000000 bytes is over this adapter's limit/);
    }
  });
});

it.each([8, 9, 11])("takes views of %i axes that do not merge", async (rank) => {
  const order = Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  const x = device.arange(2 ** rank, { dtype: "f32" }).reshape(order.map(() => 2));
  const turned = Float64Array.from({ length: 2 ** rank }, (_, i) =>
    order.reduce((sum, axis) => sum + ((i >> axis) & 1) * 2 ** (rank - 1 - axis), 0),
  );
  const view = T.permute(x, order);
  expectClose(await T.clone(view).data(), turned);
  expectClose(
    await T.add(x, view).data(),
    turned.map((value, i) => value + i),
  );
  // Over every second axis: what stays is a number of the bits of the others.
  const sums = new Float64Array(2 ** Math.ceil(rank / 2));
  turned.forEach((value, i) => {
    let to = 0;
    for (let axis = 0; axis < rank; axis += 2) to = 2 * to + ((i >> (rank - 1 - axis)) & 1);
    sums[to]! += value;
  });
  expectClose(await T.sum(view, { dim: order.filter((axis) => axis % 2 === 1) }).data(), sums);
});

describe("normalisation", () => {
  const around = (mean: number, count: number): Float32Array =>
    values("signed", count).map((value, i) => mean + 3 * value + values("random", count)[i]!);

  function normalised(x: Float32Array, cols: number): Float64Array {
    const y = new Float64Array(x.length);
    for (let from = 0; from < x.length; from += cols) {
      const row = x.subarray(from, from + cols);
      let [mean, spread] = [0, 0];
      for (const value of row) mean += value / cols;
      for (const value of row) spread += (value - mean) ** 2 / cols;
      row.forEach((value, i) => {
        y[from + i] = (value - mean) / Math.sqrt(spread + 1e-5);
      });
    }
    return y;
  }

  it.each([180, 181, 768, 65_536])("of rows with a large mean, %i columns", async (cols) => {
    for (const mean of [0, 1e4, 1e5, 1e6]) {
      const x = around(mean, 3 * cols);
      const y = await T.layerNorm(device.tensor(x, [3, cols])).data();
      expectClose(y, normalised(x, cols), { rel: 0, abs: 2e-6 });
    }
  });

  it("of a row whose first value lies far from the others", async () => {
    const x = around(0, 768);
    x[0] = 1e6;
    expectClose(await T.layerNorm(device.tensor(x, [1, 768])).data(), normalised(x, 768), { rel: 0, abs: 1e-5 });
  });

  it.each([
    [12345.678, 768],
    [0.1, 180],
    [-7.3e-3, 181],
    [1_000_000.3, 65_536],
    [3e38, 768],
  ])("of equal values %d is the bias", async (value, cols) => {
    const [weight, bias] = [device.full([cols], 3), device.full([cols], 0.25)];
    const y = await T.layerNorm(device.full([2, cols], value), { weight, bias }).data();
    expect(new Set(y)).toEqual(new Set([0.25]));
  });

  it("has the gradients of rows with a large mean", async () => {
    const [rows, cols] = [5, 180];
    const x = around(1e5, rows * cols);
    const dy = values("signed", rows * cols);
    const input = T.requireGrad(device.tensor(x, [rows, cols]));
    const weight = T.requireGrad(device.ones([cols]));
    const grads = T.backward(T.layerNorm(input, { weight }), { grad: device.tensor(dy, [rows, cols]) });
    const n = normalised(x, cols);
    const dWeight = Float64Array.from({ length: cols }, (_, c) => {
      let sum = 0;
      for (let r = 0; r < rows; r++) sum += dy[r * cols + c]! * n[r * cols + c]!;
      return sum;
    });
    expectClose(await grads.get(weight)!.data(), dWeight, { rel: 1e-5, abs: 1e-5 });
    const dx = new Float64Array(rows * cols);
    for (let r = 0; r < rows; r++) {
      const at = (c: number): number => r * cols + c;
      let [mean, meanG, meanGn, spread] = [0, 0, 0, 0];
      for (let c = 0; c < cols; c++) {
        mean += x[at(c)]! / cols;
        meanG += dy[at(c)]! / cols;
        meanGn += (dy[at(c)]! * n[at(c)]!) / cols;
      }
      for (let c = 0; c < cols; c++) spread += (x[at(c)]! - mean) ** 2 / cols;
      for (let c = 0; c < cols; c++) dx[at(c)] = (dy[at(c)]! - meanG - n[at(c)]! * meanGn) / Math.sqrt(spread + 1e-5);
    }
    expectClose(await grads.get(input)!.data(), dx, { rel: 1e-5, abs: 1e-5 });
  });

  it("of channels, and their variance, around 1e6", async () => {
    const [batch, channels, area] = [4, 3, 10_007];
    const x = around(1e6, batch * channels * area);
    const rows = new Float32Array(x.length);
    for (let b = 0; b < batch; b++) {
      for (let c = 0; c < channels; c++)
        rows.set(x.subarray((b * channels + c) * area, (b * channels + c + 1) * area), (c * batch + b) * area);
    }
    const expected = normalised(rows, batch * area);
    const { y } = T.batchNorm(device.tensor(x, [batch, channels, area]));
    expectClose(await T.permute(y, [1, 0, 2]).add(0).data(), expected, { rel: 0, abs: 2e-6 });
    const mean = rows.reduce((sum, value) => sum + value / rows.length, 0);
    const spread = rows.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (rows.length - 1);
    expectClose(await T.variance(device.tensor(x)).data(), [spread], { rel: 1e-6, abs: 0 });
    expect(await T.variance(device.full([100_003], 12345.678)).item()).toBeLessThan(1e-12);
  });
});

describe("sums inside of other kernels", () => {
  it.each([
    ["few rows and columns", 2, 200_003, 4],
    ["one of each", 1, 1_000_003, 1],
    ["a whole tile", 9, 65_537, 20],
    ["an inner size of one part", 8, 4096, 8],
  ])("products along a long axis, %s", async (_, m, k, n) => {
    for (const kind of ["random", "tenths"] as const) {
      const a = values(kind, m * k);
      const b = values(kind, k * n);
      const expected = new Float64Array(m * n);
      for (let i = 0; i < m; i++) {
        for (let q = 0; q < k; q++) for (let j = 0; j < n; j++) expected[i * n + j]! += a[i * k + q]! * b[q * n + j]!;
      }
      const right = device.tensor(b, [k, n]);
      const left = device.tensor(a, [m, k]);
      expect(worst(await T.matmul(left, right).data(), expected, expected)).toBeLessThan(1e-5);
      const turned = T.clone(T.transpose(right, 0, 1));
      expect(worst(await T.matmul(left, T.transpose(turned, 0, 1)).data(), expected, expected)).toBeLessThan(1e-5);
    }
  });

  it("products of a batch with one matrix along a long axis", async () => {
    const [m, k, n] = [2, 40_009, 3];
    const a = values("signed", 2 * m * k);
    const b = values("random", k * n);
    const expected = new Float64Array(2 * m * n);
    const sizes = new Float64Array(2 * m * n);
    for (let i = 0; i < 2 * m; i++) {
      for (let q = 0; q < k; q++) {
        for (let j = 0; j < n; j++) {
          expected[i * n + j]! += a[i * k + q]! * b[q * n + j]!;
          sizes[i * n + j]! += Math.abs(a[i * k + q]! * b[q * n + j]!);
        }
      }
    }
    const y = T.matmul(device.tensor(a, [2, m, k]), device.tensor(b, [k, n]));
    expect(y.shape).toEqual([2, m, n]);
    expect(worst(await y.data(), expected, sizes)).toBeLessThan(1e-5);
  });

  it.each(["known", "made on the device"])("gradients of an embedding, its index %s", async (index) => {
    const [count, rows, inner] = [200_003, 3, 5];
    const picks = Int32Array.from({ length: count }, (_, i) => (i * 7) % rows);
    const dy = values("tenths", count * inner);
    const expected = new Float64Array(rows * inner);
    dy.forEach((value, i) => {
      expected[picks[Math.floor(i / inner)]! * inner + (i % inner)]! += value;
    });
    const weight = T.requireGrad(device.zeros([rows, inner]));
    const known = device.tensor(picks);
    const y = T.embedding(weight, index === "known" ? known : T.add(known, 0));
    const dWeight = T.backward(y, { grad: device.tensor(dy, [count, inner]) }).get(weight)!;
    expect(worst(await dWeight.data(), expected, expected)).toBeLessThan(1e-5);
  });

  it("a scatter onto an infinite sum leaves the others as they are", async () => {
    const weight = T.requireGrad(device.zeros([2, 4]));
    const index = T.add(device.tensor(Int32Array.of(0, 0, 1)), 0);
    const grad = device.tensor([Number.POSITIVE_INFINITY, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2], [3, 4]);
    const dWeight = T.backward(T.embedding(weight, index), { grad }).get(weight)!;
    expect([...(await dWeight.data())]).toEqual([Number.POSITIVE_INFINITY, 2, 2, 2, 2, 2, 2, 2]);
  });

  it.each([
    ["1 x 1", 1, 1],
    ["3 x 3", 3, 1],
    ["depthwise", 3, 2],
    ["depthwise, 5 x 5", 5, 2],
  ])("gradients of the weight of a convolution, %s", async (_, size, groups) => {
    const [batch, channels, height, width] = [2, 2, 300, 200];
    const x = values("random", batch * channels * height * width);
    const dy = values("tenths", x.length);
    const padding = (size - 1) / 2;
    const weight = T.requireGrad(device.zeros([channels, channels / groups, size, size]));
    const shape = [batch, channels, height, width];
    const y = T.conv2d(device.tensor(x, shape), weight, { padding, groups });
    const got = await T.backward(y, { grad: device.tensor(dy, shape) })
      .get(weight)!
      .data();
    const expected = new Float64Array(got.length);
    for (let at = 0; at < got.length; at++) {
      const [kx, ky] = [at % size, Math.floor(at / size) % size];
      const o = Math.floor(at / (size * size * (channels / groups)));
      const c = groups > 1 ? o : Math.floor(at / size ** 2) % channels;
      for (let b = 0; b < batch; b++) {
        for (let i = 0; i < height; i++) {
          const row = i + ky - padding;
          if (row < 0 || row >= height) continue;
          for (let j = Math.max(0, padding - kx); j < Math.min(width, width + padding - kx); j++) {
            expected[at]! +=
              x[((b * channels + c) * height + row) * width + j + kx - padding]! *
              dy[((b * channels + o) * height + i) * width + j]!;
          }
        }
      }
    }
    expect(worst(got, expected, expected)).toBeLessThan(1e-5);
  });

  it("softmax of a long row of equal values below one", async () => {
    const n = 300_001;
    const x = new Float32Array(n).fill(1);
    x[7] = 1.5;
    const total = 1 + (n - 1) * Math.exp(-0.5);
    const y = await T.softmax(device.tensor(x, [1, n]), -1).data();
    expectClose([y[7]!, y[8]!], [1 / total, Math.exp(-0.5) / total], { rel: 3e-6, abs: 0 });
    const z = T.logSoftmax(device.tensor(x), 0);
    expectClose((await z.data()).slice(7, 9), [-Math.log(total), -0.5 - Math.log(total)], { rel: 1e-6, abs: 0 });
  });
});

describe("nothing, infinities and NaN", () => {
  const I = Number.POSITIVE_INFINITY;

  it.each([
    [[-I, -I], -I, [Number.NaN, Number.NaN]],
    [[I, 0], I, [Number.NaN, 0]],
    [[-I, 2], 2, [0, 1]],
    [[Number.NaN, 1], Number.NaN, [Number.NaN, Number.NaN]],
    [[1e30, 1e30], 1e30, [0.5, 0.5]],
    [[-1e4, -1e4], -1e4 + Math.log(2), [0.5, 0.5]],
  ])("logSumExp of %j", async (values, expected, slope) => {
    const x = T.requireGrad(device.tensor(values));
    const y = T.logSumExp(x);
    expectClose([await y.item()], [expected]);
    expectClose(await T.backward(y).get(x)!.data(), slope);
  });

  it.each([[[I, 0, 1]], [[-I, -I, -I]], [[Number.NaN, 0, 1]]])("softmax of %j is NaN", async (values) => {
    for (const op of [T.softmax, T.logSoftmax]) {
      expect([...(await op(device.tensor(values), 0).data())]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
    }
  });

  it("attention of a query from which all is hidden is NaN", async () => {
    const q = device.ones([1, 2, 4]);
    const mask = device.tensor([-I, -I, 0, -I], [2, 2]);
    const y = T.noGrad(() => T.attention(q, q, q, { mask }));
    expect([...(await y.data())]).toEqual([...new Array(4).fill(Number.NaN), 1, 1, 1, 1]);
  });

  it("reductions of nothing, and of one value", async () => {
    const nothing = device.zeros([0]);
    expect(await T.sum(nothing).item()).toBe(0);
    expect(await T.mean(nothing).item()).toBeNaN();
    expect(await T.logSumExp(nothing).item()).toBe(-I);
    expect(await T.variance(nothing).item()).toBeNaN();
    expect(await T.variance(nothing, { unbiased: false }).item()).toBeNaN();
    expect(await T.variance(device.ones([1])).item()).toBeNaN();
    expect(await T.variance(device.ones([1]), { unbiased: false }).item()).toBe(0);
    for (const op of [T.amax, T.amin]) expect(() => op(nothing)).toThrow("has nothing to choose from");
    expect(() => T.argmax(nothing)).toThrow("has nothing to choose from");
  });

  it.each([5, 9, 4099, 70_001])("a NaN wins, and of equal values the first, among %i", async (n) => {
    const x = new Float32Array(n).fill(1);
    x.set([7, 7], n - 3);
    expect(await T.argmax(device.tensor(x)).item()).toBe(n - 3);
    x.set([I, Number.NaN, Number.NaN], n - 3);
    for (const t of [device.tensor(x), T.clone(T.expand(device.tensor(x, [n, 1]), [n, 4]))]) {
      const dim = 0;
      for (const op of [T.amax, T.amin]) expect(new Set(await op(t, { dim }).data())).toEqual(new Set([Number.NaN]));
      expect(new Set(await T.argmax(t, { dim }).data())).toEqual(new Set([n - 2]));
    }
  });
});
