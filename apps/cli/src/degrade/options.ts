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
    kernelList2: config.kernel_list2,
    kernelProb2: config.kernel_prob2,
    betagRange2: config.betag_range2,
    betapRange2: config.betap_range2,
    blurSigma2: config.blur_sigma2,
    blurKernelSize2: config.blur_kernel_size2,
    gaussianNoiseProb: config.gaussian_noise_prob,
    noiseRange: config.noise_range,
    poissonNoiseProb: config.poisson_noise_prob,
    poissonScaleRange: config.poisson_scale_range,
    jpegRange: config.jpeg_range,
    finalSincProb: config.final_sinc_prob,
    lqSize: config.lq_size,
    antialias: false,
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
