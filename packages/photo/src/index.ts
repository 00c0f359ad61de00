/**
 * The bytes of photo files, in Node and browsers: what a file is, the metadata of JPEG, PNG and WebP read and brought up to date for
 * another picture, colours, PNG written row by row. Decoding is somebody else's.
 *
 * @packageDocumentation
 */

export * from "./attachments.ts";
export { joined } from "./bytes.ts";
export * from "./colours.ts";
export * from "./containers.ts";
export { crc32 } from "./crc32.ts";
export * from "./exif.ts";
export * from "./format.ts";
export * from "./head.ts";
export * from "./photo.ts";
export * from "./pixels.ts";
export * from "./png-encoder.ts";
export * from "./profile.ts";
export * from "./provenance.ts";
export * from "./row-format.ts";
export * from "./row-strips.ts";
export * from "./tiff-directory.ts";
