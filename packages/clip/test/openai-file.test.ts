import { Rng, readSafetensors, type StoredEntry, storedEntry, writeSafetensors } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { CLIP, clipConfig, clipShapes, detectCLIP, loadCLIP } from "../src/index.ts";

const device = await testDevice();

/** Sizes whose heads the shapes tell: 64 channels each. */
const SMALL = clipConfig({
  embedDim: 32,
  quickGelu: true,
  vision: { imageSize: 32, patchSize: 16, width: 64, layers: 1 },
  text: { contextLength: 12, vocabSize: 90, width: 64, heads: 1, layers: 1 },
});

/** A number of 16 bits: sign, 5 bits of exponent, 10 of fraction. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  return sign * (exponent === 0 ? 2 ** -14 * fraction : 2 ** (exponent - 15) * (1 + fraction));
}

describe("a file as OpenAI published it", () => {
  const rng = new Rng(3);
  const halves = new Map(
    Array.from(clipShapes(SMALL), ([name, shape]) => {
      const size = shape.reduce((product, length) => product * length, 1);
      return [
        name,
        { shape, bits: Uint16Array.from({ length: size }, () => rng.integer(0x7c00) | (rng.integer(2) << 15)) },
      ];
    }),
  );
  const scalar = (value: number): StoredEntry => storedEntry(BigInt64Array.of(BigInt(value)), []);
  const file = writeSafetensors([
    ...Array.from(halves, ([name, { shape, bits }]): [string, StoredEntry] => [
      name,
      { dtype: "F16", shape, bytes: new Uint8Array(bits.buffer) },
    ]),
    ["input_resolution", scalar(32)],
    ["context_length", scalar(12)],
    ["vocab_size", scalar(90)],
  ]);
  const { tensors } = readSafetensors(file);

  it("says by its scalars that it means the quick activation", () => {
    expect(detectCLIP(new Map(Array.from(tensors, ([name, { shape }]) => [name, shape])))).toEqual(SMALL);
  });

  it("loads in full precision, without its scalars", async () => {
    const model = new CLIP(SMALL, { device, rng: new Rng(1) });
    expect(loadCLIP(model, tensors).loaded).toEqual([...clipShapes(SMALL).keys()]);
    for (const [name, tensor] of model.stateDict()) {
      expect(tensor.dtype).toBe("f32");
      expect(await tensor.data(), name).toEqual(Float32Array.from(halves.get(name)!.bits, halfValue));
    }
    model.dispose();
  });
});
