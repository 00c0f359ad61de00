import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { readImage, writeImage } from "../../src/data/image.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT } from "../tiny-network.ts";
import { deplsr, start } from "./run-command.ts";

const SRCLIP = {
  name: "tiny",
  model: {
    embed_dim: 8,
    vision_cfg: { image_size: 16, patch_size: 8, width: 16, layers: 1, head_width: 8, mlp_ratio: 1 },
    text_cfg: { context_length: 40, width: 8, heads: 1, layers: 1, mlp_ratio: 1 },
  },
  train_data: "data/degraded.tsv",
  image_fit: "crop",
  batch_size: 4,
  steps: 3,
  lr: 1e-3,
  warmup: 1,
  save_frequency: 2,
  log_every_n_steps: 1,
};

const SR = {
  name: "tiny",
  scale: 2,
  datasets: { train: { dataroot_gt: "gt", dataroot_lq: "lq", gt_size: 16, batch_size_per_gpu: 2 } },
  network_g: {
    ...TINY_DAT,
    type: "RealDAT",
    fusion_num_heads: 2,
  },
  network_clip: { type: "tiny", clip_fit: "crop" },
  path: { srclip_pretrain_network: "runs/srclip" },
  train: {
    optim_g: { lr: 1e-3 },
    scheduler: { type: "MultiStepLR", milestones: [2], gamma: 0.5 },
    total_iter: 3,
  },
};

describe("the commands one after the other", () => {
  let folder = "";
  beforeAll(async () => {
    // Kept for the whole file: every test goes on from what the ones before it made.
    folder = mkdtempSync(join(tmpdir(), "deplsr-pipeline-"));
    await writeImage(join(folder, "photos", "a.png"), picture(40, 48));
    await writeImage(join(folder, "photos", "b.jpg"), picture(48, 40, 3));
    writeFileSync(join(folder, "photos", "c.png"), "no picture");
    writeFileSync(join(folder, "captions.tsv"), "filepath\ttitle\r\na.png\ta field 🐑\r\nb.jpg\ta\ttab\r\n");
    for (let i = 0; i < 3; i++) {
      await writeImage(join(folder, "gt", `${i}.png`), picture(40, 40, i));
      await writeImage(join(folder, "lq", `${i}.png`), picture(20, 20, i));
    }
    writeFileSync(join(folder, "srclip.yml"), stringify(SRCLIP));
    writeFileSync(join(folder, "sr.yml"), stringify(SR));
    return () => rmSync(folder, { recursive: true, force: true });
  });

  test("degrade writes images and a TSV, and reports what it left out", async () => {
    const args = [
      "degrade",
      "photos",
      "--out",
      "data",
      "--count",
      "4",
      "--fit",
      "crop",
      "--size",
      "24",
      "--captions",
      "captions.tsv",
    ];
    const { code, stdout, stderr } = await deplsr([...args, "--json"], folder);
    expect(stderr).toContain("captions.tsv line 3 is left out: 3 cells where the header has 2");
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      tsv: "data/degraded.tsv",
      skipped: [{ name: "photos/c.png", reason: expect.stringContaining("is not an image") }],
      ms: expect.any(Number),
    });
    expect(result.images).toHaveLength(8);
    expect(result.images[0]).toEqual({
      in: "photos/a.png",
      out: "data/a_001.png",
      degradation: expect.stringContaining("blur with sigma:"),
    });
    expect(readdirSync(join(folder, "data"))).toHaveLength(10);
    expect(readFileSync(join(folder, "data", "degraded.tsv"), "utf8")).toContain("a_001.png\ta field 🐑\tblur");
  });

  test("train srclip makes a run folder", async () => {
    const { code, stdout } = await deplsr(
      ["train", "srclip", "--config", "srclip.yml", "--out", "runs/srclip", "--json"],
      folder,
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      run: "runs/srclip",
      checkpoint: "runs/srclip/checkpoints/step-3",
      steps: 3,
      interrupted: false,
      skipped: 0,
      last: {
        loss: expect.any(Number),
        contrastive_loss: expect.any(Number),
        degra_loss: expect.any(Number),
        fine_degra_loss: expect.any(Number),
      },
    });
    const run = join(folder, "runs", "srclip");
    expect(readdirSync(run).sort()).toEqual(["checkpoints", "config.yml", "log.txt", "metrics.jsonl", "report.html"]);
    expect(readdirSync(join(run, "checkpoints")).sort()).toEqual(["step-2", "step-3"]);
    expect(readdirSync(join(run, "checkpoints", "step-3")).sort()).toEqual([
      "model.json",
      "model.safetensors",
      "optimizer.safetensors",
      "state.json",
    ]);
    const metrics = readFileSync(join(run, "metrics.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(metrics.map(({ step }) => step)).toEqual([1, 2, 3]);
    expect(Object.keys(metrics[0])).toEqual([
      "step",
      "lr",
      "loss",
      "contrastive_loss",
      "degra_loss",
      "fine_degra_loss",
    ]);
    expect(readFileSync(join(run, "config.yml"), "utf8")).toContain("loss_weight:");
  });

  test("train srclip compares several batches in one step as it would one large batch", async () => {
    const lossOf = async (...set: string[]): Promise<number> => {
      const args = ["train", "srclip", "--config", "srclip.yml", "--out", `runs/${set.join("-")}`, "--json"];
      const { code, stdout } = await deplsr([...args, "--set", "steps=1", "image_fit=squash", ...set], folder);
      expect(code).toBe(0);
      return JSON.parse(stdout).last.loss;
    };
    const large = await lossOf("batch_size=4");
    expect(await lossOf("batch_size=2", "accum_freq=2")).toBeCloseTo(large, 4);
    expect(Math.abs((await lossOf("batch_size=2")) - large)).toBeGreaterThan(1e-3);
  });

  test("evaluate prints accuracies beside chance", async () => {
    const args = ["evaluate", "--checkpoint", "runs/srclip", "--data", "data/degraded.tsv", "--fit", "crop", "--json"];
    const { code, stdout } = await deplsr(args, folder);
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    const names = ["blur", "gaussian", "poisson", "jpeg", "ringing"];
    expect(Object.keys(result.accuracy)).toEqual(names);
    expect(Object.keys(result.chance)).toEqual(names);
    expect(result).toMatchObject({ images: 8, skipped: [] });
    for (const name of names) expect(result.accuracy[name]).toBeLessThanOrEqual(1);
  });

  test("evaluate tells and writes every answer, and counts them as its accuracy does", async () => {
    const args = [
      "evaluate",
      "--checkpoint",
      "runs/srclip",
      "--data",
      "data/degraded.tsv",
      "--out",
      "judged",
      "--json",
    ];
    const { code, stdout, stderr } = await deplsr(args, folder);
    expect(code).toBe(0);
    const { accuracy, constant, constantAnswer, confusion, answers, files } = JSON.parse(stdout);
    expect(answers).toHaveLength(5 * 8);
    for (const name of Object.keys(accuracy)) {
      const own = answers.filter(({ kind }: { kind: string }) => kind === name);
      expect(own.filter(({ right }: { right: boolean }) => right).length / 8, name).toBe(accuracy[name]);
      const { levels, counts } = confusion[name];
      expect(counts.flat().reduce((sum: number, count: number) => sum + count, 0)).toBe(8);
      for (const [column, level] of levels.entries()) {
        const taken = counts.map((row: number[]) => row[column]!);
        const answered = own.filter(({ answer }: { answer: string }) => answer === level).length;
        expect(taken.reduce((sum: number, count: number) => sum + count, 0)).toBe(answered);
      }
      const below = `warning: ${name}: its accuracy of `;
      expect(stderr.includes(below), name).toBe(accuracy[name] < constant[name]);
      expect(levels).toContain(constantAnswer[name]);
    }
    expect(files.answers).toBe("judged/answers.tsv");
    expect(readFileSync(join(folder, "judged/answers.tsv"), "utf8").split("\n")).toHaveLength(2 + 5 * 8);
    expect(readFileSync(join(folder, files.confusion.jpeg), "utf8")).toMatch(/^level,30,50,70,90,right\n30,/);
    const again = await deplsr(args, folder);
    expect([again.code, JSON.parse(again.stdout).error]).toEqual([
      1,
      "evaluate: judged/answers.tsv exists: choose another name, or --overwrite to replace it",
    ]);
  });

  test("evaluate leaves out what its table says no level of", async () => {
    const lines = readFileSync(join(folder, "data", "degraded.tsv"), "utf8")
      .trimEnd()
      .split("\n");
    const sharp = lines[1]!.replace(/\tblur with sigma:[^,\t]*\t/, "\tsharp\t");
    const rings = lines[2]!.replace(/[^\t]*$/, "rings");
    writeFileSync(join(folder, "data", "words.tsv"), `${[lines[0], sharp, rings, ...lines.slice(3)].join("\n")}\n`);
    const args = ["evaluate", "--checkpoint", "runs/srclip", "--data", "data/words.tsv", "--json"];
    const { code, stdout } = await deplsr(args, folder);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      images: 6,
      skipped: [
        {
          name: "data/a_001.png",
          reason: 'title3: "sharp" does not end in a number after a colon, as "blur with sigma:1.0" does',
        },
        {
          name: "data/a_002.png",
          reason:
            'title7: "rings" is neither "no ringing and overshoot artifacts" nor "ringing and overshoot artifacts"',
        },
      ],
    });
  });

  test("evaluate says which images it left out and why: the first few, and how many more", async () => {
    const table = readFileSync(join(folder, "data", "degraded.tsv"), "utf8");
    const row = table.split("\n")[1]!;
    const gone = Array.from({ length: 6 }, (_, i) => `${row.replace(/^[^\t]*/, `gone${i}.png`)}\n`);
    writeFileSync(join(folder, "data", "partly.tsv"), `${table}half a row\n${gone.join("")}`);
    const args = ["evaluate", "--checkpoint", "runs/srclip", "--data", "data/partly.tsv", "--batch", "3", "--json"];
    const { code, stdout, stderr } = await deplsr(args, folder);
    expect(code).toBe(0);
    const { images, skipped } = JSON.parse(stdout);
    expect([images, skipped.length]).toEqual([8, 7]);
    expect(skipped[6]).toEqual({ name: "data/gone5.png", reason: expect.stringContaining("does not exist") });
    expect(stderr).toContain(
      [
        "8 images",
        "warning: left out 7 of 15 images:",
        "warning: data/partly.tsv line 10: 1 cell where the header has 8",
        ...[0, 1, 2, 3].map((i) => `warning: image: data/gone${i}.png does not exist: check the path`),
        "warning: and 2 more",
        "",
      ].join("\n"),
    );
    writeFileSync(join(folder, "data", "none.tsv"), `${table.split("\n")[0]}\n${gone.join("")}`);
    const none = await deplsr(["evaluate", "--checkpoint", "runs/srclip", "--data", "data/none.tsv"], folder);
    expect(none.code).toBe(1);
    expect(none.stderr).toContain(
      "error: evaluate: none of 6 images of data/none.tsv can be used: image: data/gone0.png does not exist: check the path\n",
    );
  });

  test("train sr trains RealDAT on those features", async () => {
    const { code, stdout } = await deplsr(
      ["train", "sr", "--config", "sr.yml", "--out", "runs/sr", "--set", "manual_seed=4", "--json"],
      folder,
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ steps: 3, interrupted: false, last: { l_pix: expect.any(Number) } });
    const { config } = JSON.parse(readFileSync(join(folder, "runs/sr/checkpoints/step-3/model.json"), "utf8"));
    expect(config.prompt).toEqual({ clipInput: "normalized", clipFit: "crop", srclip: "../srclip" });
    expect(config.network).toMatchObject({ type: "RealDAT", clip_dim: 8 });
    expect(readFileSync(join(folder, "runs/sr/config.yml"), "utf8")).toContain("manual_seed: 4");
  });

  test("upscale enlarges what it can and reports the rest", async () => {
    const { code, stdout, stderr } = await deplsr(
      ["upscale", "photos", "--checkpoint", "runs/sr", "--out", "large", "--json"],
      folder,
    );
    expect(code).toBe(1);
    expect(stderr).toContain("photos/c.png is left out");
    expect(JSON.parse(stdout)).toEqual({
      images: [
        { in: "photos/a.png", out: "large/a_x2.png", width: 80, height: 96, ms: expect.any(Number) },
        { in: "photos/b.jpg", out: "large/b_x2.png", width: 96, height: 80, ms: expect.any(Number) },
      ],
      skipped: [{ name: "photos/c.png", reason: expect.stringContaining("is not an image") }],
    });
    expect(await readImage(join(folder, "large/a_x2.png"))).toMatchObject({ width: 80, height: 96 });
    const one = await deplsr(["upscale", "photos/a.png", "--checkpoint", "runs/sr", "--out", "one.jpg"], folder);
    expect(one.stdout).toContain("photos/a.png -> one.jpg (80x96, ");
    expect(existsSync(join(folder, "one.jpg"))).toBe(true);
  });

  test("a checkpoint of another shape is refused with every mismatch in one line", async () => {
    const path = join(folder, "runs/sr/checkpoints/step-3/model.json");
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace('"embed_dim": 16', '"embed_dim": 32'));
    const { code, stdout } = await deplsr(["upscale", "photos/a.png", "--checkpoint", "runs/sr", "--json"], folder);
    writeFileSync(path, text);
    expect(code).toBe(1);
    const { error } = JSON.parse(stdout);
    expect(error).toContain("does not fit the network");
    expect(error).toContain("conv_first.weight [16, 3, 3, 3] (expected [32, 3, 3, 3])");
    expect(error).toContain("norm.weight [16] (expected [32])");
    expect(error).not.toContain("\n");
  });

  test("a learning rate that blows up stops at the step, and what was saved before stays", async () => {
    const args = [
      "train",
      "srclip",
      "--config",
      "srclip.yml",
      "--out",
      "runs/nan",
      "--set",
      "lr=1e38",
      "steps=40",
      "save_frequency=1",
    ];
    const { code, stderr } = await deplsr(args, folder);
    expect(code).toBe(1);
    expect(stderr).toMatch(/error: train: .* (is|holds a value that is) .*(at|after) step \d+/);
    const log = readFileSync(join(folder, "runs/nan/log.txt"), "utf8");
    expect(log).toContain("failed: train: ");
    for (const name of readdirSync(join(folder, "runs/nan/checkpoints"))) expect(name).toMatch(/^step-\d+$/);
  });

  test("Ctrl-C finishes the step, saves and ends well", async () => {
    const args = [
      "train",
      "srclip",
      "--config",
      "srclip.yml",
      "--out",
      "runs/stopped",
      "--set",
      "steps=100000",
      "save_frequency=100000",
      "--json",
    ];
    const running = start(args, folder);
    await running.says("SRCLIP with");
    const metrics = join(folder, "runs/stopped/metrics.jsonl");
    await running.writes(metrics);
    running.interrupt();
    const { code, stdout, stderr } = await running.finished;
    expect(stderr).toContain("interrupted: finishing this step and saving (Ctrl-C again leaves at once)");
    expect(code).toBe(130);
    const { interrupted, steps, checkpoint } = JSON.parse(stdout);
    expect(interrupted).toBe(true);
    expect(checkpoint).toBe(`runs/stopped/checkpoints/step-${steps}`);
    expect(readdirSync(join(folder, "runs/stopped/checkpoints"))).toEqual([`step-${steps}`]);
    expect(readFileSync(metrics, "utf8").trimEnd().split("\n")).toHaveLength(steps);
  });
});

test("Ctrl-C where nothing trains leaves at once with nothing half-written", async () => {
  const folder = temporaryFolder();
  await writeImage(join(folder, "photos", "a.png"), picture(600, 600));
  const running = start(
    ["degrade", "photos", "--out", "data", "--count", "4000", "--fit", "crop", "--size", "64"],
    folder,
  );
  while (!existsSync(join(folder, "data", "degraded.jsonl"))) await new Promise((resolve) => setTimeout(resolve, 20));
  running.interrupt();
  const { code } = await running.finished;
  expect(code).toBe(130);
  const names = readdirSync(join(folder, "data")).filter((name) => name !== "degraded.jsonl");
  expect(names.filter((name) => !name.endsWith(".png"))).toEqual([]);
  for (const name of names) expect(await readImage(join(folder, "data", name))).toMatchObject({ width: 64 });
});
