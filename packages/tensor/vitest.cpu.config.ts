import { mergeConfig } from "vitest/config";
import { configuration } from "../../vitest.shared.ts";

/** The engine's tests once more, on the CPU backend. */
export default mergeConfig(configuration, {
  test: { name: "@deplsr/tensor on the CPU", env: { DEPLSR_BACKEND: "cpu" } },
});
