/** What is planned for: trainings and clusters. Numbers of machines are those of data sheets, halved where they count both directions. */
import type { Cluster, Step } from "./model.ts";

const GBIT = 1e9 / 8;

/** Eight GPUs with NVLink, of which MPI on the host sees what PCIe and memory carry. */
const NODE = {
  perNode: 8,
  inside: 10e9,
  latencyInside: 5e-6,
  latencyBetween: 15e-6,
  bus: 20e9,
  sum: 1.5e9,
} as const;

/** Clusters from one GPU on. */
export const CLUSTERS: readonly Cluster[] = [
  { ...NODE, name: "8 on 1 machine", nodes: 1, between: Number.POSITIVE_INFINITY },
  { ...NODE, name: "64 on 8, 25 Gbit/s", nodes: 8, between: 25 * GBIT },
  { ...NODE, name: "64 on 8, 200 Gbit/s", nodes: 8, between: 200 * GBIT },
];

/** Share of a step's time: forward one part, backward two, and the update. */
function parts(seconds: number): Pick<Step, "forward" | "backward" | "update"> {
  return { forward: 0.32 * seconds, backward: 0.64 * seconds, update: 0.04 * seconds };
}

const BUCKET = 2 ** 24;

/** Trainings with the time that a step is planned to take on a GPU of a data centre, at the recipes' batch a GPU. */
export const PLANNED: readonly Step[] = [
  { name: "RealDAT-light x2, batch 4", ...parts(0.25), bytes: 3.1e6, bucket: BUCKET },
  { name: "RealDAT x4, batch 4", ...parts(0.6), bytes: 62e6, bucket: BUCKET },
  { name: "SRCLIP ViT-B/32, batch 256", ...parts(0.5), bytes: 360e6, bucket: BUCKET },
];
