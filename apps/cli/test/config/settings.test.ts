import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import yargs from "yargs";
import { srclipFlags } from "../../src/commands/srclip-flags.ts";
import { type TrainFlags, trainFlags, withLongOpt } from "../../src/commands/train-flags.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { fromForceYml, fromSet } from "../../src/config/set.ts";
import { srRun } from "../../src/config/sr.ts";
import { srclipRun } from "../../src/config/srclip.ts";
import { settingsOf, srclipSettingsOf } from "../../src/train/settings.ts";
import { SR } from "./files.ts";

const SRCLIP = "name: a\nmodel: ViT-B-32\ntrain_data: a.tsv\nsteps: 3\n";

/** The flags of a command line. */
async function flagsOf(words: readonly string[]): Promise<TrainFlags> {
  const parsed = srclipFlags(trainFlags(yargs(withLongOpt(words)).strict().exitProcess(false)));
  return (await parsed.parseAsync()) as TrainFlags;
}

describe("the flags of both trainings", () => {
  test("-opt is --config, --auto_resume is --resume, --launcher is taken", async () => {
    const flags = await flagsOf(["-opt", "a.yml", "--auto_resume", "--launcher", "pytorch", "--local_rank=0"]);
    expect(flags).toMatchObject({ config: "a.yml", resume: true, launcher: "pytorch" });
    expect(await flagsOf(["-opt=a.yml", "--auto-resume"])).toMatchObject({ config: "a.yml", resume: true });
    expect(await flagsOf(["--opt", "a.yml", "--resume", "runs/x"])).toMatchObject({
      config: "a.yml",
      resume: "runs/x",
    });
    expect(await flagsOf(["--resume", "latest", "--overwrite"])).toMatchObject({ resume: true, overwrite: true });
    const plain = await flagsOf([]);
    expect(plain).toMatchObject({ "dry-run": false, debug: false });
    expect(plain.resume).toBe(undefined);
  });

  test("--force_yml and --set change values, in YAML and in BasicSR's spellings", async () => {
    const flags = await flagsOf([
      ...["--force_yml", "train:optim_g:lr=!!float 3", "path:pretrain_network_g=None", "logger:use_tb_logger=True"],
      ...["--set", "train.total_iter=7"],
      ...["--force_yml", "train:optim_g:betas=[0.5, 0.6]"],
    ]);
    const { config } = parseConfig(SR, "a.yml", srRun, settingsOf(flags));
    expect(config.train).toMatchObject({ total_iter: 7, optim_g: { lr: 3, betas: [0.5, 0.6] } });
    expect(config.path.pretrain_network_g).toBe(null);
    expect(config.logger.use_tb_logger).toBe(true);
    expect(() => fromForceYml(["lr"])).toThrow("--force_yml lr: write key=value, for instance --force_yml train:tot");
    expect(() => fromSet(["lr=[1"])).toThrow("--set lr=[1: the value is not YAML: ");
  });

  test("--debug does what BasicSR's does", async () => {
    const settings = settingsOf(await flagsOf(["--debug"]));
    const text = `${SR}val: {val_freq: 100}\nlogger: {print_freq: 50, use_tb_logger: true, wandb: {project: a}}\n`;
    const { config } = parseConfig(text, "a.yml", srRun, settings);
    expect(config.name).toBe("debug_a");
    expect(config.logger).toEqual({ print_freq: 1, save_checkpoint_freq: 8, use_tb_logger: false });
    expect(config.val?.val_freq).toBe(8);
    expect(parseConfig(SR, "a.yml", srRun, settings).config.val).toBe(undefined);
    expect(parseConfig(SR, "a.yml", srRun, [...settings, ...settings]).config.name).toBe("debug_a");
    const srclip = parseConfig(SRCLIP, "a.yml", srclipRun, srclipSettingsOf(await flagsOf(["--debug"]))).config;
    expect(srclip).toMatchObject({ name: "debug_a", log_every_n_steps: 1, save_frequency: 8 });
  });
});

describe("the flags of SRCLIP's training", () => {
  test("each sets the key of its name, with dashes or underscores", async () => {
    const words =
      "--name 12 --model ViT-B-16 --pretrained c.pt --train-data ~/t.tsv --val-data v.tsv --dataset-type SRClipPairDatasetV2 " +
      "--batch-size 4 --lr 1e-3 --wd 0.1 --warmup 5 --epochs 9 --beta1 0.8 --beta2 0.95 --eps 1e-7 --loss_weight 1 2 3 --siglip " +
      "--precision amp --seed 4 --save-frequency 10 --save-most-recent --delete-previous-checkpoint --val-frequency 20 " +
      "--log-every-n-steps 30 --grad-clip-norm 1.5 --accum-freq 2 --grad-checkpointing --lr-scheduler const-cooldown " +
      "--epochs-cooldown 2 --logs logs --workers 3 --force-image-size 64 --force-quick-gelu --da --crop";
    for (const spelling of [words, words.replace(/--\w[\w-]*/g, (flag) => `--${flag.slice(2).replaceAll("-", "_")}`)]) {
      const { config } = parseConfig(SRCLIP, "a.yml", srclipRun, srclipSettingsOf(await flagsOf(spelling.split(" "))));
      expect(config).toMatchObject({
        name: "12",
        model: "ViT-B-16",
        pretrained: "c.pt",
        train_data: join(homedir(), "t.tsv"),
        val_data: "v.tsv",
        dataset_type: "SRClipPairDatasetV2",
        batch_size: 4,
        lr: 1e-3,
        wd: 0.1,
        warmup: 5,
        epochs: 9,
        beta1: 0.8,
        beta2: 0.95,
        eps: 1e-7,
        loss_weight: [1, 2, 3],
        siglip: true,
        precision: "amp",
        seed: 4,
        save_frequency: 10,
        save_most_recent: true,
        delete_previous_checkpoint: true,
        val_frequency: 20,
        log_every_n_steps: 30,
        grad_clip_norm: 1.5,
        accum_freq: 2,
        grad_checkpointing: true,
        lr_scheduler: "const-cooldown",
        epochs_cooldown: 2,
        logs: "logs",
        workers: 3,
        force_image_size: 64,
        force_quick_gelu: true,
        da: true,
        crop: true,
      });
      expect(config.steps).toBe(undefined);
    }
  });

  test("what is not given leaves the file's values alone; '' is nothing; wrong ones are named", async () => {
    const settings = srclipSettingsOf(await flagsOf(["--no-siglip", "--pretrained", ""]));
    const { config } = parseConfig(`${SRCLIP}batch_size: 7\n`, "a.yml", srclipRun, settings);
    expect(config).toMatchObject({ batch_size: 7, steps: 3, siglip: false, pretrained: null });
    const wrong = srclipSettingsOf(await flagsOf(["--lr", "abc"]));
    expect(() => parseConfig(SRCLIP, "a.yml", srclipRun, wrong)).toThrow('key "lr" is "abc": expected a number');
  });
});
