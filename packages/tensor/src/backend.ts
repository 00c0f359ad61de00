/** What runs launches: the interface of every backend. */
import type {
  AdamCall,
  AttentionCall,
  AttentionGradCall,
  AttentionSizes,
  AttentionSlopesCall,
  BatchStatsCall,
  BatchStatsGradCall,
  ConvCall,
  CopyCall,
  CountDistinctCall,
  GatherCall,
  GatherElementsCall,
  HostCall,
  MatmulCall,
  MlpCall,
  MlpGradCall,
  NormCall,
  NormGradCall,
  NormSumsCall,
  PointwiseCall,
  RandomCall,
  ReduceCall,
  ResampleCall,
  RollCall,
  ScatterAddCall,
  SegmentSumCall,
  SoftmaxCall,
  SoftmaxGradCall,
} from "./calls.ts";
import type { Lot, Storage } from "./storage.ts";

export type * from "./calls.ts";
export type * from "./storage.ts";

/** What the tensors of one op hold. */
export interface OpMemory {
  readonly op: string;
  readonly bytes: number;
  readonly buffers: number;
}

/** Bytes that a device holds for its tensors. */
export interface MemoryReport {
  readonly liveBytes: number;
  readonly liveBuffers: number;
  /** Of memory that waits for its next use. */
  readonly pooledBytes: number;
  /** The most that live and pooled ones together have been. */
  readonly peakBytes: number;
  /** The most that live ones have been. */
  readonly peakLiveBytes: number;
  /** Buffers that were ever created: constant over steps of a steady shape. */
  readonly createdBuffers: number;
}

/** What the adapter is and may do. */
export interface BackendInfo {
  readonly backend: string;
  readonly adapter: string;
  readonly kind: string;
  readonly reason: string;
  /** It computes on the processor: the CPU backend, or a driver in software. */
  readonly software: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  /** The largest tensor, in bytes. */
  readonly maxTensorBytes: number;
}

/** Launches that can be run again, with the memory that they work in. */
export interface Tape {
  /** Runs work that is not to be on it, while it is recorded. */
  aside<T>(work: () => T): T;
  /** No more is recorded. False where more than these `results` is still held of the memory that was taken meanwhile: then a run of it would not do the same again. */
  end(results: readonly Storage[]): boolean;
  /** Something that it works with has failed, in a run that is over as far as is known. */
  readonly failed: boolean;
  /** Runs it again: what reads `inputs` then and writes to `outputs` fails where it fails. */
  replay(inputs: readonly Storage[], outputs: readonly Storage[]): void;
  /** Gives the memory back; what others hold of it stays theirs. */
  release(): void;
}

/**
 * One typed call for each family of kernels. Calls only record; `flush` runs what was recorded, in order. Callers have
 * checked shapes and dtypes; a kernel trusts them. The dtypes are checked once more for all backends: operands.ts says what each takes.
 */
export interface Backend {
  readonly info: BackendInfo;
  /**
   * Where it is true matmul, convolution and reduction end in a pointwise tree, and pointwise kernels write to any layout: a launch costs
   * more there than what it computes again. 8 storages are bound at most, operands and leaves together.
   */
  readonly epilogues?: true;
  allocate(bytes: number, label: string): Storage;
  /** Storages of these sizes, all above 0, side by side; each is the caller's to release. */
  allocateLot(sizes: readonly number[], label: string): Lot;
  upload(storage: Storage, bytes: Uint8Array): void;
  download(storage: Storage, byteOffset: number, bytes: number): Promise<ArrayBuffer>;
  /** The same where the calling thread computes itself, so that there is nothing to wait for. A backend may leave it out. */
  downloadNow?(storage: Storage, byteOffset: number, bytes: number): ArrayBuffer;
  flush(): Promise<void>;
  memory(): MemoryReport;
  /** What ops held at the highest moment since this was called last, the ten largest; at the first call, what they hold now. */
  memoryProfile(): readonly OpMemory[];
  destroy(): void;
  /** Records what is launched from now on, besides running it, in memory of its own; for one at a time. A backend may leave it out. */
  record?(): Tape;
  pointwise(call: PointwiseCall): void;
  copy(call: CopyCall): void;
  reduce(call: ReduceCall): void;
  matmul(call: MatmulCall): void;
  conv2d(call: ConvCall): void;
  conv2dInputGrad(call: ConvCall): void;
  conv2dWeightGrad(call: ConvCall): void;
  softmax(call: SoftmaxCall): void;
  softmaxGrad(call: SoftmaxGradCall): void;
  layerNorm(call: NormCall): void;
  layerNormGrad(call: NormGradCall): void;
  /** A backend may leave it out. */
  layerNormSums?(call: NormSumsCall): void;
  /** A backend has both of these, or neither. */
  batchStats?(call: BatchStatsCall): void;
  batchStatsGrad?(call: BatchStatsGradCall): void;
  /** A backend has both of these, or neither. */
  normMlp?(call: MlpCall): void;
  normMlpGrad?(call: MlpGradCall): void;
  gather(call: GatherCall): void;
  gatherElements(call: GatherElementsCall): void;
  segmentSum(call: SegmentSumCall): void;
  scatterAdd(call: ScatterAddCall): void;
  resample(call: ResampleCall): void;
  random(call: RandomCall): void;
  countDistinct(call: CountDistinctCall): void;
  adam(call: AdamCall): void;
  /** Of a backend without `downloadNow`, whose launches run later. */
  hostCall?(call: HostCall): void;
  /** A backend may leave it out. */
  roll?(call: RollCall): void;
  /** Whether attention takes such sizes; any where it is left out. */
  takesAttention?(sizes: AttentionSizes): boolean;
  attention?(call: AttentionCall): void;
  /** A backend with `attention` has one of these, or gradients are those of the definition. */
  attentionGrad?(call: AttentionGradCall): void;
  attentionSlopes?(call: AttentionSlopesCall): void;
}
