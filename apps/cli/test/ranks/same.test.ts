import { serialize } from "node:v8";
import { type Numbers, SingleProcess } from "@deplsr/distributed";
import { expect, it } from "vitest";
import { checkSame } from "../../src/ranks/same.ts";

/** A process among two, whose other one gives what it is told to. */
class OneOfTwo extends SingleProcess {
  override readonly size = 2 as 1;
  readonly other: unknown;
  constructor(other: unknown) {
    super("here");
    this.other = other;
  }
  override async allGather<N extends Numbers>(values: N): Promise<N[]> {
    return [values, new Uint8Array(serialize(this.other)) as N];
  }
}

const config = { scale: 4, train: { total_iter: 100, milestones: [10, 20] }, val: {} };

function other(values: Readonly<Record<string, string>>): OneOfTwo {
  return new OneOfTwo({ host: "there", values: new Map(Object.entries(values)) });
}

const SAME = {
  "config.scale": "4",
  "config.train.total_iter": "100",
  "config.train.milestones.0": "10",
  "config.train.milestones.1": "20",
  "config.val": "{}",
};

it("passes what is the same, in any order", async () => {
  await checkSame(other(SAME), { config });
  await checkSame(other(SAME), { config: { val: {}, train: { ...config.train }, scale: 4 } });
  await checkSame(new SingleProcess(), { config });
});

it.each([
  [
    "another value",
    { ...SAME, "config.train.total_iter": "200" },
    "config.train.total_iter is 200 for rank 1 (there), 100 for rank 0 (here)",
  ],
  ["more", { ...SAME, "config.name": '"a"' }, 'config.name is "a" for rank 1 (there), missing for rank 0 (here)'],
])("names %s", async (_, values, message) => {
  await expect(checkSame(other(values), { config })).rejects.toThrow(message);
});
