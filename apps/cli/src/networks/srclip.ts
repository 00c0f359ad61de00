/** SRCLIP: from a configuration or a checkpoint folder to a network. */
import { readFile } from "node:fs/promises";
import { CLIP_PRESETS, type CLIPConfig, clipConfig, loadCLIP, parseOpenClipConfig } from "@deplsr/clip";
import { loadSrCLIP, SrCLIPV2, type SrCLIPV2Config, srclipConfig } from "@deplsr/srclip";
import { type Device, Rng, readSafetensors } from "@deplsr/tensor";
import type { SrclipRunConfig } from "../config/srclip.ts";
import { oneLine, UserError } from "../errors.ts";
import { latestCheckpoint } from "../run-folder.ts";
import { loadWeights, type ModelDescription, readDescription } from "../train/checkpoint.ts";

/**
 * The network of a run, with random weights, or with those of `pretrained` in its CLIP, which is then locked.
 *
 * @throws UserError naming what does not fit
 */
export async function makeSrclip(device: Device, run: SrclipRunConfig): Promise<SrCLIPV2> {
  const config = srclipConfig(clipOf(run.model), { loss: run.siglip ? "siglip" : "clip" });
  const model = new SrCLIPV2(config, { device, rng: new Rng(run.seed).fork("weights of the network") });
  if (run.pretrained !== null) {
    await loadPretrained(model, run.pretrained);
    model.lockCLIP();
  }
  model.startController(run.init);
  return model;
}

/** Loads the network of a run folder's newest checkpoint, or of a checkpoint folder. @throws UserError when it cannot be read or does not fit */
export async function loadSrclip(device: Device, path: string): Promise<SrCLIPV2> {
  const folder = await latestCheckpoint(path);
  const model = new SrCLIPV2(srclipOf(await readDescription(folder, "srclip"), folder), { device, rng: new Rng(0) });
  await loadWeights(folder, (entries, options) => loadSrCLIP(model, entries, options));
  model.freeze();
  return model;
}

/** What a checkpoint's `model.json` says of a network. */
export function describeSrclip(config: SrCLIPV2Config): ModelDescription {
  return { kind: "srclip", config: { ...config } };
}

function clipOf(model: SrclipRunConfig["model"]): CLIPConfig {
  try {
    if (typeof model !== "string") return parseOpenClipConfig(model);
  } catch (error) {
    throw new UserError(`config: model: ${oneLine(error)}`);
  }
  const preset = CLIP_PRESETS.get(model.replace(/^srclip(v2)?_/, ""));
  if (preset !== undefined) return preset;
  throw new UserError(
    `config: key "model" is ${JSON.stringify(model)}: expected one of ${[...CLIP_PRESETS.keys()].join(", ")}, or sizes`,
  );
}

async function loadPretrained(model: SrCLIPV2, path: string): Promise<void> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new UserError(
      `config: pretrained: ${path} cannot be read (${oneLine(error)}): give CLIP weights as safetensors, or ~ for none`,
    );
  }
  try {
    loadCLIP(model.clip, readSafetensors(bytes).tensors);
  } catch (error) {
    throw new UserError(`config: pretrained: ${path} does not fit the model: ${oneLine(error)}`);
  }
}

function srclipOf({ config }: ModelDescription, folder: string): SrCLIPV2Config {
  const { clip, loss, fineDegradations } = config as Partial<SrCLIPV2Config>;
  if (clip === undefined || loss === undefined || fineDegradations === undefined) {
    throw new UserError(`checkpoint: ${folder}/model.json does not describe an SRCLIP: the checkpoint is damaged`);
  }
  try {
    return srclipConfig(clipConfig(clip), { loss, fineDegradations });
  } catch (error) {
    throw new UserError(`checkpoint: ${folder}/model.json: ${oneLine(error)}`);
  }
}
