import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSafetensors } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type InstalledMpi, installedMpis, type JobResult, type RunningJob } from "../../../../scripts/mpi.ts";
import { deplsr } from "../commands/run-command.ts";
import { computing, startTwo, until } from "../ranks/two-processes.ts";
import { TINY_DAT } from "../tiny-network.ts";
import { pairsIn, TINY_CLIP, writeCaptioned, writePairs } from "../tiny-training.ts";

const STEPS = 6;
let folder = "";

/** The SRCLIP of one process, which the RealDAT is trained with. */
const SRCLIP = {
  name: "tiny",
  model: TINY_CLIP,
  train_data: "data.tsv",
  image_fit: "crop",
  batch_size: 2,
  steps: STEPS,
  warmup: 2,
  save_frequency: 3,
  val_data: "data.tsv",
};
const sr = (): Record<string, unknown> => ({
  name: "tiny",
  scale: 2,
  manual_seed: 7,
  datasets: {
    ...pairsIn(folder, { num_worker_per_gpu: 1 }),
    val: { name: "pairs", dataroot_gt: join(folder, "gt"), dataroot_lq: join(folder, "lq") },
  },
  val: { val_freq: 3, save_img: true, metrics: { psnr: { type: "calculate_psnr", crop_border: 2 } } },
  network_g: { ...TINY_DAT, type: "RealDAT", fusion_num_heads: 2, drop_path_rate: 0.2 },
  path: { srclip_pretrain_network: "srclip-alone" },
  train: {
    ema_decay: 0.9,
    grad_clip: 0.5,
    optim_g: { lr: 1e-3 },
    scheduler: { type: "MultiStepLR", milestones: [4] },
    total_iter: STEPS,
  },
  logger: { save_checkpoint_freq: 2, print_freq: 1 },
});

const words = (kind: string, out: string, ...more: readonly string[]): string[] => {
  return ["train", kind, "--config", `${kind}.yml`, "--out", out, "--backend", "cpu", ...more];
};

/** Pairs as large as what is cut out of them, so that batches of any size hold the same. */
const sync = (): Record<string, unknown> => {
  const { val, network_g, ...rest } = sr();
  return {
    ...rest,
    datasets: pairsIn(join(folder, "small"), { num_worker_per_gpu: 1, use_hflip: false, use_rot: false }),
    network_g: { ...(network_g as object), drop_path_rate: 0 },
  };
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "deplsr-ranks-"));
  await writePairs(join(folder, "small"), new Array(8).fill(8));
  writeFileSync(join(folder, "sync.yml"), stringify(sync()));
  await writePairs(folder, [20, 20, 20, 20, 20]);
  await writeCaptioned(folder, 8);
  writeFileSync(join(folder, "srclip.yml"), stringify(SRCLIP));
  writeFileSync(join(folder, "sr.yml"), stringify(sr()));
  for (const args of [
    words("srclip", "srclip-alone", "--set", "accum_freq=2"),
    words("sr", "sr-alone", "--set", "train.accum_iter=2"),
  ]) {
    const { code, stderr } = await deplsr(args, folder);
    expect(code, stderr).toBe(0);
  }
}, 600_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function start(mpi: InstalledMpi, args: readonly string[], script = ""): RunningJob {
  return startTwo(mpi, args, { cwd: folder, milliseconds: 300_000, script });
}

function run(mpi: InstalledMpi, args: readonly string[], script?: string): Promise<JobResult> {
  return start(mpi, args, script).finished;
}

const at = (...names: string[]): string => join(folder, ...names);

function curve(name: string): Record<string, number>[] {
  return readFileSync(at(name, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** Expects every loss of every step to agree to rounding. */
function expectSameCurve(actual: string, expected: string): void {
  const [found, right] = [curve(actual), curve(expected)];
  // Two validations besides, of which one process writes.
  expect(found).toHaveLength(STEPS + 2);
  for (const [i, values] of right.entries()) {
    expect(Object.keys(found[i]!)).toEqual(Object.keys(values));
    for (const [name, value] of Object.entries(values)) expect(found[i]![name]! / value, name).toBeCloseTo(1, 4);
  }
}

/** The bytes of a run's last checkpoint by file, and its metrics. */
function outcome(name: string): Record<string, string> {
  const last = at(name, "checkpoints", `step-${STEPS}`);
  const files = readdirSync(last).map((file) => [file, readFileSync(join(last, file)).toString("base64")]);
  return { ...Object.fromEntries(files), metrics: readFileSync(at(name, "metrics.jsonl"), "utf8") };
}

/** How far running means and variances in the last checkpoint of a run are from those of another, by the largest of each layer. */
function offStatistics(actual: string, expected: string): number {
  const read = (name: string) =>
    readSafetensors(readFileSync(at(name, "checkpoints", `step-${STEPS}`, "model.safetensors"))).tensors;
  const [found, right] = [read(actual), read(expected)];
  const running = [...right].filter(([key]) => /\.running_(mean|var)$/.test(key));
  expect(running.length).toBeGreaterThan(0);
  return Math.max(
    ...running.map(([key, stored]) => {
      const values = stored.toFloat32();
      const differences = found
        .get(key)!
        .toFloat32()
        .map((value, i) => Math.abs(value - values[i]!));
      return Math.max(...differences) / Math.max(...values.map(Math.abs));
    }),
  );
}

function expectSameBytes(actual: string, expected: string): void {
  const [found, right] = [outcome(actual), outcome(expected)];
  expect(Object.keys(found)).toEqual(Object.keys(right));
  for (const [file, bytes] of Object.entries(right)) expect(found[file] === bytes, file).toBe(true);
}

describe.each(installedMpis())("a training under mpirun of $name", { timeout: 600_000 }, (mpi) => {
  const kind = mpi.name.replace(" ", "");

  it("of an SRCLIP has the curve of one process", async () => {
    const { code, stderr, stdout } = await run(mpi, words("srclip", `srclip-${kind}`));
    expect(code, stderr).toBe(0);
    expect(stdout.match(/2 processes train together/g)).toHaveLength(1);
    expect(stdout).toContain(`(${mpi.name} `);
    expectSameCurve(`srclip-${kind}`, "srclip-alone");
  });

  it("of a RealDAT has the curve of one process, and its bytes whether it was killed and resumed or not", async () => {
    const whole = await run(mpi, words("sr", `sr-${kind}`));
    expect(whole.code, whole.stderr).toBe(0);
    expectSameCurve(`sr-${kind}`, "sr-alone");

    const broken = `sr-${kind}-broken`;
    const job = start(mpi, words("sr", broken));
    await until(job, () => existsSync(at(broken, "checkpoints", "step-2")));
    process.kill(computing(folder, 1), "SIGKILL");
    const killed = performance.now();
    const { code, stderr } = await job.finished;
    expect(performance.now() - killed).toBeLessThan(30_000);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/error: the system ended this \(SIGKILL\)/);

    const resumed = await run(mpi, words("sr", broken, "--resume"));
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(readFileSync(at(broken, "log.txt"), "utf8")).toContain("goes on after step");
    expectSameBytes(broken, `sr-${kind}`);
    expect(readdirSync(at(broken))).not.toContain("lock.json");
  });

  it("with train.sync_bn is that of one process with the whole batch, and without it another one", async () => {
    const words = (name: string, ...settings: readonly string[]): string[] => {
      const sets = settings.length > 0 ? ["--set", ...settings] : [];
      return ["train", "sr", "--config", "sync.yml", "--out", name, "--backend", "cpu", ...sets];
    };
    const whole = await deplsr(words(`whole-${kind}`, "datasets.train.batch_size_per_gpu=4"), folder);
    expect(whole.code, whole.stderr).toBe(0);
    const settings = {
      sync: ["train.sync_bn=true"],
      again: ["train.sync_bn=true"],
      blocks: ["train.sync_bn=true", "train.checkpoint=blocks"],
      apart: [],
    };
    for (const [name, own] of Object.entries(settings)) {
      const { code, stderr } = await run(mpi, words(`${name}-${kind}`, ...own));
      expect(code, stderr).toBe(0);
    }
    expectSameBytes(`again-${kind}`, `sync-${kind}`);
    const losses = (name: string): number[] => curve(`${name}-${kind}`).map(({ l_pix }) => l_pix!);
    const right = losses("whole");
    expect(right).toHaveLength(STEPS);
    const off = (name: string): number => Math.max(...losses(name).map((loss, i) => Math.abs(loss / right[i]! - 1)));
    // With `blocks` the layers ask each other once more, in the backward pass.
    for (const name of ["sync", "blocks"]) {
      expect(off(name), name).toBeLessThan(2e-6);
      expect(offStatistics(`${name}-${kind}`, `whole-${kind}`), name).toBeLessThan(1e-3);
    }
    expect(off("apart")).toBeGreaterThan(5e-5);
    expect(offStatistics(`apart-${kind}`, `whole-${kind}`)).toBeGreaterThan(1e-2);
  });

  // Open MPI's mpirun passes SIGUSR2 on and kills soon after Ctrl-C; MPICH's passes Ctrl-C on, and is ended by SIGUSR2.
  const signal = mpi.name === "Open MPI" ? "SIGUSR2" : "SIGINT";

  it(`saves and stops in all processes where mpirun gets ${signal}`, async () => {
    const out = `sr-${kind}-stopped`;
    const job = start(mpi, words("sr", out, "--set", "train.total_iter=100000", "logger.save_checkpoint_freq=100000"));
    await until(job, () => existsSync(at(out, "metrics.jsonl")));
    job.launcher.kill(signal);
    const { code, stdout, stderr } = await job.finished;
    expect(stdout).toMatch(/train sr: stopped after \d+ steps?/);
    // MPICH's mpirun ends with 0 as well after Ctrl-C, whatever its processes end with.
    expect(mpi.name === "MPICH" ? [0, 130] : [140], stderr).toContain(code);
    const [checkpoint] = readdirSync(at(out, "checkpoints"));
    expect(readdirSync(at(out, "checkpoints", checkpoint!))).toContain("state.json");
  });

  it("refuses another configuration, and other data, in one line and before anything is written", async () => {
    const changed = { ...sr(), train: { ...(sr().train as object), total_iter: 99 } };
    for (const [name, own, message] of [
      ["config", changed, /^error: processes: config\.train\.total_iter is 99 for rank 1 \(.+\), 6 for rank 0 \(.+\)/],
      ["data", null, /^error: processes: data is .+ for rank 1/],
    ] as const) {
      for (const rank of [0, 1]) {
        const place = at(`${kind}-${name}-${rank}`);
        mkdirSync(place);
        // Relative paths: the same words name other files.
        const datasets = { train: { dataroot_gt: "gt", dataroot_lq: "lq", gt_size: 16, batch_size_per_gpu: 2 } };
        const config = {
          ...sr(),
          ...(rank === 1 ? own : {}),
          datasets,
          path: { srclip_pretrain_network: at("srclip-alone") },
        };
        writeFileSync(join(place, "sr.yml"), stringify(config));
        await writePairs(place, rank === 1 && name === "data" ? [20, 20] : [20, 20, 20]);
      }
      const { code, stderr } = await run(mpi, words("sr", "out"), `cd ${kind}-${name}-RANK;`);
      expect(code).not.toBe(0);
      expect(stderr.split("\n").filter((line) => line.includes("error:"))).toEqual([expect.stringMatching(message)]);
      for (const rank of [0, 1]) expect(existsSync(at(`${kind}-${name}-${rank}`, "out"))).toBe(false);
    }
  });
});
