import { countParameters, datState, StateList, type StateSpec } from "@deplsr/dat";
import { checkRealDATConfig, fusionGroups, type RealDATConfig } from "./realdat-config.ts";

/** Every entry of the reference's checkpoint of this configuration, in its order, buffers included. */
export function realDATState(config: RealDATConfig): StateSpec[] {
  checkRealDATConfig(config);
  const list = new StateList();
  for (const group of fusionGroups(config)) addFusionBlock(list, config, `fusion_blocks.${group}`);
  const { embedDim: c, clipDim } = config;
  list.affine("adaptive_feat_channels.0", [c, clipDim]);
  list.affine("adaptive_feat_channels.2", [c, c]);
  return [...datState(config), ...list.entries];
}

/** Number of trained values of this configuration, without making the model. */
export function realDATParameterCount(config: RealDATConfig): number {
  return countParameters(realDATState(config));
}

function addFusionBlock(list: StateList, config: RealDATConfig, prefix: string): void {
  const { embedDim: c, fusionQkvBias: bias } = config;
  const width = Math.trunc(c * config.fusionAttnRatio);
  const hidden = Math.trunc(c * config.fusionMlpRatio);
  for (const norm of ["norm1_x", "norm1_xd", "norm1_xi"]) list.affine(`${prefix}.${norm}`, [c]);
  for (const attn of ["attn_i", "attn_d"]) {
    list.affine(`${prefix}.attn.${attn}.q`, [c, c], bias);
    list.affine(`${prefix}.attn.${attn}.kv`, [2 * c, c], bias);
    list.affine(`${prefix}.attn.${attn}.proj`, [c, c]);
  }
  list.affine(`${prefix}.attn.q`, [width, c], bias);
  list.affine(`${prefix}.attn.k`, [width, 2 * c], bias);
  list.affine(`${prefix}.attn.v`, [c, 2 * c], bias);
  list.affine(`${prefix}.attn.proj`, [c, c]);
  list.affine(`${prefix}.norm2`, [c]);
  list.affine(`${prefix}.mlp.fc1`, [hidden, c]);
  list.affine(`${prefix}.mlp.fc2`, [c, hidden]);
}
