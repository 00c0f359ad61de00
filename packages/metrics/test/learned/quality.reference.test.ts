import { Device, noGrad, Rng, scope, type Tensor } from "@deplsr/tensor";
import { expectClose } from "@deplsr/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import {
  CNNIQA,
  CNNIQA_KONIQ,
  imageTensor,
  MANIQA,
  MANIQA_KONIQ,
  type MetricNetwork,
  MUSIQ,
  MUSIQ_KONIQ,
  type MUSIQConfig,
  musiqCells,
  relativePositions,
  shiftMask,
  uniformCrops,
} from "../../src/index.ts";
import { type Golden, golden } from "./golden.ts";

const device = await Device.request();
afterAll(() => device.destroy());
const init = { device, rng: new Rng(1) };

/** Compares the scores of the first cases of a file; scoring the last one again leaves no buffers behind. */
async function checkScores(
  metric: MetricNetwork & { forward(image: Tensor): Tensor },
  file: Golden,
  cases: number,
  tolerance: number,
): Promise<void> {
  metric.load(file.weights());
  const score = async (name: string): Promise<number> => {
    using result = noGrad(() => scope(() => metric.forward(imageTensor(device, file.image(`${name}.rgb`)))));
    return await result.item();
  };
  for (let i = 0; i < cases; i++) {
    expect(Math.abs((await score(`case${i}`)) - file.values(`case${i}.score`)[0]!)).toBeLessThan(tolerance);
  }
  const { liveBuffers } = device.memory();
  await score(`case${cases - 1}`);
  expect(device.memory().liveBuffers).toBe(liveBuffers);
  metric.dispose();
}

describe("CNNIQA", () => {
  it("is the reference's", async () => {
    await checkScores(new CNNIQA({ kernel: 5, filters: 6, hidden: [16, 12] }, init), golden("cnniqa_small"), 2, 1e-5);
    await checkScores(new CNNIQA(CNNIQA_KONIQ, init), golden("cnniqa"), 3, 5e-5);
  });

  it("refuses images smaller than a filter", () => {
    const metric = new CNNIQA(CNNIQA_KONIQ, init);
    expect(() => metric.forward(device.zeros([1, 3, 9, 6]))).toThrow(
      "CNNIQA: f32[1, 3, 9, 6] has a side below 7 pixels",
    );
    metric.dispose();
  });
});

describe("MUSIQ", () => {
  const small: MUSIQConfig = {
    patchSize: 16,
    longerSides: [48, 80],
    grid: 5,
    hidden: 48,
    mlpHidden: 96,
    heads: 3,
    layers: 2,
    classes: 1,
  };

  it("is the reference's", () => checkScores(new MUSIQ(small, init), golden("musiq_small"), 4, 1e-4));

  it("has the published number of parameters", () => {
    const metric = new MUSIQ(MUSIQ_KONIQ, init);
    expect(metric.parameterCount()).toBe(27_125_825);
    metric.dispose();
  });

  it("scores by the mean of a distribution where there are classes, and images of a batch each for itself", async () => {
    const metric = new MUSIQ({ ...small, classes: 10 }, init);
    expect(metric.stateDict().get("head.0.weight")!.shape).toEqual([10, 48]);
    const scores = await noGrad(() => metric.forward(device.tensor(waves(2 * 3 * 30 * 40), [2, 3, 30, 40]))).data();
    for (const score of scores) expect(score > 1 && score < 10).toBe(true);
    const second = noGrad(() => metric.forward(device.tensor(waves(2 * 3 * 30 * 40).slice(3600), [1, 3, 30, 40])));
    expectClose(await second.data(), [scores[1]!], { rel: 1e-5 });
    metric.dispose();
  });

  it("lays every number of rows over the table of positions", () => {
    for (const [rows, columns] of [
      [11, 23],
      [60, 41],
      [3, 2],
    ] as const) {
      expect([...musiqCells(rows, columns, 10)]).toEqual([...golden("musiq").values(`hash.${rows}x${columns}`)]);
    }
  });
});

function waves(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => 0.5 + 0.5 * Math.sin(0.37 * i + 1e-4 * i * i));
}

describe("MANIQA", () => {
  const small = {
    vit: { imageSize: 224, patchSize: 28, width: 48, heads: 3, mlpRatio: 4 },
    swin: { window: 4, depths: [2, 2], heads: [4, 2], mlpHidden: 40, scale: 0.8 },
    tabBlocks: 2,
    crops: 20,
  };

  it("is the reference's", () => checkScores(new MANIQA(small, init), golden("maniqa_small"), 2, 2e-4));

  it("spreads its crops over the image, but for the last row", () => {
    expect(uniformCrops(230, 301, 224, 20).slice(3, 7)).toEqual([
      [0, 57],
      [0, 76],
      [1, 0],
      [1, 19],
    ]);
    expect(uniformCrops(225, 225, 224, 1)).toEqual([[0, 0]]);
    expect(uniformCrops(400, 400, 224, MANIQA_KONIQ.crops).at(-1)).toEqual([132, 176]);
  });

  it("has the reference's windows", () => {
    const file = golden("maniqa_small");
    expect([...relativePositions(4)]).toEqual([...file.values("relative_position_index")]);
    expect([...shiftMask(8, 4)]).toEqual([...file.values("attn_mask")]);
  });
});
