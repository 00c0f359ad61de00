import { mergeConfig } from "vitest/config";
import { configuration } from "../../vitest.shared.ts";

/** On WebGPU, whatever `auto` would choose here: vitest.cpu.config.ts runs the same tests on the CPU backend. */
export default mergeConfig(configuration, {
  test: { name: "@deplsr/tensor", env: { DEPLSR_BACKEND: process.env.DEPLSR_BACKEND ?? "webgpu" } },
});
