import type * as Calls from "../../backend.ts";
import { env } from "../../env.ts";
import type { FoundAdapter } from "../../platform/adapter.ts";
import { numel } from "../../shape.ts";
import { WebGPU, type WebGPUOptions } from "./device.ts";
import type { BufferStorage } from "./gpu.ts";
import * as attention from "./kernels/attention.ts";
import { batchStats, batchStatsGrad } from "./kernels/batch-norm.ts";
import * as conv from "./kernels/conv.ts";
import { copy } from "./kernels/copy.ts";
import * as index from "./kernels/index-kernels.ts";
import { matmul } from "./kernels/matmul.ts";
import * as norm from "./kernels/norm.ts";
import * as mlp from "./kernels/norm-mlp.ts";
import * as optim from "./kernels/optim.ts";
import { pointwise } from "./kernels/pointwise.ts";
import { poison } from "./kernels/poison.ts";
import * as random from "./kernels/random.ts";
import { reduce } from "./kernels/reduce.ts";
import * as resample from "./kernels/resample.ts";
import { roll } from "./kernels/roll.ts";
import * as softmax from "./kernels/softmax.ts";
import { keepUpload, recordTape } from "./tape.ts";

/** The engine's first backend: WGSL compute kernels through WebGPU, in browsers and in Node. */
export class WebGPUBackend implements Calls.Backend {
  readonly gpu: WebGPU;
  readonly epilogues = true;
  readonly takesAttention = attention.takesAttention;

  private constructor(gpu: WebGPU) {
    this.gpu = gpu;
    if (env().poison) gpu.pool.onFree = (buffer, bytes) => poison(gpu, buffer, bytes);
  }

  static async create(found: FoundAdapter, options: WebGPUOptions = {}): Promise<WebGPUBackend> {
    return new WebGPUBackend(await WebGPU.create(found, options));
  }

  get info(): Calls.BackendInfo {
    return this.gpu.info;
  }

  allocate(bytes: number, label: string): Calls.Storage {
    this.gpu.throwIfFailed();
    return this.gpu.pool.take(bytes, label);
  }

  allocateLot(sizes: readonly number[], label: string): Calls.Lot {
    this.gpu.throwIfFailed();
    return this.gpu.pool.takeLot(sizes, label);
  }

  upload(storage: Calls.Storage, bytes: Uint8Array): void {
    // A copy, padded to whole words: the caller may go on writing to its array before the launch list runs.
    const padded = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
    padded.set(bytes);
    this.gpu.queue.upload(storage as BufferStorage, padded);
    const { tape } = this.gpu.queue;
    if (tape && padded.byteLength > 0) keepUpload(this.gpu, tape, storage as BufferStorage, padded);
  }

  download(storage: Calls.Storage, byteOffset: number, bytes: number): Promise<ArrayBuffer> {
    return this.gpu.queue.download(storage as BufferStorage, byteOffset, bytes);
  }

  async flush(): Promise<void> {
    // At once where that is possible: the caller may go on without waiting.
    this.gpu.queue.start();
    await this.gpu.queue.flush();
    // A device that goes away meanwhile rejects this one; the error to tell is the device's own.
    await this.gpu.device.queue.onSubmittedWorkDone().catch(() => {});
    await this.gpu.settled();
    this.gpu.throwUntold();
  }

  memory(): Calls.MemoryReport {
    return this.gpu.pool.report();
  }

  memoryProfile(): readonly Calls.OpMemory[] {
    return this.gpu.pool.profile();
  }

  destroy(): void {
    this.gpu.destroy();
  }

  record = (): Calls.Tape => recordTape(this.gpu);

  pointwise = (call: Calls.PointwiseCall): void => pointwise(this.gpu, call);
  copy = (call: Calls.CopyCall): void => copy(this.gpu, call);
  reduce = (call: Calls.ReduceCall): void => reduce(this.gpu, call);
  matmul = (call: Calls.MatmulCall): void => matmul(this.gpu, call);
  conv2d = (call: Calls.ConvCall): void => conv.conv2d(this.gpu, call);
  conv2dInputGrad = (call: Calls.ConvCall): void => conv.conv2dInputGrad(this.gpu, call);
  conv2dWeightGrad = (call: Calls.ConvCall): void => conv.conv2dWeightGrad(this.gpu, call);
  softmax = (call: Calls.SoftmaxCall): void => softmax.softmax(this.gpu, call);
  softmaxGrad = (call: Calls.SoftmaxGradCall): void => softmax.softmaxGrad(this.gpu, call);
  layerNorm = (call: Calls.NormCall): void => norm.layerNorm(this.gpu, call);
  layerNormGrad = (call: Calls.NormGradCall): void => norm.layerNormGrad(this.gpu, call);
  layerNormSums = (call: Calls.NormSumsCall): void => norm.layerNormSums(this.gpu, call);
  batchStats = (call: Calls.BatchStatsCall): void => batchStats(this.gpu, call);
  batchStatsGrad = (call: Calls.BatchStatsGradCall): void => batchStatsGrad(this.gpu, call);
  normMlp = (call: Calls.MlpCall): void => mlp.normMlp(this.gpu, call);
  normMlpGrad = (call: Calls.MlpGradCall): void => mlp.normMlpGrad(this.gpu, call);
  attention = (call: Calls.AttentionCall): void => attention.attention(this.gpu, call);
  attentionSlopes = (call: Calls.AttentionSlopesCall): void => attention.attentionSlopes(this.gpu, call);
  gather = (call: Calls.GatherCall): void => index.gather(this.gpu, call);
  gatherElements = (call: Calls.GatherElementsCall): void => index.gatherElements(this.gpu, call);
  segmentSum = (call: Calls.SegmentSumCall): void => index.segmentSum(this.gpu, call);
  scatterAdd = (call: Calls.ScatterAddCall): void => index.scatterAdd(this.gpu, call);
  resample = (call: Calls.ResampleCall): void => resample.resample(this.gpu, call);
  roll = (call: Calls.RollCall): void => roll(this.gpu, call);
  random = (call: Calls.RandomCall): void => random.random(this.gpu, call);
  countDistinct = (call: Calls.CountDistinctCall): void => index.countDistinct(this.gpu, call);
  adam = (call: Calls.AdamCall): void => optim.adam(this.gpu, call);
  hostCall = ({ input, out, work }: Calls.HostCall): void => {
    const bytes = 4 * numel(input.layout.shape);
    this.gpu.queue.host(input.storage as BufferStorage, bytes, out.storage as BufferStorage, async (numbers) => {
      const { buffer, byteOffset, byteLength } = await work(new Float32Array(numbers));
      return new Uint8Array(buffer, byteOffset, byteLength);
    });
  };
}
