import { readFileSync } from "node:fs";
import { StateDictError } from "@deplsr/nn";
import { Rng, readSafetensors, type StoredTensor } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { expect, it } from "vitest";
import type { DATConfig } from "../src/config.ts";
import { configFromReference } from "../src/keys.ts";
import { DAT } from "../src/model.ts";

const init = { device: await testDevice(), rng: new Rng(0) };

/** The state of a checkpoint of the reference, with its configuration. */
function golden(name: string): { config: DATConfig; state: Map<string, StoredTensor> } {
  const file = new URL(`../../../../shared/golden/dat/${name}.safetensors`, import.meta.url);
  const { tensors, metadata } = readSafetensors(readFileSync(file));
  const state = [...tensors].filter(([key]) => key.startsWith("state."));
  const { args } = JSON.parse(metadata.config ?? "{}") as { args: Record<string, unknown> };
  return {
    config: configFromReference(args),
    state: new Map(state.map(([key, tensor]) => [key.slice("state.".length), tensor])),
  };
}

it("computes the buffers that the reference stores", async () => {
  const { config, state } = golden("dat_w2x4_d4-2_ps2_1conv");
  const model = new DAT(config, init);
  const derived = model.derivedBuffers();
  expect(derived.size).toBeGreaterThan(0);
  for (const [name, tensor] of derived) {
    const stored = state.get(name)!;
    expect(tensor.shape, name).toEqual(stored.shape);
    expect([...(await tensor.data())], name).toEqual([...stored.toFloat32()]);
  }
  model.dispose();
});

it("loads with and without those buffers, and refuses those of other windows", () => {
  const { config, state } = golden("dat_w2x4_d4-2_ps2_1conv");
  const model = new DAT(config, init);
  const bare = model.withoutDerived(state);
  expect(bare.size).toBe(model.stateDict().size);
  expect(model.loadStateDict(state)).toEqual(model.loadStateDict(bare));
  const prefixed = new Map([...state].map(([name, tensor]) => [`module.${name}`, tensor]));
  expect(model.loadStateDict(prefixed, { rename: (name) => name.replace(/^module\./, "") }).loaded).toHaveLength(
    bare.size,
  );
  const other = new DAT({ ...config, splitSize: [4, 4] }, init);
  expect(() => other.loadStateDict(state)).toThrow(StateDictError);
  expect(() => other.loadStateDict(state)).toThrow("layers.0.blocks.0.attn.attns.0.relative_position_index [8, 8]");
  model.dispose();
  other.dispose();
});
