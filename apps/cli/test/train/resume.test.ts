import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { CLIP, parseOpenClipConfig } from "@deplsr/clip";
import { encodeCheckpoint } from "@deplsr/nn";
import { Rng } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { writeImage } from "../../src/data/image.ts";
import { deplsr, type Running, start } from "../commands/run-command.ts";
import { picture } from "../pictures.ts";
import { TINY_DAT } from "../tiny-network.ts";

/** How often each training is killed; 20 by hand, with DEPLSR_KILLS=20. */
const KILLS = Number(process.env.DEPLSR_KILLS ?? 3);
const STEPS = 60;
const SAVE_EVERY = 3;
const TINY_CLIP = {
  embed_dim: 16,
  vision_cfg: { image_size: 16, patch_size: 8, width: 16, layers: 2, head_width: 8 },
  text_cfg: { width: 16, heads: 2, layers: 2 },
};
const SRCLIP = {
  name: "tiny",
  model: TINY_CLIP,
  pretrained: "clip.safetensors",
  train_data: "data/degraded.tsv",
  val_data: "data/degraded.tsv",
  val_frequency: 25,
  save_most_recent: true,
  image_fit: "crop",
  batch_size: 2,
  accum_freq: 2,
  steps: STEPS,
  warmup: 4,
  save_frequency: SAVE_EVERY,
  grad_clip_norm: 1,
};
const SR = {
  name: "tiny",
  scale: 2,
  manual_seed: 7,
  datasets: {
    val: { name: "set", dataroot_gt: "gt", dataroot_lq: "lq" },
    train: { dataroot_gt: "gt", dataroot_lq: "lq", gt_size: 16, batch_size_per_gpu: 2, num_worker_per_gpu: 1 },
  },
  network_g: { ...TINY_DAT, drop_path_rate: 0.2, attn_drop_rate: 0.1, depth: [2] },
  train: {
    ema_decay: 0.9,
    accum_iter: 2,
    grad_clip: 0.5,
    on_nan: "skip",
    checkpoint: "blocks",
    optim_g: { lr: 1e-3 },
    scheduler: { type: "CosineAnnealingRestartLR", periods: [20, 40], restart_weights: [1, 0.5] },
    total_iter: STEPS,
    warmup_iter: 5,
  },
  val: {
    val_freq: 7,
    metrics: {
      psnr: { type: "calculate_psnr", crop_border: 2, test_y_channel: true },
      ssim: { type: "calculate_ssim", crop_border: 2 },
    },
  },
  logger: { save_checkpoint_freq: SAVE_EVERY, print_freq: 2 },
};
/** Pairs that are made on the way, out of a pool that is full after four batches. */
const SYNTHESIZED = {
  ...SR,
  resize_range: [0.6, 1.5],
  queue_size: 8,
  datasets: {
    val: SR.datasets.val,
    train: {
      type: "RealESRGANDataset",
      dataroot_gt: "photos",
      gt_size: 16,
      crop_pad_size: 32,
      batch_size_per_gpu: 2,
      num_worker_per_gpu: 1,
      mixture: { clean: 0.3, light: 0.3, heavy: 0.4 },
      light: { jpeg_range: [50, 95] },
    },
  },
};

let folder = "";
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "deplsr-resume-"));
  for (let i = 0; i < 5; i++) {
    await writeImage(join(folder, "photos", `${i}.png`), picture(40, 40, i));
    await writeImage(join(folder, "gt", `${i}.png`), picture(40, 40, i));
    await writeImage(join(folder, "lq", `${i}.png`), picture(20, 20, i));
  }
  const { code } = await deplsr(
    ["degrade", "photos", "--out", "data", "--count", "2", "--fit", "crop", "--size", "24"],
    folder,
  );
  expect(code).toBe(0);
  const clip = new CLIP(parseOpenClipConfig(TINY_CLIP), { device: await testDevice(), rng: new Rng(1) });
  writeFileSync(join(folder, "clip.safetensors"), await encodeCheckpoint(clip));
  writeFileSync(join(folder, "srclip.yml"), stringify(SRCLIP));
  writeFileSync(join(folder, "sr.yml"), stringify(SR));
  writeFileSync(join(folder, "synthesized.yml"), stringify(SYNTHESIZED));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The bytes of a run's last checkpoint by file, and its metrics. */
function outcome(run: string): Record<string, string> {
  const last = join(folder, run, "checkpoints", `step-${STEPS}`);
  const best = readdirSync(join(folder, run, "checkpoints")).filter((name) => name.startsWith("best-"));
  const files = [last, ...best.map((name) => join(folder, run, "checkpoints", name))].flatMap((from) =>
    readdirSync(from).map((name) => [
      from === last ? name : `${basename(from)}/${name}`,
      readFileSync(join(from, name)).toString("base64"),
    ]),
  );
  return { ...Object.fromEntries(files), metrics: readFileSync(join(folder, run, "metrics.jsonl"), "utf8") };
}

/** The command of a training by its configuration's name. */
const argsOf = (name: string, out: string): string[] => {
  const kind = name === "srclip" ? "srclip" : "sr";
  return ["train", kind, "--config", `${name}.yml`, "--out", out, "--backend", "cpu"];
};

/** The step of a run's last checkpoint; 0 where there is none. */
function lastSaved(run: string): number {
  const checkpoints = join(folder, run, "checkpoints");
  const names = existsSync(checkpoints) ? readdirSync(checkpoints) : [];
  return Math.max(0, ...names.map((name) => Number(/^step-(\d+)$/.exec(name)?.[1] ?? 0)));
}

/** Waits until a run that goes on has this checkpoint, or has ended. → the milliseconds that it took */
async function savedAt(running: Running, run: string, step: number): Promise<number> {
  const began = performance.now();
  let over = false;
  void running.finished.finally(() => {
    over = true;
  });
  while (!over && lastSaved(run) < step) await new Promise((resolve) => setTimeout(resolve, 5));
  return performance.now() - began;
}

/** When a training is killed: at a random time of its start, or `saved` checkpoints later at a random time of what a checkpoint takes. */
type Moment = { readonly starting: number } | { readonly saved: number };

/**
 * Kills a training at a random moment. A machine may be busy at one time and idle at the next: what a checkpoint takes is measured on the run itself.
 *
 * @returns false when it had ended before
 */
async function killed(running: Running, run: string, moment: Moment, rng: Rng): Promise<boolean> {
  let most = "starting" in moment ? moment.starting : 0;
  if ("saved" in moment) {
    const before = lastSaved(run);
    for (let i = 1; i <= moment.saved; i++) most = await savedAt(running, run, before + i * SAVE_EVERY);
  }
  const wait = new Promise<true>((resolve) => setTimeout(resolve, most * rng.uniform(), true));
  if (!(await Promise.race([running.finished.then(() => false), wait]))) return false;
  running.signal("SIGKILL");
  await running.finished;
  return true;
}

describe.each(["srclip", "sr", "synthesized"])("a training by %s.yml", (name) => {
  test(`killed ${KILLS} times and resumed each time ends as an unbroken one does, to the last byte`, {
    timeout: 900_000,
  }, async () => {
    const first = start(argsOf(name, `${name}-whole`), folder);
    const starting = await savedAt(first, `${name}-whole`, SAVE_EVERY);
    const whole = await first.finished;
    expect(whole.stderr).not.toContain("error");
    expect(whole.code).toBe(0);
    const run = `${name}-broken`;
    const rng = new Rng(11).fork(name);
    let kills = 0;
    // What is done before it was killed is begun again.
    for (let beginnings = 1; beginnings <= 10 + KILLS; ) {
      const running = start([...argsOf(name, run), "--resume"], folder);
      // At any moment of a run: while it starts, trains, writes a checkpoint or a log.
      const moment = kills % 3 === 1 ? { starting } : { saved: 2 + Math.floor(3 * rng.uniform()) };
      const enough = kills >= KILLS && lastSaved(run) > 0;
      if (!enough && (await killed(running, run, moment, rng))) {
        kills++;
        continue;
      }
      const ended = await running.finished;
      expect(ended.stderr).not.toContain("error");
      expect(ended.code).toBe(0);
      if (enough) break;
      rmSync(join(folder, run), { recursive: true });
      beginnings++;
    }
    const log = readFileSync(join(folder, run, "log.txt"), "utf8");
    expect(log).toContain("goes on after step");
    const [right, found] = [outcome(`${name}-whole`), outcome(run)];
    expect(Object.keys(found)).toEqual(Object.keys(right));
    expect(Object.keys(right)).toEqual(
      expect.arrayContaining(["model.safetensors", "optimizer.safetensors", "state.json"]),
    );
    expect(Object.keys(right).includes("model_ema.safetensors")).toBe(name !== "srclip");
    expect(Object.keys(right).includes("best-psnr/model_ema.safetensors")).toBe(name !== "srclip");
    expect(Object.keys(right).includes("best-accuracy/state.json")).toBe(name === "srclip");
    for (const [file, bytes] of Object.entries(right)) expect(found[file] === bytes, file).toBe(true);
  });
});

describe.each(["srclip", "sr"])("train %s", (kind) => {
  test("goes on from a run without its configuration, from a checkpoint into another folder, and says what it cannot take", async () => {
    const last = join(`${kind}-whole`, "checkpoints", `step-${STEPS}`);
    const done = await deplsr(["train", kind, "--resume", `${kind}-whole`, "--backend", "cpu"], folder);
    expect([done.code, done.stderr + done.stdout]).toEqual([
      0,
      expect.stringContaining(`all of its ${STEPS} steps are done`),
    ]);
    const earlier = join(`${kind}-whole`, "checkpoints", `step-${STEPS - SAVE_EVERY}`, "state.json");
    const again = await deplsr(
      ["train", kind, "--resume", earlier, "--out", `${kind}-again`, "--backend", "cpu"],
      folder,
    );
    expect(again.code).toBe(0);
    const bytes = (run: string): Buffer =>
      readFileSync(join(folder, run, "checkpoints", `step-${STEPS}`, "optimizer.safetensors"));
    expect(bytes(`${kind}-again`).equals(bytes(`${kind}-whole`))).toBe(true);
    const refused: [args: string[], message: RegExp][] = [
      [
        argsOf(kind, `${kind}-whole`),
        /holds a run \(up to checkpoints\/step-60\): --resume goes on with it, --overwrite begins anew/,
      ],
      [["train", kind, "--resume", "nowhere"], /--resume nowhere does not exist: give a run folder/],
      [["train", kind, "--resume", join(last, "model.safetensors")], /is no state of ours/],
      [["train", kind, "--resume"], /--resume without a value needs --config, or an --out with a run in it/],
      [[...argsOf(kind, "x"), "--resume", "--overwrite"], /give one of the two/],
      [["train", kind], /--config is missing/],
    ];
    // One of both is enough: the flags are the same.
    for (const [command, message] of kind === "sr" ? refused : refused.slice(0, 1)) {
      const { code, stderr } = await deplsr(command, folder);
      expect([code !== 0, stderr.trimEnd()]).toEqual([true, expect.stringMatching(message)]);
      expect(stderr.trimEnd().split("\n").length).toBe(1);
    }
  });
});

describe("a training that is asked to stop", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("by %s saves, stops within a step and ends with %i", async (signal, code) => {
    const args = ["train", "sr", "--config", "sr.yml", "--out", `stop-${signal}`, "--set", "train.total_iter=100000"];
    const running = start([...args, "logger.save_checkpoint_freq=100000", "--backend", "cpu", "--json"], folder);
    await running.writes(join(folder, `stop-${signal}`, "metrics.jsonl"));
    running.signal(signal);
    const { code: ended, stdout } = await running.finished;
    expect(ended).toBe(code);
    const { interrupted, checkpoint } = JSON.parse(stdout);
    expect(interrupted).toBe(true);
    expect(readdirSync(join(folder, checkpoint))).toContain("state.json");
    expect(readdirSync(join(folder, `stop-${signal}`))).not.toContain("lock.json");
  });

  test("goes with its launcher, and saves", async () => {
    const args = ["train", "sr", "--config", "sr.yml", "--out", "orphan", "--set", "train.total_iter=100000"];
    const running = start([...args, "logger.save_checkpoint_freq=100000", "--backend", "cpu"], folder);
    await running.writes(join(folder, "orphan", "metrics.jsonl"));
    running.signal("SIGKILL", "launcher");
    await running.finished;
    const saved = (): string[] => readdirSync(join(folder, "orphan", "checkpoints"));
    for (let i = 0; i < 900 && !saved().some((name) => /^step-\d+$/.test(name)); i++)
      await new Promise((resolve) => setTimeout(resolve, 100));
    expect(saved()).toEqual([expect.stringMatching(/^step-\d+$/)]);
  });
});
