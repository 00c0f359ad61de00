import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Measurement } from "../../src/scaling/job.ts";
import { predictedSum } from "../../src/scaling/measured.ts";
import {
  ALGORITHMS,
  bucketsOf,
  type Cluster,
  fitLine,
  predict,
  reduceTime,
  type Step,
} from "../../src/scaling/model.ts";
import { CLUSTERS, PLANNED } from "../../src/scaling/plan.ts";
import { simulate } from "../../src/scaling/simulation.ts";

const STEP: Step = { name: "a step", forward: 1, backward: 2, update: 0.5, bytes: 100, bucket: 25 };
const CLUSTER: Cluster = {
  name: "two on one",
  nodes: 1,
  perNode: 2,
  inside: 100,
  between: 10,
  latencyInside: 0,
  latencyBetween: 0,
  bus: Number.POSITIVE_INFINITY,
  sum: Number.POSITIVE_INFINITY,
};

describe("the model", () => {
  it("cuts gradients into buckets", () => {
    expect(bucketsOf(100, 25)).toEqual([25, 25, 25, 25]);
    expect(bucketsOf(60, 25)).toEqual([25, 25, 10]);
    expect(bucketsOf(10, 25)).toEqual([10]);
  });

  it("hides what is cheaper than backward but for the last bucket", () => {
    const { seconds, efficiency, reducing } = predict(STEP, () => 0.25);
    expect(seconds).toBeCloseTo(3.75);
    expect(efficiency).toBeCloseTo(3.5 / 3.75);
    expect(reducing).toBeCloseTo(1);
  });

  it("waits for what is dearer, from the first bucket on", () => {
    expect(predict(STEP, () => 1).seconds).toBeCloseTo(1 + 0.5 + 4 + 0.5);
  });

  it("knows what each algorithm sends", () => {
    // Half of the bytes to the other rank, twice.
    expect(ALGORITHMS.map((algorithm) => reduceTime(algorithm, 100, CLUSTER))).toEqual([1, 1, 2]);
    const far = { ...CLUSTER, nodes: 2 };
    // Two ranks of a machine send a quarter each to two others, over one way of 10 bytes a second, twice.
    expect(reduceTime("all-to-all + all-gather", 100, far)).toBeCloseTo(20);
    // Three quarters of the bytes pass each edge of the ring, twice.
    expect(reduceTime("ring", 100, far)).toBeCloseTo(15);
    expect(reduceTime("ring", 100, { ...far, latencyBetween: 1 })).toBeCloseTo(15 + 6);
    expect(reduceTime("tree", 100, { ...far, latencyBetween: 1 })).toBeCloseTo(20 + 4);
    for (const algorithm of ALGORITHMS) expect(reduceTime(algorithm, 100, { ...CLUSTER, perNode: 1 })).toBe(0);
  });

  it("finds latency and rate", () => {
    const { latency, rate } = fitLine([10, 1000, 100_000].map((bytes) => ({ bytes, seconds: 0.01 + bytes / 2000 })));
    expect(latency).toBeCloseTo(0.01, 6);
    expect(rate).toBeCloseTo(2000, 3);
  });
});

describe("the simulation", () => {
  it("of one rank is the step alone", () => expect(simulate(STEP, { ...CLUSTER, perNode: 1 })).toBeCloseTo(3.5));

  it("is as slow as the slowest rank", () => expect(simulate(STEP, CLUSTER, [1, 2])).toBeGreaterThanOrEqual(7));

  it.each(PLANNED.flatMap((step) => CLUSTERS.map((cluster) => [step.name, cluster.name, step, cluster] as const)))(
    "agrees with the model: %s, %s",
    (_, __, step, cluster) => {
      const model = predict(step, (n) => reduceTime("all-to-all + all-gather", n, cluster)).seconds;
      const ratio = simulate(step, cluster) / model;
      expect(ratio).toBeGreaterThan(0.8);
      expect(ratio).toBeLessThan(1.25);
    },
  );
});

const RESULTS = new URL("../../results/scaling.json", import.meta.url);

describe("what was measured", () => {
  const measured = JSON.parse(readFileSync(RESULTS, "utf8")) as Measurement[];
  const pairs = measured.filter(({ ranks }) => ranks > 1);

  it.each(
    pairs.flatMap(({ library, sums, trainings }) => trainings.map((one) => [library, one.name, sums, one] as const)),
  )("%s, %s: the reduction follows from sums of other sizes", (_, __, sums, { bytes, bucket, reduction }) => {
    const ratio = predictedSum(sums, bytes, bucket) / reduction;
    // Less than a bucket takes milliseconds, which differ by as much from run to run.
    const most = bytes > bucket ? 2 : 4;
    expect(ratio).toBeGreaterThan(1 / most);
    expect(ratio).toBeLessThan(most);
  });
});
