import type { NiqeModel } from "./niqe.ts";
import fitted from "./niqe-pristine.json" with { type: "json" };

/**
 * NIQE's model fitted by `deplsr iqa fit-niqe` to photographs that anybody may get; the file beside this one names them. Its scores rank
 * images much as the published model's do, but are other numbers.
 */
export const OWN_PRISTINE_MODEL: NiqeModel = {
  label: "own pristine model",
  mean: fitted.mu_pris_param.flat(),
  covariance: fitted.cov_pris_param.flat(),
};
