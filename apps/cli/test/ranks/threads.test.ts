import { SingleProcess } from "@deplsr/distributed";
import { describe, expect, it } from "vitest";
import { shareCores, threadsOf } from "../../src/ranks/threads.ts";

describe("threads of processes on one machine", () => {
  it.each([
    ["alone", 8, ["a 0-7"], 8],
    ["two that share all cores", 8, ["a 0-7", "a 0-7"], 4],
    ["on two machines", 8, ["a 0-7", "b 0-7"], 8],
    ["bound to cores of their own", 2, ["a 0-1", "a 2-3"], 2],
    ["more processes than cores", 2, ["a 0-1", "a 0-1", "a 0-1"], 1],
  ] as const)("%s", (_, cores, places, threads) => expect(threadsOf(cores, places, places[0])).toBe(threads));

  it("leaves DEPLSR_THREADS as it is set", async () => {
    const [set, unset] = [{ DEPLSR_THREADS: "3" }, { DEPLSR_THREADS: "" }];
    await shareCores(new SingleProcess(), set);
    await shareCores(new SingleProcess(), unset);
    expect(set.DEPLSR_THREADS).toBe("3");
    expect(Number(unset.DEPLSR_THREADS)).toBeGreaterThan(0);
  });
});
