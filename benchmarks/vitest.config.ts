import { mergeConfig } from "vitest/config";
import { configuration } from "../vitest.shared.ts";

/** A process for each file: they start others, and measure. */
export default mergeConfig(configuration, { test: { isolate: true } });
