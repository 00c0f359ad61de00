/** What goes wrong in one process of a job that divides its work. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type InstalledMpi, installedMpis, type JobResult, type RunningJob } from "../../../../scripts/mpi.ts";
import { crop } from "../../src/data/crop.ts";
import { readImage, writeImage } from "../../src/data/image.ts";
import { deplsr, LAUNCHER } from "../commands/run-command.ts";
import { picture } from "../pictures.ts";
import { TEST_OPTIONS } from "../test-options.ts";
import { computing, startTwo, until } from "./two-processes.ts";

const PATIENCE = 240_000;
vi.setConfig({ testTimeout: 2 * PATIENCE, hookTimeout: PATIENCE });

const PHOTOS = 12;
let folder = "";

/** Jobs that go on for a while, and one that has begun. Each leaves whole images, or nothing before its end. */
const JOBS: Readonly<Record<string, readonly string[]>> = {
  degrade: ["degrade", "photos", "--out", "made", "--fit", "crop", "--size", "32", "--count", "40"],
  upscale: ["upscale", "photos", "--out", "made", "--backend", "cpu"],
  iqa: ["iqa", "photos", "--ref", "others", "--csv", "made/scores.csv"],
  evaluate: ["evaluate", "--data", "set/degraded.tsv", "--batch", "1", "--out", "made", "--backend", "cpu"],
  test: ["test", "-opt", "test.yml", "--out", "made", "--backend", "cpu"],
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "deplsr-faults-"));
  for (let i = 0; i < PHOTOS; i++) {
    const name = `p${String(i).padStart(2, "0")}.png`;
    const photo = picture(48, 40, i);
    await writeImage(join(folder, "photos", name), photo);
    await writeImage(join(folder, "small", name), crop(photo, { left: 3, top: 5, width: 24, height: 20 }));
    await writeImage(join(folder, "others", name), picture(48, 40, i + 1));
  }
  writeFileSync(join(folder, "test.yml"), TEST_OPTIONS);
  const set = ["degrade", "photos", "--out", "set", "--fit", "crop", "--size", "32", "--count", "4"];
  expect((await deplsr(set, folder)).code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function start(mpi: InstalledMpi, words: readonly string[], script = ""): RunningJob {
  return startTwo(mpi, words, { cwd: folder, milliseconds: PATIENCE, script });
}

/**
 * The process that computes in a rank, once it has joined the job: the child of its launcher, when it shares memory with the other rank. MPICH's launcher
 * does not notice one that dies before that, and the others wait for it.
 */
function joined(rank: number): number | null {
  try {
    const child = computing(folder, rank);
    const shared = readFileSync(`/proc/${child}/maps`, "utf8").match(/\/dev\/shm\/\S+/g);
    return new Set(shared).size > 1 ? child : null;
  } catch {
    return null;
  }
}

/** Lays the command out once more, as of another version. → its launcher there */
function otherVersion(): string {
  const other = join(folder, "other");
  if (!existsSync(other)) {
    cpSync(join(LAUNCHER, "../../../.."), other, { recursive: true, verbatimSymlinks: true });
    const manifest = join(other, "node_modules/deplsr/package.json");
    const content: object = JSON.parse(readFileSync(manifest, "utf8"));
    writeFileSync(manifest, JSON.stringify({ ...content, version: "99.0.0" }));
  }
  return join(other, "node_modules/deplsr/bin/deplsr.js");
}

/** Images that stand under their own names, with the time of their writing. */
function images(): Map<string, number> {
  const place = join(folder, "made");
  if (!existsSync(place)) return new Map();
  const names = (readdirSync(place, { recursive: true }) as string[]).sort();
  const done = names.filter((name) => /(^|\/)[^./][^/]*\.png$/.test(name) && !/(^|\/)\./.test(name));
  return new Map(done.map((name) => [name, statSync(join(place, name)).mtimeMs]));
}

/** Some images stand there, and where there are records one of them says so. */
function begun(name: string): boolean {
  const records = join(folder, "made", "degraded.jsonl");
  return images().size > 1 && (name !== "degrade" || (existsSync(records) && statSync(records).size > 0));
}

const told = ({ stderr }: JobResult): string[] =>
  stderr.split("\n").filter((line) => /^(rank \d.*)?error: /.test(line));

describe.each(installedMpis())("a job under mpirun of $name", (mpi) => {
  it.each(Object.entries(JOBS))(
    "ends within seconds of the death of a process, and leaves nothing half-written: %s",
    async (name, words) => {
      for (const rank of [1, 0]) {
        rmSync(join(folder, "made"), { recursive: true, force: true });
        for (const each of [0, 1]) rmSync(join(folder, `pid-${each}`), { force: true });
        const writes = name === "degrade" || name === "upscale" || name === "test";
        const job = start(mpi, words);
        await until(job, () => [0, 1].every((each) => joined(each) !== null) && (!writes || begun(name)));
        // What is left of the start takes no longer.
        if (!writes) await new Promise((resolve) => setTimeout(resolve, 100));
        process.kill(joined(rank)!, "SIGKILL");
        const killed = performance.now();
        const result = await job.finished;
        expect(performance.now() - killed).toBeLessThan(30_000);
        expect(result.code).not.toBe(0);
        expect(told(result)).toEqual([
          expect.stringMatching(
            rank === 1 ? /^rank 1 \(.+\): error: the system ended this/ : /^error: the system ended this/,
          ),
        ]);
        const left = images();
        if (!writes) {
          expect(left.size).toBe(0);
          expect(existsSync(join(folder, "made", "scores.csv"))).toBe(false);
          expect(existsSync(join(folder, "made", "answers.tsv"))).toBe(false);
          continue;
        }
        for (const one of left.keys()) expect((await readImage(join(folder, "made", one))).width).toBeGreaterThan(0);
        const all = name === "degrade" ? 40 * PHOTOS : PHOTOS;
        expect(left.size).toBeLessThan(all);
        // Its table comes at the end.
        if (name === "test") expect(readdirSync(join(folder, "made"))).toEqual(["visualization"]);
        if (rank === 1) continue;
        // The next one does what is left; of a test all.
        const again = await start(mpi, words).finished;
        expect(again.code, again.stderr).toBe(0);
        const whole = images();
        expect(whole.size).toBe(all);
        // `degrade` knows by its records what is done, of which the first process may have had less than there was.
        if (name === "degrade") expect(again.stdout).toMatch(/images \(\d+ of them by an earlier run\)/);
        else if (name === "upscale") for (const [one, time] of left) expect(whole.get(one), one).toBe(time);
        const names = readdirSync(join(folder, "made"), { recursive: true }) as string[];
        expect(names.filter((one) => one.includes(".tmp"))).toEqual([]);
      }
    },
  );

  it("tells what one process cannot read as one process alone does, with the same code", async () => {
    // The share of rank 1, that of rank 0, and all.
    for (const damaged of ["p01.png", "p00.png", "*"]) {
      const place = join(folder, `damaged-${mpi.name.replace(" ", "")}-${damaged === "*" ? "all" : damaged}`);
      mkdirSync(place);
      for (let i = 0; i < 3; i++) {
        const name = `p0${i}.png`;
        const bytes = readFileSync(join(folder, "photos", name));
        writeFileSync(join(place, name), damaged === "*" || damaged === name ? bytes.subarray(0, 100) : bytes);
      }
      for (const words of [
        ["degrade", place, "--out", "OUT", "--size", "32", "--fit", "crop"],
        ["iqa", place, "--ref", "others"],
      ]) {
        const wordsTo = (out: string): string[] => words.map((word) => (word === "OUT" ? join(place, out) : word));
        const alone = await deplsr(wordsTo("alone"), folder);
        const shared = await start(mpi, wordsTo("shared")).finished;
        expect(shared.code, shared.stderr).toBe(alone.code);
        const lines = (text: string): string[] =>
          text
            .split("\n")
            .filter((line) => /(warning|error): /.test(line))
            // The decoder's own words are others from time to time.
            .map((line) => line.replaceAll("/shared", "/alone").replace(/ damaged \(.*?\): /, " damaged: "));
        expect(lines(alone.stderr)).not.toEqual([]);
        expect(lines(shared.stderr)).toEqual(lines(alone.stderr));
      }
    }
  });

  it.each<[string, () => string, string, RegExp]>([
    [
      "other versions",
      // The first word is what Node runs.
      () => `if [ RANK = 1 ]; then shift; set -- "${otherVersion()}" "$@"; fi;`,
      "",
      /^error: processes: version is "99\.0\.0" for rank 1 \(.+\), "\d+\.\d+\.\d+.*" for rank 0/,
    ],
    [
      "other command lines",
      () => 'if [ RANK = 1 ]; then set -- "$@" --seed 8; fi;',
      "",
      /^error: processes: command line is .*--seed 8" for rank 1 \(.+\), .* for rank 0/,
    ],
    [
      "other photographs",
      () => "cd place-RANK;",
      "longer",
      /^error: processes: .*photos\/p1\.png is of \d+ bytes for rank 1 \(.+\), of \d+ bytes for rank 0/,
    ],
    [
      "photographs that one does not have",
      () => "cd place-RANK;",
      "gone",
      /^error: processes: .*photos\/p1\.png is missing for rank 1 \(.+\), of \d+ bytes for rank 0/,
    ],
  ])("refuses %s before any work, in one line", async (_, script, change, message) => {
    for (const rank of [0, 1]) {
      const place = join(folder, `place-${rank}`);
      rmSync(place, { recursive: true, force: true });
      for (let i = 0; i < 3; i++)
        await writeImage(
          join(place, "photos", `p${i}.png`),
          picture(40, 40, change === "longer" && i + rank === 2 ? 9 : i),
        );
    }
    if (change === "gone") rmSync(join(folder, "place-1", "photos", "p1.png"));
    const places = [folder, join(folder, "place-0"), join(folder, "place-1")];
    for (const words of [
      ["degrade", "photos", "--out", "refused", "--size", "32", "--fit", "crop"],
      ["upscale", "photos", "--out", "refused", "--backend", "cpu"],
      ["iqa", "photos"],
    ]) {
      // Of what has nothing to do with files one command is enough; `--seed` is a flag of one only.
      if (change === "" && words[0] !== "degrade") continue;
      const result = await start(mpi, words, script()).finished;
      expect(result.code).not.toBe(0);
      expect(told(result), result.stderr).toEqual([expect.stringMatching(message)]);
      for (const place of places) {
        const made = existsSync(join(place, "refused")) ? readdirSync(join(place, "refused"), { recursive: true }) : [];
        expect((made as string[]).filter((name) => name.endsWith(".png"))).toEqual([]);
      }
    }
  });
});
