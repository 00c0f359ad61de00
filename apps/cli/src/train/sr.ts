/** Training super-resolution on pairs of images (spec/training.md, 1 and 2). */
import { relative } from "node:path";
import { type ProcessGroup, SingleProcess } from "@deplsr/distributed";
import { Adam, AdamW, backwardOnto, charbonnierLoss, Ema, l1Loss, mseLoss } from "@deplsr/nn";
import { asSeen, imagePrompt, type PromptOptions, throughChannels } from "@deplsr/restore";
import type { SrCLIPV2 } from "@deplsr/srclip";
import { add, type BackwardOptions, captureSteady, type Device, mul, Rng, scope, type Tensor } from "@deplsr/tensor";
import type { SrRunConfig } from "../config/sr.ts";
import { BatchCourse } from "../data/course.ts";
import { type PairBatch, storedPairs } from "../data/pair-batches.ts";
import type { SkippedItem } from "../data/skipped.ts";
import { synthesizedPairs } from "../data/synthesized-pairs.ts";
import { UserError } from "../errors.ts";
import { checkChannels } from "../networks/channels.ts";
import { networkOfRun } from "../networks/run-network.ts";
import { networkArguments, type SrDescription, type SrNetwork } from "../networks/sr.ts";
import type { Output } from "../output.ts";
import { stackValues } from "./loop.ts";
import { TrainingRanks } from "./ranks.ts";
import { scheduleOf } from "./schedule.ts";
import type { Training } from "./session.ts";
import { type Mark, markOf } from "./step-clock.ts";
import { inHalves, Snapshot, update, updateWith } from "./update.ts";
import { prepareValidation } from "./validate.ts";

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
 * @param group of processes that train together
 * @throws UserError when configuration, data or weights do not fit
 */
export async function prepareSr(
  device: Device,
  run: SrRunConfig,
  folder: string,
  output: Output,
  group: ProcessGroup = new SingleProcess(),
): Promise<SrTraining> {
  checkScales(run, group.size);
  const { network, srclip, srclipPath, prompt, clipDim } = await networkOfRun(device, run, output);
  const { color, mean, std } = run.datasets.train;
  const plain = (color ?? mean ?? std) === undefined;
  const description: SrDescription = {
    name: run.name,
    network: { type: run.network_g.type, ...networkArguments(run.network_g, clipDim) },
    prompt: srclipPath === null ? null : { ...prompt, srclip: relative(folder, srclipPath) },
    ...(plain ? {} : { channels: { color, mean, std } }),
  };
  const source = run.datasets.train;
  const { scale, manual_seed: seed } = run;
  const course = new BatchCourse(group, run.train.accum_iter);
  const pairs = await (source.type === "RealESRGANDataset"
    ? synthesizedPairs(device, run, source, { course, output })
    : storedPairs(device, source, { scale, seed, course, output }));
  const ranks = new TrainingRanks(group, network.module);
  if (run.train.sync_bn) await ranks.normaliseTogether();
  const rate = scheduleOf(run);
  const { type, lr, betas, eps, weight_decay } = run.train.optim_g;
  const Optimizer = type === "AdamW" ? AdamW : Adam;
  const optimizer = new Optimizer([{ params: network.module.parameters(), lr, betas, eps, weightDecay: weight_decay }]);
  const decay = run.train.ema_decay;
  const ema = decay > 0 ? new Ema(network.module, decay) : null;
  const drops = new Rng(run.manual_seed).fork("dropout");
  const upscaler = { network: throughChannels(network, source), srclip, prompt: srclip && prompt };
  const warn = (line: string): void => output.warn(line);
  const trained = { network, srclip, prompt, optimizer, ema, share: 1 / course.perStep };
  // What a captured step works in is disposed where others need memory.
  const wholeStep = captureSteady(device, (...inputs: (Tensor | Rng)[]) => stepAtOnce(run, trained, partsOf(inputs)));
  const validation = await prepareValidation({ device, run, folder, upscaler, ema, warn, group });
  const training: Training = {
    title: "train sr",
    network: run.network_g.type,
    module: network.module,
    device,
    ranks,
    course,
    dataSets: { "datasets.train": pairs.items },
    files: pairs.files,
    epoch: (step) => Math.floor(course.takenBefore(step) / pairs.perEpoch),
    validation: validation && {
      ...validation,
      run: (step) => {
        wholeStep.dispose();
        return validation.run(step);
      },
    },
    names: ["l_pix"],
    total: run.train.total_iter,
    seed: run.manual_seed,
    saveEvery: run.logger.save_checkpoint_freq,
    logEvery: run.logger.print_freq,
    learningRate: (step) => rate(step - 1),
    // Its texts were asked for their features once, and given back.
    frozen: new Map([...(srclip?.stateDict() ?? [])].filter(([, { disposed }]) => !disposed)),
    state: () => ({
      description: { kind: "sr", config: { ...description } },
      model: network.module.stateDict(),
      optimizer,
      ema,
    }),
    load: (entries, options) => network.module.loadStateDict(entries, options),
    skips: run.train.on_nan === "skip",
    step: async (step, clock) => {
      const parts: Part[] = [];
      try {
        for (const turn of course.turnsOf(step)) {
          parts.push({ ...(await pairs.batch(turn)), rng: drops.fork(course.batchOf(turn)) });
        }
        clock?.mark("data");
        ranks.slow.loaded();
        optimizer.setLearningRate(rate(step - 1));
        optimizer.layTogether();
        const mark = markOf(clock, step, () => device.sync());
        if (run.train.on_nan === "skip" || mark || ranks.several) {
          wholeStep.dispose();
          return await trainStep(run, trained, parts, ranks, mark);
        }
        return wholeStep(...parts.flatMap(({ lq, gt, rng }) => [lq, gt, rng]));
      } finally {
        for (const { lq, gt } of parts) {
          lq.dispose();
          gt.dispose();
        }
      }
    },
  };
  return { training, network, srclip, skipped: pairs.skipped };
}

interface Trained {
  readonly network: SrNetwork;
  readonly srclip: SrCLIPV2 | null;
  readonly prompt: PromptOptions;
  readonly optimizer: Adam;
  readonly ema: Ema | null;
  /** Of a batch in the loss of a step. */
  readonly share: number;
}

/** A batch, and the generator of its dropout. */
interface Part extends PairBatch {
  readonly rng: Rng;
}

/** The inputs of a captured step as parts again: lq, gt and generator of each. */
function partsOf(inputs: readonly (Tensor | Rng)[]): Part[] {
  const parts: Part[] = [];
  for (let i = 0; i < inputs.length; i += 3) {
    const [lq, gt, rng] = inputs.slice(i, i + 3) as [Tensor, Tensor, Rng];
    parts.push({ lq, gt, rng });
  }
  return parts;
}

/** What came of the parts of a batch so far: their gradients, and their loss, (1,). */
interface Sums {
  readonly gradients: Map<Tensor, Tensor>;
  readonly loss: Tensor | null;
}

const NOTHING: Sums = { gradients: new Map(), loss: null };

/** Adds a part's gradients, of which `onGradient` is told, and its share of the loss, and gives back what they are added to. */
function added(
  { gradients, loss }: Sums,
  share: Tensor,
  told: Pick<BackwardOptions, "onGradient"> = {},
): { gradients: Map<Tensor, Tensor>; loss: Tensor } {
  const seen = stackValues([share]);
  const total = loss ? add(loss, seen) : seen;
  loss?.dispose();
  return { gradients: backwardOnto(gradients, share, told), loss: total };
}

/** One step, which nobody waits for, so that it can be captured: forward, loss and backward of each part, update. → the mean loss, (1,) */
function stepAtOnce(run: SrRunConfig, trained: Trained, parts: readonly Part[]): Tensor {
  const sums = parts.reduce<Sums>(
    (sums, part) => scope(() => added(sums, lossShare(run, trained, part))) as Sums,
    NOTHING,
  );
  updateWith(trained.optimizer, sums.gradients, run.train.grad_clip ?? null);
  trained.ema?.update();
  return sums.loss!;
}

/**
 * The same, where the device is waited for in between: to mark the parts of the step, to leave it out where a number is none, or for what other
 * processes make of theirs.
 */
async function trainStep(
  run: SrRunConfig,
  trained: Trained,
  parts: readonly Part[],
  ranks: TrainingRanks,
  mark: Mark | null,
): Promise<Tensor> {
  const { network, optimizer, ema } = trained;
  const skip = run.train.on_nan === "skip";
  // Running statistics, which a step that is left out must not leave behind.
  using before = skip ? new Snapshot(network.module.buffers().values()) : null;
  const pass = ranks.begin();
  let sums = NOTHING;
  for (const part of parts) {
    const forward = (): { readonly share: Tensor } => ({ share: lossShare(run, trained, part) });
    // What the last part adds to is whole, and goes to the other processes while it is still computed.
    const told = pass && part === parts.at(-1) ? { onGradient: pass.take } : {};
    sums = await inHalves(mark, forward, ({ share }) => added(sums, share, told));
  }
  const { gradients, losses } = await ranks.sum({ gradients: sums.gradients, losses: sums.loss! }, pass);
  await mark?.("sum");
  const updated = await update(optimizer, gradients, losses, { clip: run.train.grad_clip ?? null, skip });
  if (updated) ema?.update();
  else before?.restore();
  await mark?.("update");
  return losses;
}

/** A part's share of the loss, a scalar with its graph. */
function lossShare(run: SrRunConfig, { network, srclip, prompt, share }: Trained, { lq, gt, rng }: Part): Tensor {
  const source = run.datasets.train;
  const how = { mode: { training: true, rng }, checkpoint: run.train.checkpoint === "blocks" };
  const output = network.forward(asSeen(lq, source), srclip && imagePrompt(srclip, lq, prompt), how);
  const { type, loss_weight } = run.train.pixel_opt;
  return mul(LOSSES[type](output, asSeen(gt, source)), loss_weight * share);
}

/** The reference's Charbonnier loss is √(d² + 1e-12). */
const LOSSES: Readonly<Record<SrRunConfig["train"]["pixel_opt"]["type"], (output: Tensor, target: Tensor) => Tensor>> =
  {
    L1Loss: (output, target) => l1Loss(output, target),
    MSELoss: (output, target) => mseLoss(output, target),
    CharbonnierLoss: (output, target) => charbonnierLoss(output, target),
  };

function checkScales(run: SrRunConfig, processes: number): void {
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
  if (batch_size_per_gpu * (run.train.sync_bn ? processes : 1) < 2) {
    // Batch normalisation over single values has no variance (the reference raises as well).
    const besides = processes > 1 ? ', or "train.sync_bn": true' : "";
    throw new UserError(
      `config: key "datasets.train.batch_size_per_gpu" is ${batch_size_per_gpu}: expected at least 2${besides}`,
    );
  }
}
