/**
 * Processes that train together: process groups over MPI, and the same interface for one process.
 *
 * @packageDocumentation
 */

export { openProcessGroup } from "#mpi";
export * from "./gradients.ts";
export { type Environment, type Launcher, launcherOf, type MpiKind, type MpiLibrary } from "./launcher.ts";
export * from "./process-group.ts";
export { broadcastTensors, checkSameTensors, gatherRows, type NamedTensors } from "./tensors.ts";
