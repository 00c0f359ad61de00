import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  analyzeNiqe,
  fitNiqe,
  type Image,
  niqe,
  OWN_PRISTINE_MODEL,
  pristineFeatures,
  readNiqeModel,
} from "../src/index.ts";
import { readPng } from "./png.ts";
import { waves } from "./waves.ts";

const data = new URL("../../../../shared/data/", import.meta.url);
const flat: Image = { width: 200, height: 100, data: new Uint8Array(60_000).fill(90) };

describe("a model of its own", () => {
  const photographs = Array.from({ length: 12 }, (_, i) => waves(40 + 4 * i, 0.1 * i));
  const model = fitNiqe(photographs.flatMap(pristineFeatures), "waves");

  it("is near to what it was fitted to, and far from what it was not", () => {
    const [own, noisy] = [waves(60, 0.4), waves(60, 0.4)];
    const noise = Uint8Array.from(noisy.data, (value, i) => Math.max(0, Math.min(255, value + ((i * 7919) % 61) - 30)));
    expect(niqe(own, model, { form: "pyiqa" })).toBeLessThan(niqe({ ...noisy, data: noise }, model, { form: "pyiqa" }));
    expect(model.mean).toHaveLength(36);
    expect(model.covariance).toHaveLength(36 * 36);
  });

  it("is made of the sharp blocks of photographs", () => {
    const { features, sharpness } = analyzeNiqe(photographs[0]!, { form: "pyiqa" });
    const sharp = features.filter((_, i) => sharpness[i]! > 0.75 * Math.max(...sharpness));
    expect(pristineFeatures(photographs[0]!)).toEqual(sharp);
    expect(features).toHaveLength(4);
  });

  it("needs more blocks than features", () => {
    expect(() => fitNiqe(pristineFeatures(photographs[0]!), "one")).toThrow(
      /niqe: \d sharp blocks cannot tell what is natural, more than 36 are needed/,
    );
  });

  it("scores what has two blocks with texture, one in pyiqa's form", () => {
    const block = { width: 100, height: 100, data: photographs[0]!.data.slice(0, 30_000) };
    const message = "niqe: 100 x 100 pixels hold 1 blocks of 96 x 96 with texture, but 2 are needed";
    expect(() => niqe(block, model)).toThrow(message);
    expect(niqe(block, model, { form: "pyiqa" })).toBeGreaterThan(0);
    expect(() => niqe({ ...block, height: 50, data: block.data.slice(0, 15_000) }, model)).toThrow("hold 0 blocks");
    expect(() => niqe(flat, model)).toThrow("200 x 100 pixels hold 0 blocks");
    expect(() => niqe(block, model, { cropBorder: 50 })).toThrow("a border of 50 pixels leaves nothing");
  });
});

if (existsSync(data)) {
  const { values } = JSON.parse(readFileSync(new URL("niqe/expected_niqe_basicsr.json", data), "utf8"));
  const published = await readNiqeModel(readFileSync(new URL("niqe/niqe_pris_params.safetensors", data)), "published");

  describe("with the published parameters", () => {
    it("scores the synthetic pair", () => {
      const [a, b] = [waves(90, 0), waves(85, 0.05)];
      expect(niqe(a, published)).toBeCloseTo(21.833846, 4);
      expect(niqe(b, published)).toBeCloseTo(21.697837, 4);
      expect(niqe(a, published, { cropBorder: 4 })).toBeCloseTo(20.508726, 4);
    });

    // Every second one. In I03, a shape lies between two steps of 0.001 and is rounded the other way: 1.2e-3.
    it.each(Object.entries<number>(values).filter((_, i) => i % 2 === 0))(
      "scores %s as BasicSR does",
      (name, expected) => {
        expect(Math.abs(niqe(readPng(new URL(name, data)), published) - expected)).toBeLessThan(2e-3);
      },
    );

    // pyiqa's own results for its calibration, with parameters that it says are the same.
    it.each([
      ["I03", 15.6538],
      ["I04", 3.6549],
      ["I06", 3.2342],
      ["I08", 3.1922],
      ["I19", 9.0722],
    ])("scores %s of TID2013 as pyiqa does", (name, expected) => {
      const image = readPng(new URL(`iqa_calibration/dist/${name}.png`, data));
      expect(Math.abs(niqe(image, published, { form: "pyiqa" }) - expected)).toBeLessThan(5e-3);
    });
  });

  describe("with the model that is shipped", () => {
    it("ranks photographs and what became of them as the published one does", () => {
      const names = ["metrics_ref/gt/comic", "metrics_ref/bic/comic", "metrics_ref/bic/baboon", "kodak/kodim04"];
      const images = names.map((name) => readPng(new URL(`${name}.png`, data)));
      const [comic, blurred, baboon, kodak] = images.map((image) => niqe(image, OWN_PRISTINE_MODEL));
      expect(kodak).toBeLessThan(comic!);
      expect(comic).toBeLessThan(Math.min(blurred!, baboon!));
      expect(kodak).toBeCloseTo(2.8213, 3);
    });

    it("says whose it is", () => {
      expect(OWN_PRISTINE_MODEL.label).toBe("own pristine model");
      expect([OWN_PRISTINE_MODEL.mean.length, OWN_PRISTINE_MODEL.covariance.length]).toEqual([36, 36 * 36]);
    });
  });
}
