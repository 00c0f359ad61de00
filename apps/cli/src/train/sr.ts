/** Training super-resolution on pairs of images (spec/training.md, 1 and 2). */
import { relative } from "node:path";
import { Adam, AdamW, charbonnierLoss, l1Loss, mseLoss } from "@deplsr/nn";
import type { SrCLIPV2 } from "@deplsr/srclip";
import { backward, type Device, mul, Rng, scope, type Tensor } from "@deplsr/tensor";
import type { SrRunConfig } from "../config/sr.ts";
import { toPlanes } from "../data/crop.ts";
import { Decoder } from "../data/decoder.ts";
import { Loader } from "../data/loader.ts";
import { listPairs, type Pair, type PairPaths, randomPatch, readPair } from "../data/paired.ts";
import { type SkippedItem, warnOfSkipped } from "../data/skipped.ts";
import { UserError } from "../errors.ts";
import { imagePrompt, type PromptOptions } from "../networks/prompt.ts";
import { loadSrWeights, makeSr, networkArguments, type SrDescription, type SrNetwork } from "../networks/sr.ts";
import { loadSrclip } from "../networks/srclip.ts";
import { leftOut } from "../networks/weights-file.ts";
import type { Output } from "../output.ts";
import { asSeen, checkChannels } from "./channels.ts";
import { stackValues } from "./loop.ts";
import { scheduleOf } from "./schedule.ts";
import type { Training } from "./session.ts";

/** A training and what it trains. */
export interface SrTraining {
  readonly training: Training;
  readonly network: SrNetwork;
  readonly srclip: SrCLIPV2 | null;
  /** Items of the data set that could not be used so far. */
  readonly skipped: () => readonly SkippedItem[];
}

/**
 * Gets everything ready.
 *
 * @param folder where the run folder shall stand; the checkpoint names its SRCLIP from there
 * @throws UserError when configuration, data or weights do not fit
 */
export async function prepareSr(device: Device, run: SrRunConfig, folder: string, output: Output): Promise<SrTraining> {
  checkScales(run);
  const srclip = await srclipOf(device, run);
  const clipDim = srclip?.config.clip.embedDim ?? null;
  const prompt: PromptOptions = {
    clipInput: run.network_clip?.clip_input ?? "normalized",
    clipFit: run.network_clip?.clip_fit ?? "squash",
  };
  const description: SrDescription = {
    network: { type: run.network_g.type, ...networkArguments(run.network_g, clipDim) },
    prompt: srclip === null ? null : { ...prompt, srclip: relative(folder, run.path.srclip_pretrain_network!) },
  };
  const network = makeSr(device, description.network, run.manual_seed);
  await startFrom(network, run, output);
  const source = run.datasets.train;
  const { pairs, skipped } = await listPairs(source, run.scale, "datasets.train");
  const warnOf = warnOfSkipped(output);
  for (const item of skipped) warnOf(item);
  const items = pairs.flatMap((pair) => Array<PairPaths>(source.dataset_enlarge_ratio).fill(pair));
  const workers = source.num_worker_per_gpu;
  const decoder = new Decoder(workers === undefined ? {} : { workers });
  const loader = new Loader<Pair>({
    names: items.map(({ lq }) => lq),
    batchSize: source.batch_size_per_gpu,
    seed: run.manual_seed,
    shuffle: source.use_shuffle,
    load: (index) => readPair(items[index]!, run.scale, source.gt_size / run.scale, decoder.read),
    onSkip: warnOf,
  });
  const rate = scheduleOf(run);
  const { type, lr, betas, eps, weight_decay } = run.train.optim_g;
  const Optimizer = type === "AdamW" ? AdamW : Adam;
  const optimizer = new Optimizer([{ params: network.module.parameters(), lr, betas, eps, weightDecay: weight_decay }]);
  const patches = new Rng(run.manual_seed).fork("patches");
  const drops = new Rng(run.manual_seed).fork("dropout");
  const training: Training = {
    title: "train sr",
    names: ["l_pix"],
    total: run.train.total_iter,
    seed: run.manual_seed,
    saveEvery: run.logger.save_checkpoint_freq,
    logEvery: run.logger.print_freq,
    learningRate: (step) => rate(step - 1),
    state: () => ({
      description: { kind: "sr", config: { ...description } },
      model: network.module.stateDict(),
      optimizer,
    }),
    step: async (step) => {
      const batch = await loader.batch(step);
      const augmentation = { flip: source.use_hflip, rotate: source.use_rot };
      const cuts = batch.map(({ item }, i) =>
        randomPatch(item, source.gt_size / run.scale, augmentation, patches.fork(step).fork(i)),
      );
      optimizer.setLearningRate(rate(step - 1));
      return trainStep(device, run, { network, srclip, prompt, optimizer }, cuts, drops.fork(step));
    },
  };
  return { training, network, srclip, skipped: () => [...skipped, ...loader.skipped] };
}

interface Parts {
  readonly network: SrNetwork;
  readonly srclip: SrCLIPV2 | null;
  readonly prompt: PromptOptions;
  readonly optimizer: Adam;
}

/** One step: forward, loss, backward, update. → the loss, (1,) */
function trainStep(device: Device, run: SrRunConfig, parts: Parts, cuts: readonly Pair[], rng: Rng): Tensor {
  const { network, srclip, prompt, optimizer } = parts;
  return scope(() => {
    const images = (side: "lq" | "gt"): Tensor => {
      const list = cuts.map((cut) => cut[side]);
      return device.tensor(toPlanes(list), [list.length, 3, list[0]!.height, list[0]!.width]);
    };
    const lq = images("lq");
    const input = asSeen(lq, run.datasets.train);
    const output = network.forward(input, srclip && imagePrompt(srclip, lq, prompt), { training: true, rng });
    const target = asSeen(images("gt"), run.datasets.train);
    const loss = mul(LOSSES[run.train.pixel_opt.type](output, target), run.train.pixel_opt.loss_weight);
    optimizer.step(backward(loss));
    return stackValues([loss]);
  });
}

/** The reference's Charbonnier loss is √(d² + 1e-12). */
const LOSSES: Readonly<Record<SrRunConfig["train"]["pixel_opt"]["type"], (output: Tensor, target: Tensor) => Tensor>> =
  {
    L1Loss: (output, target) => l1Loss(output, target),
    MSELoss: (output, target) => mseLoss(output, target),
    CharbonnierLoss: (output, target) => charbonnierLoss(output, target),
  };

function checkScales(run: SrRunConfig): void {
  const { gt_size, batch_size_per_gpu } = run.datasets.train;
  checkChannels(run.datasets.train, run.network_g.in_chans);
  if (run.network_g.upscale !== run.scale) {
    throw new UserError(
      `config: key "network_g.upscale" is ${run.network_g.upscale}: expected ${run.scale}, the value of "scale"`,
    );
  }
  if (gt_size % run.scale !== 0) {
    throw new UserError(
      `config: key "datasets.train.gt_size" is ${gt_size}: expected a multiple of "scale", ${run.scale}`,
    );
  }
  if (batch_size_per_gpu < 2) {
    // Batch normalisation over single values has no variance (the reference raises as well).
    throw new UserError(
      `config: key "datasets.train.batch_size_per_gpu" is ${batch_size_per_gpu}: expected at least 2`,
    );
  }
}

async function srclipOf(device: Device, run: SrRunConfig): Promise<SrCLIPV2 | null> {
  if (run.network_g.type === "DAT") return null;
  const path = run.path.srclip_pretrain_network;
  if (path === null) {
    throw new UserError(
      'config: key "path.srclip_pretrain_network" is missing: RealDAT needs the folder of an SRCLIP run (or take network_g.type: DAT)',
    );
  }
  return loadSrclip(device, path, { imagesOnly: true });
}

async function startFrom(network: SrNetwork, run: SrRunConfig, output: Output): Promise<void> {
  const { pretrain_network_g: path, param_key_g: key, strict_load_g: strict } = run.path;
  if (path === null) return;
  const report = await loadSrWeights(network, path, key === null ? { strict } : { key, strict });
  for (const line of leftOut(report)) output.warn(`${path}: ${line}`);
}
