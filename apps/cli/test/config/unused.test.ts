import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { srRun } from "../../src/config/sr.ts";
import { srclipRun } from "../../src/config/srclip.ts";
import { unusedKeys, unusedWarnings } from "../../src/config/unused.ts";
import { DAT_FILE, SR } from "./files.ts";

function named(text: string): string[] {
  return unusedKeys(parseConfig(text, "a.yml", srRun).config).map((key) => key.split(" ")[0]!);
}

describe("unusedKeys", () => {
  test("a plain configuration has none", () => {
    expect(named(SR)).toEqual([]);
    expect(unusedWarnings({})).toEqual([]);
    const srclip = "name: a\nmodel: ViT-B-32\ntrain_data: a.tsv\nsteps: 3\n";
    expect(unusedKeys(parseConfig(srclip, "a.yml", srclipRun).config)).toEqual([]);
  });

  test("what has no meaning here is named once, with the reason; what asks for nothing is not", () => {
    const text = `${SR}num_gpu: 4
dist_params: {backend: nccl, port: 29500}
logger: {wandb: {project: ~, resume_id: ~}}
path: {experiments_root: experiments, resume_state: ~}
`;
    expect(named(text)).toEqual(["num_gpu", "dist_params", "path.experiments_root", "logger.wandb"]);
    for (const fine of ["num_gpu: auto", "num_gpu: 1", "dist_params: ~"]) expect(named(`${SR}${fine}\n`)).toEqual([]);
    const { config } = parseConfig(text, "a.yml", srRun);
    expect(unusedWarnings(config)).toEqual([expect.stringMatching(/^config: not used: num_gpu \(a process .*\), /)]);
  });

  test("keys of data sets are named with the set", () => {
    const text = SR.replace(
      "dataroot_lq: lq",
      "dataroot_lq: lq, prefetch_mode: cuda, pin_memory: true, io_backend: {type: disk, db_paths: [a]}",
    );
    expect(named(text)).toEqual([
      "datasets.train.prefetch_mode",
      "datasets.train.pin_memory",
      "datasets.train.io_backend.db_paths",
    ]);
    expect(named(SR.replace("dataroot_lq: lq", "dataroot_lq: lq, prefetch_mode: ~"))).toEqual([]);
  });

  test("a file of DAT: every key is obeyed or named", () => {
    const { config } = parseConfig(DAT_FILE, "dat.yml", srRun);
    expect(named(DAT_FILE)).toContain("dist_params");
    expect(named(DAT_FILE)).toContain("logger.wandb");
    expect(config).toMatchObject({
      model_type: "DATModle",
      train: { ema_decay: 0.999, optim_g: { lr: 2e-4 } },
      val: { val_freq: 30, save_img: false },
      logger: { save_checkpoint_freq: 20, use_tb_logger: true },
    });
  });

  test("every entry of the table stands for a key that a schema knows", () => {
    const source = readFileSync(new URL("../../src/config/unused.ts", import.meta.url), "utf8");
    const keys = [...source.matchAll(/key: "([^"]+)"/g)].map(([, key]) => key!);
    expect(keys.length).toBeGreaterThan(20);
    const known = ["sr.ts", "sr-data.ts", "srclip.ts"].map((name) =>
      readFileSync(new URL(`../../src/config/${name}`, import.meta.url), "utf8"),
    );
    const flags = ["launcher", "dry-run", "db_paths", "client_keys", "val*"];
    for (const key of keys) {
      const last = key.split(".").at(-1)!;
      if (!flags.includes(last)) expect(known.join("\n")).toMatch(new RegExp(`\\b${last}\\b`));
    }
  });
});
