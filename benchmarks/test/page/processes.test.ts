import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, it } from "vitest";
import { memoryBelow } from "../../src/page/processes.ts";

let child: ChildProcess;

// A process that says it is a page of a browser, and has 64 MiB.
beforeAll(async () => {
  const program = "globalThis.held = Buffer.alloc(64 * 2 ** 20, 1); console.log('ready'); setInterval(() => {}, 1000);";
  child = spawn(process.execPath, ["-e", program, "--", "chromium", "--type=renderer"], {
    stdio: ["ignore", "pipe", 2],
  });
  await once(child.stdout!, "data");
});

afterAll(() => child.kill());

it.runIf(process.platform === "linux")("counts the memory of a process below this one, by its kind", () => {
  const { renderer, gpu } = memoryBelow();
  expect(renderer).toBeGreaterThan(64);
  expect(renderer).toBeLessThan(512);
  expect(gpu).toBe(0);
});
