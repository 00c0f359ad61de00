import { mergeConfig } from "vitest/config";
import { configuration } from "../../vitest.shared.ts";

export default mergeConfig(configuration, { test: { globalSetup: ["test/global-setup.ts"] } });
