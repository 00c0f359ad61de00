import { readFileSync } from "node:fs";
import { readSafetensors } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { realDATConfigFromReference } from "../src/realdat-config.ts";
import { detectRealDAT } from "../src/realdat-detect.ts";

it.each(["realdat_w2x4_d4-2_psd2_all", "realdat_w4x8_d2-2-2_psd4_layers0-2"])(
  "finds the configuration of a checkpoint of the reference: %s",
  (name) => {
    const file = new URL(`../../../../shared/golden/realdat/${name}.safetensors`, import.meta.url);
    const { tensors, metadata } = readSafetensors(readFileSync(file));
    const state = [...tensors].filter(([key]) => key.startsWith("state."));
    const { args } = JSON.parse(metadata.config ?? "{}") as { args: Record<string, unknown> };
    const found = detectRealDAT(new Map(state.map(([key, { shape }]) => [key.slice("state.".length), shape])));
    expect(found).toEqual({ ...realDATConfigFromReference(args), dropPathRate: 0.1 });
  },
);
