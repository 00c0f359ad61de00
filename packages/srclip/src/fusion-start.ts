import { type Init, normal } from "@deplsr/nn";
import { assign, noGrad, scope, type Tensor } from "@deplsr/tensor";
import type { RealDAT } from "./realdat.ts";

/**
 * Starts what leads from a prompt to where a RealDAT's fusion blocks look with normal weights of deviation 1/√fan_in, which hand numbers on
 * about as large as they come in.
 *
 * A prompt enters as queries alone: it decides where to look, not what is seen. With the deviation of 0.02 that the reference starts all
 * layers with, features of length 1 become logits of less than 0.01: every position is attended to evenly, whatever the prompt says, and a
 * short training changes little of that. The layers that write into the tokens (`attn.proj` and the MLP of each block) stay as they are, so
 * that a DAT which is there already goes on.
 *
 * @see https://doi.org/10.1007/978-3-642-35289-8_3 (LeCun et al., Efficient BackProp, 4.6)
 */
export function startFusionFromFanIn(network: RealDAT, init: Init): void {
  noGrad(() =>
    scope(() => {
      for (const weight of weightsFromPrompt(network)) {
        assign(weight, normal(weight.shape, weight.shape[1]! ** -0.5, init));
      }
    }),
  );
}

/** The matrices (out, in) between a prompt and the tokens. */
function weightsFromPrompt({ adaptiveFeatChannels, fusionBlocks }: RealDAT): Tensor[] {
  const inBlocks = fusionBlocks.flatMap((block) =>
    block ? [...block.attn.parameters().values()].filter((weight) => weight !== block.attn.proj.weight) : [],
  );
  return [...adaptiveFeatChannels.parameters().values(), ...inBlocks].filter(({ rank }) => rank === 2);
}
