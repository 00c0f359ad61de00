import { backward, Rng, randn, requireGrad, type Tensor } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { type ContrastiveKind, type SrCLIPOutput, srclipLoss, textMatches } from "../src/index.ts";

const device = await testDevice();

const [B, KINDS, E, SCALE, BIAS] = [4, 3, 6, 3, -2];
/** Texts by number, for each image: caption, degradation, single degradations. Some are equal. */
const TEXTS = [
  [0, 1, 2, 3, 4],
  [5, 1, 2, 6, 4],
  [0, 7, 8, 3, 4],
  [9, 1, 2, 6, 10],
];
const ids = Int32Array.from(TEXTS.flat().flatMap((text) => [58, text + 1, 59, 0]));

/** Rows of features: image and text, (b, e). */
type Sides = readonly [image: readonly Float64Array[], text: readonly Float64Array[]];

/** One comparison from its definition, in double precision, by pairs of images and texts. */
function comparison(kind: ContrastiveKind, [image, text]: Sides, matches: (i: number, j: number) => boolean): number {
  const b = image.length;
  const dot = (x: Float64Array, y: Float64Array): number => x.reduce((sum, value, k) => sum + value * y[k]!, 0);
  const z = image.map((x) => text.map((y) => SCALE * dot(x, y) + (kind === "siglip" ? BIAS : 0)));
  let loss = 0;
  if (kind === "siglip") {
    for (let i = 0; i < b; i++) {
      for (let j = 0; j < b; j++) loss += Math.log1p(Math.exp(matches(i, j) ? -z[i]![j]! : z[i]![j]!)) / b;
    }
    return loss;
  }
  for (const at of [(i: number, j: number) => z[i]![j]!, (i: number, j: number) => z[j]![i]!]) {
    for (let i = 0; i < b; i++) {
      const row = image.map((_, j) => at(i, j));
      const normalizer = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
      const positives = row.filter((_, j) => matches(i, j));
      loss += (normalizer - positives.reduce((sum, value) => sum + value, 0) / positives.length) / (2 * b);
    }
  }
  return loss;
}

/** Features as tensors, and row by row in double precision. */
async function features(): Promise<{ output: SrCLIPOutput; leaves: Tensor[]; sides: Sides[] }> {
  const rng = new Rng(21);
  const of = (...shape: number[]): Tensor => requireGrad(randn(device, shape, rng));
  const [content, seen, fine] = [of(B, E), of(B, E), of(B, KINDS, E)];
  const [caption, read, single] = [of(B, E), of(B, E), of(B, KINDS, E)];
  const rows = async (x: Tensor, kind = 0, kinds = 1): Promise<Float64Array[]> => {
    const values = Float64Array.from(await x.data());
    return Array.from({ length: B }, (_, i) => values.slice((i * kinds + kind) * E, (i * kinds + kind + 1) * E));
  };
  const sides: Sides[] = [
    [await rows(content), await rows(caption)],
    [await rows(seen), await rows(read)],
  ];
  for (let k = 0; k < KINDS; k++) sides.push([await rows(fine, k, KINDS), await rows(single, k, KINDS)]);
  return {
    output: {
      image: { content, degradation: seen, fine },
      text: { caption, degradation: read, fine: single },
      logitScale: device.full([], SCALE),
      logitBias: device.full([], BIAS),
    },
    leaves: [content, caption, seen, read],
    sides,
  };
}

describe.each<[ContrastiveKind, boolean]>([
  ["clip", false],
  ["clip", true],
  ["siglip", false],
  ["siglip", true],
])("srclipLoss: %s, equal texts match: %s", (kind, lenient) => {
  const weights = [0.7, 1.5, 2];
  const matching =
    (row: number) =>
    (i: number, j: number): boolean =>
      i === j || (lenient && TEXTS[i]![row] === TEXTS[j]![row]);
  const matches = lenient ? { matches: textMatches(device, ids, 2 + KINDS, 4) } : {};

  it("is what its definition says", async () => {
    const { output, sides } = await features();
    const [content, degradation, ...fine] = sides.map((side, row) => comparison(kind, side, matching(row)));
    const meanFine = fine.reduce((sum, value) => sum + value / KINDS, 0);
    const found = srclipLoss(output, { kind, weights, ...matches });
    expect(await found.contrastive.item()).toBeCloseTo(content!, 4);
    expect(await found.degradation.item()).toBeCloseTo(degradation!, 4);
    expect(await found.fine!.item()).toBeCloseTo(meanFine, 4);
    expect(await found.total.item()).toBeCloseTo(0.7 * content! + 1.5 * degradation! + 2 * meanFine, 4);
    const usual = await srclipLoss(output, { kind, ...matches }).total.item();
    expect(usual).toBeCloseTo(0.2 * content! + 0.3 * degradation! + 0.5 * meanFine, 4);
  });

  it("has the gradients of its definition", async () => {
    const { output, leaves, sides } = await features();
    const gradients = backward(srclipLoss(output, { kind, weights, ...matches }).total);
    for (const [which, leaf] of leaves.entries()) {
      const row = which >> 1; // content and caption, then both degradations
      const values = sides[row]![which % 2]!;
      const found = await gradients.get(leaf)!.data();
      for (const [i, k] of [
        [0, 1],
        [2, 5],
        [3, 0],
      ] as const) {
        const h = 1e-5;
        const at = (step: number): number => {
          const before = values[i]![k]!;
          values[i]![k] = before + step;
          const loss = comparison(kind, sides[row]!, matching(row));
          values[i]![k] = before;
          return loss;
        };
        expect(found[i * E + k]).toBeCloseTo((weights[row]! * (at(h) - at(-h))) / (2 * h), 4);
      }
    }
  });
});

describe("srclipLoss", () => {
  it("weighs content and degradation alike where there is nothing else", async () => {
    const { output, sides } = await features();
    const first = { ...output, image: { ...output.image!, fine: null }, text: { ...output.text!, fine: null } };
    const own = (i: number, j: number): boolean => i === j;
    const [content, degradation] = sides.map((side) => comparison("siglip", side, own));
    const loss = srclipLoss(first, { kind: "siglip" });
    expect(loss.fine).toBeNull();
    expect(await loss.total.item()).toBeCloseTo(content! + degradation!, 4);
    const weighed = srclipLoss(first, { kind: "siglip", weights: [0, 2] });
    expect(await weighed.total.item()).toBeCloseTo(2 * degradation!, 4);
  });
});

describe("textMatches", () => {
  it("finds equal texts of each row", async () => {
    const matches = textMatches(device, ids, 2 + KINDS, 4);
    expect([...(await matches.caption.data())]).toEqual([1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1]);
    expect([...(await matches.degradation.data())]).toEqual([1, 1, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1]);
    expect(matches.fine!.shape).toEqual([KINDS, B, B]);
    expect([...(await matches.fine!.data())].slice(2 * B * B)).toEqual([
      1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1,
    ]);
    expect(textMatches(device, ids.subarray(0, 16), 2, 8).fine).toBeNull();
    expect(() => textMatches(device, ids, 3, 16)).toThrow("textMatches: 80 token ids are not 3 texts of 16");
  });
});
