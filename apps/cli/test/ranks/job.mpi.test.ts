import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { installedMpis, runJob } from "../../../../scripts/mpi.ts";
import { LAUNCHER } from "../commands/run-command.ts";

describe.each(installedMpis())("deplsr under mpirun of $name", (mpi) => {
  const run = (words: readonly string[]): ReturnType<typeof runJob> =>
    runJob(mpi, 2, [process.execPath, LAUNCHER, ...words], { cwd: tmpdir() });

  it("does once what one process does", async () => {
    const [models, help] = await Promise.all([run(["models", "--json"]), run(["upscale", "--help"])]);
    expect(models.code).toBe(0);
    expect(JSON.parse(models.stdout)).toHaveProperty("models");
    expect(help.code).toBe(0);
    expect(help.stdout.match(/Enlarge and restore photographs/g)).toHaveLength(1);
  });

  it("refuses once what does not share its work", async () => {
    const { code, stderr } = await run(["demo"]);
    expect(code).toBe(2);
    expect(stderr.match(/error: .*/g)).toEqual([
      "error: demo does not share its work, and 2 processes were started: start it without mpirun or srun",
    ]);
  });
});
