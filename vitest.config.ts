import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: ["packages/*", "packages/tensor/vitest.cpu.config.ts", "apps/*", "benchmarks", "parity"],
    pool: "forks",
    // Every worker opens a device of its own; on a software adapter more than two only wait for each other.
    maxWorkers: 2,
  },
});
