/**
 * SrCLIP, which reads content and degradation from an image, and RealDAT, the super-resolution network that it prompts.
 *
 * @packageDocumentation
 */

export * from "./adaptor.ts";
export * from "./cross-attention.ts";
export * from "./degradation-test.ts";
export * from "./features.ts";
export * from "./finetune.ts";
export * from "./fusion.ts";
export * from "./fusion-start.ts";
export * from "./gradient-cache.ts";
export { FINETUNE_NAMES, loadImageSide, loadSrCLIP, underOwnNames, withVisualAlias } from "./keys.ts";
export * from "./parameter-groups.ts";
export * from "./realdat.ts";
export * from "./realdat-config.ts";
export * from "./realdat-detect.ts";
export * from "./realdat-state.ts";
export * from "./srclip.ts";
export * from "./srclip-config.ts";
export * from "./srclip-detect.ts";
export * from "./srclip-loss.ts";
export * from "./srclip-state.ts";
