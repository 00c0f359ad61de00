/**
 * From an image to a better one: a loaded network, an image in, an image out. Tiles, prompt, transparency, colour and size; no files.
 *
 * @packageDocumentation
 */

export * from "./channels.ts";
export * from "./diagnosis.ts";
export type { Depth, RasterImage } from "./image.ts";
export * from "./network.ts";
export * from "./prompt.ts";
export type { Extent } from "./resample.ts";
export * from "./restorer.ts";
export { resultSize, type SizeOptions } from "./size.ts";
export type { RestoredTile } from "./tiles.ts";
export type { Replace, Workplace } from "./workplace.ts";
