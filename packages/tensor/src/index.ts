import "./fluent.ts";

export { listAdapters } from "#platform";
export * from "./arguments.ts";
export { detach, freeze, gradEnabled, noGrad, requireGrad, within } from "./autograd.ts";
export type { Backend, BackendInfo, MemoryReport, OpMemory } from "./backend.ts";
export { type BackwardOptions, backward } from "./backward.ts";
export { eachCall } from "./capturing.ts";
export { checkpoint, recomputing } from "./checkpoint.ts";
export { Device, type DeviceOptions } from "./device.ts";
export type { Data, DType, HostArray, NestedData } from "./dtype.ts";
export {
  ArgumentError,
  DeviceError,
  DeviceLostError,
  DisposedError,
  DTypeError,
  describe,
  ShapeError,
  shown,
} from "./errors.ts";
export type { Expr } from "./expr/expr.ts";
export * as E from "./expr/expr.ts";
export * from "./io/fill.ts";
export * from "./io/safetensors.ts";
export * from "./io/source.ts";
export * from "./io/stored.ts";
export type { TensorMethods } from "./methods.ts";
export * from "./ops/index.ts";
export type { AdapterChoice, ListedAdapter } from "./platform/adapter.ts";
export * from "./random.ts";
export { keep, scope, transient } from "./scope.ts";
export { broadcastShapes, denseStrides, normalizeDim, numel, type Shape } from "./shape.ts";
export { captureSteady, type SteadyOptions } from "./steady.ts";
export { type Captured, type CaptureInput, type CaptureResult, Tensor, type TensorOptions } from "./tensor.ts";
export { computeTogether, sideBySide } from "./together.ts";
