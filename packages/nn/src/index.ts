/**
 * Layers, losses, optimizers and state dicts over `@deplsr/tensor`. Layers are plain objects with a `forward`; randomness
 * and training mode are arguments; names of parameters are those of the PyTorch implementations.
 *
 * @packageDocumentation
 */

export type { OptionsAndInit } from "./arguments.ts";
export * from "./assume.ts";
export * from "./attention.ts";
export * from "./checkpoint.ts";
export * from "./checkpoint-part.ts";
export * from "./conv.ts";
export * from "./dropout.ts";
export * from "./embedding.ts";
export { NotFiniteError, notFinite, watchFinite } from "./files/finite.ts";
export { asHalf } from "./files/half.ts";
export { writeSafetensorsFile } from "./files/safetensors-writer.ts";
export * from "./files/tensor-file.ts";
export { writeTorchFile, writeTorchGroups } from "./files/torch-writer.ts";
export * from "./files/weights.ts";
export { ZipArchive, type ZipEntry } from "./files/zip.ts";
export type { Sink } from "./files/zip-writer.ts";
export * from "./init.ts";
export * from "./linear.ts";
export * from "./loss.ts";
export * from "./mlp.ts";
export * from "./module.ts";
export * from "./norm.ts";
export * from "./optim/adam.ts";
export * from "./optim/add-gradients.ts";
export * from "./optim/backward-onto.ts";
export * from "./optim/clip-grad.ts";
export * from "./optim/ema.ts";
export * from "./optim/schedule.ts";
export * from "./replaced.ts";
export * from "./sequential.ts";
export * from "./state-dict.ts";
export * from "./state-shapes.ts";
export * from "./sync-batch-norm.ts";
