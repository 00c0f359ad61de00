/**
 * The processes of one training, as one of them sees them: each has its share of every batch, gradients and losses are summed, and all of them update their
 * copies of the network alike. The first one writes the run folder.
 */
import { createHash } from "node:crypto";
import {
  broadcastTensors,
  checkSameTensors,
  type GradientPass,
  GradientSum,
  type NamedTensors,
  type ProcessGroup,
} from "@deplsr/distributed";
import { type Adam, type Ema, type Module, SyncBatchNorm } from "@deplsr/nn";
import type { Tensor } from "@deplsr/tensor";
import { SlowRanks } from "./slow-ranks.ts";
import { TimedExchange } from "./timed-exchange.ts";

/** What may have asked a process to stop, as the exit codes that follow from it: SIGHUP, SIGINT, SIGUSR2, SIGTERM. */
const STOPS = [129, 130, 140, 143];

/** Gradients and loss values of a step. */
export interface StepSums {
  readonly gradients: Map<Tensor, Tensor>;
  /** (k,) */
  readonly losses: Tensor;
}

/** What a training has of its network. */
export interface Trained {
  readonly model: NamedTensors;
  readonly ema?: Ema | null;
  readonly optimizer: Adam;
}

/** The processes of a training. */
export class TrainingRanks {
  readonly group: ProcessGroup;
  readonly slow: SlowRanks;
  readonly #module: Module;
  readonly #parameters: NamedTensors;
  readonly #sum: GradientSum;
  #norms: TimedExchange | undefined;
  #asked: () => number = () => 0;
  #stopCode = 0;

  /** @param module what is trained, the same in all processes */
  constructor(group: ProcessGroup, module: Module) {
    this.group = group;
    this.slow = new SlowRanks(group);
    this.#module = module;
    this.#parameters = new Map([...module.parameters()].filter(([, { requiresGrad }]) => requiresGrad));
    this.#sum = new GradientSum(group, [...this.#parameters.values()]);
  }

  /** Whether there are others. */
  get several(): boolean {
    return this.group.size > 1;
  }

  /** Whether this one writes what comes of it. */
  get leads(): boolean {
    return this.group.rank === 0;
  }

  /** Who they are, in a line. */
  describe(): string {
    return `${this.group.size} processes train together (${this.group.library ?? "in one"})`;
  }

  /** How it is known that this process was asked to stop. @param code the exit code that follows from it; 0 where it was not */
  listen(code: () => number): void {
    this.#asked = code;
  }

  /** The exit code of a training that some process was asked to stop, the same in all of them after the same step; 0 while none was. */
  get stopCode(): number {
    return this.several ? this.#stopCode : this.#asked();
  }

  /** From now on batch normalisation has the statistics of what all processes have together. To be called in all of them. */
  async normaliseTogether(): Promise<void> {
    if (!this.several) return;
    // In an order of their own: which gradients are on their way meanwhile differs from process to process.
    this.#norms = new TimedExchange(await this.group.duplicate());
    SyncBatchNorm.convertSyncBatchNorm(this.#module, this.#norms);
  }

  /** Begins with the same weights in all processes, those of the first. @throws DistributedError where what is not trained differs, or the optimizers do */
  async start({ model, ema, optimizer }: Trained, frozen: NamedTensors): Promise<void> {
    await broadcastTensors(this.group, model);
    if (ema) await broadcastTensors(this.group, ema.stateDict());
    await checkSameTensors(this.group, optimizer.stateDict().tensors, "the moments");
    await checkSameTensors(this.group, frozen, "weights that are not trained");
  }

  /** Sees to it that all processes have trained the same weights. @throws DistributedError naming the one that has not */
  async check(step: number): Promise<void> {
    const what = `after step ${step} the weights`;
    await checkSameTensors(this.group, this.#parameters, what);
  }

  /** Waits until all processes are here, the first of which has written what it writes: one that ended before would end the job. */
  async end(): Promise<void> {
    await this.group.barrier();
  }

  /** Begins the sum of a step's gradients, which may be given to it as they come; undefined where there are no others. */
  begin(): GradientPass | undefined {
    return this.several ? this.#sum.begin() : undefined;
  }

  /**
   * The sums of all processes, the same bits in each; those of this one are given back. To be called once in every step.
   *
   * @param pass what `begin` gave: gradients that it has are on their way already
   */
  async sum({ gradients, losses }: StepSums, pass = this.begin()): Promise<StepSums> {
    if (!pass) return { gradients, losses };
    try {
      for (const [parameter, gradient] of gradients) pass.take(parameter, gradient);
      const asked = this.#asked();
      const stops = STOPS.map((code) => Number(code === asked));
      const own = await losses.data();
      const sums = await pass.end([...own, ...stops]);
      await this.slow.summed((sums.waited + (this.#norms?.takeWaited() ?? 0)) / 1000);
      const stopped = sums.values.slice(own.length).findIndex((processes) => processes > 0);
      if (stopped >= 0) this.#stopCode = STOPS[stopped]!;
      return { gradients: sums.gradients, losses: losses.device.tensor(sums.values.slice(0, own.length)) };
    } finally {
      for (const gradient of gradients.values()) gradient.dispose();
      losses.dispose();
    }
  }
}

/** What tells lists of files apart, in short. */
export function fingerprint(lines: Iterable<string>): string {
  const hash = createHash("sha256");
  for (const line of lines) hash.update(`${line}\n`);
  return hash.digest("hex").slice(0, 16);
}
