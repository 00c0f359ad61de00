/**
 * Who measures time says so by a file in the system's folder for temporary files, and trainings of the models in the box stand still
 * meanwhile (`scripts/train-models.ts`). `.ci/run` writes such a file too.
 */
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lives } from "../../apps/cli/src/files.ts";

const NAME = /^deplsr-measures-(\d+)$/;

/** Asks for a quiet machine until this process ends. @param folder for tests */
export function askForQuiet(folder: string = tmpdir()): void {
  const file = join(folder, `deplsr-measures-${process.pid}`);
  writeFileSync(file, "");
  process.on("exit", () => rmSync(file, { force: true }));
}

/** Whether a living process asks for it; what is left of others is removed. @param folder for tests */
export function isQuietAsked(folder: string = tmpdir()): boolean {
  const asking = readdirSync(folder).flatMap((file) => {
    const id = NAME.exec(file)?.[1];
    return id === undefined ? [] : [{ file, id: Number(id) }];
  });
  const left = asking.filter(({ id }) => !lives(id));
  for (const { file } of left) {
    try {
      rmSync(join(folder, file), { force: true });
    } catch {
      // Somebody else's; it asks for nothing all the same.
    }
  }
  return left.length < asking.length;
}
