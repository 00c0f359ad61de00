import { beforeAll, describe, expect, it } from "vitest";
import type { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import {
  avgPool2d,
  backward,
  conv2d,
  Device,
  maxPool2d,
  mul,
  pair,
  requireGrad,
  scope,
  sum,
  type Tensor,
} from "../../src/index.ts";
import { checkOp, expectClose, type NdArray, ndarray, seeded, testDevice } from "../../src/testing.ts";
import { conv2dGradients, conv2dReference, poolReference, type ReferenceConv } from "../reference/conv.ts";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

function random(shape: readonly number[], seed: number): NdArray {
  const next = seeded(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  return ndarray(
    shape,
    Float32Array.from({ length: size }, () => 2 * next() - 1),
  );
}

const tensor = ({ data, shape }: NdArray, on = device): Tensor => on.tensor(data, shape);

/** Result and both gradients against the definition. */
async function checkConv(
  xShape: readonly number[],
  weightShape: readonly number[],
  options: ReferenceConv,
  on = device,
): Promise<void> {
  const x = random(xShape, 1);
  const weight = random(weightShape, 2);
  // With groups, whose gradients are computed together with that of a bias.
  const bias = options.groups ? random([weightShape[0]!], 4) : undefined;
  const expected = conv2dReference(x, weight, bias, options);
  const dy = random(expected.shape, 3);
  const { dx, dWeight } = conv2dGradients(x, weight, dy, options);
  const [xs, ws] = [requireGrad(tensor(x, on)), requireGrad(tensor(weight, on))];
  const bs = bias && requireGrad(tensor(bias, on));
  const y = conv2d(xs, ws, { ...options, ...(bs && { bias: bs }) });
  expect(y.shape).toEqual(expected.shape);
  const what = `[${xShape.join()}] * [${weightShape.join()}] ${JSON.stringify(options)}`;
  expectClose(await y.data(), expected.data, { rel: 2e-6 }, what);
  const gradients = backward(y, { grad: tensor(dy, on) });
  expectClose(await gradients.get(xs)!.data(), dx, { rel: 2e-6 }, `${what} dx`);
  expectClose(await gradients.get(ws)!.data(), dWeight, { rel: 5e-6 }, `${what} dWeight`);
  if (!bs) return;
  const [batch, channels] = expected.shape as [number, number];
  const area = expected.data.length / batch / channels;
  const sums = new Float64Array(channels);
  dy.data.forEach((value, i) => {
    sums[Math.floor(i / area) % channels]! += value;
  });
  expectClose(await gradients.get(bs)!.data(), sums, { rel: 5e-6 }, `${what} dBias`);
}

describe("conv2d", () => {
  it("agrees with its definition in every layout, with a bias", async () => {
    const options = { stride: [1, 1], padding: [1, 1] } as const;
    await checkOp("conv2d", {
      op: (x, weight, bias) => conv2d(x!, weight!, { bias: bias!, padding: 1 }),
      reference: (x, weight, bias) => conv2dReference(x!, weight!, bias, options),
      inputs: [{ shape: [2, 3, 5, 6] }, { shape: [4, 3, 3, 3] }, { shape: [4] }],
    });
  });

  const cases: Record<string, readonly [readonly number[], readonly number[], ReferenceConv]> = {
    "1x1": [[2, 5, 6, 7], [9, 5, 1, 1], {}],
    "1x1 with whole vectors": [[3, 8, 4, 4], [16, 8, 1, 1], {}],
    "1x1 of single pixels": [[3, 9, 1, 1], [5, 9, 1, 1], {}],
    "3x3 same": [[2, 4, 7, 9], [6, 4, 3, 3], { padding: [1, 1] }],
    "3x3 with channels past a subgroup": [[1, 19, 8, 12], [21, 19, 3, 3], { padding: [1, 1] }],
    "3x3 valid": [[1, 3, 10, 10], [8, 3, 3, 3], {}],
    "5x5": [[1, 2, 9, 8], [3, 2, 5, 5], { padding: [2, 2] }],
    "1x3 and 3x1": [[1, 4, 6, 8], [5, 4, 1, 3], { padding: [0, 1] }],
    "3x1 read in place": [[2, 4, 9, 8], [5, 4, 3, 1], {}],
    "padding wider than the window": [[1, 2, 5, 6], [3, 2, 2, 3], { padding: [3, 4] }],
    "stride 2": [[2, 4, 7, 9], [6, 4, 3, 3], { stride: [2, 2], padding: [1, 1] }],
    "stride 2 that leaves a rest": [[1, 3, 8, 11], [4, 3, 3, 2], { stride: [2, 3], padding: [1, 0] }],
    "1x1 with stride": [[1, 4, 9, 8], [6, 4, 1, 1], { stride: [2, 2] }],
    patches: [[2, 3, 16, 24], [6, 3, 8, 8], { stride: [8, 8] }],
    dilation: [[1, 3, 12, 13], [4, 3, 3, 3], { dilation: [2, 3], padding: [2, 3] }],
    "dilation and stride": [[1, 3, 13, 12], [4, 3, 3, 3], { dilation: [3, 2], padding: [3, 2], stride: [2, 2] }],
    groups: [[2, 6, 6, 8], [9, 2, 3, 3], { groups: 3, padding: [1, 1] }],
    "groups with stride": [[2, 6, 7, 8], [9, 2, 3, 3], { groups: 3, padding: [1, 1], stride: [2, 2] }],
    "one channel": [[2, 1, 6, 8], [5, 1, 3, 3], { padding: [1, 1] }],
    "one pixel out": [[3, 2, 5, 5], [4, 2, 5, 5], {}],
    "depthwise 3x3 in whole vectors": [[2, 5, 9, 12], [5, 1, 3, 3], { groups: 5, padding: [1, 1] }],
    "depthwise 3x3 in odd sizes": [[2, 5, 7, 9], [5, 1, 3, 3], { groups: 5, padding: [1, 1] }],
    "depthwise 5x3": [[1, 3, 8, 8], [3, 1, 5, 3], { groups: 3, padding: [2, 1] }],
    "depthwise 7x7": [[1, 2, 20, 16], [2, 1, 7, 7], { groups: 2, padding: [3, 3] }],
    "depthwise 21x21 valid": [[1, 2, 26, 31], [2, 1, 21, 21], { groups: 2 }],
    "depthwise with two outputs a channel": [[2, 3, 8, 8], [6, 1, 3, 3], { groups: 3, padding: [1, 1] }],
    "depthwise with three outputs a channel, odd": [[2, 3, 5, 7], [9, 1, 3, 3], { groups: 3, padding: [1, 1] }],
    "depthwise with stride": [[2, 4, 9, 8], [4, 1, 3, 3], { groups: 4, padding: [1, 1], stride: [2, 2] }],
    "depthwise with dilation": [[1, 4, 9, 8], [4, 1, 3, 3], { groups: 4, padding: [2, 2], dilation: [2, 2] }],
    "depthwise with stride and two outputs": [[1, 4, 9, 8], [8, 1, 3, 3], { groups: 4, stride: [2, 3] }],
    "depthwise over many rows": [[1, 2, 40, 8], [2, 1, 3, 3], { groups: 2, padding: [1, 1] }],
    "depthwise with wide padding": [[1, 2, 6, 8], [2, 1, 3, 3], { groups: 2, padding: [3, 3] }],
  };
  for (const [name, [x, weight, options]] of Object.entries(cases)) {
    it(`agrees with its definition: ${name}`, () => checkConv(x, weight, options));
  }

  it.each([
    ["subgroups of a known size", { subgroupSize: 0 }],
    ["the cores of a software adapter", { software: false }],
  ])("agrees with its definition without %s", async (_, facts) => {
    // What the device says of itself, before its first kernel is made.
    const other = await Device.request({ backend: "webgpu" });
    Object.assign((other.backend as WebGPUBackend).gpu, facts);
    for (const name of ["3x3 same", "groups with stride", "depthwise 3x3 in odd sizes", "depthwise with stride"]) {
      await checkConv(...cases[name]!, other);
    }
    other.destroy();
  });

  it("sums a long batch in slices", () => checkConv([3, 2, 64, 96], [3, 2, 3, 3], { padding: [1, 1] }));

  it("works in parts where the columns are larger than the workspace", async () => {
    // 16 channels x 7 taps x 512 x 512 pixels are 117 MB of columns.
    const x = random([1, 16, 512, 512], 1);
    const weight = random([2, 16, 3, 7], 2);
    const y = await conv2d(tensor(x), tensor(weight), { padding: [1, 3] }).data();
    const next = seeded(9);
    for (let i = 0; i < 200; i++) {
      const [o, oy, ox] = [i % 2, Math.floor(next() * 512), Math.floor(next() * 512)];
      let expected = 0;
      for (let c = 0; c < 16; c++) {
        for (let ky = 0; ky < 3; ky++) {
          for (let kx = 0; kx < 7; kx++) {
            const [iy, ix] = [oy + ky - 1, ox + kx - 3];
            if (iy < 0 || iy >= 512 || ix < 0 || ix >= 512) continue;
            expected += x.data[(c * 512 + iy) * 512 + ix]! * weight.data[((o * 16 + c) * 3 + ky) * 7 + kx]!;
          }
        }
      }
      expect(Math.abs(y[(o * 512 + oy) * 512 + ox]! - expected)).toBeLessThan(2e-5);
    }
  });

  it("works in parts for the gradients of a strided convolution", () =>
    // 16 taps x 128 x 128 windows x 4 bytes a channel: 70 channels are over 64 MiB.
    checkConv([1, 70, 256, 256], [1, 70, 4, 4], { stride: [2, 2], padding: [1, 1] }));

  it("works in parts over the images of a batch", () => checkConv([17, 1, 512, 512], [1, 1, 2, 1], {}));

  it("covers an image with more vectors than one grid axis holds", async () => {
    const y = await conv2d(device.ones([1, 1, 1500, 1500]), device.tensor([3], [1, 1, 1, 1])).data();
    expect(y.every((value) => value === 3)).toBe(true);
  });

  it("takes an empty batch", async () => {
    const weight = requireGrad(device.ones([4, 3, 3, 3]));
    const y = conv2d(device.zeros([0, 3, 8, 8]), weight, { padding: 1 });
    expect(y.shape).toEqual([0, 4, 8, 8]);
    expect([...(await backward(sum(y)).get(weight)!.data())]).toEqual(new Array(108).fill(0));
  });

  it("keeps the number of live buffers over steps", async () => {
    const weight = requireGrad(device.ones([4, 3, 3, 3]));
    const x = device.ones([2, 3, 9, 9]);
    const step = (): void => {
      scope(() => {
        backward(sum(conv2d(x, weight, { padding: 1, stride: 2 })));
      });
    };
    step();
    const { liveBuffers } = device.memory();
    step();
    expect(device.memory().liveBuffers).toBe(liveBuffers);
    await device.sync();
  });

  it("says what does not fit", () => {
    const x = device.ones([1, 4, 8, 8]);
    expect(() => conv2d(device.ones([4, 8, 8]), device.ones([2, 4, 3, 3]))).toThrow(
      "conv2d: takes x (b, c, h, w) and weight (out, c / groups, kh, kw), got x f32[4, 8, 8]",
    );
    expect(() => conv2d(x, device.ones([2, 3, 3, 3]))).toThrow(
      "conv2d: channels differ: x has 4 in 1 groups, weight takes 3 a group: x f32[1, 4, 8, 8], weight f32[2, 3, 3, 3]",
    );
    expect(() => conv2d(x, device.ones([2, 2, 3, 3]), { groups: 3 })).toThrow(
      "conv2d: groups 3 has to divide the channels, 4 in and 2 out",
    );
    expect(() => conv2d(x, device.ones([2, 4, 9, 3]))).toThrow(
      "conv2d: the window of 9 is larger than the padded image of 8 along dim 2",
    );
    expect(() => conv2d(x, device.ones([2, 4, 3, 3]), { bias: device.ones([3]) })).toThrow(
      "conv2d: bias f32[3] does not fit 2 output channels",
    );
    expect(() => conv2d(x, device.ones([2, 4, 3, 3]), { stride: 0 })).toThrow(
      "conv2d: stride 0 has to be one or two (height, width) whole numbers of at least 1",
    );
    expect(() => conv2d(x, device.ones([2, 4, 3, 3], { dtype: "i32" }))).toThrow("conv2d: takes f32");
  });
});

describe("maxPool2d", () => {
  it("agrees with its definition", async () => {
    for (const [shape, kernel, stride] of [
      [
        [2, 3, 6, 8],
        [2, 2],
        [2, 2],
      ],
      [
        [1, 2, 7, 9],
        [3, 3],
        [2, 2],
      ],
      [
        [1, 2, 7, 5],
        [3, 2],
        [1, 2],
      ],
    ] as const) {
      await checkOp("maxPool2d", {
        op: (x) => maxPool2d(x!, { kernel, stride }),
        reference: (x) => poolReference(x!, "max", kernel, stride),
        inputs: [{ shape }],
      });
    }
  });

  it("agrees with its definition beyond the image", async () => {
    const cases = [
      [[2, 2, 6, 7], { kernel: 3, stride: 1, padding: 1 }, [6, 7]],
      [[1, 2, 7, 8], { kernel: [3, 2], stride: 2, padding: [1, 0] }, [4, 4]],
      [[1, 2, 6, 8], { kernel: 3, stride: 2, ceilMode: true }, [3, 4]],
      [[1, 2, 7, 9], { kernel: 3, stride: 2, ceilMode: true }, [3, 4]],
      [[1, 2, 2, 3], { kernel: 3, stride: 2, ceilMode: true }, [1, 1]],
      // The third window of the second axis would begin behind the image.
      [[1, 2, 5, 4], { kernel: [3, 2], stride: [3, 3], padding: [1, 1], ceilMode: true }, [2, 2]],
    ] as const;
    for (const [shape, options, outSize] of cases) {
      const [kernel, stride, padding] = [
        options.kernel,
        options.stride,
        "padding" in options ? options.padding : 0,
      ].map(pair);
      await checkOp(`maxPool2d ${JSON.stringify(options)}`, {
        op: (x) => maxPool2d(x!, options),
        reference: (x) => poolReference(x!, "max", kernel!, stride!, { padding: padding!, outSize }),
        inputs: [{ shape }],
      });
    }
  });

  it("computes the same without a graph", async () => {
    const x = random([1, 2, 9, 9], 4);
    const y = await maxPool2d(tensor(x), { kernel: 3, stride: 2 }).data();
    expectClose(y, poolReference(x, "max", [3, 3], [2, 2]).data, { rel: 0, abs: 0 });
  });

  it("gives the gradient to the first of equal values", async () => {
    const x = requireGrad(device.tensor([1, 1, 0, 2, 1, 1, 2, 2], [1, 1, 2, 4]));
    const dx = backward(sum(mul(maxPool2d(x, { kernel: 2 }), device.tensor([3, 5], [1, 1, 1, 2])))).get(x)!;
    expect([...(await dx.data())]).toEqual([3, 0, 0, 5, 0, 0, 0, 0]);
  });

  it("says what does not fit", () => {
    expect(() => maxPool2d(device.ones([1, 1, 3, 3]), { kernel: 4 })).toThrow(
      "maxPool2d: the window [4, 4] is larger than the image of x f32[1, 1, 3, 3]",
    );
    expect(() => maxPool2d(device.ones([1, 1, 8, 8]), { kernel: 3, padding: 2 })).toThrow(
      "maxPool2d: the padding [2, 2] is more than half of [3, 3]",
    );
    expect(() => avgPool2d(device.ones([3, 3]), { kernel: 2 })).toThrow(
      "avgPool2d: takes x (b, c, h, w), got f32[3, 3]",
    );
  });
});
