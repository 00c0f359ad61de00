import { mergeConfig } from "vitest/config";
import { configuration } from "../../vitest.shared.ts";

/** A process for each file: helpers of theirs tidy up after the file that they are imported by. */
export default mergeConfig(configuration, { test: { isolate: true, globalSetup: ["test/global-setup.ts"] } });
