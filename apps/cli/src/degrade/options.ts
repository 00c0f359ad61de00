/** From the fields of a configuration file to what the degradation package takes. */
import { drawSemantic, type SemanticOptions } from "@deplsr/degradation";
import type { SynthesisConfig } from "../config/degrade.ts";
import { oneLine, UserError } from "../errors.ts";

/** The synthesis options of a configuration. @throws UserError when they do not fit together */
export function semanticOptions(config: SynthesisConfig, file: string): SemanticOptions {
  const options: SemanticOptions = {
    kernelList: config.kernel_list,
    kernelProb: config.kernel_prob,
    sincProb: config.sinc_prob,
    sincProb2: config.sinc_prob2,
    blurSigma: config.blur_sigma,
    blurKernelSize: config.blur_kernel_size,
    betagRange: config.betag_range,
    betapRange: config.betap_range,
    gaussianNoiseProb: config.gaussian_noise_prob,
    noiseRange: config.noise_range,
    poissonScaleRange: config.poisson_scale_range,
    jpegRange: config.jpeg_range,
    finalSincProb: config.final_sinc_prob,
    lqSize: config.lq_size,
    useHflip: config.use_hflip,
    useRot: config.use_rot,
  };
  try {
    drawSemantic(0, options);
  } catch (error) {
    throw new UserError(`config: ${file}: ${oneLine(error).replace(/^drawSemantic: /, "")}`);
  }
  return options;
}
