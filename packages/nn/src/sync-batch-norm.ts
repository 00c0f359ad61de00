import { type BatchExchange, batchNorm, checkTensor, recomputing, type Tensor, wrongArgument } from "@deplsr/tensor";
import { checkMode } from "./arguments.ts";
import { type FieldNames, inference, type Mode, Module } from "./module.ts";
import { BatchNorm2d } from "./norm.ts";

/** Processes that train together, each with a part of the batch. A `Communicator` of `@deplsr/distributed` is such, for nothing but this. */
export interface SyncGroup extends BatchExchange {
  /** How many there are. */
  readonly size: number;
}

/**
 * Batch normalisation of a batch of which several processes have a part each: in training mode with the statistics of the whole, towards which the running ones move, to the
 * same bits in all of them. All have to run the same layers in the same order, forward and backward; parts may differ in size. The gradients of weight and bias
 * are those of the part, to be summed like those of all other parameters. It has the names of the layer that it takes the place of, and in inference, or with
 * one process, it is that layer.
 *
 * @see https://pytorch.org/docs/stable/generated/torch.nn.SyncBatchNorm.html
 */
export class SyncBatchNorm extends Module {
  readonly norm: BatchNorm2d;
  readonly group: SyncGroup;

  /** @param norm whose parameters and running statistics it goes on with */
  constructor(norm: BatchNorm2d, group: SyncGroup) {
    super();
    if (!(norm instanceof BatchNorm2d)) throw wrongArgument("SyncBatchNorm", "norm", "a BatchNorm2d", norm);
    checkGroup(group);
    this.norm = norm;
    this.group = group;
  }

  override fieldNames(): FieldNames {
    return { norm: "", group: null };
  }

  /** @throws ShapeError in training mode when all processes have a single value of a channel together: on WebGPU, at the next read of what depends on it */
  forward(x: Tensor, mode: Mode = inference): Tensor {
    checkTensor("SyncBatchNorm", "x", x);
    checkMode("SyncBatchNorm", mode);
    const { norm, group } = this;
    if (!mode.training || group.size === 1) return norm.forward(x, mode);
    const affine = { weight: norm.weight, bias: norm.bias, eps: norm.eps, exchange: group };
    const running = {
      ...{ mean: norm.runningMean, variance: norm.runningVar, count: norm.numBatchesTracked },
      momentum: norm.momentum,
    };
    // A checkpoint that runs again has moved them before.
    return batchNorm(x, recomputing() ? affine : { ...affine, running }).y;
  }

  /**
   * Puts one of these in the place of every `BatchNorm2d` of a module, with its tensors, so that names, optimizers and averages stay. They are looked for as parameters are,
   * in fields and in the arrays, plain objects, `Map`s and `Set`s there.
   *
   * @returns the module, or, where that is a `BatchNorm2d` itself, what takes its place
   * @throws Error naming a field that cannot be written
   */
  static convertSyncBatchNorm(module: BatchNorm2d, group: SyncGroup): SyncBatchNorm;
  static convertSyncBatchNorm<M extends Module>(module: M, group: SyncGroup): M;
  static convertSyncBatchNorm(module: Module, group: SyncGroup): Module {
    if (!(module instanceof Module)) throw wrongArgument("convertSyncBatchNorm", "module", "a Module", module);
    checkGroup(group, "convertSyncBatchNorm");
    const converted = new Map<object, SyncBatchNorm>();
    const seen = new Set<object>();
    const placed = (value: unknown): unknown => {
      if (value instanceof BatchNorm2d) {
        const known = converted.get(value) ?? new SyncBatchNorm(value, group);
        converted.set(value, known);
        return known;
      }
      if (typeof value !== "object" || value === null || value instanceof SyncBatchNorm || seen.has(value))
        return value;
      seen.add(value);
      if (value instanceof Map) for (const [key, item] of value) value.set(key, placed(item));
      else if (value instanceof Set) {
        const items = [...value];
        value.clear();
        for (const item of items) value.add(placed(item));
      } else if (value instanceof Module || Array.isArray(value) || isPlain(value)) convertFields(value, placed);
      return value;
    };
    return placed(module) as Module;
  }
}

function convertFields(owner: object, placed: (value: unknown) => unknown): void {
  for (const [field, value] of Object.entries(owner)) {
    const next = placed(value);
    if (next === value || Reflect.set(owner, field, next)) continue;
    throw new Error(`convertSyncBatchNorm: ${owner.constructor.name}.${field} cannot be written`);
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function checkGroup(group: unknown, op = "SyncBatchNorm"): asserts group is SyncGroup {
  const { size, allGather } = (group ?? {}) as { size?: unknown; allGather?: unknown };
  if (typeof size !== "number" || typeof allGather !== "function")
    throw wrongArgument(op, "group", "a group of processes", group);
}
