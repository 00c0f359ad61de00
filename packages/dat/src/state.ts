import type { Shape } from "@deplsr/tensor";
import { checkConfig, type DATConfig, hiddenWidth, isShifted, positionWidth, upsampleSteps } from "./config.ts";
import { paddedSize } from "./window.ts";

/**
 * What a tensor of a checkpoint is: trained, a running statistic, or derived from the configuration alone. Derived ones are
 * recomputed and need not be loaded.
 */
export type StateRole = "parameter" | "statistic" | "derived";

/** One entry of a reference checkpoint, known without making the model. */
export interface StateSpec {
  readonly name: string;
  readonly shape: Shape;
  readonly role: StateRole;
  /** Integers in the reference; floats otherwise. */
  readonly integer: boolean;
}

/** Collects entries under a prefix, in the order in which the reference registers them. */
export class StateList {
  readonly entries: StateSpec[] = [];

  add(name: string, shape: Shape, role: StateRole = "parameter", integer = false): void {
    this.entries.push({ name, shape, role, integer });
  }

  /** A weight and, unless told otherwise, its bias of the first axis' length. */
  affine(prefix: string, shape: Shape, bias = true): void {
    this.add(`${prefix}.weight`, shape);
    if (bias) this.add(`${prefix}.bias`, shape.slice(0, 1));
  }

  batchNorm(prefix: string, channels: number): void {
    this.affine(prefix, [channels]);
    this.add(`${prefix}.running_mean`, [channels], "statistic");
    this.add(`${prefix}.running_var`, [channels], "statistic");
    this.add(`${prefix}.num_batches_tracked`, [], "statistic", true);
  }
}

/** Sum of the sizes of all parameters among `entries`. */
export function countParameters(entries: readonly StateSpec[]): number {
  let count = 0;
  for (const { role, shape } of entries) {
    if (role === "parameter") count += shape.reduce((product, size) => product * size, 1);
  }
  return count;
}

/** Every entry of the reference's checkpoint of this configuration, in its order, buffers included. */
export function datState(config: DATConfig): StateSpec[] {
  checkConfig(config);
  const list = new StateList();
  const { embedDim: c, inChannels, numFeatures, upscale } = config;
  list.affine("conv_first", [c, inChannels, 3, 3]);
  list.affine("before_RG.1", [c]);
  for (const [group, depth] of config.depth.entries()) {
    for (let block = 0; block < depth; block++) addBlock(list, config, group, block);
    addConnection(list, config, `layers.${group}.conv`);
  }
  list.affine("norm", [c]);
  addConnection(list, config, "conv_after_body");
  if (config.upsampler === "pixelshuffle") {
    list.affine("conv_before_upsample.0", [numFeatures, c, 3, 3]);
    for (const [i, step] of upsampleSteps(upscale).entries()) {
      list.affine(`upsample.${2 * i}`, [numFeatures * step * step, numFeatures, 3, 3]);
    }
    list.affine("conv_last", [inChannels, numFeatures, 3, 3]);
  } else {
    list.affine("upsample.0", [inChannels * upscale * upscale, c, 3, 3]);
  }
  return list.entries;
}

/** Number of trained values of this configuration, without making the model. */
export function parameterCount(config: DATConfig): number {
  return countParameters(datState(config));
}

function addConnection(list: StateList, config: DATConfig, prefix: string): void {
  const c = config.embedDim;
  if (config.resiConnection === "1conv") {
    list.affine(prefix, [c, c, 3, 3]);
    return;
  }
  const narrow = Math.floor(c / 4);
  list.affine(`${prefix}.0`, [narrow, c, 3, 3]);
  list.affine(`${prefix}.2`, [narrow, narrow, 1, 1]);
  list.affine(`${prefix}.4`, [c, narrow, 3, 3]);
}

function addBlock(list: StateList, config: DATConfig, group: number, block: number): void {
  const c = config.embedDim;
  const heads = config.numHeads[group] ?? 0;
  const prefix = `layers.${group}.blocks.${block}`;
  const attn = `${prefix}.attn`;
  const spatial = block % 2 === 0;
  list.affine(`${prefix}.norm1`, [c]);
  if (!spatial) list.add(`${attn}.temperature`, [heads, 1, 1]);
  else if (isShifted(group, block)) addMasks(list, config, attn);
  list.affine(`${attn}.qkv`, [3 * c, c], config.qkvBias);
  list.affine(`${attn}.proj`, [c, c]);
  if (spatial) for (const branch of [0, 1]) addWindowBranch(list, config, `${attn}.attns.${branch}`, heads / 2);
  list.affine(`${attn}.dwconv.0`, [c, 1, 3, 3]);
  list.batchNorm(`${attn}.dwconv.1`, c);
  list.affine(`${attn}.channel_interaction.1`, [Math.floor(c / 8), c, 1, 1]);
  list.batchNorm(`${attn}.channel_interaction.2`, Math.floor(c / 8));
  list.affine(`${attn}.channel_interaction.4`, [c, Math.floor(c / 8), 1, 1]);
  list.affine(`${attn}.spatial_interaction.0`, [Math.floor(c / 16), c, 1, 1]);
  list.batchNorm(`${attn}.spatial_interaction.1`, Math.floor(c / 16));
  list.affine(`${attn}.spatial_interaction.3`, [1, Math.floor(c / 16), 1, 1]);
  const hidden = hiddenWidth(config);
  list.affine(`${prefix}.ffn.fc1`, [hidden, c]);
  list.affine(`${prefix}.ffn.sg.norm`, [hidden / 2]);
  list.affine(`${prefix}.ffn.sg.conv`, [hidden / 2, 1, 3, 3]);
  list.affine(`${prefix}.ffn.fc2`, [c, hidden / 2]);
  list.affine(`${prefix}.norm2`, [c]);
}

function addMasks(list: StateList, config: DATConfig, attn: string): void {
  const [height, width] = paddedSize([config.imgSize, config.imgSize], config.splitSize);
  const n = config.splitSize[0] * config.splitSize[1];
  for (const branch of [0, 1]) list.add(`${attn}.attn_mask_${branch}`, [(height * width) / n, n, n], "derived");
}

function addWindowBranch(list: StateList, config: DATConfig, prefix: string, heads: number): void {
  const [hs, ws] = config.splitSize;
  const p = positionWidth(config.embedDim);
  list.add(`${prefix}.rpe_biases`, [(2 * hs - 1) * (2 * ws - 1), 2], "derived");
  list.add(`${prefix}.relative_position_index`, [hs * ws, hs * ws], "derived", true);
  list.affine(`${prefix}.pos.pos_proj`, [p, 2]);
  for (const [name, width] of [
    ["pos1", p],
    ["pos2", p],
    ["pos3", heads],
  ] as const) {
    list.affine(`${prefix}.pos.${name}.0`, [p]);
    list.affine(`${prefix}.pos.${name}.2`, [width, p]);
  }
}
