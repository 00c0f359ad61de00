/** What every package's tests share: sources instead of builds, and WebGPU work that may take a while on a software adapter. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defaultServerConditions } from "vite";
import { configDefaults, defineConfig, type ViteUserConfig } from "vitest/config";
import { installedMpis } from "./scripts/mpi.ts";

const conditions = ["@deplsr/source", ...defaultServerConditions];

/**
 * `*.reference.test.ts` compare with numbers and files of the reference implementations, which lie in a folder `shared` beside the repository:
 * where there is none, there is nothing to compare with.
 */
const withoutReference = existsSync(new URL("../shared/golden/", import.meta.url)) ? [] : ["**/*.reference.test.ts"];

/** `*.mpi.test.ts` start jobs of several processes: on a machine without an MPI there is nothing to start them with. */
const withoutMpi = installedMpis().length > 0 ? [] : ["**/*.mpi.test.ts"];

export const configuration: ViteUserConfig = defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...withoutReference, ...withoutMpi],
    environment: "node",
    // Files of a package share a process, so that modules are evaluated and kernels compiled once: what a test changes for all, it puts back.
    isolate: false,
    setupFiles: [fileURLToPath(new URL("scripts/ask-patiently.ts", import.meta.url))],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Memory that was given back shows when it is used (packages/tensor/src/env.ts).
    env: { DEPLSR_POISON: "1" },
  },
});
