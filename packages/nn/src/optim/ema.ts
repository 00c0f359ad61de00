import {
  add,
  assign,
  assignTogether,
  checkNumber,
  keep,
  layTogether,
  mul,
  noGrad,
  scope,
  type Tensor,
  wrongArgument,
} from "@deplsr/tensor";
import { Module } from "../module.ts";
import { type LoadOptions, type LoadReport, loadTensors, type StateDict } from "../state-dict.ts";

/**
 * Exponential moving average of a module's parameters: `average ← decay·average + (1 − decay)·parameter` at each `update`.
 * Buffers (running statistics) are copied. Starts as a copy of the module;
 * a tensor that the module gains later is not in it.
 */
export class Ema {
  readonly decay: number;
  private readonly parameters: ReadonlyMap<string, Tensor>;
  private readonly buffers: ReadonlyMap<string, Tensor>;
  private readonly averages: ReadonlyMap<string, Tensor>;
  private laid = false;

  /** @throws Error when the module has neither parameters nor buffers */
  constructor(module: Module, decay: number) {
    if (!(module instanceof Module)) throw wrongArgument("Ema", "module", "a Module", module);
    checkNumber("Ema", "decay", decay);
    if (!(decay >= 0 && decay < 1)) throw new RangeError(`Ema: decay ${decay} is not in [0, 1)`);
    this.decay = decay;
    this.parameters = module.parameters();
    this.buffers = module.buffers();
    if (this.parameters.size + this.buffers.size === 0) {
      throw new Error(`Ema: ${module.constructor.name} has nothing to average`);
    }
    this.averages = noGrad(
      () => new Map(Array.from(module.stateDict(), ([name, tensor]) => [name, keep(copy(tensor))] as const)),
    );
  }

  /** Takes the module's present values into the average; to be called after each optimizer step. */
  update(): void {
    noGrad(() =>
      scope(() => {
        // What gets no gradients was not laid by an optimizer's step before this.
        if (!this.laid) for (const group of [this.parameters, this.buffers]) layTogether(alone(group.values()));
        this.laid = true;
        const next = Array.from(this.parameters, ([name, value]) => {
          const average = this.averages.get(name)!;
          // They go at once, so that nothing else holds the old numbers, and those are written over where they lie.
          using rest = mul(average, this.decay);
          using share = mul(value, 1 - this.decay);
          return [average, add(rest, share)] as const;
        });
        // Not the buffers' own values: what two tensors hold is written to other memory each time.
        const copies = Array.from(this.buffers, ([name, value]) => [this.averages.get(name)!, mul(value, 1)] as const);
        assignTogether([...next, ...copies]);
      }),
    );
  }

  /** Begins anew with the module's present values. */
  restart(): void {
    noGrad(() =>
      scope(() => {
        for (const [name, value] of [...this.parameters, ...this.buffers]) assign(this.averages.get(name)!, value);
      }),
    );
  }

  /** The averages, under the names of the module's state dict. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.averages);
  }

  /** @throws StateDictError naming every tensor that is missing, unexpected or mis-shaped. */
  loadStateDict(entries: StateDict, options: LoadOptions = {}): LoadReport {
    return loadTensors("Ema.loadStateDict", this.averages, entries, options);
  }

  /** Gives back the memory of the averages. */
  dispose(): void {
    for (const tensor of this.averages.values()) tensor.dispose();
  }
}

/** Those that lie beside no others. */
function alone(tensors: Iterable<Tensor>): Tensor[] {
  return [...tensors].filter((tensor) => tensor.view("Ema").storage.lot === undefined);
}

/** A tensor of its own storage with the same values. */
function copy(tensor: Tensor): Tensor {
  const fresh = tensor.device.zeros(tensor.shape, { dtype: tensor.dtype });
  assign(fresh, tensor);
  return fresh;
}
