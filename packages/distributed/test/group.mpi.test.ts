import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { type InstalledMpi, installedMpis, type JobResult, runJob } from "../../../scripts/mpi.ts";
import { shareOf } from "../src/index.ts";
import { numbersOf, reduced } from "./numbers.ts";

const JOB = [
  "node",
  "--conditions",
  "@deplsr/source",
  "--import",
  "tsx",
  fileURLToPath(new URL("job.ts", import.meta.url)),
];

type Values = Readonly<Record<string, unknown>>;

/** Runs cases in one job. What each rank came to, by rank; those that came to nothing are left out. */
async function run(
  mpi: InstalledMpi,
  processes: number,
  names: readonly string[],
  env = {},
): Promise<JobResult & { readonly values: readonly Values[] }> {
  const folder = mkdtempSync(join(tmpdir(), "deplsr-job-"));
  try {
    const result = await runJob(mpi, processes, [...JOB, folder, ...names], { env });
    const files = readdirSync(folder).sort();
    return { ...result, values: files.map((file) => JSON.parse(readFileSync(join(folder, file), "utf8"))) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const SIZE = 3;
const RANKS = Array.from({ length: SIZE }, (_, rank) => rank);

describe.each(installedMpis())("a process group over $name", (mpi) => {
  let job: Awaited<ReturnType<typeof run>>;
  beforeAll(async () => {
    job = await run(mpi, SIZE, [
      "who",
      "reduce",
      "large",
      "gather",
      "broadcast",
      "overlapping",
      "still",
      "duplicated",
      "leaves",
      "refused",
      "trap",
      "environment",
    ]);
  });

  /** What each rank came to in a case. */
  function results<Value>(name: string): Value[] {
    expect(job.values).toHaveLength(SIZE);
    return job.values.map((values) => values[name] as Value);
  }

  it("leaves memory, and its faults, to the process", async () => {
    for (const told of results("trap")) expect(told).toBe("RuntimeError: memory access out of bounds");
    for (const told of results("environment")) expect(told).toEqual(["none", "n", ""]);
    const { values } = await run(mpi, 2, ["environment"], { UCX_ERROR_SIGNALS: "SIGFPE" });
    for (const { environment } of values) expect(environment).toEqual(["none", "n", "SIGFPE"]);
  });

  it("knows who is there", () => {
    const all = results<{ rank: number; size: number; host: string; library: string }>("who");
    expect(all.map(({ rank, size }) => [rank, size])).toEqual(RANKS.map((rank) => [rank, SIZE]));
    for (const { host, library } of all) {
      expect(host).not.toBe("");
      expect(library).toMatch(new RegExp(`^${mpi.name} \\d+\\.\\d+`));
    }
  });

  it("reduces as the definition says", () => {
    type Case = Readonly<{
      type: "f32" | "f64" | "i32";
      reduction: "sum" | "max" | "min";
      length: number;
      all: number[];
      part: number[];
    }>;
    for (const [rank, cases] of results<Case[]>("reduce").entries()) {
      expect(cases).toHaveLength(45);
      for (const { type, reduction, length, all, part } of cases) {
        const rows = RANKS.map((of) => numbersOf(type, length, of));
        const expected = reduced(type, reduction, rows);
        expect(all).toEqual(expected);
        expect(part).toEqual(expected.slice(...shareOf(length, rank, SIZE)));
      }
    }
  });

  it("passes on more than goes over at once", () => {
    const expected = [0, 12_345_678, 20_000_002].map((i) =>
      Math.fround(RANKS.reduce((sum, rank) => sum + Math.fround(((i * 31 + rank * 17) % 1009) / 1009), 0)),
    );
    for (const result of results("large")) expect(result).toEqual({ at: expected, joined: true, sent: true });
  });

  it("gathers values of any lengths", () => {
    for (const { gathered, bytes } of results<{ gathered: number[][]; bytes: number[][] }>("gather")) {
      expect(gathered).toEqual(RANKS.map((rank) => Array.from(numbersOf("f32", 3 * rank, rank))));
      expect(bytes.map((part) => String.fromCharCode(...part))).toEqual(RANKS.map((rank) => `rank ${rank}`));
    }
  });

  it("broadcasts from any rank", () => {
    const expected = Array.from(numbersOf("f64", 5, SIZE - 1));
    expect(results("broadcast")).toEqual(RANKS.map(() => expected));
  });

  it("serves calls in their order while nobody waits", () => {
    const expected = Array.from({ length: 20 }, (_, i) => 3 * i + 3);
    expect(results("overlapping")).toEqual(RANKS.map(() => expected));
  });

  it("gives a thread that stands still the same", () => {
    type Still = Readonly<{ before: number; results: number[][]; gathered: number[][] }>;
    const expected = (["f32", "f64", "i32"] as const).flatMap((type) =>
      (["sum", "max", "min"] as const).flatMap((reduction) =>
        [0, 1, 7, 1000].map((length) =>
          Array.from(
            reduced(
              type,
              reduction,
              RANKS.map((rank) => numbersOf(type, length, rank)),
            ),
          ),
        ),
      ),
    );
    const gathered = RANKS.map((rank) => Array.from(numbersOf("f64", 3 * rank, rank)));
    for (const still of results<Still>("still")) expect(still).toEqual({ before: 3, results: expected, gathered });
  });

  it("has calls of another order beside its own", () => {
    const turns = Array.from({ length: 20 }, (_, i) => i);
    const expected = {
      size: SIZE,
      gathered: turns.map((i) => RANKS.map((rank) => 10 * i + rank)),
      sums: turns.map((i) => 3 * i + 3),
      later: SIZE,
    };
    expect(results("duplicated")).toEqual(RANKS.map(() => expected));
  });

  it("refuses a root that is no rank, and leaves in order", () => {
    expect(job.stderr.trim().split("\n")).toEqual(
      RANKS.map(() => "RangeError: broadcast: root 3 must be a rank, 0 to 2"),
    );
    expect(job.code).toBe(0);
  });

  it("ends all processes with one that gives up", async () => {
    const { code, values, seconds } = await run(mpi, 2, ["abort"]);
    expect([code, values]).toEqual([7, []]);
    expect(seconds).toBeLessThan(60);
  });

  // Launchers notice one that is killed in most of its moments, and then end the job before the watch does.
  it.each([
    [
      "never comes to MPI",
      "exec sleep 600",
      /^error: MPI: rank 0 of 2 on \S+ has waited 6 s in MPI_Init .*: start the job again, or/m,
    ],
    [
      "is killed while it joins",
      '"$0" "$@" & until grep -q libmpi /proc/$!/maps; do sleep 0.05; done; sleep 0.3; kill -9 $!; exit 137',
      /ended$/,
    ],
  ])("ends a job of which one process %s", async (_, script, told) => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's
    const last = "[ ${OMPI_COMM_WORLD_RANK:-$PMI_RANK} = 1 ]";
    const words = ["sh", "-c", `if ${last}; then ${script}; fi; exec "$0" "$@"`, ...JOB, tmpdir()];
    const { code, stderr, seconds } = await runJob(mpi, 2, words, { env: { DEPLSR_MPI_START_TIMEOUT: "6" } });
    expect(code).not.toBe(0);
    expect(code).not.toBe(null);
    expect(seconds).toBeLessThan(60);
    expect(`${stderr}ended`).toMatch(told);
  });

  it("ends all processes with one that dies, whose reason is seen", async () => {
    const { code, stderr, values } = await run(mpi, 2, ["dies"]);
    expect(values).toEqual([]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("this rank has had enough");
  });
});

// Takes the library of the one under the launcher of the other.
it.runIf(installedMpis().length > 1)("says so where mpirun belongs to another MPI", async () => {
  const [first, second] = installedMpis();
  const kind = second!.name === "MPICH" ? "mpich" : "openmpi";
  const { code, stderr } = await run(first!, 2, ["who"], { DEPLSR_MPI: kind });
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/sees one process where the launcher started 2: mpirun belongs to another MPI/);
});
