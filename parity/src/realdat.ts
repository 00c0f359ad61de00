/** The group `realdat`: DAT with cross-modal fusion, in inference and in training. */
import type { Init } from "@deplsr/nn";
import { fusionGroups, type ImagePrompt, RealDAT, realDATConfigFromReference } from "@deplsr/srclip";
import { type Conditions, type Network, networkCases } from "./dat.ts";
import { type Driver, type Fixture, withPrefix } from "./fixture.ts";

/** A case for each pass of which results are stored: `eval` and `train`. */
export const cases: Driver = (fixture, device) => networkCases(fixture, device, "RealDAT", build);

function build(fixture: Fixture, args: Readonly<Record<string, unknown>>, init: Init): Network {
  const state = withPrefix(fixture, "state.");
  const config = realDATConfigFromReference({ ...unsaid([...state.keys()], clipDim(fixture)), ...args });
  const fused = fusionGroups(config);
  const model = new RealDAT(config, init);
  // Without a fusion block nothing uses the adapter of the conditions.
  model.loadStateDict(state, {
    allowMissing: (name) => fused.length === 0 && name.startsWith("adaptive_feat_channels."),
  });
  return {
    module: model,
    dat: model.dat,
    conditions: ["xi", "xd"].filter((name) => fixture.tensors.has(`in.${name}`)),
    forward: (x, conditions, mode) => model.forward(x, { mode, prompt: prompt(conditions) }),
    modulator: (x, conditions, mode) => {
      const said = prompt(conditions);
      return said && model.modulator(x, said, mode);
    },
    fused,
  };
}

function prompt(conditions: Conditions): ImagePrompt | null {
  const [content, degradation] = [conditions.get("xi"), conditions.get("xd")];
  return content && degradation ? { content, degradation } : null;
}

/** What the reference's constructor does not take, but its weights show. */
function unsaid(names: readonly string[], clip: number | undefined): Record<string, unknown> {
  const fusion = names.find((name) => /^fusion_blocks\.\d+\.attn\.q\.weight$/.test(name));
  return {
    ...(clip !== undefined && { clip_dim: clip }),
    ...(fusion !== undefined && { fusion_qkv_bias: names.includes(fusion.replace("weight", "bias")) }),
  };
}

function clipDim(fixture: Fixture): number | undefined {
  return fixture.tensors.get("state.adaptive_feat_channels.0.weight")?.shape[1];
}
