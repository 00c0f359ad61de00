/** Training SRCLIP on degraded images and the texts that describe them (spec/srclip.md, 5 to 7). */
import { clampLogitScale, Tokenizer } from "@deplsr/clip";
import { type GradientPass, gatherRows, type ProcessGroup, SingleProcess } from "@deplsr/distributed";
import { AdamW } from "@deplsr/nn";
import { normalized } from "@deplsr/restore";
import {
  accumulateGradients,
  type BatchGradients,
  detachedLoss,
  parameterGroups,
  type SrCLIPInput,
  type SrCLIPLoss,
  type SrCLIPLossOptions,
  type SrCLIPV2,
  sharedGradients,
  srclipLoss,
  type TextMatches,
  textMatches,
} from "@deplsr/srclip";
import { backward, type Device, mul, narrow, Rng, scope, type Tensor } from "@deplsr/tensor";
import type { SrclipTrainingConfig } from "../config/srclip.ts";
import { type CaptionedItem, readCaptioned } from "../data/captioned.ts";
import { BatchCourse } from "../data/course.ts";
import { toPlanes } from "../data/crop.ts";
import { Decoder } from "../data/decoder.ts";
import { fitImage } from "../data/fit.ts";
import type { Image } from "../data/image.ts";
import { type Loaded, Loader } from "../data/loader.ts";
import { type SkippedItem, warnOfSkipped } from "../data/skipped.ts";
import { badRows } from "../data/tsv.ts";
import { clipOfRun, heldByClip } from "../networks/clip-reference.ts";
import { describeSrclip, makeSrclip } from "../networks/srclip.ts";
import type { Output } from "../output.ts";
import { stackValues } from "./loop.ts";
import { TrainingRanks } from "./ranks.ts";
import { srclipSchedule } from "./schedule.ts";
import type { Training } from "./session.ts";
import { type Mark, markOf } from "./step-clock.ts";
import { inHalves, update } from "./update.ts";
import { srclipValidation } from "./validate-srclip.ts";

/** Names of the losses, the total first. */
export const SRCLIP_LOSSES = ["loss", "contrastive_loss", "degra_loss", "fine_degra_loss"] as const;

/** A training and what it trains. */
export interface SrclipTraining {
  readonly training: Training;
  readonly model: SrCLIPV2;
  /** Items of the data set that could not be read so far. */
  readonly skipped: () => readonly SkippedItem[];
}

/** Where a training stands. */
export interface RunPlace {
  /** Where the run folder stands, or shall stand; checkpoints name their CLIP from there. */
  readonly folder: string;
  /** The checkpoint to go on from. */
  readonly from?: string | null;
}

/** Gets everything ready. @param group of processes that train together @throws UserError when configuration, data or weights do not fit */
export async function prepareSrclip(
  device: Device,
  run: SrclipTrainingConfig,
  { folder, from = null }: RunPlace,
  output: Output,
  group: ProcessGroup = new SingleProcess(),
): Promise<SrclipTraining> {
  const { items, bad } = await readCaptioned(run.train_data);
  for (const { line, reason } of bad) output.warn(`tsv: ${run.train_data} line ${line} is left out: ${reason}`);
  const decoder = new Decoder({
    cacheBytes: run.cache_megabytes * 2 ** 20,
    ...(run.workers === undefined ? {} : { workers: run.workers }),
  });
  const clip = await clipOfRun(run, folder, from);
  if (from !== null && clip.file !== null && !clip.lacking && !run.self_contained) {
    output.line(`${from} holds its CLIP: so do the checkpoints that follow`);
  }
  const model = await makeSrclip(device, { ...run, pretrained: clip.file });
  const held = clip.reference || clip.lacking ? await heldByClip(clip.file!, model.stateDict()) : new Set<string>();
  const { imageSize } = model.config.clip.vision;
  const course = new BatchCourse(group, run.accum_freq);
  const ranks = new TrainingRanks(group, model);
  const loader = new Loader<Image>({
    names: items.map((item) => item.path),
    batchSize: run.batch_size,
    batchOf: (turn) => course.batchOf(turn),
    seed: run.seed,
    load: (index) => decoder.read(items[index]!.path),
    onSkip: warnOfSkipped(output),
  });
  const stepsPerEpoch = Math.max(1, Math.floor(loader.batchesPerEpoch / course.perStep));
  const total = run.steps ?? run.epochs! * stepsPerEpoch;
  const rate = srclipSchedule(run, total, stepsPerEpoch);
  const settings = { lr: run.lr, betas: [run.beta1, run.beta2] as const, eps: run.eps, weightDecay: run.wd };
  const optimizer = new AdamW(parameterGroups(model, settings));
  const tokenizer = new Tokenizer();
  const order = new Rng(run.seed).fork("crops");
  const epoch = (step: number): number => Math.floor(course.takenBefore(step) / loader.batchesPerEpoch);
  const training: Training = {
    title: "train srclip",
    network: "SRCLIP",
    module: model,
    device,
    ranks,
    course,
    frozen: new Map(),
    dataSets: { train_data: items.length },
    files: items.map(({ path, texts }) => [path, ...texts].join("\t")),
    epoch,
    validation: srclipValidation(model, run, (step) => epoch(step + 1), { output, group }),
    names: SRCLIP_LOSSES,
    total,
    seed: run.seed,
    saveEvery: run.save_frequency,
    ...(run.save_most_recent ? { saveAlso: (step: number) => step % stepsPerEpoch === 0 } : {}),
    logEvery: run.log_every_n_steps,
    learningRate: (step) => rate(step - 1),
    state: () => ({
      description: describeSrclip(model.config, clip.reference, {
        template: run.val_template,
        levels: run.val_levels,
        fit: run.image_fit,
      }),
      model: new Map([...model.stateDict()].filter(([name]) => !clip.reference || !held.has(name))),
      optimizer,
      ema: null,
    }),
    load: (entries, options) =>
      model.loadStateDict(entries, { ...options, ...(clip.lacking ? { allowMissing: (name) => held.has(name) } : {}) }),
    skips: run.on_nan === "skip",
    step: async (step, clock) => {
      const parts: Part[] = [];
      for (const turn of course.turnsOf(step)) {
        const batch = await loader.batch(turn);
        const rng = order.fork(course.batchOf(turn));
        parts.push({
          images: batch.map(({ item }) => fitImage(item, imageSize, run.image_fit, rng)),
          ids: tokenizer.tokenize(
            batch.flatMap((one) => textsOf(items, one)),
            model.config.clip.text.contextLength,
          ),
        });
      }
      clock?.mark("data");
      ranks.slow.loaded();
      optimizer.setLearningRate(rate(step - 1));
      const mark = markOf(clock, step, () => device.sync());
      return trainStep({ model, optimizer, run, ranks }, parts, mark);
    },
  };
  return { training, model, skipped: () => [...badRows(run.train_data, bad), ...loader.skipped] };
}

/** A batch as it is loaded. */
interface Part {
  readonly images: readonly Image[];
  readonly ids: Int32Array;
}

/** What a step is done with. */
interface Stepping {
  readonly model: SrCLIPV2;
  readonly optimizer: AdamW;
  readonly run: SrclipTrainingConfig;
  readonly ranks: TrainingRanks;
}

/** One step: forward, losses, backward, update. → the four losses, (4,) */
async function trainStep(stepping: Stepping, parts: readonly Part[], mark: Mark | null): Promise<Tensor> {
  const { model, optimizer, run, ranks } = stepping;
  optimizer.layTogether();
  const pass = ranks.begin();
  const { loss, gradients: own } = await gradientsOf(stepping, parts, mark, pass?.take);
  const { total, contrastive, degradation, fine } = loss;
  // Every process knows the loss of all: one of them tells it.
  const share = ranks.leads ? 1 : 0;
  const told = scope(() => mul(stackValues([total, contrastive, degradation, fine!]), share)) as Tensor;
  for (const part of Object.values(loss)) part?.dispose();
  const { gradients, losses } = await ranks.sum({ gradients: own, losses: told }, pass);
  await mark?.("sum");
  using whole = scope(() => narrow(losses, 0, 0, 1)) as Tensor;
  await update(optimizer, gradients, whole, { clip: run.grad_clip_norm, skip: run.on_nan === "skip" });
  clampLogitScale(model.logitScale);
  await mark?.("update");
  return losses;
}

/** The losses of a step, and the gradients that this process has of them. @param take told of them as they come, where there are other processes */
async function gradientsOf(
  { model, run, ranks }: Stepping,
  parts: readonly Part[],
  mark: Mark | null,
  take: GradientPass["take"] | undefined,
): Promise<BatchGradients> {
  const { device } = model.logitScale;
  const { vision, text } = model.config.clip;
  const how = { checkpoint: run.grad_checkpointing };
  const input = ({ images, ids }: Part): SrCLIPInput => {
    const planes = device.tensor(toPlanes(images), [images.length, 3, vision.imageSize, vision.imageSize]);
    return { image: normalized(planes), ids };
  };
  const ids = Int32Array.from(parts.flatMap(({ ids }) => [...ids]));
  // Texts are compared with those of all processes.
  const all = ranks.several && run.multi_positive ? (await ranks.group.allGather(ids)).flatMap((own) => [...own]) : ids;
  const options = (): SrCLIPLossOptions => {
    const same = (): TextMatches => textMatches(device, Int32Array.from(all), model.textRows, text.contextLength);
    return { kind: model.config.loss, weights: run.loss_weight, ...(run.multi_positive ? { matches: same() } : {}) };
  };
  if (ranks.several) {
    const inputs = scope(() => parts.map(input)) as SrCLIPInput[];
    const compared = scope(options) as SrCLIPLossOptions;
    const rows = parts.reduce((sum, { images }) => sum + images.length, 0);
    try {
      const exchange = {
        gather: (own: Tensor) => gatherRows(ranks.group, own),
        from: ranks.group.rank * rows,
        ...(take && { onGradient: take }),
      };
      return await sharedGradients(model, inputs, { ...compared, ...how }, exchange);
    } finally {
      for (const tensor of [...inputs.map(({ image }) => image), ...Object.values(compared.matches ?? {})])
        tensor?.dispose();
      await mark?.("forward and backward");
    }
  }
  if (parts.length === 1) {
    const forward = (): SrCLIPLoss => srclipLoss(model.forward(input(parts[0]!), how), options());
    return inHalves(mark, forward, (loss) => ({ loss: detachedLoss(loss), gradients: backward(loss.total) }));
  }
  const result = scope(() => accumulateGradients(model, parts.map(input), { ...options(), ...how })) as BatchGradients;
  await mark?.("forward and backward");
  return result;
}

function textsOf(items: readonly CaptionedItem[], { index }: Loaded<Image>): readonly string[] {
  return items[index]!.texts;
}
