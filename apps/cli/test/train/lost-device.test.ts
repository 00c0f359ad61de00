import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SingleProcess } from "@deplsr/distributed";
import { Device, DeviceLostError } from "@deplsr/tensor";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { runTrainSr } from "../../src/train/run-sr.ts";
import { recordedOutput } from "../recorded-output.ts";
import { TINY_DAT } from "../tiny-network.ts";
import { pairsIn, writePairs } from "../tiny-training.ts";

// On WebGPU, whose devices can be lost at any time: the driver's own is destroyed under the training.

const STEPS = 12;
let folder = "";
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "deplsr-lost-"));
  await writePairs(folder, [20, 20, 20]);
  const config = {
    name: "tiny",
    scale: 2,
    datasets: pairsIn(folder),
    network_g: TINY_DAT,
    train: {
      ema_decay: 0.9,
      optim_g: { lr: 1e-3 },
      scheduler: { type: "MultiStepLR", milestones: [8] },
      total_iter: STEPS,
    },
    logger: { save_checkpoint_freq: 3, print_freq: 2 },
  };
  writeFileSync(join(folder, "tiny.yml"), stringify(config));
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => void vi.restoreAllMocks());

const request = Device.request.bind(Device);

/** Trains; `onDevice` gets each device that is asked for, and what takes it away. → what was said on stderr */
async function train(run: string, onDevice: (lose: () => void, count: number) => void): Promise<string> {
  let count = 0;
  vi.spyOn(Device, "request").mockImplementation(async (options) => {
    const device = await request(options);
    const { gpu } = device.backend as unknown as { gpu: { device: { destroy(): void } } };
    onDevice(() => gpu.device.destroy(), ++count);
    return device;
  });
  const { output, stderr } = recordedOutput();
  const nothing = { set: [], force_yml: [], resume: undefined, overwrite: false, "dry-run": false, debug: false };
  const flags = { ...nothing, config: join(folder, "tiny.yml"), out: join(folder, run), launcher: undefined };
  await runTrainSr({ ...flags, backend: "webgpu", adapter: undefined }, { output, group: new SingleProcess() });
  return stderr();
}

const checkpoints = (run: string): string[] => {
  try {
    return readdirSync(join(folder, run, "checkpoints")).filter((name) => /^step-\d+$/.test(name));
  } catch {
    return [];
  }
};

/** The bytes of the last checkpoint by file, and the metrics. */
function outcome(run: string): Record<string, string> {
  const last = join(folder, run, "checkpoints", `step-${STEPS}`);
  const files = readdirSync(last).map((name) => [name, readFileSync(join(last, name)).toString("base64")]);
  return { ...Object.fromEntries(files), metrics: readFileSync(join(folder, run, "metrics.jsonl"), "utf8") };
}

describe("a training whose device is lost", () => {
  test("goes on by itself from its last checkpoint, and ends as an unbroken one does, to the last byte", {
    timeout: 300_000,
  }, async () => {
    await train("whole", () => {});
    const timers: NodeJS.Timeout[] = [];
    const stderr = await train("broken", (lose, count) => {
      // The first two devices go as soon as there is another checkpoint, in the middle of what comes next.
      const before = checkpoints("broken").length;
      const timer = setInterval(() => {
        if (checkpoints("broken").length === before) return;
        clearInterval(timer);
        if (count < 3) lose();
      }, 5);
      timers.push(timer);
    });
    for (const timer of timers) clearInterval(timer);
    const right = outcome("whole");
    const found = outcome("broken");
    expect(Object.keys(found)).toEqual(Object.keys(right));
    for (const [file, bytes] of Object.entries(right)) expect([file, found[file] === bytes]).toEqual([file, true]);
    const said = /warning: the device .+ was lost \(.+\).*: the training goes on from .+step-\d+ on a new one$/gm;
    expect(stderr.match(said)).toHaveLength(2);
    const log = readFileSync(join(folder, "broken", "log.txt"), "utf8");
    expect(log.match(said)).toHaveLength(2);
    expect(log.match(/goes on after step \d+ of/g)).toHaveLength(2);
  });

  test("ends with that error when it comes to no checkpoint on three devices, and leaves what stood there alone", async () => {
    let devices = 0;
    const lost = train("never", (lose, count) => {
      devices = count;
      lose();
    });
    await expect(lost).rejects.toThrow(DeviceLostError);
    expect(devices).toBe(3);
    expect(checkpoints("never")).toEqual([]);
    const before = outcome("whole");
    await expect(train("whole", (lose) => lose())).rejects.toThrow();
    expect(outcome("whole")).toEqual(before);
  });
});
