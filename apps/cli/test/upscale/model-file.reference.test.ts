import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clipConfig } from "@deplsr/clip";
import { Adam, encodeTensors, openTensorFile } from "@deplsr/nn";
import { SrCLIPV2, srclipConfig } from "@deplsr/srclip";
import { bytesSource, Rng, readSafetensors, readTensor, type StoredTensor, writeSafetensors } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { runConvert } from "../../src/convert/run.ts";
import { runInspect } from "../../src/inspect/run.ts";
import { loadSrWeights, makeSr, type SrNetwork } from "../../src/networks/sr.ts";
import { RunFolder } from "../../src/run-folder.ts";
import { checkpointFiles } from "../../src/train/checkpoint.ts";
import { loadUpscaler, upscaleImage } from "../../src/upscale/upscale.ts";
import { useDevice } from "../device.ts";
import { golden } from "../golden.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const DAT = golden("checkpoints/dat_params_ema.pth");
/** The constructor's arguments, as golden/checkpoints/index.json has them. */
const ARGUMENTS = {
  type: "DAT",
  img_size: 8,
  embed_dim: 32,
  split_size: [2, 4],
  depth: [3],
  num_heads: [2],
  expansion_factor: 1.5,
  upscale: 2,
  resi_connection: "3conv",
  upsampler: "pixelshuffledirect",
};
const REAL_DAT = {
  type: "RealDAT",
  embed_dim: 16,
  split_size: [8, 32], // what is taken where no table tells it
  depth: [1, 1],
  num_heads: [2, 2],
  expansion_factor: 2,
  upscale: 2,
  upsampler: "pixelshuffledirect",
  fusion_num_heads: 4,
  clip_dim: 8,
};

describe("upscaling with a file of weights", () => {
  const device = useDevice();

  /** The tensors of a file of the reference under a key. */
  function reference(key: string): Map<string, StoredTensor> {
    const { tensors } = readSafetensors(readFileSync(golden("checkpoints/dat_params_ema.expected.safetensors")));
    const under = [...tensors].filter(([name]) => name.startsWith(`${key}/`));
    return new Map(under.map(([name, tensor]) => [name.slice(key.length + 1), tensor]));
  }

  async function saved(network: SrNetwork): Promise<string> {
    const path = join(temporaryFolder(), "net.safetensors");
    writeFileSync(path, await encodeTensors(network.module.stateDict()));
    return path;
  }

  async function savedSrclip(embedDim: number): Promise<{ path: string; model: SrCLIPV2 }> {
    const clip = clipConfig({
      embedDim,
      vision: { imageSize: 16, patchSize: 8, width: 16, layers: 1, headWidth: 16, mlpRatio: 1 },
      text: { contextLength: 5, width: 8, heads: 1, layers: 1, mlpRatio: 1, vocabSize: 16 },
    });
    const model = new SrCLIPV2(srclipConfig(clip), { device: device(), rng: new Rng(3) });
    const path = join(temporaryFolder(), "srclip.safetensors");
    writeFileSync(path, await encodeTensors(model.stateDict()));
    return { path, model };
  }

  test("of PyTorch: which network it is is seen from the tensors, the averaged weights are taken", async () => {
    for (const [key, weights] of [
      [undefined, "params_ema"],
      ["params", "params"],
    ] as const) {
      const made = makeSr(device(), ARGUMENTS, 1);
      made.load(reference(weights), {});
      const expected = await upscaleImage(device(), { network: made, srclip: null, prompt: null }, picture(11, 9));
      const loaded = await loadUpscaler(device(), DAT, key === undefined ? {} : { key });
      expect([loaded.network.scale, loaded.srclip]).toEqual([2, null]);
      expect(await upscaleImage(device(), loaded, picture(11, 9))).toEqual(expected);
    }
  });

  test("of safetensors, in half precision too", async () => {
    const path = join(temporaryFolder(), "half.safetensors");
    const halves = [...reference("params_ema")].map(([name, { dtype, shape, bytes, toFloat16 }]) => {
      const half =
        dtype === "F32" ? { dtype: "F16" as const, bytes: new Uint8Array(toFloat16().buffer) } : { dtype, bytes };
      return [`module.${name}`, { ...half, shape }] as const;
    });
    writeFileSync(path, writeSafetensors(halves));
    const half = await upscaleImage(device(), await loadUpscaler(device(), path), picture(11, 9));
    const full = await upscaleImage(device(), await loadUpscaler(device(), DAT), picture(11, 9));
    const largest = full.data.reduce((most, value, i) => Math.max(most, Math.abs(value - half.data[i]!)), 0);
    expect(largest).toBeLessThanOrEqual(2);
  });

  test("a RealDAT needs an SRCLIP of its width, or to be told to go without", async () => {
    const network = makeSr(device(), REAL_DAT, 2);
    const path = await saved(network);
    await expect(loadUpscaler(device(), path)).rejects.toThrow(
      /is a RealDAT, which needs an SRCLIP .*: give one with --srclip, or --srclip none to go without/,
    );
    const srclip = await savedSrclip(8);
    const loaded = await loadUpscaler(device(), path, { srclip: srclip.path });
    const prompt = { clipInput: "raw", clipFit: "squash" } as const;
    expect(loaded.prompt).toEqual(prompt);
    const steered = await upscaleImage(device(), loaded, picture(9, 8));
    expect(steered).toEqual(await upscaleImage(device(), { network, srclip: srclip.model, prompt }, picture(9, 8)));
    const alone = await upscaleImage(device(), await loadUpscaler(device(), path, { srclip: "none" }), picture(9, 8));
    expect(alone).not.toEqual(steered);
    const wide = await savedSrclip(12);
    await expect(loadUpscaler(device(), path, { srclip: wide.path })).rejects.toThrow(
      `${path} was trained with an SRCLIP of 8 features, that of ${wide.path} has 12`,
    );
    await expect(loadUpscaler(device(), path, { srclip: DAT })).rejects.toThrow(
      `${DAT} holds a DAT x2: an SRCLIP with features for single degradations is needed`,
    );
  });

  test("our own weights say what they are, in their folder and out of it, and for PyTorch by their tables", async () => {
    const network = makeSr(device(), ARGUMENTS, 1);
    network.load(reference("params_ema"), {});
    const optimizer = new Adam([{ params: network.module.parameters(), lr: 0.1 }]);
    const description = { kind: "sr", config: { network: ARGUMENTS, prompt: null } } as const;
    const state = { description, model: network.module.stateDict(), optimizer, step: 1, seed: 1 };
    const run = await RunFolder.open(join(temporaryFolder(), "run"), { config: "", now: new Date() });
    const folder = await run.saveCheckpoint(1, await checkpointFiles(state));
    const alone = join(temporaryFolder(), "alone.safetensors");
    copyFileSync(join(folder, "model.safetensors"), alone);
    const pth = join(temporaryFolder(), "net.pth");
    const { output } = recordedOutput();
    await runConvert({ in: run.path, out: pth, key: undefined, fp16: false, overwrite: false }, { output });
    const expected = await upscaleImage(device(), { network, srclip: null, prompt: null }, picture(11, 9));
    for (const path of [run.path, folder, join(folder, "model.safetensors"), alone, pth]) {
      expect(await upscaleImage(device(), await loadUpscaler(device(), path), picture(11, 9))).toEqual(expected);
    }
    for (const file of [run.path, alone, pth]) {
      const shown = recordedOutput(true);
      await runInspect({ file, key: undefined }, { output: shown.output });
      expect(JSON.parse(shown.stdout())).toMatchObject({ model: "DAT", config: { splitSize: [2, 4], imgSize: 8 } });
    }
    const { tensors } = await openTensorFile(bytesSource(readFileSync(pth)));
    expect([...tensors.keys()].sort()).toEqual([...reference("params_ema").keys()].sort());
    for (const [name, tensor] of reference("params_ema")) {
      const found = await readTensor(tensors.get(name)!);
      expect([name, found.dtype, found.shape]).toEqual([name, tensor.dtype, tensor.shape]);
      expect(Buffer.compare(found.bytes, tensor.bytes), name).toBe(0);
    }
  });

  test("what tensors do not tell can be told; what is wrong with that is one line", async () => {
    const made = makeSr(device(), { ...ARGUMENTS, split_size: [4, 2], img_range: 2 }, 1);
    made.load(reference("params_ema"), { allowMismatched: true });
    const expected = await upscaleImage(device(), { network: made, srclip: null, prompt: null }, picture(11, 9));
    const told = await loadUpscaler(device(), DAT, { assume: { splitSize: [4, 2], imgRange: 2 } });
    expect(await upscaleImage(device(), told, picture(11, 9))).toEqual(expected);
    expect(await upscaleImage(device(), await loadUpscaler(device(), DAT), picture(11, 9))).not.toEqual(expected);
    const wrong: [Readonly<Record<string, unknown>>, string][] = [
      [{ sharpness: 3 }, "nothing is assumed of sharpness: known are splitSize, imgRange, qkScale, layerNormEps"],
      [{ splitSize: [4, 8] }, "splitSize: [4, 8] contradicts the tensors, which are for [2, 4]"],
      [{ imgRange: "wide" }, 'imgRange: expected a number, got "wide"'],
    ];
    for (const [assume, message] of wrong) {
      await expect(loadUpscaler(device(), DAT, { assume })).rejects.toThrow(`checkpoint: ${DAT}: DAT: ${message}`);
    }
  });

  test("assumptions of an SRCLIP are told by their names too, and none of what says itself what it is", async () => {
    const path = await saved(makeSr(device(), REAL_DAT, 2));
    const srclip = await savedSrclip(8);
    const assume = { fusionNumHeads: 2, quickGelu: true };
    const loaded = await loadUpscaler(device(), path, { srclip: srclip.path, assume });
    expect(loaded.srclip?.config.clip.quickGelu).toBe(true);
    await expect(loadUpscaler(device(), path, { srclip: "none", assume })).rejects.toThrow(
      "RealDAT: nothing is assumed of quickGelu: known are splitSize,",
    );
    const optimizer = new Adam([{ params: loaded.network.module.parameters(), lr: 0.1 }]);
    const description = { kind: "sr", config: { network: REAL_DAT, prompt: null } } as const;
    const state = { description, model: loaded.network.module.stateDict(), optimizer, step: 1, seed: 1 };
    const run = await RunFolder.open(join(temporaryFolder(), "run"), { config: "", now: new Date() });
    const folder = await run.saveCheckpoint(1, await checkpointFiles(state));
    const alone = join(temporaryFolder(), "alone.safetensors");
    copyFileSync(join(folder, "model.safetensors"), alone);
    for (const place of [folder, alone]) {
      await expect(loadUpscaler(device(), place, { assume: { imgRange: 2 } })).rejects.toThrow(
        `checkpoint: ${place} says itself what it is: leave out --assume imgRange`,
      );
    }
  });

  test("an SRCLIP for a network that has no place for it is not taken silently", async () => {
    const told: string[] = [];
    const loaded = await loadUpscaler(device(), DAT, { srclip: "srclip.pth", warn: (text) => void told.push(text) });
    expect(loaded.srclip).toBeNull();
    expect(told).toEqual([`${DAT} was made to work without an SRCLIP: srclip.pth is not used`]);
  });

  test("everything that does not fit is listed at once, or left out when that is asked for", async () => {
    const tensors = new Map(reference("params_ema"));
    const shape = tensors.get("norm.weight")!.shape;
    tensors.delete("norm.bias");
    tensors.set("extra", tensors.get("norm.weight")!);
    const short = readSafetensors(writeSafetensors([["a", { dtype: "F32", shape: [3], bytes: new Uint8Array(12) }]]));
    tensors.set("norm.weight", short.tensors.get("a")!);
    const path = join(temporaryFolder(), "damaged.safetensors");
    writeFileSync(path, writeSafetensors(tensors));
    await expect(loadUpscaler(device(), path)).rejects.toThrow(
      `checkpoint: ${path} does not fit the network: DAT.loadStateDict: 1 missing: norm.bias [32]; ` +
        `1 unexpected: extra [${shape}]; 1 of another shape: norm.weight [3] (expected [${shape}])`,
    );
    const told: string[] = [];
    const loaded = await loadUpscaler(device(), path, { strict: false, warn: (text) => void told.push(text) });
    expect(told).toEqual([
      `${path}: 1 tensor missing in the file, left unchanged: norm.bias`,
      `${path}: 1 tensor unknown to the network, not loaded: extra`,
      `${path}: 1 tensor of another shape, not loaded: norm.weight`,
    ]);
    expect(loaded.network.scale).toBe(2);
  });

  test("a training starts from a file's weights, from those under its key where there are such", async () => {
    for (const [path, key, weights] of [
      [DAT, "params", "params"],
      [DAT, "none", "params_ema"],
    ] as const) {
      const network = makeSr(device(), ARGUMENTS, 1);
      expect((await loadSrWeights(network, path, { key })).missing).toEqual([]);
      const found = await network.module.stateDict().get("norm.weight")!.data();
      expect(found).toEqual(reference(weights).get("norm.weight")!.toFloat32());
    }
  });

  test("another network, and none, say so", async () => {
    const clip = golden("checkpoints/openclip_epoch_3.pt");
    await expect(loadUpscaler(device(), clip)).rejects.toThrow(
      `checkpoint: ${clip} holds a CLIP, image tower 1 block of 32, patches of 8 in 16x16: a DAT or RealDAT is needed`,
    );
    const other = golden("checkpoints/dtypes_views.pth");
    await expect(loadUpscaler(device(), other)).rejects.toThrow(`${other} holds no network that is known here`);
  });
});
