import { readFileSync, statSync } from "node:fs";
import { expect, test } from "vitest";
import { MODELS, shippedModel } from "../src/index.ts";

test("every model has a name of its own, a file below 1 MB, and a card; all are below 5 MB", () => {
  expect(new Set(MODELS.map(({ name }) => name)).size).toBe(MODELS.length);
  const sizes = MODELS.map(({ weights }) => statSync(weights).size);
  for (const size of sizes) expect(size).toBeLessThan(1e6);
  const texts = statSync(new URL("../weights/srclip-text.safetensors", import.meta.url)).size;
  expect(sizes.reduce((a, b) => a + b, texts)).toBeLessThan(5e6);
  for (const { name, card } of MODELS) {
    const text = readFileSync(card, "utf8");
    expect(text.startsWith(`# ${name}\n`)).toBe(true);
    expect(text).not.toMatch(/@[A-Z_]+@/);
  }
});

test("models are found by their names", () => {
  expect(shippedModel("realdat-x2")?.scale).toBe(2);
  expect(shippedModel("realdat-x3")).toBeUndefined();
});
