/**
 * What a training step costs on many devices: the arithmetic of reducing gradients while backward still runs.
 *
 * Letters: `n` bytes of a bucket, `N` ranks, `p` of them on each machine.
 */

/** Machines of a kind, in a network that carries what all of them send at once. */
export interface Cluster {
  readonly name: string;
  readonly nodes: number;
  /** Ranks on each machine. */
  readonly perNode: number;
  /** Bytes a second that a rank sends within its machine, and that a machine sends to others, both while it receives as many. */
  readonly inside: number;
  readonly between: number;
  /** Seconds of a message within a machine and between two. */
  readonly latencyInside: number;
  readonly latencyBetween: number;
  /** Bytes a second to or from the device's memory, and of summing on the host. */
  readonly bus: number;
  readonly sum: number;
}

/** A training as one rank does it. */
export interface Step {
  readonly name: string;
  /** Seconds of forward, of backward, and of the update. */
  readonly forward: number;
  readonly backward: number;
  readonly update: number;
  /** Of all gradients. */
  readonly bytes: number;
  /** Of a bucket, at most. */
  readonly bucket: number;
}

/** How a bucket is reduced. */
export type Algorithm = "all-to-all + all-gather" | "ring" | "tree";

export const ALGORITHMS: readonly Algorithm[] = ["all-to-all + all-gather", "ring", "tree"];

/** Seconds until a bucket is the sum of all ranks' in each of them. */
export function reduceTime(algorithm: Algorithm, n: number, cluster: Cluster): number {
  const { nodes, perNode: p, inside, between, latencyInside, latencyBetween, bus } = cluster;
  const N = nodes * p;
  if (N === 1) return 0;
  const latency = nodes > 1 ? latencyBetween : latencyInside;
  // To the host and back.
  const staged = (2 * n) / bus;
  switch (algorithm) {
    case "all-to-all + all-gather":
      return staged + n / cluster.sum + 2 * exchangeTime(n, cluster);
    case "ring": {
      // 2 (N - 1) rounds of a share, as fast as the slowest neighbours; a machine has one edge to the next.
      const slowest = nodes > 1 ? Math.min(inside, between) : inside;
      return staged + n / cluster.sum + 2 * (N - 1) * (latency + n / (N * slowest));
    }
    case "tree": {
      // Two trees with half of the bytes each, in pieces: every rank sends as much as in a ring, but in log2 N rounds.
      const slowest = nodes > 1 ? Math.min(inside, between) : inside;
      return staged + n / cluster.sum + 2 * Math.ceil(Math.log2(N)) * latency + (2 * n) / slowest;
    }
  }
}

/** Each rank sends a share of the bytes to each other one: within the machine and out of it at the same time. */
function exchangeTime(
  n: number,
  { nodes, perNode: p, inside, between, latencyInside, latencyBetween }: Cluster,
): number {
  const share = n / (nodes * p);
  const near = (p - 1) * (latencyInside + share / inside);
  if (nodes === 1) return near;
  const far = (nodes - 1) * p;
  // All ranks of a machine share its way out.
  return Math.max(near, far * (latencyBetween + (p * share) / between));
}

/** Seconds of a step, and the share of it that a rank would need alone. */
export interface Prediction {
  readonly seconds: number;
  readonly efficiency: number;
  /** Seconds of reducing all buckets, if nothing else ran. */
  readonly reducing: number;
}

/** A step whose buckets are ready one after the other in the course of backward, and are reduced in that order meanwhile. */
export function predict({ forward, backward, update, bytes, bucket }: Step, reduce: (n: number) => number): Prediction {
  const sizes = bucketsOf(bytes, bucket);
  let [ready, free, reducing] = [forward, 0, 0];
  for (const n of sizes) {
    ready += (backward * n) / bytes;
    const cost = reduce(n);
    free = Math.max(free, ready) + cost;
    reducing += cost;
  }
  const alone = forward + backward + update;
  const seconds = Math.max(forward + backward, free) + update;
  return { seconds, efficiency: alone / seconds, reducing };
}

/** Sizes of the buckets that gradients are reduced in. */
export function bucketsOf(bytes: number, bucket: number): number[] {
  const count = Math.max(1, Math.ceil(bytes / bucket));
  return Array.from({ length: count }, (_, i) => Math.min(bucket, bytes - i * bucket));
}

/** Latency and bytes a second out of times of several sizes: the line with the least sum of squared relative errors. */
export function fitLine(points: readonly { readonly bytes: number; readonly seconds: number }[]): {
  readonly latency: number;
  readonly rate: number;
} {
  // seconds = a + b bytes, each point weighed by 1 / seconds².
  let [w, wx, wy, wxx, wxy] = [0, 0, 0, 0, 0];
  for (const { bytes: x, seconds: y } of points) {
    const weight = 1 / y ** 2;
    w += weight;
    wx += weight * x;
    wy += weight * y;
    wxx += weight * x * x;
    wxy += weight * x * y;
  }
  const slope = (w * wxy - wx * wy) / (w * wxx - wx * wx);
  return { latency: Math.max(0, (wy - slope * wx) / w), rate: 1 / slope };
}
