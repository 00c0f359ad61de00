/**
 * Compares what the recipe of the DAT in the box could have been: short trainings that differ from `dat-x2.yml` in one thing each, after the
 * stage `data` of `train-models` and the held-out pairs of `dat-x2`. Prints a table in Markdown; what is there already is not trained again.
 *
 *     npm run compare-recipes -- [FOLDER] [--steps 400] [--only NAME ...]       default: runs/models, all
 *
 * @example npm run compare-recipes -- runs/models --only "width 40" --only "as shipped"
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { recordsOf } from "../apps/cli/src/train/report-page.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const { values, positionals } = parseArgs({
  options: { steps: { type: "string", default: "400" }, only: { type: "string", multiple: true } },
  allowPositionals: true,
});
const folder = resolve(positionals[0] ?? join(root, "runs/models"));
const steps = Number(values.steps);
if (!(Number.isInteger(steps / 2) && steps > 0)) {
  fail(`--steps: expected an even number above 0, got ${values.steps}`, 2);
}

const HALVED = "batches of 8, half the steps";
/** What each training changes, as `--set` takes it. */
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  "as shipped": [],
  "width 40": ["network_g.embed_dim=40"],
  "width 64": ["network_g.embed_dim=64"],
  "4 blocks": ["network_g.depth=[4]"],
  "8 blocks": ["network_g.depth=[8]"],
  "windows of 8 x 8": ["network_g.split_size=[8,8]"],
  "windows of 16 x 16": ["network_g.split_size=[16,16]"],
  [HALVED]: ["datasets.train.batch_size_per_gpu=8", "queue_size=184"],
  "rate 2.5e-4": ["train.optim_g.lr=2.5e-4"],
  "rate 1e-3": ["train.optim_g.lr=1e-3"],
  "half of the pairs heavy": ["datasets.train.mixture={clean: 0.2, light: 0.3, heavy: 0.5}"],
  "Charbonnier loss": ["train.pixel_opt={type: CharbonnierLoss}"],
  "not added to bicubic": ["network_g.global_residual=none"],
};

/** What cannot be left as `dat-x2.yml` has it where a training is this short: averages that forget sooner, one validation, at the end. */
const SHORT = ["train.ema_decay=0.99", "train.warmup_iter=50", "train.scheduler.milestones=[]"];

const wanted = values.only ?? Object.keys(VARIANTS);
const unknown = wanted.find((name) => !(name in VARIANTS));
if (unknown !== undefined)
  fail(`there is no ${JSON.stringify(unknown)}: one of ${Object.keys(VARIANTS).join(", ")}`, 2);
console.log("| | PSNR-Y | SSIM-Y |\n|---|---|---|");
for (const name of wanted) {
  const last = name === HALVED ? steps / 2 : steps;
  const run = join("compare", `${name.replaceAll(/[^a-z0-9.-]+/gi, "-")}-${last}`);
  const found = scores(run, last) ?? train(run, last, VARIANTS[name]!);
  console.log(`| ${name} | ${found.psnr.toFixed(2)} dB | ${found.ssim.toFixed(4)} |`);
}

interface Scores {
  readonly psnr: number;
  readonly ssim: number;
}

function train(run: string, last: number, set: readonly string[]): Scores {
  const every = [`train.total_iter=${last}`, `val.val_freq=${last}`, `logger.save_checkpoint_freq=${last}`];
  const words = ["train", "sr", "--config", join(root, "scripts/models/dat-x2.yml"), "--out", run, "--resume"];
  const flags = [...SHORT, ...every, ...set].flatMap((word) => ["--set", word]);
  const { status } = spawnSync(process.execPath, [join(root, "apps/cli/bin/deplsr.js"), ...words, ...flags], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
  });
  return (status === 0 ? scores(run, last) : undefined) ?? fail(`${run} ended with ${status}`, 1);
}

/** What a run has been measured at after a step; undefined where it has not. */
function scores(run: string, step: number): Scores | undefined {
  const path = join(folder, run, "metrics.jsonl");
  if (!existsSync(path)) return undefined;
  const entries = [...recordsOf(readFileSync(path, "utf8"))] as Record<string, number>[];
  const found = entries.find((entry) => entry.step === step && "metrics/held-out/psnr" in entry);
  return found && { psnr: found["metrics/held-out/psnr"]!, ssim: found["metrics/held-out/ssim"]! };
}

function fail(reason: string, code: number): never {
  console.error(`compare-recipes: ${reason}`);
  process.exit(code);
}
