/** SRCLIP: from a configuration or a checkpoint folder to a network. */
import {
  CLIP_PRESETS,
  type CLIPConfig,
  clipConfig,
  loadCLIP,
  parseOpenClipConfig,
  startFromCosines,
} from "@deplsr/clip";
import { selectWeights, type TensorFile } from "@deplsr/nn";
import { loadImageSide, loadSrCLIP, SrCLIPV2, type SrCLIPV2Config, srclipConfig } from "@deplsr/srclip";
import { type Device, Rng } from "@deplsr/tensor";
import type { SrclipRunConfig } from "../config/srclip.ts";
import { oneLine, UserError } from "../errors.ts";
import {
  type ClipReference,
  describedIn,
  type ModelDescription,
  type Protocol,
  readDescription,
} from "../train/checkpoint.ts";
import { withWholeFile } from "./clip-reference.ts";
import { type Assumptions, describeNetwork, detectNetwork, refuseAssumptions } from "./detect.ts";
import { findModel, loadInto, weightsOf, withTensorFile } from "./weights-file.ts";

/**
 * The network of a run, with random weights, or with those of `pretrained` in its CLIP, which is then locked.
 *
 * @throws UserError naming what does not fit
 */
export async function makeSrclip(device: Device, run: SrclipRunConfig): Promise<SrCLIPV2> {
  const config = srclipConfig(clipOf(run), { loss: run.siglip ? "siglip" : "clip" });
  const model = new SrCLIPV2(config, { device, rng: new Rng(run.seed).fork("weights of the network") });
  if (run.pretrained !== null) {
    await loadPretrained(model, run.pretrained);
    model.lockCLIP();
  } else if (run.patch_init === "cosine") {
    startFromCosines(model.clip.visual);
  }
  model.startController(run.init);
  return model;
}

/** How an SRCLIP is loaded. */
export interface SrclipLoading {
  /** Instead of what is assumed of a file that does not say what it is, see `untold`. */
  readonly assume?: Assumptions;
  /** Leaves the text tower out, a quarter of it: for a model that is shown images only. */
  readonly imagesOnly?: boolean;
}

/**
 * Loads the network of a run folder's newest checkpoint, of a checkpoint folder, or of a file of weights.
 *
 * @throws UserError when it cannot be read or does not fit
 */
export async function loadSrclip(
  device: Device,
  path: string,
  { assume = {}, imagesOnly = false }: SrclipLoading = {},
): Promise<SrCLIPV2> {
  const place = await findModel(path);
  const folder = "folder" in place ? place.folder : null;
  const file = await weightsOf(place);
  return withWholeFile(file, async (opened) => {
    const { tensors } = selectWeights(opened);
    const described =
      folder === null ? describedSrclip(file, opened) : srclipOf(await readDescription(folder, "srclip"), folder);
    if (described) refuseAssumptions(path, assume);
    const config = described ?? detectSrclip(file, tensors, assume);
    const model = new SrCLIPV2(config, { device, rng: new Rng(0), blank: true });
    model.freeze();
    await loadInto(file, tensors, (entries, options) =>
      imagesOnly ? loadImageSide(model, entries, options) : loadSrCLIP(model, entries, options),
    );
    return model;
  });
}

/** What the header of a file of ours says of its network; null for other files. */
export function describedSrclip(path: string, file: TensorFile): SrCLIPV2Config | null {
  const description = describedIn(path, file, "srclip");
  return description && srclipOf(description, path);
}

function detectSrclip(path: string, tensors: Parameters<typeof detectNetwork>[1], assume: Assumptions): SrCLIPV2Config {
  const found = detectNetwork(path, tensors, { assume });
  if (found?.model === "SrCLIPV2") return found.config;
  const what = found ? `a ${describeNetwork(found)}` : "no network that is known here";
  throw new UserError(`checkpoint: ${path} holds ${what}: an SRCLIP with features for single degradations is needed`);
}

/**
 * What a checkpoint's `model.json` says of a network.
 *
 * @param clip where its frozen CLIP is, unless the checkpoint holds it
 */
export function describeSrclip(
  config: SrCLIPV2Config,
  clip: ClipReference | null = null,
  protocol?: Protocol,
): ModelDescription {
  return { kind: "srclip", config: { ...config }, ...(clip ? { clip } : {}), ...(protocol ? { protocol } : {}) };
}

/** How the SRCLIP at a path is asked; null where that does not tell. @throws UserError as `loadSrclip` */
export async function protocolOf(path: string): Promise<Protocol | null> {
  const place = await findModel(path);
  if ("folder" in place) return (await readDescription(place.folder, "srclip")).protocol ?? null;
  return withTensorFile(place.file, async (file) => describedIn(place.file, file, "srclip")?.protocol ?? null);
}

function clipOf({ model, force_image_size, force_quick_gelu }: SrclipRunConfig): CLIPConfig {
  const { vision, ...rest } = namedClip(model);
  try {
    return clipConfig({
      ...rest,
      quickGelu: rest.quickGelu || force_quick_gelu,
      vision: { ...vision, imageSize: force_image_size ?? vision.imageSize },
    });
  } catch (error) {
    throw new UserError(`config: force_image_size: ${oneLine(error)}`);
  }
}

function namedClip(model: SrclipRunConfig["model"]): CLIPConfig {
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

function loadPretrained(model: SrCLIPV2, path: string): Promise<unknown> {
  return withTensorFile(path, (file) =>
    loadInto(path, selectWeights(file).tensors, (entries, options) => loadCLIP(model.clip, entries, options)),
  );
}

function srclipOf({ config }: ModelDescription, where: string): SrCLIPV2Config {
  const { clip, loss, fineDegradations } = config as Partial<SrCLIPV2Config>;
  if (clip === undefined || loss === undefined || fineDegradations === undefined) {
    throw new UserError(`checkpoint: ${where} does not describe an SRCLIP: the checkpoint is damaged`);
  }
  try {
    return srclipConfig(clipConfig(clip), { loss, fineDegradations });
  } catch (error) {
    throw new UserError(`checkpoint: ${where}: ${oneLine(error)}`);
  }
}
