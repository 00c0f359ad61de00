import { clipConfig, SIGLIP_START } from "@deplsr/clip";
import { addGradients } from "@deplsr/nn";
import { assign, backward, cat, Device, noGrad, Rng, randn, scope, slice, type Tensor } from "@deplsr/tensor";
import { expectNoLeak, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import {
  accumulateGradients,
  type BatchGradients,
  detachedLoss,
  FinetuneCLIP,
  SrCLIP,
  type SrCLIPInput,
  type SrCLIPLossOptions,
  SrCLIPV2,
  sharedGradients,
  srclipConfig,
  srclipLoss,
  textMatches,
} from "../src/index.ts";

const device = await testDevice();
const init = { device, rng: new Rng(3) };

const CLIP = clipConfig({
  embedDim: 24,
  vision: { imageSize: 16, patchSize: 8, width: 32, layers: 2, headWidth: 16 },
  text: { contextLength: 12, vocabSize: 60, width: 32, heads: 2, layers: 2 },
});
const CONFIG = srclipConfig(CLIP, { loss: "clip", fineDegradations: 3 });
const SIGLIP = srclipConfig({ ...CLIP, ...SIGLIP_START }, { loss: "siglip", fineDegradations: 3 });
/** Texts of b images, of 2 to 5 words of few different ones, so that some are equal. */
function textsOf(b: number, rows: number): Int32Array {
  const rng = new Rng(5);
  const text = (): number[] => {
    const words = Array.from({ length: 2 + rng.integer(4) }, () => 1 + rng.integer(3));
    return [58, ...words, 59, ...new Array<number>(10 - words.length).fill(0)];
  };
  return Int32Array.from(Array.from({ length: b * rows }, text).flat());
}

/** A batch of images with `rows` texts each, and the same in parts of the given sizes. */
function batchOf(sizes: readonly number[], rows: number, side = 16, at = device): [SrCLIPInput, SrCLIPInput[]] {
  const b = sizes.reduce((sum, size) => sum + size);
  const image = randn(at, [b, 3, side, side], new Rng(7));
  const ids = textsOf(b, rows);
  let start = 0;
  const parts = sizes.map((size) => {
    const end = start + size;
    const part = { image: slice(image, [[start, end]]), ids: ids.subarray(start * rows * 12, end * rows * 12) };
    start = end;
    return part;
  });
  return [{ image, ids }, parts];
}

/** Opens the taps, so that gradients reach everything. */
function opened<T extends SrCLIP>(model: T): T {
  const rng = new Rng(9);
  for (const { weight } of model.visualControl.transformer.zeroModules) {
    scope(() => assign(weight, randn(weight.device, weight.shape, rng).mul(0.1)));
  }
  return model;
}

function locked<T extends SrCLIP>(model: T): T {
  model.lockCLIP();
  return opened(model);
}

type Case = readonly [string, () => SrCLIP | FinetuneCLIP, SrCLIPLossOptions & { readonly lenient?: true }];

const CASES: readonly Case[] = [
  ["SrCLIPV2", () => locked(new SrCLIPV2(CONFIG, init)), { kind: "clip" }],
  ["SrCLIPV2, its CLIP trained too", () => opened(new SrCLIPV2(CONFIG, init)), { kind: "clip", weights: [1, 0.5, 2] }],
  ["SrCLIPV2, SigLIP", () => locked(new SrCLIPV2(SIGLIP, init)), { kind: "siglip" }],
  ["SrCLIPV2, equal texts", () => locked(new SrCLIPV2(CONFIG, init)), { kind: "clip", lenient: true }],
  ["SrCLIPV2, SigLIP, equal texts", () => locked(new SrCLIPV2(SIGLIP, init)), { kind: "siglip", lenient: true }],
  ["SrCLIP", () => locked(new SrCLIP(SIGLIP, init)), { kind: "siglip" }],
  ["FinetuneCLIP", () => new FinetuneCLIP(SIGLIP, init), { kind: "siglip" }],
];

async function magnitude(x: Tensor): Promise<number> {
  let largest = 0;
  for (const value of await x.data()) largest = Math.max(largest, Math.abs(value));
  return largest;
}

/** Expects losses and gradients of a batch as from all of it at once. */
async function expectWhole(
  model: SrCLIP | FinetuneCLIP,
  whole: SrCLIPInput,
  found: BatchGradients,
  options: SrCLIPLossOptions,
): Promise<void> {
  const loss = srclipLoss(model.forward(whole), options);
  const seen = detachedLoss(loss);
  const gradients = backward(loss.total);
  for (const name of ["contrastive", "degradation", "fine", "total"] as const) {
    const [actual, expected] = [await found.loss[name]?.item(), await seen[name]?.item()];
    if (expected === undefined) expect(actual).toBeUndefined();
    else expect(actual).toBeCloseTo(expected, 5);
  }
  const names = new Map([...model.parameters()].map(([name, tensor]) => [tensor, name]));
  const named = (map: Map<Tensor, Tensor>): unknown[] => [...map.keys()].map((tensor) => names.get(tensor)).sort();
  expect(named(found.gradients)).toEqual(named(gradients));
  expect(gradients.size).toBeGreaterThan(20);
  const largest = Math.max(...(await Promise.all([...gradients.values()].map(magnitude))));
  for (const [tensor, expected] of gradients) {
    const difference = await magnitude(found.gradients.get(tensor)!.sub(expected));
    expect(difference, names.get(tensor)).toBeLessThan(2e-5 * (await magnitude(expected)) + 1e-6 * largest);
  }
}

describe("accumulateGradients", () => {
  it.each(CASES)("equals the large batch: %s", async (_, make, { lenient, ...options }) => {
    const model = make();
    const rows = model.constructor === SrCLIP ? 2 : 5;
    const [whole, parts] = batchOf([3, 1, 4], rows);
    const matches = lenient ? { matches: textMatches(device, whole.ids!, rows, 12) } : {};
    const found = accumulateGradients(model, parts, { ...options, ...matches });
    await expectWhole(model, whole, found, { ...options, ...matches });
    model.dispose();
  });

  it("gives back what a step made, and keeps the buffers it has", async () => {
    const model = locked(new SrCLIPV2(CONFIG, init));
    const [, parts] = batchOf([2, 2], 5);
    await expectNoLeak(() => {
      accumulateGradients(model, parts, { kind: "clip" });
    });
    model.dispose();
  });

  it("needs the memory of a part", async () => {
    const clip = { ...CLIP, vision: { ...CLIP.vision, imageSize: 32, patchSize: 4 } };
    const peakOf = async (accumulated: boolean): Promise<number> => {
      const at = await Device.request();
      const model = locked(new SrCLIPV2({ ...CONFIG, clip }, { device: at, rng: new Rng(3) }));
      const [whole, parts] = batchOf([2, 2, 2, 2, 2, 2, 2, 2], 5, 32, at);
      const before = at.memory().liveBytes;
      scope(() => {
        if (accumulated) accumulateGradients(model, parts, { kind: "clip" });
        else backward(srclipLoss(model.forward(whole), { kind: "clip" }).total);
      });
      await at.sync();
      const { peakBytes } = at.memory();
      at.destroy();
      return peakBytes - before;
    };
    expect(await peakOf(true)).toBeLessThan(0.4 * (await peakOf(false)));
  });

  it("refuses what cannot be compared", () => {
    const model = new SrCLIPV2(CONFIG, init);
    const [{ image, ids }] = batchOf([2], 5);
    expect(() => accumulateGradients(model, [], { kind: "clip" })).toThrow("srclipLoss: needs features of images");
    expect(() => accumulateGradients(model, [{ image: image! }], { kind: "clip" })).toThrow("and of texts");
    expect(() =>
      accumulateGradients(model, [{ image: image!, ids: ids! }, { image: image! }], { kind: "clip" }),
    ).toThrow("clipLoss: image [4, 24] and text [2, 24]");
    model.dispose();
  });
});

describe("sharedGradients", () => {
  /** What each process of a batch comes to, whose parts are divided among them. */
  async function shared(
    model: SrCLIP | FinetuneCLIP,
    processes: readonly (readonly SrCLIPInput[])[],
    options: SrCLIPLossOptions,
  ): Promise<BatchGradients[]> {
    const all = scope(() => {
      const parts = noGrad(() => processes.flat().map((part) => model.forward(part)));
      const kinds = ["content", "degradation", "fine", "caption"] as const;
      const of = (side: "image" | "text") =>
        kinds.map((kind) =>
          parts.flatMap((part) =>
            Object.entries(part[side] ?? {}).flatMap(([name, features]) =>
              name === kind && features ? [features as Tensor] : [],
            ),
          ),
        );
      const [, degradation, fine, caption] = of("text");
      return [...of("image"), caption!, degradation!, fine!].filter(({ length }) => length > 0);
    }) as Tensor[][];
    const rowsOf = (own: readonly SrCLIPInput[]): number => own.reduce((sum, { image }) => sum + image!.shape[0]!, 0);
    const results = await Promise.all(
      processes.map((own, rank) => {
        const kinds = all.values();
        const gather = async (features: Tensor): Promise<Tensor> => {
          const whole = scope(() => noGrad(() => cat(kinds.next().value!, 0))) as Tensor;
          expect(features.shape.slice(1)).toEqual(whole.shape.slice(1));
          return whole;
        };
        return sharedGradients(model, own, options, { gather, from: rowsOf(processes.slice(0, rank).flat()) });
      }),
    );
    for (const features of all.flat()) features.dispose();
    return results;
  }

  it.each(CASES)("sums up to the large batch: %s", async (_, make, { lenient, ...given }) => {
    const model = make();
    const rows = model.constructor === SrCLIP ? 2 : 5;
    const [whole, [a, b, c]] = batchOf([3, 1, 4], rows) as [SrCLIPInput, [SrCLIPInput, SrCLIPInput, SrCLIPInput]];
    const options = { ...given, ...(lenient ? { matches: textMatches(device, whole.ids!, rows, 12) } : {}) };
    const results = await shared(model, [[a], [b, c]], options);
    const gradients = results.map(({ gradients }) => gradients).reduce((sum, more) => addGradients(sum, more));
    for (const { loss } of results) await expectWhole(model, whole, { loss, gradients }, options);
    model.dispose();
  });

  it("gives back what a step made", async () => {
    const model = locked(new SrCLIPV2(CONFIG, init));
    const [, parts] = batchOf([2, 2, 2], 5);
    const step = async (): Promise<number> => {
      const results = await shared(model, [parts.slice(0, 1), parts.slice(1)], { kind: "clip" });
      for (const { loss, gradients } of results) {
        for (const tensor of [...Object.values(loss), ...gradients.values()]) tensor?.dispose();
      }
      await device.sync();
      return device.memory().liveBuffers;
    };
    const counts = [await step(), await step(), await step()];
    expect(counts[2]).toBe(counts[1]);
    model.dispose();
  });
});
