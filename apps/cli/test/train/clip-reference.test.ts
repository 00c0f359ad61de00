import { createHash } from "node:crypto";
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLIP, parseOpenClipConfig } from "@deplsr/clip";
import { encodeCheckpoint } from "@deplsr/nn";
import { Rng, readSafetensors } from "@deplsr/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { writeImage } from "../../src/data/image.ts";
import { loadSrclip } from "../../src/networks/srclip.ts";
import { start } from "../commands/run-command.ts";
import { useDevice } from "../device.ts";
import { picture } from "../pictures.ts";

/** Heads of 64: a file of weights does not tell others. */
const TINY_CLIP = {
  embed_dim: 16,
  vision_cfg: { image_size: 24, patch_size: 8, width: 64, layers: 2 },
  text_cfg: { context_length: 40, width: 64, heads: 1, layers: 1 },
};
const RUN = {
  name: "tiny",
  model: TINY_CLIP,
  // The file's positional embedding is one of 2 x 2 patches.
  pretrained: "weights/clip.safetensors",
  train_data: "data/degraded.tsv",
  image_fit: "crop",
  batch_size: 2,
  steps: 4,
  lr: 1e-2,
  warmup: 1,
  save_frequency: 2,
};
const FILES = ["model.json", "model.safetensors", "optimizer.safetensors", "state.json"];
const POSITIONS = "clip.visual.positional_embedding";

describe("a checkpoint that holds its CLIP by reference", { timeout: 300_000 }, () => {
  const device = useDevice();
  let folder = "";
  const at = (...names: string[]): string => join(folder, ...names);
  const deplsr = (args: string[]) => start(args, folder, { DEPLSR_BACKEND: "cpu" }).finished;
  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await deplsr(args);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining("error")]);
    return stdout;
  };
  const refused = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await deplsr(args);
    expect(code).toBe(1);
    return stderr.trimEnd().split("\n").at(-1)!;
  };
  const train = (...args: string[]): Promise<string> => run("train", "srclip", "--config", "run.yml", ...args);
  const evaluate = async (checkpoint: string): Promise<object> => {
    const told = await run("evaluate", "--checkpoint", checkpoint, "--data", "data/degraded.tsv", "--json");
    return JSON.parse(told);
  };
  const bytesOf = (path: string): string[] => FILES.map((name) => readFileSync(at(path, name)).toString("base64"));
  const last = (name: string): string => join(name, "checkpoints", "step-4");

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "deplsr-reference-"));
    for (let i = 0; i < 4; i++) await writeImage(at("photos", `${i}.png`), picture(40, 40, i));
    await run("degrade", "photos", "--out", "data", "--count", "2", "--fit", "crop", "--size", "24");
    const vision_cfg = { ...TINY_CLIP.vision_cfg, image_size: 16 };
    const clip = new CLIP(parseOpenClipConfig({ ...TINY_CLIP, vision_cfg }), { device: device(), rng: new Rng(5) });
    mkdirSync(at("weights"));
    writeFileSync(at("weights", "clip.safetensors"), await encodeCheckpoint(clip));
    writeFileSync(at("run.yml"), stringify(RUN));
    await train("--out", "runs/a");
    await train("--out", "runs/whole", "--self-contained");
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("lacks what the file has, says which file, and is smaller; --self-contained holds all, of the same values", async () => {
    const tensors = (name: string) => readSafetensors(readFileSync(at(last(name), "model.safetensors"))).tensors;
    const [lean, whole] = [tensors("runs/a"), tensors("runs/whole")];
    const left = [...whole.keys()].filter((name) => !lean.has(name));
    expect(left).toEqual([...whole.keys()].filter((name) => name.startsWith("clip.") && name !== POSITIONS));
    for (const [name, { bytes }] of lean) expect(Buffer.compare(bytes, whole.get(name)!.bytes), name).toBe(0);
    const clip = readFileSync(at("weights", "clip.safetensors"));
    const sizes = readdirSync(at(last("runs/a"))).map((name) => statSync(at(last("runs/a"), name)).size);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(clip.length);
    expect(statSync(at(last("runs/whole"), "model.safetensors")).size).toBeGreaterThan(clip.length);
    const sha256 = createHash("sha256").update(clip).digest("hex");
    const reference = { file: "../../weights/clip.safetensors", absolute: at("weights", "clip.safetensors"), sha256 };
    expect(JSON.parse(readFileSync(at(last("runs/a"), "model.json"), "utf8")).clip).toEqual(reference);
    const told = await run("inspect", "runs/a");
    expect(told).toContain(`clip        by reference: ${at("weights", "clip.safetensors")} (sha256 ${sha256})`);
    const tried = await run("train", "srclip", "--config", "run.yml", "--out", "runs/none", "--dry-run");
    expect(tried).toContain(`each, with the CLIP by reference to ${at("weights", "clip.safetensors")}`);
  });

  test("is evaluated, and converted to files that stand alone, to the same numbers", async () => {
    const right = await evaluate("runs/whole");
    expect(await evaluate("runs/a")).toEqual(right);
    // As upscale and train sr load it.
    const seen = ["runs/a", "runs/whole"].map(async (name) => {
      const model = await loadSrclip(device(), at(name), { imagesOnly: true });
      return (await model.encodeImage(device().full([1, 3, 24, 24], 0.5)).content.data()).join();
    });
    expect(await seen[0]).toBe(await seen[1]);
    for (const out of ["a.pth", "a.safetensors"]) await run("convert", "runs/a", out);
    renameSync(at("weights"), at("elsewhere"));
    try {
      for (const out of ["a.pth", "a.safetensors"]) {
        // Squares of 24 by the shape of the positional embedding, which was resized.
        expect(await evaluate(out)).toEqual(right);
      }
    } finally {
      renameSync(at("elsewhere"), at("weights"));
    }
  });

  test("goes on to the same bytes, also one that holds its CLIP, and refuses another one", async () => {
    for (const name of ["a", "whole"]) {
      const from = join("runs", name, "checkpoints", "step-2");
      // A run of a version that knew no references.
      const config = name === "whole" ? ["--config", "run.yml"] : [];
      await run("train", "srclip", ...config, "--resume", from, "--out", `runs/${name}-on`);
      expect(bytesOf(last(`runs/${name}-on`)), name).toEqual(bytesOf(last(`runs/${name}`)));
    }
    const clip = readFileSync(at("weights", "clip.safetensors"));
    writeFileSync(at("weights", "other.safetensors"), Buffer.concat([clip.subarray(0, -1), Buffer.from([1])]));
    expect(await refused("train", "srclip", "--resume", "runs/a", "--pretrained", "weights/other.safetensors")).toMatch(
      /other\.safetensors is not the CLIP that runs\/a\/checkpoints\/step-4 was trained on \(sha256 .*\): give its file with --pretrained$/,
    );
  });

  test("follows its CLIP where the run or the file moves, and says in one line when it is gone or has changed", async () => {
    const right = await evaluate("runs/whole");
    // The run alone: by the absolute path. Run and file: by the one from the run's folder. The file alone: as a copy in the run's folder.
    renameSync(at("runs", "a"), at("b"));
    expect(await evaluate("b")).toEqual(right);
    renameSync(at("weights"), at("c"));
    const missing = await refused("evaluate", "--checkpoint", "b", "--data", "data/degraded.tsv");
    expect(missing).toMatch(
      /^error: checkpoint: b\/checkpoints\/step-4\/model\.safetensors holds its CLIP by reference, but .*weights\/clip\.safetensors \(sha256 [0-9a-f]{64}\) is not there: put that file back, or a copy of it into b$/,
    );
    expect(await run("inspect", "b")).toContain("is not there: put that file back");
    cpSync(at("c", "clip.safetensors"), at("b", "clip.safetensors"));
    expect(await evaluate("b")).toEqual(right);
    await run("train", "srclip", "--resume", "b/checkpoints/step-2", "--out", "b-on");
    rmSync(at("b", "clip.safetensors"));
    cpSync(at("b"), at("d", "runs", "a"), { recursive: true });
    cpSync(at("c"), at("d", "weights"), { recursive: true });
    expect(await evaluate("d/runs/a")).toEqual(right);
    appendFileSync(at("d", "weights", "clip.safetensors"), "x");
    expect(await refused("evaluate", "--checkpoint", "d/runs/a", "--data", "data/degraded.tsv")).toMatch(
      /d\/weights\/clip\.safetensors has changed since \(sha256 [0-9a-f]{16}\.\.\., expected [0-9a-f]{16}\.\.\.\): put that file back/,
    );
  });
});
