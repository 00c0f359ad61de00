import { describe, expect, test } from "vitest";
import { semanticRun } from "../../src/config/degrade.ts";
import { parseConfig, readConfig } from "../../src/config/parse.ts";
import { srRun } from "../../src/config/sr.ts";
import { srclipRun } from "../../src/config/srclip.ts";

const SRCLIP = "name: a\nmodel: ViT-B-32\ntrain_data: a.tsv\nsteps: 3\n";

describe("parseConfig", () => {
  test("fills in defaults and understands the spellings of PyYAML", () => {
    const { config, warnings } = parseConfig(
      `${SRCLIP}lr: !!float 2e-4\nwd: !!float 5\npretrained: ~\n`,
      "a.yml",
      srclipRun,
    );
    expect(config).toMatchObject({ lr: 2e-4, wd: 5, pretrained: null, siglip: true, loss_weight: [0.2, 0.3, 0.5] });
    expect(warnings).toEqual([]);
  });

  test("an unknown key is named with the nearest known one, or with all of them", () => {
    expect(() => parseConfig(`${SRCLIP}bach_size: 4\n`, "a.yml", srclipRun)).toThrow(
      'config: a.yml: unknown key "bach_size": did you mean "batch_size"?',
    );
    expect(() => parseConfig("datasets: {train: {jpeg_rang: [1, 2]}}", "d.yml", semanticRun)).toThrow(
      'config: d.yml: unknown key "datasets.train.jpeg_rang": did you mean "jpeg_range"?',
    );
    expect(() => parseConfig(`${SRCLIP}model2: {}\ncolour: red\n`, "a.yml", srclipRun)).toThrow(
      /unknown key "colour": known keys here: name, model, pretrained, /,
    );
  });

  test("a wrong value is shown beside what was expected, all of them in one line", () => {
    const text = `name: a
scale: 2
datasets: {train: {batch_size_per_gpu: 0}}
network_g: {type: FOO, upscale: 2, split_size: [3], fusion_layers: x}
train: {optim_g: {lr: -1}, scheduler: {type: Foo}, total_iter: 2.5}
`;
    const message = (() => {
      try {
        parseConfig(text, "s.yml", srRun);
        return "";
      } catch (error) {
        return (error as Error).message;
      }
    })();
    expect(message.split("; ")).toEqual([
      'config: s.yml: key "datasets.train.batch_size_per_gpu" is 0: expected more than 0',
      'key "network_g.type" is "FOO": expected one of "RealDAT", "DAT"',
      'key "network_g.split_size" is [3]: expected at least 2 entries',
      'key "network_g.fusion_layers" is "x": expected "all", "none" or numbers of groups such as 0-2-4',
      'key "train.optim_g.lr" is -1: expected more than 0',
      'key "train.scheduler.type" is "Foo": expected one of "MultiStepLR", "MultiStepRestartLR", "CosineAnnealingRestartLR", "CosineAnnealingLR"',
      'key "train.total_iter" is 2.5: expected an integer',
    ]);
  });

  test("inside an alternative, the alternative's own keys are named", () => {
    const text = "name: a\nmodel: {embed_dim: 3, vison_cfg: 3}\ntrain_data: a.tsv\nsteps: 1\n";
    expect(() => parseConfig(text, "a.yml", srclipRun)).toThrow(
      'unknown key "model.vison_cfg": did you mean "vision_cfg"?',
    );
  });

  test("a missing key, a file that is no group of keys, and broken YAML say so", () => {
    expect(() => parseConfig("name: a\nmodel: V\nsteps: 1\n", "a.yml", srclipRun)).toThrow(
      'config: a.yml: key "train_data" is missing: expected text',
    );
    expect(() => parseConfig("- 1", "a.yml", srclipRun)).toThrow("the file is [1]: expected a group of keys");
    expect(() => parseConfig("name: a\n  model: V\n", "a.yml", srclipRun)).toThrow(
      /^config: a.yml is not valid YAML: [^\n]+line 1/,
    );
  });

  test("epochs and steps exclude each other", () => {
    expect(() => parseConfig(`${SRCLIP}epochs: 2\n`, "a.yml", srclipRun)).toThrow("either epochs or steps");
  });

  test("a repeated key counts with its last value and gives a warning", () => {
    const { config, warnings } = parseConfig(`${SRCLIP}seed: 1\nseed: 2\n`, "a.yml", srclipRun);
    expect(config.seed).toBe(2);
    expect(warnings).toEqual(["config: a.yml line 6 repeats a key: its last value counts"]);
  });

  test("a file that is not there is named", async () => {
    await expect(readConfig("none.yml", srRun)).rejects.toThrow("config: none.yml does not exist: check the path");
  });
});
