import { readFileSync } from "node:fs";
import { readSafetensors } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { detectDAT } from "../src/detect.ts";
import { configFromReference } from "../src/keys.ts";

it.each(["dat_w2x4_d2-2_ps4_1conv", "dat_w2x4_d3_ps3_3conv", "dat_w4x8_d4-4_psd4_3conv", "dat_w8x8_d3_psd2_3conv_e96"])(
  "finds the configuration of a checkpoint of the reference: %s",
  (name) => {
    const file = new URL(`../../../../shared/golden/dat/${name}.safetensors`, import.meta.url);
    const { tensors, metadata } = readSafetensors(readFileSync(file));
    const state = [...tensors].filter(([key]) => key.startsWith("state."));
    const { args } = JSON.parse(metadata.config ?? "{}") as { args: Record<string, unknown> };
    const config = configFromReference(args);
    const found = detectDAT(new Map(state.map(([key, { shape }]) => [key.slice("state.".length), shape])));
    expect(found).toEqual({ ...config, dropPathRate: 0.1 });
  },
);
