import {
  checkSplitSize,
  type DATAssumptions,
  type DetectOptions,
  datAssumptions,
  detectDAT,
  ratioGiving,
} from "@deplsr/dat";
import { assume, checkShapes, type StateShapes } from "@deplsr/nn";
import { checkRealDATConfig, type FusionLayers, type RealDATConfig, withFusion } from "./realdat-config.ts";
import { realDATState } from "./realdat-state.ts";

/** What decides a RealDAT's numbers and does not show in the shapes of its tensors. */
export type RealDATAssumptions = DATAssumptions & Pick<RealDATConfig, "fusionNumHeads">;

/** How a RealDAT is detected. */
export interface DetectRealDATOptions extends DetectOptions {
  readonly assume?: Partial<RealDATAssumptions>;
}

/** What a RealDAT has beside a DAT. */
const FUSION_PARTS = /^(fusion_blocks|adaptive_feat_channels)\./;

/**
 * The configuration of the RealDAT that a state dict belongs to, from names and shapes alone; null for another network, a
 * DAT without fusion too.
 *
 * What shapes do not tell is as `detectDAT` says, and of the fusion: no dropout; `fusionNumHeads` is the largest number up to
 * the published 6 into which the widths divide; a fusion block before every group is "all"; without any block, everything but
 * `clipDim` is as published.
 *
 * @param options as of `detectDAT`
 * @throws Error with one line that names what differs, when the names are a RealDAT's but do not fit together
 */
export function detectRealDAT(
  shapes: StateShapes,
  { whole = true, assume: given = {} }: DetectRealDATOptions = {},
): RealDATConfig | null {
  const adaptive = shapes.get("adaptive_feat_channels.0.weight");
  const dat = adaptive ? detectDAT(new Map([...shapes].filter(([name]) => !FUSION_PARTS.test(name))), { whole }) : null;
  if (!dat || !adaptive) return null;
  const names = [...shapes.keys()];
  const groups = [...dat.depth.keys()].filter((g) => names.some((name) => name.startsWith(`fusion_blocks.${g}.`)));
  const first = `fusion_blocks.${groups[0]}`;
  const width = (name: string): number => shapes.get(`${first}.${name}`)?.[0] ?? dat.embedDim;
  const detected: RealDATConfig = {
    ...withFusion(dat),
    fusionLayers: fusionLayers(groups, dat.depth.length),
    fusionNumHeads: headsFor(dat.embedDim, width("attn.q.weight")),
    fusionAttnRatio: ratioGiving(width("attn.q.weight"), dat.embedDim),
    fusionMlpRatio: ratioGiving(width("mlp.fc1.weight"), dat.embedDim),
    fusionQkvBias: groups.length === 0 ? dat.qkvBias : shapes.has(`${first}.attn.q.bias`),
    clipDim: adaptive[1] ?? 0,
  };
  const config = checkRealDATConfig({ ...detected, ...assume("RealDAT", realDATAssumptions(detected), given) });
  checkSplitSize(shapes, config);
  if (whole) checkShapes("RealDAT", shapes, realDATState(config));
  return config;
}

/** What of a configuration the shapes of tensors do not tell. */
export function realDATAssumptions(config: RealDATConfig): RealDATAssumptions {
  return { ...datAssumptions(config), fusionNumHeads: config.fusionNumHeads };
}

function fusionLayers(groups: readonly number[], all: number): FusionLayers {
  if (groups.length === all) return "all";
  if (groups.length === 0) return "none";
  return groups.length === 1 ? groups[0]! : groups.join("-");
}

function headsFor(...widths: readonly number[]): number {
  return [6, 5, 4, 3, 2].find((heads) => widths.every((width) => width % heads === 0)) ?? 1;
}
