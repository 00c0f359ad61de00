import { rmSync } from "node:fs";
import { join } from "node:path";
import { localGroup } from "@deplsr/distributed/testing";
import { Linear } from "@deplsr/nn";
import { Device, Rng } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { writeFileAtomic } from "../../src/files.ts";
import { checkSameFiles, checkSameWeights } from "../../src/ranks/same-files.ts";
import { temporaryFolder } from "../temporary-folder.ts";

it("lets processes that see the same files go on, and refuses others by the first that differs", async () => {
  const folder = temporaryFolder();
  const [first, other] = ["first", "other"].map((name) => join(folder, name)) as [string, string];
  for (const place of [first, other])
    for (const name of ["a", "b", "c"]) await writeFileAtomic(join(place, name), `file ${name}`);
  /** Two processes see one folder, and the third another one. */
  const check = (): Promise<PromiseSettledResult<void>[]> =>
    Promise.allSettled(
      localGroup(3).map((group, rank) =>
        checkSameFiles(
          group,
          ["a", "b", "c", "none"].map((name) => join(rank === 2 ? other : first, name)),
        ),
      ),
    );
  // What is missing in all of them is not looked at.
  expect((await check()).map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "fulfilled"]);
  await writeFileAtomic(join(other, "b"), "longer than before");
  for (const [rank, end] of (await check()).entries()) {
    const own = join(rank === 2 ? other : first, "b");
    expect(String((end as PromiseRejectedResult).reason)).toContain(
      `processes: ${own} is of 18 bytes for rank 2 (localhost), of 6 bytes for rank 0 (localhost): all have to see the same files`,
    );
  }
  await writeFileAtomic(join(other, "b"), "file d");
  for (const [rank, end] of (await check()).entries()) {
    const own = join(rank === 2 ? other : first, "b");
    expect(String((end as PromiseRejectedResult).reason)).toContain(
      `processes: ${own} holds other bytes for rank 2 (localhost) than for rank 0 (localhost), 6 in all: all have to see the same files`,
    );
  }
  rmSync(join(other, "a"));
  for (const end of await check())
    expect(String((end as PromiseRejectedResult).reason)).toContain("a is missing for rank 2 (localhost), of 6 bytes");
});

it("compares the beginning and the end of what is large", async () => {
  const folder = temporaryFolder();
  const size = 3 * 2 ** 20;
  const whole = new Uint8Array(size);
  await writeFileAtomic(join(folder, "0"), whole);
  for (const [at, status] of [
    [0, "rejected"],
    [2 ** 19 - 1, "rejected"],
    [size / 2, "fulfilled"],
    [size - 2 ** 19, "rejected"],
    [size - 1, "rejected"],
  ] as const) {
    await writeFileAtomic(
      join(folder, "1"),
      whole.map((value, i) => (i === at ? 1 : value)),
    );
    const ends = await Promise.allSettled(
      localGroup(2).map((group, rank) => checkSameFiles(group, [join(folder, String(rank))])),
    );
    expect(
      ends.map((end) => end.status),
      `byte ${at}`,
    ).toEqual([status, status]);
  }
});

it("refuses networks of other weights by the first tensor that differs", async () => {
  const device = await Device.request({ backend: "cpu", threads: 1 });
  const check = (seeds: readonly number[]): Promise<PromiseSettledResult<void>[]> =>
    Promise.allSettled(
      localGroup(seeds.length).map((group, rank) =>
        checkSameWeights(group, null, new Linear(2, 3, { device, rng: new Rng(seeds[rank]!) })),
      ),
    );
  expect((await check([1, 1])).map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
  for (const end of await check([1, 2]))
    expect(String((end as PromiseRejectedResult).reason)).toContain(
      "the weights of rank 1 on localhost are not those of rank 0: the first that differs is weight",
    );
  device.destroy();
});
