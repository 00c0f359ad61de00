import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type InstalledMpi, installedMpis, runJob } from "../../../../scripts/mpi.ts";
import { crop } from "../../src/data/crop.ts";
import { writeImage } from "../../src/data/image.ts";
import { deplsr, LAUNCHER } from "../commands/run-command.ts";
import { picture } from "../pictures.ts";
import { TEST_OPTIONS } from "../test-options.ts";

/** What a command left and printed. */
interface Outcome {
  readonly code: number | null;
  readonly files: Readonly<Record<string, string>>;
  readonly stdout: string;
}

/** Jobs over seven photographs, one of which is damaged; each writes into a folder that is not there. */
const JOBS: Readonly<Record<string, readonly string[]>> = {
  degrade: ["degrade", "photos", "--out", "made/new", "--fit", "crop", "--size", "32", "--count", "3", "--json"],
  upscale: ["upscale", "small", "--recursive", "--out", "made/large", "--backend", "cpu", "--jsonl"],
  iqa: ["iqa", "small", "--ref", "small2", "--csv", "made/scores.csv"],
  evaluate: ["evaluate", "--data", "set/degraded.tsv", "--batch", "3", "--out", "made/judged", "--json"],
  test: ["test", "-opt", "test.yml", "--out", "made/tested", "--json"],
};

/** Many processes on few cores take their time. */
const PATIENCE = 240_000;
vi.setConfig({ testTimeout: 2 * PATIENCE, hookTimeout: PATIENCE });

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "deplsr-jobs-"));
  for (let seed = 1; seed <= 6; seed++) {
    const photo = picture(48 + 8 * (seed % 2), 40, seed);
    const small = crop(photo, { left: 3, top: 5, width: photo.width / 2, height: 20 });
    await writeImage(join(folder, "photos", `p${seed}.png`), photo);
    await writeImage(join(folder, "small", seed > 3 ? "more" : "", `p${seed}.png`), small);
    await writeImage(join(folder, "small", `p${seed}.png`), small);
    await writeImage(
      join(folder, "small2", `p${seed}.png`),
      crop(photo, { left: 4, top: 5, width: photo.width / 2, height: 20 }),
    );
  }
  for (const place of ["photos", "small", "small2"]) writeFileSync(join(folder, place, "p4b.png"), "no picture");
  writeFileSync(join(folder, "test.yml"), TEST_OPTIONS);
  const set = ["degrade", "photos", "--out", "set", "--fit", "crop", "--size", "32", "--count", "2"];
  expect((await deplsr(set, folder)).code).toBe(0);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a job in one process, or in two of an MPI. */
async function run(words: readonly string[], mpi: InstalledMpi | null): Promise<Outcome & { readonly stderr: string }> {
  rmSync(join(folder, "made"), { recursive: true, force: true });
  const { code, stdout, stderr } =
    mpi === null
      ? await deplsr(words, folder)
      : await runJob(mpi, 2, [process.execPath, LAUNCHER, ...words], { cwd: folder, milliseconds: PATIENCE });
  return { code, stdout: stdout.replace(/"ms":\d+/g, '"ms":0'), stderr, files: filesIn("made") };
}

/** The files of a folder below, by their names; times in the names and texts of logs count for nothing. */
function filesIn(place: string): Record<string, string> {
  const names = readdirSync(join(folder, place), { recursive: true }) as string[];
  const files = names.sort().filter((name) => statSync(join(folder, place, name)).isFile());
  return Object.fromEntries(
    files.map((name) => [name.replace(/_\d{8}_\d{6}/, ""), readFileSync(join(folder, place, name), "latin1")]),
  );
}

/** What is told of damaged photographs, and counts. */
function warnings(stderr: string): string[] {
  return stderr.split("\n").filter((line) => /^(rank \d.*)?(warning|error):/.test(line));
}

describe.each(Object.entries(JOBS))("%s", (_, words) => {
  let alone: Awaited<ReturnType<typeof run>>;
  beforeAll(async () => {
    alone = await run(words, null);
    expect(Object.keys(alone.files).length).toBeGreaterThan(0);
    expect(warnings(alone.stderr)).not.toEqual([]);
  });

  it.each(installedMpis())("makes with two processes of $name what one makes", async (mpi) => {
    const { stderr, ...shared } = await run(words, mpi);
    const { stderr: expected, ...made } = alone;
    expect(Object.keys(shared.files)).toEqual(Object.keys(made.files));
    expect(shared).toEqual(made);
    expect(warnings(stderr)).toEqual(warnings(expected));
  });
});

it.each(installedMpis())("goes on with what a killed job of $name has made", async (mpi) => {
  const words = JOBS.degrade!;
  const whole = await run(words, mpi);
  const records = join(folder, "made/new/degraded.jsonl");
  const lines = readFileSync(records, "utf8").split("\n");
  writeFileSync(records, lines.filter((_, i) => i % 3 !== 1).join("\n"));
  mkdirSync(join(folder, "made/new/.left.1-1.tmp"), { recursive: true });
  const { code } = await runJob(mpi, 2, [process.execPath, LAUNCHER, ...words], {
    cwd: folder,
    milliseconds: PATIENCE,
  });
  expect(code).toBe(whole.code);
  expect(filesIn("made")).toEqual(whole.files);
});
