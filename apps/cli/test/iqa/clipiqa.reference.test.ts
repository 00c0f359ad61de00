import { readFileSync } from "node:fs";
import type { ImageMetric } from "@deplsr/metrics";
import { Attributes } from "@deplsr/parity/attributes.ts";
import { generatedWeights } from "@deplsr/parity/learned/weights.ts";
import { bytesSource, Device, readSafetensors, type StoredEntry, storedEntry, writeSafetensors } from "@deplsr/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { CLIPIQA_METRIC } from "../../src/iqa/clipiqa.ts";

const device = await Device.request();
afterAll(() => device.destroy());

const file = new URL("../../../../../shared/golden/metrics_learned/clipiqa_small.safetensors", import.meta.url);
const { tensors, metadata } = readSafetensors(readFileSync(file));
const weights = generatedWeights(new Attributes(JSON.parse(metadata.config!), "config"));

function open(entries: Iterable<readonly [string, StoredEntry]>): Promise<ImageMetric> {
  const files = new Map([["RN50.pt", bytesSource(writeSafetensors(entries))]]);
  return CLIPIQA_METRIC.open(device, files) as Promise<ImageMetric>; // it scores single images
}

describe("clipiqa", () => {
  it("scores as the reference, and gives everything back", async () => {
    const live: number[] = [];
    const { shape, bytes } = tensors.get("case0.rgb")!;
    for (let run = 0; run < 2; run++) {
      const metric = await open(weights);
      const score = await metric.score({ height: shape[0]!, width: shape[1]!, data: bytes });
      expect(Math.abs(score - tensors.get("case0.score")!.toFloat64()[0]!)).toBeLessThan(2e-5);
      await expect(metric.score({ height: 40, width: 30, data: new Uint8Array(3600) })).rejects.toThrow(
        "CLIPIQA: f32[1, 3, 40, 30] has a side below 31 pixels",
      );
      metric.dispose?.();
      live.push(device.memory().liveBuffers);
    }
    expect(live[1]).toBe(live[0]);
  });

  it("refuses other files in a line", async () => {
    await expect(open([["weight", storedEntry(new Float32Array(4), [4])]])).rejects.toThrow(
      "the file holds no CLIP with a convolutional image tower: clipiqa needs RN50.pt",
    );
    const some = [...weights].filter(([name]) => name !== "visual.conv3.weight");
    await expect(open(some)).rejects.toThrow("ResNetCLIP.loadStateDict: 1 missing: visual.conv3.weight [8, 4, 3, 3]");
  });
});
