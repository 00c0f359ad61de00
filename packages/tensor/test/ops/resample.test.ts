import { beforeAll, describe, expect, it } from "vitest";
import {
  adaptiveAvgPool2d,
  avgPool2d,
  type Device,
  type InterpolateOptions,
  interpolate,
  interpolationTaps,
  resampleAxis,
  scope,
} from "../../src/index.ts";
import { checkOp, expectClose, ndarray, testDevice } from "../../src/testing.ts";
import { poolReference } from "../reference/conv.ts";
import { interpolateReference, resampleAxisReference } from "../reference/resample.ts";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

const MODES = ["nearest", "area", "bilinear", "bicubic"] as const;

describe("resampleAxis", () => {
  const taps = {
    outSize: 5,
    tapCount: 3,
    start: Int32Array.of(0, 2, 1, 4, 5),
    weights: Float32Array.from({ length: 15 }, (_, i) => Math.sin(i)),
  };

  it("agrees with its definition along every axis, taps past the end dropped", async () => {
    for (const [shape, axis] of [
      [[3, 6], 1],
      [[2, 6, 3], 1],
      [[2, 6, 8], 1],
      [[6, 2, 2], 0],
      [[9, 6], -1],
      [[6], 0],
    ] as const) {
      await checkOp("resampleAxis", {
        op: (x) => resampleAxis(x!, axis, taps),
        reference: (x) => resampleAxisReference(x!, axis < 0 ? axis + shape.length : axis, taps),
        inputs: [{ shape }],
      });
    }
  });

  it("says what does not fit", () => {
    expect(() => resampleAxis(device.ones([2, 4]), 1, taps)).toThrow(
      "resampleAxis: taps start at 4, outside dim 1 of f32[2, 4]",
    );
    expect(() => resampleAxis(device.ones([2, 9]), 1, { ...taps, tapCount: 2 })).toThrow(
      "resampleAxis: 5 outputs of 2 taps need 5 starts and 10 weights, got 5 and 15",
    );
    expect(() => resampleAxis(device.ones([2, 9]), 2, taps)).toThrow("resampleAxis: no dim 2 in a tensor of rank 2");
  });

  it("sends the tables of one filter once, and keeps live buffers over steps", () => {
    const x = device.ones([1, 1, 8, 8]);
    const step = (): void => {
      scope(() => {
        interpolate(x, { mode: "bicubic", size: [13, 5] });
      });
    };
    step();
    const { liveBuffers } = device.memory();
    step();
    expect(device.memory().liveBuffers).toBe(liveBuffers);
  });

  it("survives more filters than are kept", async () => {
    const x = device.tensor(
      Float32Array.from({ length: 16 }, (_, i) => i),
      [1, 1, 4, 4],
    );
    const first = interpolate(x, { mode: "bilinear", size: [3, 3] });
    for (let i = 0; i < 300; i++) scope(() => void interpolate(x, { mode: "bilinear", size: [5 + i, 4] }));
    const again = interpolate(x, { mode: "bilinear", size: [3, 3] });
    expect([...(await again.data())]).toEqual([...(await first.data())]);
  });
});

describe("interpolate", () => {
  it("agrees with its definition by size", async () => {
    for (const mode of MODES) {
      for (const size of [
        [7, 9],
        [25, 28],
        [5, 17],
        [24, 8],
        [1, 1],
        [12, 17],
      ] as const) {
        await checkOp(`interpolate ${mode}`, {
          op: (x) => interpolate(x!, { mode, size }),
          reference: (x) => interpolateReference(x!, { mode, size, step: [12 / size[0], 17 / size[1]] }),
          inputs: [{ shape: [2, 3, 12, 17] }],
        });
      }
    }
  });

  it("samples by 1 / scaleFactor where a factor is given", async () => {
    for (const mode of MODES) {
      for (const factor of [0.5, 0.6, 0.61, 1.02, 1.37, 2]) {
        const size = [Math.floor(12 * factor), Math.floor(17 * factor)] as const;
        const step = mode === "area" ? ([12 / size[0], 17 / size[1]] as const) : ([1 / factor, 1 / factor] as const);
        await checkOp(`interpolate ${mode} x${factor}`, {
          op: (x) => interpolate(x!, { mode, scaleFactor: factor }),
          reference: (x) => interpolateReference(x!, { mode, size, step }),
          inputs: [{ shape: [1, 2, 12, 17] }],
        });
      }
    }
  });

  it("widens the filter where antialiased", async () => {
    for (const mode of ["bilinear", "bicubic"] as const) {
      for (const size of [
        [7, 9],
        [4, 5],
        [25, 28],
        [30, 8],
      ] as const) {
        await checkOp(`interpolate ${mode} antialiased`, {
          op: (x) => interpolate(x!, { mode, size, antialias: true }),
          reference: (x) =>
            interpolateReference(x!, { mode, size, step: [12 / size[0], 17 / size[1]], antialias: true }),
          inputs: [{ shape: [1, 2, 12, 17] }],
        });
      }
    }
  });

  // Values of PyTorch's interpolate.
  it("gives known numbers", async () => {
    const line = device.tensor([0, 1, 2, 3, 4], [1, 1, 1, 5]);
    const resize = async (mode: InterpolateOptions["mode"], width: number): Promise<Float32Array> =>
      (await interpolate(line, { mode, size: [1, width] }).data()) as Float32Array;
    expectClose(await resize("area", 3), [0.5, 2, 3.5]);
    expectClose(await resize("bilinear", 3), [1 / 3, 2, 11 / 3]);
    expectClose(await resize("bicubic", 3), [0.2592597, 2, 3.7407398]);
    const wide = [-0.092834, 0.34906, 1.088135, 1.647217, 2.352783, 2.911865, 3.65094, 4.092834];
    expectClose(await resize("bicubic", 8), wide, { abs: 2e-6 });
  });

  it("weighs the taps of a half-way cubic as Keys does", () => {
    const { weights, start } = interpolationTaps(8, 4, { mode: "bicubic" });
    expectClose(weights.slice(4, 8), [-0.09375, 0.59375, 0.59375, -0.09375], { rel: 0, abs: 0 });
    expect(start[1]).toBe(1);
    expectClose(
      interpolationTaps(8, 4, { mode: "bicubic", cubicA: -0.5 }).weights.slice(4, 8),
      [-0.0625, 0.5625, 0.5625, -0.0625],
    );
    expect(interpolationTaps(8, 4, { mode: "bicubic" }).weights).toBe(weights);
  });

  it("takes nearest positions exactly where they are whole", () => {
    for (let size = 1; size < 200; size++) {
      const { start } = interpolationTaps(2 * size, size, { mode: "nearest" });
      expect([...start]).toEqual(Array.from({ length: size }, (_, i) => 2 * i));
    }
  });

  it("says what does not fit", () => {
    const x = device.ones([1, 1, 4, 4]);
    expect(() => interpolate(device.ones([4, 4]), { mode: "area", size: 2 })).toThrow(
      "interpolate: takes x (b, c, h, w), got f32[4, 4]",
    );
    expect(() => interpolate(x, { mode: "area" })).toThrow(
      "interpolate: give either size or scaleFactor for x f32[1, 1, 4, 4]",
    );
    expect(() => interpolate(x, { mode: "area", size: 2, antialias: true })).toThrow(
      "interpolate: antialias is for bilinear and bicubic, not for area",
    );
    expect(() => interpolate(x, { mode: "bilinear", scaleFactor: 0.1 })).toThrow(
      "interpolate: no image of 0 pixels along dim 2",
    );
    expect(() => interpolate(x, { mode: "lanczos" as "area", size: 2 })).toThrow(
      'interpolate: mode "lanczos" is none of nearest, area',
    );
  });
});

describe("average pooling", () => {
  it("agrees with its definition", async () => {
    for (const [shape, kernel, stride] of [
      [
        [2, 3, 6, 8],
        [2, 2],
        [2, 2],
      ],
      [
        [1, 2, 7, 9],
        [3, 2],
        [2, 1],
      ],
    ] as const) {
      await checkOp("avgPool2d", {
        op: (x) => avgPool2d(x!, { kernel, stride }),
        reference: (x) => poolReference(x!, "mean", kernel, stride),
        inputs: [{ shape }],
      });
    }
  });

  it("counts what lies outside the image as zeros or not at all", async () => {
    const [kernel, stride, padding] = [
      [3, 4],
      [1, 2],
      [1, 2],
    ] as const;
    for (const countIncludePad of [true, false]) {
      await checkOp("avgPool2d", {
        op: (x) => avgPool2d(x!, { kernel, stride, padding, countIncludePad }),
        reference: (x) => poolReference(x!, "mean", kernel, stride, { padding, insideOnly: !countIncludePad }),
        inputs: [{ shape: [2, 2, 5, 7] }],
      });
    }
  });

  it("is one mean for a single cell, and area interpolation for more", async () => {
    for (const size of [
      [1, 1],
      [3, 2],
      [9, 7],
    ] as const) {
      await checkOp("adaptiveAvgPool2d", {
        op: (x) => adaptiveAvgPool2d(x!, size),
        reference: (x) => interpolateReference(x!, { mode: "area", size, step: [1, 1] }),
        inputs: [{ shape: [2, 3, 6, 8] }],
      });
    }
    const y = adaptiveAvgPool2d(device.tensor(ndarray([1, 1, 2, 2], [1, 2, 3, 4]).data, [1, 1, 2, 2]), 1);
    expect(y.shape).toEqual([1, 1, 1, 1]);
    expect(await y.item()).toBe(2.5);
  });
});
