import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer } from "@deplsr/clip";
import { normalized } from "@deplsr/restore";
import { noGrad, scope } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { checkConfig } from "../../src/config/parse.ts";
import { srclipRun } from "../../src/config/srclip.ts";
import { readCaptioned } from "../../src/data/captioned.ts";
import { toPlanes } from "../../src/data/crop.ts";
import { fitImage } from "../../src/data/fit.ts";
import { readImage, writeImage } from "../../src/data/image.ts";
import { writeFileAtomic } from "../../src/files.ts";
import { runSession } from "../../src/train/session.ts";
import { prepareSrclip } from "../../src/train/srclip.ts";
import { evaluationOptions } from "../../src/train/validate-srclip.ts";
import { deplsr } from "../commands/run-command.ts";
import { useDevice } from "../device.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { readEvents } from "./event-records.ts";

const RUN = {
  name: "tiny",
  model: {
    embed_dim: 8,
    vision_cfg: { image_size: 16, patch_size: 8, width: 16, layers: 1, head_width: 8, mlp_ratio: 1 },
    text_cfg: { context_length: 40, width: 8, heads: 1, layers: 1, mlp_ratio: 1 },
  },
  image_fit: "crop",
  batch_size: 4,
  steps: 4,
  lr: 1e-2,
  warmup: 1,
  val_frequency: 2,
  save_most_recent: true,
  use_tb_logger: true,
};
const NAMES = ["mean_rank", "median_rank", "R@1", "R@5", "R@10"];

/** Open_clip's `get_clip_metrics` of rows of logits, in 64 bits: the place of each partner in the order of its row. */
function openClipMetrics(direction: string, logits: readonly (readonly number[])[]): [string, number][] {
  const places = logits.map((row, i) => row.filter((value) => value > row[i]!).length);
  const sorted = [...places].sort((a, b) => a - b);
  const half = sorted.length / 2;
  const median = (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
  const share = (k: number): number => places.filter((place) => place < k).length / places.length;
  const mean = places.reduce((sum, place) => sum + place, 0) / places.length;
  const values = [mean + 1, Math.floor(median) + 1, share(1), share(5), share(10)];
  return NAMES.map((name, i) => [`${direction}_${name}`, values[i]!]);
}

/** Mean cross-entropy of rows with their own places. */
function crossEntropy(rows: readonly (readonly number[])[]): number {
  const losses = rows.map((row, i) => Math.log(row.reduce((sum, value) => sum + Math.exp(value - row[i]!), 0)));
  return losses.reduce((sum, value) => sum + value, 0) / rows.length;
}

const transposed = (rows: readonly (readonly number[])[]): number[][] =>
  rows[0]!.map((_, j) => rows.map((row) => row[j]!));

describe("validation of SRCLIP", { timeout: 300_000 }, () => {
  const device = useDevice();
  let folder = "";
  const at = (...names: string[]): string => join(folder, ...names);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "deplsr-validate-"));
    const row = (i: number): string =>
      `${i}.png\ta picture of ${["trees", "a house", "water", "a street"][i % 4]} ${i}\tblur with sigma:1.0,jpeg with quality factor:50\tblur with sigma:${i % 4}.0\t` +
      "gaussian noise with sigma:0\tpoisson noise with scale:0.0\tjpeg with quality factor:50\tno ringing and overshoot artifacts";
    const head = ["filepath", "title", ...[2, 3, 4, 5, 6, 7].map((i) => `title${i}`)].join("\t");
    for (let i = 0; i < 11; i++) await writeImage(at(`${i}.png`), picture(20, 24, i));
    const rows = Array.from({ length: 11 }, (_, i) => row(i));
    await writeFileAtomic(at("all.tsv"), `${[head, ...rows].join("\n")}\n`);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("has open_clip's values and the five accuracies in every record of a run", async () => {
    const config = checkConfig({ ...RUN, train_data: at("all.tsv"), val_data: at("all.tsv") }, "a.yml", srclipRun);
    const out = at("run");
    const run = { ...config, train_data: at("all.tsv") };
    const { output } = recordedOutput();
    const { training, model } = await prepareSrclip(device(), run, { folder: out }, output);
    await runSession({ training, folder: out, config, output, events: true });

    // By hand from the trained network: features of all, logits in 64 bits.
    const { items } = await readCaptioned(at("all.tsv"));
    const images = await Promise.all(items.map(async ({ path }) => fitImage(await readImage(path), 16, "crop")));
    const ids = new Tokenizer().tensor(
      device(),
      items.map(({ texts }) => texts[0]!),
      40,
    );
    const [content, captions] = noGrad(() =>
      scope(() => {
        const planes = device().tensor(toPlanes(images), [images.length, 3, 16, 16]);
        const seen = model.encodeImage(normalized(planes), { normalize: true }).content;
        return [seen, model.clip.encodeText(ids, { normalize: true })] as const;
      }),
    );
    const [a, b] = [await content.data(), await captions.data()];
    const factor = Math.exp(await model.logitScale.item());
    const logits = items.map((_, i) =>
      items.map((_, j) => {
        let sum = 0;
        for (let k = 0; k < 8; k++) sum += a[i * 8 + k]! * b[j * 8 + k]!;
        return factor * sum;
      }),
    );
    const right = Object.fromEntries([
      ...openClipMetrics("image_to_text", logits),
      ...openClipMetrics("text_to_image", transposed(logits)),
    ]);
    // A mean over the images of the losses of batches of 4, 4 and 3.
    const losses = [0, 4, 8].map((first) => {
      const block = logits.slice(first, first + 4).map((row) => row.slice(first, first + 4));
      return ((crossEntropy(block) + crossEntropy(transposed(block))) / 2) * block.length;
    });
    const loss = losses.reduce((sum, value) => sum + value, 0) / 11;

    const records = readFileSync(join(out, "metrics.jsonl"), "utf8").trimEnd().split("\n");
    const measured = records.map((line) => JSON.parse(line)).filter((record) => "metrics/val_data/accuracy" in record);
    expect(measured.map(({ step }) => step)).toEqual([2, 4]);
    const last = measured[1];
    expect(Object.keys(last)).toEqual([
      "step",
      ...["accuracy", "blur", "gaussian", "poisson", "jpeg", "ringing", ...Object.keys(right), "clip_val_loss"].map(
        (name) => `metrics/val_data/${name}`,
      ),
    ]);
    for (const [name, value] of Object.entries(right)) {
      expect(last[`metrics/val_data/${name}`], name).toBeCloseTo(value, 9);
    }
    expect(last["metrics/val_data/clip_val_loss"]).toBeCloseTo(loss, 4);

    const log = readFileSync(join(out, "log.txt"), "utf8");
    // Two steps are an epoch of eleven images.
    expect(log).toMatch(
      new RegExp(
        ` Eval Epoch: 2 accuracy: .*\timage_to_text_mean_rank: ${right.image_to_text_mean_rank!.toFixed(4)}\t.*clip_val_loss: .*\tepoch: 2\\.0000\tnum_samples: 11\\.0000\tstep: 4\\.0000\n`,
      ),
    );
    expect(log).toContain("\t # text_to_image_R@5: ");
    const events = readdirSync(out).find((name) => name.startsWith("events.out"))!;
    const values = readEvents(readFileSync(join(out, events))).filter(({ step }) => step === 4);
    const recall = values.flatMap(({ scalars }) => scalars["metrics/val_data/text_to_image_R@10"] ?? []);
    expect(recall).toEqual([Math.fround(right["text_to_image_R@10"]!)]);
    expect(readFileSync(join(out, "report.html"), "utf8")).toContain("image_to_text_mean_rank");
    expect(readdirSync(join(out, "checkpoints")).sort()).toEqual(["best-accuracy", "step-4"]);
    expect(log).toContain(`saved ${join(out, "checkpoints", "step-2")}`);
    model.dispose();
  });

  test("alone, without train_data, evaluates a checkpoint or what a training would start with, and writes nothing", async () => {
    await writeFileAtomic(at("eval.yml"), stringify({ ...RUN, val_data: "all.tsv", steps: undefined }));
    const before = readdirSync(at("run")).sort();
    const args = ["train", "srclip", "--config", "eval.yml", "--backend", "cpu", "--json"];
    const [resumed, own, fresh, none] = await Promise.all([
      deplsr([...args, "--resume", "run"], folder),
      deplsr(["train", "srclip", "--resume", "run", "--train-data", "", "--backend", "cpu", "--json"], folder),
      deplsr(args, folder),
      deplsr([...args, "--val-data", ""], folder),
    ]);
    const records = readFileSync(at("run", "metrics.jsonl"), "utf8").trimEnd().split("\n");
    const last = JSON.parse(records.at(-1)!);
    const values = ({ stdout }: typeof resumed): Record<string, number> => {
      const { accuracy, retrieval, images } = JSON.parse(stdout);
      expect(images).toBe(11);
      return { ...accuracy, ...retrieval };
    };
    for (const told of [resumed, own]) {
      expect(told.code).toBe(0);
      for (const [name, value] of Object.entries(values(told))) {
        expect(value, name).toBeCloseTo(last[`metrics/val_data/${name}`], 4);
      }
    }
    expect(fresh.stderr).toContain("random ones are evaluated");
    expect(Object.keys(values(fresh))).toHaveLength(16);
    expect([none.code, JSON.parse(none.stdout).error]).toEqual([
      1,
      'config: eval.yml: key "train_data" is missing: expected text (or val_data alone, to evaluate only)',
    ]);
    expect(readdirSync(at("run")).sort()).toEqual(before);
    expect(readdirSync(folder)).not.toContain("runs");
  });
});

test("prompts are worded as the configuration says, by default as the original has them", () => {
  const { output } = recordedOutput();
  const style = (more: object) =>
    evaluationOptions(
      checkConfig({ ...RUN, val_data: "val.tsv", steps: undefined, ...more }, "a.yml", srclipRun),
      output,
    )?.style;
  expect(style({})).toEqual({ template: "A photo with {prompt}", levels: "original" });
  expect(style({ val_template: "{prompt}", val_levels: "training" })).toEqual({
    template: "{prompt}",
    levels: "training",
  });
  expect(() => style({ val_template: "a photo" })).toThrow(
    'config: a.yml: key "val_template" is "a photo": expected text with {prompt} in it',
  );
});
