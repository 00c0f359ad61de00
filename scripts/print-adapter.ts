// One line that says on which adapter the tests are about to run; where none can be had, what to do about it.
import { findAdapter } from "../packages/tensor/src/platform/node.ts";

const choice = process.env.DEPLSR_ADAPTER || "auto";
if (choice !== "auto" && choice !== "hardware" && choice !== "system" && choice !== "swiftshader") {
  console.error(`DEPLSR_ADAPTER is "${choice}": expected auto, hardware, system or swiftshader`);
  process.exit(1);
}
try {
  const { adapter, kind, reason } = await findAdapter(choice);
  console.log(`adapter: ${adapter.info.description || adapter.info.device} (${kind}): ${reason}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
