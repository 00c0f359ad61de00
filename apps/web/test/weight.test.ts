import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, inject, it } from "vitest";

it("is light: all code together stays below 400 kB as it travels", async () => {
  const names = await readdir(inject("built"), { recursive: true });
  const code = names.filter((name) => /\.(js|css|html|wasm)$/.test(name));
  const sizes = await Promise.all(
    code.map(async (name) => gzipSync(await readFile(join(inject("built"), name))).length),
  );
  // The worker with the engine alone is above a third of it: less would mean that something was not counted.
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(100_000);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(400_000);
});
