import {
  type AdamStep,
  adamSteps,
  checkNumber,
  checkOptions,
  checkTensor,
  eachCall,
  keep,
  layTogether,
  shown,
  type Tensor,
  wrongArgument,
  zeroMoments,
} from "@deplsr/tensor";
import { type LoadOptions, type LoadReport, loadTensors, type StateDict } from "../state-dict.ts";

/** Tensors that are trained with the same settings. */
export interface ParameterGroup {
  /** By name, or in order (they are then called by their numbers in saved states). */
  readonly params: ReadonlyMap<string, Tensor> | readonly Tensor[];
  /** Learning rate of the first step; `setLearningRate` changes it later. */
  readonly lr: number;
  /** Decay rates of the two moments; default (0.9, 0.999). */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment; default 1e-8. */
  readonly eps?: number;
  /** Default 0. */
  readonly weightDecay?: number;
}

/** What `adamSteps` asks for in each call of a captured step. */
type Counted = { readonly [name in "lr" | "step"]: () => number };

interface Slot {
  readonly name: string;
  readonly param: Tensor;
  readonly expAvg: Tensor;
  readonly expAvgSq: Tensor;
  /** Updates done so far; a parameter without gradient is left alone and does not count. */
  steps: number;
  readonly numbers: Counted;
}

interface Group {
  lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly slots: readonly Slot[];
}

/** What an optimizer needs to go on where it stopped. */
export interface OptimizerState {
  /** `exp_avg.<name>` and `exp_avg_sq.<name>` of every parameter. */
  readonly tensors: Map<string, Tensor>;
  /** Plain JSON: learning rate of each group, updates done on each parameter. */
  readonly scalars: { readonly lr: readonly number[]; readonly steps: Readonly<Record<string, number>> };
}

/**
 * Adam: `m = β₁m + (1 − β₁)g; v = β₂v + (1 − β₂)g²; p −= lr·m̂ / (√v̂ + eps)`, with m̂ and v̂ corrected for their start at 0.
 * Weight decay joins the gradient. The moments take twice the memory of the parameters, from construction on.
 *
 * @see https://arxiv.org/abs/1412.6980
 */
export class Adam {
  private readonly groups: readonly Group[];
  protected readonly decoupled: boolean = false;

  /** @throws Error when there is no parameter, or one is given twice or was computed from others */
  constructor(groups: readonly ParameterGroup[]) {
    const seen = new Set<Tensor>();
    const names = new Set<string>();
    let count = 0;
    if (!Array.isArray(groups)) throw wrongArgument("Adam", "groups", "an array of { params, lr }", groups);
    // All settings first: from here on there are moments, which belong to an optimizer.
    for (const group of groups as readonly ParameterGroup[]) checkGroup(group);
    const named = (groups as readonly ParameterGroup[]).map((group) => {
      const { params, lr, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 } = group;
      const listed: readonly (readonly [string, Tensor])[] = isList(params)
        ? params.map((param) => [String(count++), param])
        : [...params];
      for (const [name, param] of listed) {
        if (seen.has(param)) throw new Error(`Adam: parameter ${name} is given twice`);
        if (names.has(name)) throw new Error(`Adam: two parameters are named ${name}`);
        if (param.hasGraph) throw new Error(`Adam: parameter ${name} is computed from others: give those`);
        param.checkWritable("Adam");
        seen.add(param);
        names.add(name);
      }
      return { lr, betas, eps, weightDecay, listed };
    });
    if (seen.size === 0) throw new Error("Adam: there are no parameters to train");
    const params = [...seen];
    const [expAvg, expAvgSq] = [0, 1].map(() => zeroMoments(params).map(keep)) as [Tensor[], Tensor[]];
    let at = 0;
    this.groups = named.map(({ listed, ...settings }) => {
      const slots: Slot[] = [];
      const group: Group = { ...settings, slots };
      for (const [name, param] of listed) {
        const moments = { expAvg: expAvg[at]!, expAvgSq: expAvgSq[at++]! };
        const numbers: Counted = { lr: () => group.lr, step: () => slot.steps };
        const slot: Slot = { name, param, ...moments, steps: 0, numbers };
        slots.push(slot);
      }
      return group;
    });
  }

  /**
   * Lays the parameters that have been updated before side by side (`layTogether`), as they lie after a step. To be called before each forward pass
   * where a training that was resumed has to be the same to the last bit.
   */
  layTogether(): void {
    layTogether(this.groups.flatMap(({ slots }) => slots.filter(({ steps }) => steps > 0).map(({ param }) => param)));
  }

  /** Learning rate of each group. */
  get lr(): readonly number[] {
    return this.groups.map((group) => group.lr);
  }

  /** Sets the learning rate of one group, or of all. @throws RangeError when the rate is no number of at least 0, or there is no such group */
  setLearningRate(lr: number, group?: number): void {
    checkRate(lr);
    if (group !== undefined && !this.groups[group]) {
      throw new RangeError(`Adam: there is no group ${group}, but ${this.groups.length} from 0 on`);
    }
    for (const [index, each] of this.groups.entries()) {
      if (group === undefined || index === group) each.lr = lr;
    }
  }

  /**
   * One update from the gradients that `backward` returned. Parameters that are not among them stay as they are; gradients of other tensors
   * are not used.
   * @throws Error when there are gradients, and all are of other tensors
   */
  step(grads: ReadonlyMap<Tensor, Tensor>): void {
    if (!(grads instanceof Map)) throw wrongArgument("Adam.step", "grads", "the map that backward gives", grads);
    if (grads.size > 0 && !this.groups.some(({ slots }) => slots.some(({ param }) => grads.has(param)))) {
      throw new Error(`Adam.step: none of the ${grads.size} gradients is that of one of its parameters`);
    }
    const { decoupled } = this;
    const stepped = this.groups.map(({ slots }) => slots.filter(({ param }) => grads.has(param)));
    eachCall(() => {
      for (const slot of stepped.flat()) slot.steps += 1;
    });
    const updates = this.groups.flatMap(({ betas: [beta1, beta2], eps, weightDecay }, group) =>
      stepped[group]!.map(({ param, expAvg, expAvgSq, numbers }): AdamStep => {
        const grad = grads.get(param)!;
        return { param, grad, expAvg, expAvgSq, ...numbers, beta1, beta2, eps, weightDecay, decoupled };
      }),
    );
    adamSteps(updates);
  }

  /** The moments by reference and the numbers, to be saved; `loadStateDict` takes them back. */
  stateDict(): OptimizerState {
    const tensors = new Map<string, Tensor>();
    const steps: Record<string, number> = {};
    for (const { name, expAvg, expAvgSq, steps: done } of this.groups.flatMap((group) => group.slots)) {
      tensors.set(`exp_avg.${name}`, expAvg);
      tensors.set(`exp_avg_sq.${name}`, expAvgSq);
      steps[name] = done;
    }
    return { tensors, scalars: { lr: this.lr, steps } };
  }

  /** Continues from a saved state. @throws StateDictError naming every tensor that is missing, unexpected or mis-shaped. */
  loadStateDict(
    state: { readonly tensors: StateDict; readonly scalars: OptimizerState["scalars"] },
    options: LoadOptions = {},
  ): LoadReport {
    const slots = this.groups.flatMap((group) => group.slots);
    const lost = slots.filter(({ name }) => !Object.hasOwn(state.scalars.steps, name));
    if (lost.length > 0) {
      throw new Error(`Adam.loadStateDict: no step count for ${lost.map(({ name }) => name).join(", ")}`);
    }
    if (state.scalars.lr.length !== this.groups.length) {
      throw new Error(
        `Adam.loadStateDict: ${state.scalars.lr.length} learning rates for ${this.groups.length} parameter groups`,
      );
    }
    for (const lr of state.scalars.lr) checkRate(lr);
    for (const { name } of slots) {
      const steps = state.scalars.steps[name]!;
      if (!Number.isInteger(steps) || steps < 0) throw new RangeError(`Adam.loadStateDict: ${name} has ${steps} steps`);
    }
    const report = loadTensors("Adam.loadStateDict", this.stateDict().tensors, state.tensors, options);
    for (const slot of slots) slot.steps = state.scalars.steps[slot.name]!;
    for (const [index, lr] of state.scalars.lr.entries()) this.setLearningRate(lr, index);
    return report;
  }

  /** Gives back the memory of the moments. */
  dispose(): void {
    for (const { expAvg, expAvgSq } of this.groups.flatMap((group) => group.slots)) {
      expAvg.dispose();
      expAvgSq.dispose();
    }
  }
}

/**
 * Adam with decoupled weight decay: first `p −= lr·weightDecay·p`, then Adam's update from the bare gradient.
 *
 * @see https://arxiv.org/abs/1711.05101
 */
export class AdamW extends Adam {
  protected override readonly decoupled: boolean = true;
}

function isList(params: ParameterGroup["params"]): params is readonly Tensor[] {
  return Array.isArray(params);
}

function checkGroup(group: ParameterGroup): void {
  checkOptions("Adam", group, ["params", "lr", "betas", "eps", "weightDecay"]);
  const { params, lr, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 } = group;
  if (!Array.isArray(params) && !(params instanceof Map)) {
    throw wrongArgument("Adam", "params", "an array or a Map of tensors", params);
  }
  for (const [name, param] of params.entries()) checkTensor("Adam", `parameter ${name}`, param);
  checkRate(lr);
  if (!Array.isArray(betas) || betas.length !== 2 || !betas.every((beta) => beta >= 0 && beta < 1)) {
    throw new RangeError(`Adam: betas ${shown(betas)} must be two numbers in [0, 1)`);
  }
  checkNumber("Adam", "eps", eps, 0);
  checkNumber("Adam", "weightDecay", weightDecay, 0);
}

function checkRate(lr: number): void {
  if (typeof lr !== "number" || !(lr >= 0)) throw new RangeError(`Adam: learning rate ${shown(lr)} must be at least 0`);
}
