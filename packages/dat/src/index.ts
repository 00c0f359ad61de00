/**
 * DAT, the dual aggregation transformer for image super-resolution: the network, its presets, and inference by tiles. Images
 * are (b, c, h, w), RGB in [0, 1].
 *
 * @packageDocumentation
 */

export * from "./block.ts";
export * from "./channel-attention.ts";
export * from "./config.ts";
export * from "./detect.ts";
export * from "./ffn.ts";
export * from "./group.ts";
export * from "./interaction.ts";
export { configFromReference } from "./keys.ts";
export { makeLinear } from "./linear.ts";
export * from "./model.ts";
export * from "./position-bias.ts";
export * from "./self-ensemble.ts";
export * from "./spatial-attention.ts";
export * from "./state.ts";
export * from "./tiling.ts";
export type { Head } from "./upsample.ts";
export * from "./window.ts";
export { type WindowTable, WindowTables } from "./window-tables.ts";
