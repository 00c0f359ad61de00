import { configuration } from "../../vitest.shared.ts";

export default configuration;
