/**
 * SrCLIP, which reads content and degradation from an image, and RealDAT, the super-resolution network that it prompts.
 *
 * @packageDocumentation
 */

export * from "./cross-attention.ts";
export * from "./fusion.ts";
export * from "./realdat.ts";
export * from "./realdat-config.ts";
export * from "./realdat-state.ts";
