// A vitest reporter that writes how many tests passed and failed to the file DEPLSR_TEST_COUNTS.
import { writeFileSync } from "node:fs";

export default class CountingReporter {
  /**
   * @param {readonly import("vitest/node").TestModule[]} modules
   * @param {readonly unknown[]} unhandled errors outside of any test, a worker that went down among them
   */
  onTestRunEnd(modules, unhandled) {
    const counts = { passed: 0, failed: unhandled.length, skipped: 0 };
    for (const module of modules) {
      let failed = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") counts.passed++;
        else if (state === "skipped") counts.skipped++;
        else failed++;
      }
      // A file that does not load, or whose hooks throw, fails without a failing test.
      if (failed === 0 && !module.ok()) failed = 1;
      counts.failed += failed;
    }
    const file = process.env.DEPLSR_TEST_COUNTS;
    if (file) writeFileSync(file, JSON.stringify(counts));
  }
}
