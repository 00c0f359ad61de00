import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WriteError } from "../../src/errors.ts";
import type { StepMetrics } from "../../src/train/loop.ts";
import { RunView, type ViewOptions } from "../../src/train/run-view.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { readEvents } from "./event-records.ts";

const MEMORY = {
  liveBytes: 1,
  liveBuffers: 1,
  pooledBytes: 0,
  peakBytes: 1,
  peakLiveBytes: 2 ** 30,
  createdBuffers: 1,
};
const INFO = {
  backend: "cpu",
  adapter: "WASM SIMD",
  kind: "cpu",
  reason: "asked for",
  software: false,
  features: [],
  limits: {},
  maxTensorBytes: 1,
};

/** A view of a training whose steps take 100 ms, 2 of them for data. */
function viewIn(folder: string, more: Partial<ViewOptions> = {}) {
  const recorded = recordedOutput();
  const lines: string[] = [];
  let now = 0;
  const view = (): RunView =>
    new RunView({
      title: "train sr",
      name: "RealDAT_x2",
      folder,
      config: "scale: 2\n",
      head: {
        command: ["train", "sr"],
        versions: { node: "22.0.0" },
        dataSets: { "datasets.train": 9 },
        network: "RealDAT",
        parameters: { all: 5, trained: 5 },
        done: 0,
        total: 1000,
      },
      device: { info: INFO, memory: () => ({ ...MEMORY, profile: [] }) },
      output: recorded.output,
      log: (line) => lines.push(line),
      printEvery: 2,
      names: ["l_pix"],
      learningRate: () => 2e-4,
      epoch: (step) => Math.floor((step - 1) / 3),
      events: true,
      clock: () => now,
      now: () => new Date(1.7e12 + now),
      ...more,
    });
  const trainTo = (shown: RunView, from: number, to: number): StepMetrics[] => {
    const metrics: StepMetrics[] = [];
    for (let step = from; step <= to; step++) {
      shown.clock.begin();
      now += 2;
      shown.clock.mark("data");
      now += 98;
      shown.clock.end();
      metrics.push({ step, values: { l_pix: 1 / step } });
    }
    return metrics;
  };
  const page = (): string => readFileSync(join(folder, "report.html"), "utf8");
  const events = () =>
    readdirSync(folder)
      .filter((name) => name.startsWith("events.out.tfevents."))
      .map((name) => readEvents(readFileSync(join(folder, name))));
  return { ...recorded, view, lines, trainTo, page, events, wait: (ms: number) => (now += ms) };
}

describe("the view of a training", () => {
  test("steps are in the log, the events, the page and at the bar", async () => {
    const folder = temporaryFolder();
    const { output, view, lines, trainTo, page, events, wait, stderr } = viewIn(folder);
    output.warn("config: wandb has no meaning here");
    const shown = view();
    shown.steps(trainTo(shown, 1, 3));
    output.warn("data: 7.png is left out");
    wait(10_000);
    shown.steps(trainTo(shown, 4, 4));
    shown.steps([]);
    shown.saved("run/checkpoints/step-4");
    await shown.end("done");
    expect(lines).toEqual([
      "command: deplsr train sr",
      "versions: node 22.0.0",
      "device: WASM SIMD (cpu; asked for)",
      "data: datasets.train has 9 items",
      "network: RealDAT with 5 parameters",
      "training: 1000 steps",
      "warning: config: wandb has no meaning here",
      "[RealD..][epoch:  0, iter:       2, lr:(2.000e-04,)] [eta: 0:01:39, time (data): 0.100 (0.002)] l_pix: 5.0000e-01",
      "warning: data: 7.png is left out",
      "[RealD..][epoch:  1, iter:       4, lr:(2.000e-04,)] [eta: 0:43:09, time (data): 10.100 (0.002)] l_pix: 2.5000e-01",
      "saved run/checkpoints/step-4",
    ]);
    const [file] = events();
    expect(file!.map(({ step, scalars }) => [step, scalars]).slice(2)).toEqual([
      [
        2,
        { "losses/l_pix": 0.5, lr: Math.fround(2e-4), "time/step": Math.fround(0.1), "time/data": Math.fround(0.002) },
      ],
      [4, expect.objectContaining({ "losses/l_pix": 0.25 })],
    ]);
    expect(page()).toContain("done: step 4 of 1000");
    expect(page()).toContain("<li>data: 7.png is left out</li>");
    expect(page()).toContain('aria-label="l_pix"');
    expect(stderr()).not.toContain("cannot be written");
  });

  test("a validation is in the log, the events and the page, with its pictures", async () => {
    const folder = temporaryFolder();
    const { view, lines, page, events } = viewIn(folder);
    const shown = view();
    await shown.validation(500, {
      dataSet: "Set5",
      metrics: { psnr: { value: 30.125, best: 31, bestStep: 400 } },
      pictures: [{ name: "baby", image: picture(960, 480, 1) }],
    });
    await shown.end("stopped");
    expect(lines.slice(-2)).toEqual(["Validation Set5", "\t # psnr: 30.1250\tBest: 31.0000 @ 400 iter"]);
    const [, , scalars, image] = events()[0]!;
    expect(scalars).toMatchObject({ step: 500, scalars: { "metrics/Set5/psnr": 30.125 } });
    expect(image!.images).toMatchObject([{ tag: "Set5/baby", width: 480, height: 240 }]);
    expect(Buffer.from(image!.images[0]!.png).subarray(1, 4).toString()).toBe("PNG");
    expect(page()).toContain("<h2>Set5 at step 500</h2>");
    expect(page()).toContain('aria-label="psnr: Set5"');
  });

  test("a resumed one has the curves of before", async () => {
    const folder = temporaryFolder();
    const { view, page } = viewIn(folder, { events: false, earlier: [{ step: 1, old_loss: 3 }] });
    await view().end("done");
    expect(page()).toContain('aria-label="old_loss"');
    expect(readdirSync(folder)).toEqual(["report.html"]);
  });

  test("what cannot be written is said once, and the training goes on", async () => {
    const log = (): void => {
      throw new WriteError("write: no space left");
    };
    const { view, trainTo, stderr } = viewIn("/dev/null", { log });
    const shown = view();
    for (const step of [2, 4]) {
      shown.steps(trainTo(shown, step, step));
      shown.saved("x");
    }
    await shown.end("done");
    const warnings = stderr()
      .split("\n")
      .filter((line) => line.startsWith("warning: "));
    expect(warnings).toHaveLength(3);
    expect(warnings).toContain("warning: log.txt cannot be written; the training goes on (write: no space left)");
    expect(warnings.filter((line) => line.startsWith("warning: TensorBoard's events cannot be written"))).toHaveLength(
      1,
    );
    expect(warnings.filter((line) => line.startsWith("warning: report.html cannot be written"))).toHaveLength(1);
  });
});
