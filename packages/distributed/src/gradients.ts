/** Gradients of several processes become their sum, in pieces that can be on their way while others are still computed. */
import { cast, cat, type Device, layTogether, noGrad, reshape, scope, type Tensor } from "@deplsr/tensor";
import type { ProcessGroup } from "./process-group.ts";

/**
 * Bytes of gradients that are sent together, at most as many as in PyTorch's DistributedDataParallel: many small messages cost their latencies, one large one
 * waits for all. A small network has an eighth of its gradients in each, so that seven of them need not wait for the last.
 */
const MOST_BYTES = 25 * 2 ** 20;
const LEAST_BYTES = 2 ** 18;
const BUCKETS = 8;

/** The sums over all processes, the same bits in each of them. */
export interface Summed {
  /** By parameter; one that got no gradient in any process is left out. They are their caller's to dispose of. */
  readonly gradients: Map<Tensor, Tensor>;
  readonly values: Float32Array;
  /** Milliseconds from when all of this process's were sent until the sums were there. */
  readonly waited: number;
}

/** The gradients of one step. */
export interface GradientPass {
  /**
   * Takes the gradient of a parameter, which stays its caller's, to be kept until the sums are there. Once those of a bucket are there, they are sent: on a
   * device that computes in the calling thread before this returns, so that other processes get them while the rest is computed.
   */
  readonly take: (parameter: Tensor, gradient: Tensor) => void;
  /** The sums, once all processes have ended the step. @param values numbers whose sums are wanted as well, as many in every process */
  readonly end: (values: ArrayLike<number>) => Promise<Summed>;
}

/** Sums the gradients of some parameters, which are the same in all processes and in the same order. */
export class GradientSum {
  readonly #group: ProcessGroup;
  readonly #parameters: readonly Tensor[];
  readonly #bucketBytes: number;
  #buckets: readonly (readonly Tensor[])[] = [];
  readonly #bucketOf = new Map<Tensor, number>();
  /** Whether the order in which gradients come is known. */
  #ordered = false;

  /**
   * @param parameters in the order in which a forward pass uses them, if that is known: gradients come the other way round. From the second step on
   * they are sent in the order in which the first process got them in the first
   */
  constructor(group: ProcessGroup, parameters: readonly Tensor[], bucketBytes: number = bucketBytesOf(parameters)) {
    this.#group = group;
    this.#parameters = parameters;
    this.#bucketBytes = bucketBytes;
    this.#fill([...parameters].reverse());
  }

  #fill(parameters: readonly Tensor[]): void {
    this.#buckets = bucketsOf(parameters, this.#bucketBytes);
    for (const [bucket, own] of this.#buckets.entries()) for (const each of own) this.#bucketOf.set(each, bucket);
  }

  /** Parameters as their gradients came to the first process; those that got none come last. Asked in the first step alone. */
  async #arrange(taken: Iterable<Tensor>): Promise<void> {
    this.#ordered = true;
    const order = [...new Set([...taken, ...this.#parameters])].map((parameter) => this.#parameters.indexOf(parameter));
    const first = await this.#group.broadcast(Int32Array.from(order));
    this.#fill(Array.from(first, (i) => this.#parameters[i]!));
  }

  /** Begins a step. */
  begin(): GradientPass {
    const taken = new Map<Tensor, Tensor>();
    const missing = this.#buckets.map(({ length }) => length);
    const reads: Promise<void>[] = [];
    const values: (Float32Array | undefined)[] = [];
    const sums: Promise<Float32Array>[] = [];
    // Buckets are sent in their order, which all processes share, whatever order gradients come in.
    const sendThose = (): void => {
      for (let own = values[sums.length]; own; own = values[sums.length]) {
        values[sums.length] = undefined;
        const sum = this.#group.allReduce(own);
        // Who awaits the step is told.
        sum.catch(() => undefined);
        sums.push(sum);
      }
    };
    const send = (bucket: number): void => {
      const read = this.#read(bucket, taken, (own) => {
        values[bucket] = own;
        sendThose();
      });
      read.catch(() => undefined);
      reads.push(read);
    };
    let next = 0;
    return {
      take: (parameter, gradient) => {
        const bucket = this.#bucketOf.get(parameter);
        if (bucket === undefined || taken.has(parameter)) return;
        taken.set(parameter, gradient);
        missing[bucket]! -= 1;
        for (; missing[next] === 0; next++) send(next);
      },
      end: async (values) => {
        for (; next < this.#buckets.length; next++) send(next);
        await Promise.all(reads);
        const began = performance.now();
        const there = this.#parameters.map((parameter) => (taken.has(parameter) ? 1 : 0));
        const [summed, ...all] = await Promise.all([
          this.#group.allReduce(Float32Array.from([...Array.from(values), ...there])),
          ...sums,
        ]);
        const waited = performance.now() - began;
        const gotten = new Set(this.#parameters.filter((_, i) => summed[values.length + i]! > 0));
        const gradients = this.#gradients(all, gotten);
        if (!this.#ordered) await this.#arrange(taken.keys());
        return { gradients, values: summed.slice(0, values.length), waited };
      },
    };
  }

  /** Gives the values of a bucket's gradients, one behind the other; zeros for those that are not there. */
  async #read(bucket: number, taken: ReadonlyMap<Tensor, Tensor>, take: (values: Float32Array) => void): Promise<void> {
    const parameters = this.#buckets[bucket]!;
    using all = noGrad(() =>
      scope(() =>
        cat(
          parameters.map((parameter) => {
            const gradient = taken.get(parameter) ?? (parameter.device as Device).zeros(parameter.shape);
            return reshape(cast(gradient, "f32"), [parameter.size]);
          }),
          0,
        ),
      ),
    );
    await all.dataTo((values) => take(values as Float32Array));
  }

  /** Sums as gradients, in the order and side by side as an optimizer's parameters. */
  #gradients(sums: readonly Float32Array[], gotten: ReadonlySet<Tensor>): Map<Tensor, Tensor> {
    const made = new Map<Tensor, Tensor>();
    for (const [bucket, parameters] of this.#buckets.entries()) {
      let at = 0;
      for (const parameter of parameters) {
        const values = sums[bucket]!.subarray(at, at + parameter.size);
        at += parameter.size;
        if (!gotten.has(parameter)) continue;
        const { device, shape, dtype } = parameter;
        made.set(parameter, (device as Device).tensor(values, shape, { dtype }));
      }
    }
    const gradients = new Map(
      this.#parameters.flatMap((parameter) => {
        const gradient = made.get(parameter);
        return gradient ? [[parameter, gradient] as const] : [];
      }),
    );
    layTogether([...gradients.values()]);
    return gradients;
  }
}

function bucketBytesOf(parameters: readonly Tensor[]): number {
  const all = parameters.reduce((bytes, { size }) => bytes + 4 * size, 0);
  return Math.min(MOST_BYTES, Math.max(LEAST_BYTES, Math.ceil(all / BUCKETS)));
}

/** Tensors in runs of at most so many bytes together; what is larger stands alone. */
function bucketsOf(tensors: readonly Tensor[], bytes: number): Tensor[][] {
  const buckets: Tensor[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const own = 4 * tensor.size;
    if (buckets.length === 0 || own > room) {
      buckets.push([]);
      room = bytes;
    }
    buckets.at(-1)!.push(tensor);
    room -= own;
  }
  return buckets;
}
