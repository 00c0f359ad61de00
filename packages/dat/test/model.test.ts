import type { Mode } from "@deplsr/nn";
import { backward, clone, Device, keep, mean, noGrad, Rng, rand, scope, type Tensor } from "@deplsr/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { checkConfig, DAT_LIGHT_X3, DAT_X4, type DATConfig } from "../src/config.ts";
import { configFromReference } from "../src/keys.ts";
import { DAT, type FeatureStage } from "../src/model.ts";
import { windowRanges } from "../src/spatial-attention.ts";
import { datState } from "../src/state.ts";

const device = await Device.request();
afterAll(() => device.destroy());

const init = { device, rng: new Rng(7) };
const TINY: DATConfig = configFromReference({
  img_size: 16,
  embed_dim: 32,
  depth: [3],
  num_heads: [2],
  split_size: [2, 4],
  expansion_factor: 2,
  drop_path_rate: 0,
  upscale: 2,
  upsampler: "pixelshuffledirect",
});

describe("DAT", () => {
  it.each<[string, Partial<DATConfig>]>([
    ["1conv, pixelshuffledirect", {}],
    [
      "3conv, pixelshuffle x4, no qkv bias",
      { resiConnection: "3conv", upsampler: "pixelshuffle", upscale: 4, qkvBias: false },
    ],
    ["x3, grey, two groups", { upsampler: "pixelshuffle", upscale: 3, inChannels: 1, depth: [1, 1], numHeads: [2, 4] }],
  ])("has the entries of the reference's checkpoints: %s", (_, change) => {
    const config = checkConfig({ ...TINY, ...change });
    const model = new DAT(config, init);
    const list = (role: string): string[] =>
      datState(config).flatMap((entry) => (entry.role === role ? [`${entry.name} [${entry.shape}]`] : []));
    const named = ([name, { shape }]: [string, { shape: readonly number[] }]): string => `${name} [${shape}]`;
    expect([...model.parameters()].map(named)).toEqual(list("parameter"));
    expect([...model.buffers()].map(named)).toEqual(list("statistic"));
    expect([...model.derivedBuffers()].map(named)).toEqual(list("derived"));
    model.dispose();
  });

  it.each([
    ["DAT x4", DAT_X4, 14_802_051],
    ["DAT-light x3", DAT_LIGHT_X3, 561_405],
  ] as const)("is as large as published: %s", (_, config, count) => {
    const model = new DAT(config, init);
    expect(model.parameterCount()).toBe(count);
    model.dispose();
  });

  it.each([
    [{}, 2],
    [{ upsampler: "pixelshuffle", imgRange: 255 }, 4],
    [{ upsampler: "pixelshuffle", inChannels: 1 }, 3],
  ] as const)(
    "starts as bicubic interpolation where that is what its output is added to: %j x%i",
    async (change, upscale) => {
      const config = checkConfig({ ...TINY, globalResidual: "bicubic", upscale, ...change });
      const model = new DAT(config, init);
      const [h, w] = [5, 7];
      const pixels = Float32Array.from({ length: config.inChannels * h * w }, (_, i) => 0.5 + 0.5 * Math.sin(i * i));
      const x = device.tensor(pixels, [1, config.inChannels, h, w]);
      const found = await noGrad(() => model.forward(x)).data();
      // Keys' kernel with a = -1/2 (his equation 15), pixels beyond the edge as those at it.
      const keys = (t: number): number => {
        const d = Math.abs(t);
        if (d >= 2) return 0;
        return d <= 1 ? 1.5 * d ** 3 - 2.5 * d ** 2 + 1 : -0.5 * d ** 3 + 2.5 * d ** 2 - 4 * d + 2;
      };
      const taps = (to: number, size: number): [number, number][] => {
        const at = (to + 0.5) / upscale - 0.5;
        const first = Math.floor(at) - 1;
        return [0, 1, 2, 3].map((k) => [Math.min(size - 1, Math.max(0, first + k)), keys(at - first - k)]);
      };
      for (let i = 0; i < found.length; i++) {
        const [column, row, c] = [
          i % (w * upscale),
          Math.floor(i / (w * upscale)) % (h * upscale),
          Math.floor(i / (w * h * upscale ** 2)),
        ];
        let expected = 0;
        for (const [y, a] of taps(row, h))
          for (const [z, b] of taps(column, w)) expected += a * b * pixels[(c * h + y) * w + z]!;
        expect(found[i]).toBeCloseTo(expected, 5);
      }
      // What it learns is added to that.
      const { weight, bias } = model.head.last;
      expect([...(await weight.data()), ...(await bias!.data())].every((value) => value === 0)).toBe(true);
      const gradients = backward(mean(model.forward(x)));
      expect((await gradients.get(bias!)!.data()).some((value) => value !== 0)).toBe(true);
      model.dispose();
    },
  );

  it("takes images of any size, grey ones too", async () => {
    const colour = new DAT(TINY, init);
    const grey = new DAT({ ...TINY, inChannels: 1, imgRange: 255, upsampler: "pixelshuffle", upscale: 3 }, init);
    for (const [h, w] of [
      [1, 1],
      [4, 8],
      [5, 13],
    ] as const) {
      for (const model of [colour, grey]) {
        const { inChannels: channels, upscale: s } = model.config;
        const out = scope(() => noGrad(() => model.forward(device.full([2, channels, h, w], 0.5))));
        expect(out.shape).toEqual([2, channels, s * h, s * w]);
        expect((await out.data()).every(Number.isFinite)).toBe(true);
        out.dispose();
      }
    }
    colour.dispose();
    grey.dispose();
  });

  it("refuses what is not an image of its channels", () => {
    const model = new DAT(TINY, init);
    expect(() => model.forward(device.zeros([3, 8, 8]))).toThrow("DAT: expected images (b, 3, h, w), got [3, 8, 8]");
    expect(() => model.forward(device.zeros([1, 1, 8, 8]))).toThrow(
      "DAT: expected images (b, 3, h, w), got [1, 1, 8, 8]",
    );
    expect(() => model.forward(device.zeros([1, 3, 0, 8]))).toThrow("got [1, 3, 0, 8]");
    model.dispose();
  });

  it("draws what it leaves out from the generator of the mode", async () => {
    const model = new DAT({ ...TINY, dropPathRate: 0.5, dropRate: 0.1, attnDropRate: 0.1 }, init);
    const images = device.full([2, 3, 4, 8], 0.5);
    const run = async (mode?: Mode): Promise<string> => {
      const out = noGrad(() => model.forward(images, mode ? { mode } : {}));
      return String(await out.data());
    };
    expect(await run({ training: true, rng: new Rng(3) })).toBe(await run({ training: true, rng: new Rng(3) }));
    expect(await run({ training: true, rng: new Rng(3) })).not.toBe(await run({ training: true, rng: new Rng(4) }));
    expect(await run()).toBe(await run());
    expect(() => model.forward(images, { mode: { training: true } })).toThrow("pass { training: true, rng }");
    model.dispose();
  });

  it("keeps as many buffers after every step", () => {
    const model = new DAT(TINY, init);
    const images = device.full([2, 3, 5, 9], 0.5);
    const rng = new Rng(0);
    const step = (): number => {
      scope(() => {
        backward(mean(model.forward(images, { mode: { training: true, rng } })));
      });
      return device.memory().liveBuffers;
    };
    const first = step();
    expect(step()).toBe(first);
    expect(step()).toBe(first);
    const infer = (): number => {
      noGrad(() => model.forward(images)).dispose();
      return device.memory().liveBuffers;
    };
    const inferred = infer();
    expect(infer()).toBe(inferred);
    model.dispose();
  });

  it("gives back everything when disposed", () => {
    const before = device.memory().liveBuffers;
    const model = new DAT(TINY, init);
    scope(() => {
      noGrad(() => model.forward(device.full([1, 3, 5, 9], 0.5)));
    });
    expect(device.memory().liveBuffers).toBeGreaterThan(before);
    model.dispose();
    expect(device.memory().liveBuffers).toBe(before);
  });

  it("shows its features on their way without changing its result", async () => {
    const model = new DAT({ ...TINY, depth: [1, 1], numHeads: [2, 2] }, init);
    const x = rand(device, [1, 3, 8, 12], new Rng(2));
    const seen: [stage: FeatureStage, shape: readonly number[]][] = [];
    const kept: Tensor[] = [];
    const onFeatures = (features: Tensor, after: FeatureStage): void => {
      seen.push([after, features.shape]);
      if (after === "convFirst") kept.push(keep(clone(features)));
    };
    const [plain, shown] = noGrad(() => [model.forward(x), model.forward(x, { onFeatures })]);
    const shape = [1, TINY.embedDim, 8, 12];
    expect(seen).toEqual([
      ["convFirst", shape],
      [0, shape],
      [1, shape],
      ["body", shape],
    ]);
    expect(await shown!.data()).toEqual(await plain!.data());
    expect(await kept[0]!.data()).toEqual(await noGrad(() => model.shallow(x)).data());
    model.dispose();
  });
});

describe("windowRanges", () => {
  it("cuts only what does not fit, evenly", () => {
    expect(windowRanges(16, 100, 1600)).toEqual([[0, 16]]);
    expect(windowRanges(16, 100, 1599)).toEqual([
      [0, 8],
      [8, 8],
    ]);
    expect(windowRanges(10, 100, 399)).toEqual([
      [0, 3],
      [3, 3],
      [6, 3],
      [9, 1],
    ]);
    expect(windowRanges(2, 100, 10)).toEqual([
      [0, 1],
      [1, 1],
    ]);
  });
});
