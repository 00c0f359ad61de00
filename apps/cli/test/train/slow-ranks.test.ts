import { localGroup } from "@deplsr/distributed/testing";
import { describe, expect, it } from "vitest";
import { SlowRanks, slowest } from "../../src/train/slow-ranks.ts";

describe("slowest", () => {
  const times = (...all: [data: number, compute: number][]) => all.map(([data, compute]) => ({ data, compute }));

  it.each([
    ["nobody", times([0.1, 1], [0.15, 1.1], [0.1, 0.9]), null],
    ["who waits for its data", times([0.1, 1], [0.1, 1.05], [0.9, 1]), { rank: 2, part: "data" }],
    ["who computes longer", times([0.1, 2], [0.2, 1]), { rank: 0, part: "compute" }],
    ["of both the part that takes more", times([0.1, 1], [0.1, 1], [0.5, 1.2]), { rank: 2, part: "data" }],
  ])("names %s", (_, all, expected) => expect(slowest(all)).toEqual(expected));
});

it("says once in the first process which one the others wait for, and again after a change", async () => {
  /** Milliseconds of data and of computing in each step of the second process; the first one takes 10 and 100, and waits. */
  const steps = [...Array(4).fill([10, 400]), ...Array(2).fill([10, 100]), ...Array(2).fill([500, 100])];
  const said: string[][] = [[], []];
  await Promise.all(
    localGroup(2).map(async (group) => {
      let now = 0;
      const slow = new SlowRanks(group, { clock: () => now, every: 2 });
      slow.onSlow = (line) => said[group.rank]!.push(line);
      for (const [data, compute] of steps) {
        const [own, longest] = group.rank === 1 ? [[data, compute], data + compute] : [[10, 100], data + compute];
        slow.begin();
        now += own[0];
        slow.loaded();
        now += longest - own[0];
        await slow.summed((longest - own[0] - own[1]) / 1000);
      }
    }),
  );
  expect(said[0]).toEqual([
    "the others wait for rank 1 on localhost: compute takes it 400 ms a step, 100 ms in the middle of all",
    "the others wait for rank 1 on localhost: data takes it 500 ms a step, 10 ms in the middle of all",
  ]);
});
