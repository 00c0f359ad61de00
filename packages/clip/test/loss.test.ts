import type { Tensor } from "@deplsr/tensor";
import { checkOp, type InputSpec, type NdArray, ndarray, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { type ContrastiveInput, clipLoss, matchingRows, siglipLoss } from "../src/index.ts";

const device = await testDevice();

type Kind = "clip" | "siglip";

/** The losses from their definitions, mean over groups. */
function reference(kind: Kind, matches: ArrayLike<number>): (...inputs: NdArray[]) => NdArray {
  return (image, text, scale, bias) => {
    const [g = 1, b = 1, e = 1] = image!.shape.length === 3 ? image!.shape : [1, ...image!.shape];
    let total = 0;
    for (let group = 0; group < g; group++) {
      const z = (i: number, j: number): number => {
        let dot = 0;
        for (let k = 0; k < e; k++) dot += image!.data[(group * b + i) * e + k]! * text!.data[(group * b + j) * e + k]!;
        return scale!.data[0]! * dot + (kind === "siglip" ? bias!.data[0]! : 0);
      };
      for (let i = 0; i < b; i++) {
        const same = (j: number): number => matches[i * b + j]!;
        const others = Array.from({ length: b }, (_, j) => j);
        if (kind === "siglip") {
          for (const j of others) total += Math.log(1 + Math.exp(-(2 * same(j) - 1) * z(i, j))) / (g * b);
          continue;
        }
        const count = others.reduce((sum, j) => sum + same(j), 0);
        const rowNorm = Math.log(others.reduce((sum, j) => sum + Math.exp(z(i, j)), 0));
        const columnNorm = Math.log(others.reduce((sum, j) => sum + Math.exp(z(j, i)), 0));
        for (const j of others) {
          total -= (0.5 * same(j) * (z(i, j) - rowNorm + z(j, i) - columnNorm)) / count / (g * b);
        }
      }
    }
    return ndarray([], [total]);
  };
}

const identity = matchingRows([0, 1, 2, 3]);
const labels = matchingRows([0, 1, 0, 2]);

function loss(kind: Kind, matches?: Tensor): (...inputs: Tensor[]) => Tensor {
  return (image, text, logitScale, logitBias) => {
    const input = { image, text, logitScale, ...(matches ? { matches } : {}) } as ContrastiveInput;
    return kind === "clip" ? clipLoss(input) : siglipLoss({ ...input, logitBias: logitBias! });
  };
}

describe.each(["clip", "siglip"] as const)("%sLoss", (kind) => {
  const scale: InputSpec = { shape: [], range: [2, 3] };
  const bias: InputSpec = { shape: [], range: [-2, -1] };
  const scalars = kind === "siglip" ? [scale, bias] : [scale];

  it.each([[[4, 6]], [[3, 4, 6]]])("agrees with its definition for features %j", async (shape) => {
    await checkOp(`${kind}Loss`, {
      op: loss(kind),
      reference: reference(kind, identity),
      inputs: [{ shape }, { shape }, ...scalars],
    });
  });

  it("counts equal texts as matches when told so", async () => {
    await checkOp(`${kind}Loss`, {
      op: loss(kind, device.tensor(labels, [4, 4])),
      reference: reference(kind, labels),
      inputs: [{ shape: [4, 6] }, { shape: [4, 6] }, ...scalars],
    });
  });

  it("refuses features that are no pairs", () => {
    expect(() => loss(kind)(device.zeros([4, 6]), device.zeros([3, 6]), device.ones([]), device.ones([]))).toThrow(
      `${kind}Loss: image [4, 6] and text [3, 6] must be (b, e) or (g, b, e), one row for each pair`,
    );
  });
});
