/** Gradients of several processes become their sum, in pieces that can be on their way while others are still computed. */
import { cast, cat, type Device, layTogether, noGrad, reshape, scope, type Tensor } from "@deplsr/tensor";
import type { ProcessGroup } from "./process-group.ts";

/** Bytes of gradients that are sent together, as in PyTorch's DistributedDataParallel: many small messages cost their latencies, one large one waits for all. */
const BUCKET_BYTES = 25 * 2 ** 20;

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
  /** Takes the gradient of a parameter, which stays its caller's, to be kept until the sums are there. Once those of a bucket are there, they are sent. */
  readonly take: (parameter: Tensor, gradient: Tensor) => void;
  /** The sums, once all processes have ended the step. @param values numbers whose sums are wanted as well, as many in every process */
  readonly end: (values: ArrayLike<number>) => Promise<Summed>;
}

/** Sums the gradients of some parameters, which are the same in all processes and in the same order. */
export class GradientSum {
  readonly #group: ProcessGroup;
  readonly #parameters: readonly Tensor[];
  readonly #buckets: readonly (readonly Tensor[])[];
  readonly #bucketOf = new Map<Tensor, number>();

  /** @param parameters in the order in which a forward pass uses them: gradients come the other way round */
  constructor(group: ProcessGroup, parameters: readonly Tensor[], bucketBytes: number = BUCKET_BYTES) {
    this.#group = group;
    this.#parameters = parameters;
    this.#buckets = bucketsOf([...parameters].reverse(), bucketBytes);
    for (const [bucket, own] of this.#buckets.entries()) for (const each of own) this.#bucketOf.set(each, bucket);
  }

  /** Begins a step. */
  begin(): GradientPass {
    const taken = new Map<Tensor, Tensor>();
    const missing = this.#buckets.map(({ length }) => length);
    const sums: Promise<Float32Array>[] = [];
    // Buckets are sent in their order, which all processes share, whatever order gradients come in.
    let sent: Promise<unknown> = Promise.resolve();
    const send = (bucket: number): void => {
      const values = this.#read(bucket, taken);
      const before = sent;
      const sum = Promise.all([values, before]).then(([values]) => ({ sum: this.#group.allReduce(values) }));
      sent = sum;
      sums[bucket] = sum.then(({ sum }) => sum);
      // Who awaits the step is told.
      sums[bucket].catch(() => undefined);
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
        await sent;
        const began = performance.now();
        const there = this.#parameters.map((parameter) => (taken.has(parameter) ? 1 : 0));
        const [summed, ...all] = await Promise.all([
          this.#group.allReduce(Float32Array.from([...Array.from(values), ...there])),
          ...sums,
        ]);
        const waited = performance.now() - began;
        const gotten = new Set(this.#parameters.filter((_, i) => summed[values.length + i]! > 0));
        return { gradients: this.#gradients(all, gotten), values: summed.slice(0, values.length), waited };
      },
    };
  }

  /** The values of a bucket's gradients, one behind the other; zeros for those that are not there. */
  async #read(bucket: number, taken: ReadonlyMap<Tensor, Tensor>): Promise<Float32Array> {
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
    return (await all.data()) as Float32Array;
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
