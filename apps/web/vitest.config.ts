import { mergeConfig } from "vitest/config";
import { configuration } from "../../vitest.shared.ts";

/** A process for each file: most of them have a browser of their own. */
export default mergeConfig(configuration, { test: { isolate: true, globalSetup: ["test/global-setup.ts"] } });
