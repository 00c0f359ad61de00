import { mergeConfig } from "vitest/config";
import { configuration } from "../../vitest.shared.ts";

/** The engine's tests once more, on the CPU backend; those in a browser choose their backends themselves. */
export default mergeConfig(configuration, {
  test: { name: "@deplsr/tensor on the CPU", env: { DEPLSR_BACKEND: "cpu" }, exclude: ["test/browser/**"] },
});
