/** From `--config`, `--out`, `--resume` and `--overwrite` to what is to be done. */
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { UsageError, UserError } from "../errors.ts";
import { exists } from "../files.ts";
import { latestCheckpoint, runFolderOf } from "../run-folder.ts";

/** What was asked for. */
export interface RunRequest {
  readonly config: string | undefined;
  readonly out: string | undefined;
  /** A run folder, a checkpoint folder or its state; true for the latest state in `out`, where there is one. */
  readonly resume: string | true | undefined;
  readonly overwrite: boolean;
}

/** What is to be done. */
export interface RunPlan {
  /** The file of the configuration. */
  readonly config: string;
  /** Where the run folder stands, or shall stand; undefined where the configuration's name tells. */
  readonly folder: string | undefined;
  /** The checkpoint to go on from, where it is known already; undefined for the latest one in the run folder. */
  readonly from: string | null | undefined;
}

/** @throws UsageError when what was asked for does not go together; UserError when there is nothing to go on from */
export async function planRun({ config, out, resume, overwrite }: RunRequest): Promise<RunPlan> {
  if (resume === undefined || resume === "") {
    if (config === undefined)
      throw new UsageError("train: --config is missing: it names the YAML file, see options/train");
    return { config, folder: out, from: null };
  }
  if (overwrite)
    throw new UsageError("train: --resume goes on with a run, --overwrite begins anew: give one of the two");
  if (resume === true) {
    const own = out === undefined ? undefined : join(out, "config.yml");
    if (config === undefined && (own === undefined || !(await exists(own)))) {
      throw new UsageError("train: --resume without a value needs --config, or an --out with a run in it");
    }
    return { config: config ?? own!, folder: out, from: undefined };
  }
  const from = await checkpointOf(resume);
  const run = runFolderOf(from);
  const own = join(run, "config.yml");
  if (config === undefined && !(await exists(own))) {
    throw new UserError(`train: ${resume} lies in no run folder with a config.yml: give --config`);
  }
  return { config: config ?? own, folder: out ?? ((await exists(own)) ? run : undefined), from };
}

/** The latest checkpoint of a run folder; null where it has none. */
export async function latestIn(folder: string): Promise<string | null> {
  if (!(await exists(join(folder, "checkpoints")))) return null;
  return latestCheckpoint(folder).catch(() => null);
}

/** The checkpoint folder that a path means: a run folder, a checkpoint folder, or a file in one. */
async function checkpointOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => {
    throw new UserError(
      `train: --resume ${path} does not exist: give a run folder, a checkpoint folder or its state.json`,
    );
  });
  if (found.isDirectory()) {
    const folder = await latestCheckpoint(path);
    if (await exists(join(folder, "state.json"))) return folder;
    throw new UserError(`train: ${folder} holds weights but no state.json: a training cannot go on from them`);
  }
  if (basename(path) === "state.json") return dirname(path);
  throw new UserError(
    `train: ${path} is no state of ours, and the optimizer states of other programs are not read: start from the weights beside it ` +
      "(path.pretrain_network_g, or pretrained), and give the step to go on from by hand in the schedule",
  );
}
