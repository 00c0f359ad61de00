import { type ChildProcess, execFile, spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";

/** How many processes are compared in each case: a few here, `DEPLSR_PROCESSES=60` by hand. */
const PROCESSES = Number(process.env.DEPLSR_PROCESSES ?? 2);
const webgpu = process.env.DEPLSR_BACKEND === "webgpu";
const SECONDS = webgpu ? 120 : 30;

/** Keeps a core busy as long as there is a parent. */
const BUSY = "const { ppid } = process; while (process.ppid === ppid);";

const script = fileURLToPath(new URL("training-run.ts", import.meta.url));
const node = ["--conditions", "@deplsr/source", "--import", "tsx", script];

/** The line that a fresh process prints. */
async function train(variables: Readonly<Record<string, string>>): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, node, { env: { ...process.env, ...variables } });
  return stdout.trim();
}

describe("a training in fresh processes", () => {
  const busy: ChildProcess[] = [];
  const quiet = (): void => {
    for (const child of busy.splice(0)) child.kill("SIGKILL");
  };
  afterAll(quiet);

  const cases: [string, Record<string, string>][] = webgpu
    ? [["WebGPU", { DEPLSR_BACKEND: "webgpu" }]]
    : [
        ["the CPU, 1 thread", { DEPLSR_BACKEND: "cpu", DEPLSR_THREADS: "1" }],
        ["the CPU, 2 threads", { DEPLSR_BACKEND: "cpu", DEPLSR_THREADS: "2" }],
      ];

  it.each(cases)(
    "has the same bits in each, on %s, whatever else the machine does",
    async (_, variables) => {
      const first = await train(variables);
      const { losses, weights, averages } = JSON.parse(first);
      expect(losses.length).toBe(6);
      expect(losses.every((loss: unknown) => Number.isFinite(loss))).toBe(true);
      expect(weights).not.toBe(averages);
      const cores = Math.min(4, availableParallelism());
      for (let i = 0; i < cores; i++) busy.push(spawn(process.execPath, ["--eval", BUSY]));
      const counts = new Map([[first, 1]]);
      for (let other = 1; other < PROCESSES; other++) {
        const line = await train(variables);
        counts.set(line, (counts.get(line) ?? 0) + 1);
      }
      expect(counts).toEqual(new Map([[first, PROCESSES]]));
      quiet();
    },
    PROCESSES * SECONDS * 1000,
  );
});
