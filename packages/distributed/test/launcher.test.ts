import { describe, expect, it } from "vitest";
import { launcherOf, openProcessGroup, SingleProcess, shareOf } from "../src/index.ts";

describe("launcherOf", () => {
  it.each([
    ["mpirun of Open MPI", { OMPI_COMM_WORLD_SIZE: "4", OMPI_COMM_WORLD_RANK: "3", PMIX_RANK: "3" }, "openmpi", 4, 3],
    ["mpirun of MPICH", { PMI_RANK: "0", PMI_SIZE: "3", PMI_FD: "6" }, "mpich", 3, 0],
    ["srun --mpi=pmix", { PMIX_RANK: "1", SLURM_STEP_NUM_TASKS: "8" }, "openmpi", 8, 1],
    ["srun --mpi=pmi2", { PMI_RANK: "1", PMI_SIZE: "8", SLURM_STEP_NUM_TASKS: "8" }, "mpich", 8, 1],
  ] as const)("knows %s", (_, environment, kind, size, rank) => {
    const launcher = launcherOf(environment);
    expect(launcher?.libraries[0]?.kind).toBe(kind);
    expect([launcher?.size, launcher?.rank]).toEqual([size, rank]);
  });

  it("takes the library that DEPLSR_MPI names", () => {
    const environment = { PMIX_RANK: "0", DEPLSR_MPI: "mpich:/opt/lib/libmpi.so" };
    expect(launcherOf(environment)?.libraries).toEqual([{ kind: "mpich", file: "/opt/lib/libmpi.so" }]);
  });

  it("refuses another word in DEPLSR_MPI", () => {
    expect(() => launcherOf({ PMI_RANK: "0", DEPLSR_MPI: "mpich2" })).toThrow(
      'DEPLSR_MPI is "mpich2": expected openmpi or mpich',
    );
  });

  it("refuses tasks of Slurm without MPI between them", () => {
    expect(() => launcherOf({ SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "2" })).toThrow(
      "srun started 2 tasks that know nothing of each other: add --mpi=pmix",
    );
    expect(launcherOf({ SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "1", SLURM_NTASKS: "8" })).toBeNull();
  });

  it("refuses a time for the start that is none", async () => {
    for (const seconds of ["-1", "soon", "1 min"]) {
      const started = openProcessGroup({ PMI_RANK: "0", PMI_SIZE: "2", DEPLSR_MPI_START_TIMEOUT: seconds });
      await expect(started).rejects.toThrow(`DEPLSR_MPI_START_TIMEOUT is "${seconds}": expected a number of seconds`);
    }
  });

  it("finds none where the process was started alone", () => expect(launcherOf({ PATH: "/bin" })).toBeNull());
});

describe("a single process", () => {
  it("has everything already, in copies", async () => {
    const group = await openProcessGroup({});
    expect(group).toBeInstanceOf(SingleProcess);
    expect([group.rank, group.size, group.library]).toEqual([0, 1, null]);
    const values = Float32Array.of(1, 2);
    const results = [
      await group.allReduce(values),
      await group.reduceScatter(values),
      await group.broadcast(values),
      ...(await group.allGather(values)),
    ];
    for (const result of results) {
      expect(result).toEqual(values);
      expect(result).not.toBe(values);
    }
    await expect(group.broadcast(values, 1)).rejects.toThrow("root 1 must be a rank");
    await group.barrier();
    await group.close();
  });
});

describe("shareOf", () => {
  it("gives every item to one rank, and ranks nearly as many", () => {
    for (const length of [0, 1, 5, 12, 101]) {
      for (const size of [1, 2, 3, 7]) {
        const shares = Array.from({ length: size }, (_, rank) => shareOf(length, rank, size));
        expect(shares[0]![0]).toBe(0);
        expect(shares.at(-1)![1]).toBe(length);
        for (let rank = 1; rank < size; rank++) expect(shares[rank]![0]).toBe(shares[rank - 1]![1]);
        const counts = shares.map(([from, to]) => to - from);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }
    }
  });
});
