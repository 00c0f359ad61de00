/** Keys of configurations that are read and not obeyed: said once, rather than passed over. */
import { isGroup } from "./schema.ts";

interface Unused {
  /** Its path; a part that ends in `*` stands for all keys that begin so. */
  readonly key: string;
  /** Why nothing comes of it. */
  readonly why: string;
  /** Values that ask for nothing else than what is done anyway, besides leaving it out and `~`. */
  readonly fine?: readonly unknown[];
}

const LAUNCHED = "mpirun and srun say how many processes train";
const OWN_READER = "images are decoded ahead by threads";
const OWN_FOLDERS = "a run's folder is --out";

const UNUSED: readonly Unused[] = [
  // These have no meaning here.
  { key: "num_gpu", why: "a process computes on one device: mpirun and srun start several", fine: ["auto", 1] },
  { key: "dist", why: LAUNCHED, fine: [false] },
  { key: "dist_params", why: LAUNCHED },
  { key: "launcher", why: LAUNCHED, fine: ["none"] },
  { key: "find_unused_parameters", why: LAUNCHED },
  {
    key: "model_type",
    why: "network_g says what is trained",
    fine: ["RealDATModel", "DATModel", "DATModle", "SRModel"],
  },
  { key: "datasets.*.prefetch_mode", why: OWN_READER },
  { key: "datasets.*.num_prefetch_queue", why: OWN_READER },
  { key: "datasets.*.pin_memory", why: OWN_READER },
  { key: "datasets.*.persistent_workers", why: OWN_READER },
  { key: "datasets.*.io_backend.db_paths", why: "files are read from the disk" },
  { key: "datasets.*.io_backend.client_keys", why: "files are read from the disk" },
  { key: "datasets.val*.num_worker_per_gpu", why: OWN_READER },
  { key: "datasets.val*.batch_size_per_gpu", why: "images are measured one at a time" },
  { key: "path.ignore_resume_networks", why: "a state holds all that it goes on with" },
  { key: "path.root", why: OWN_FOLDERS },
  { key: "path.experiments_root", why: OWN_FOLDERS },
  { key: "path.results_root", why: OWN_FOLDERS },
  { key: "path.models", why: OWN_FOLDERS },
  { key: "path.training_states", why: OWN_FOLDERS },
  { key: "path.log", why: OWN_FOLDERS },
  { key: "path.visualization", why: OWN_FOLDERS },
  { key: "val.pbar", why: "the run's own bar says what is done", fine: [false] },
  { key: "val.use_chop", why: "large images are always enlarged in tiles", fine: [false] },
  { key: "val.metrics.*.convert_to", why: "NIQE is that of the luma", fine: ["y"] },
  { key: "val.metrics.*.input_order", why: "images are of one layout here" },
  { key: "logger.wandb", why: "nothing is sent anywhere" },
  { key: "precision", why: "all is computed in 32 bits", fine: ["fp32"] },
  { key: "crop", why: "image_fit says how an image becomes a square", fine: [false] },

  // These are not obeyed yet: whoever makes them do something takes their line out.
  {
    key: "dataset_type",
    why: "train_data is read as a TSV of images and texts",
    fine: ["auto", "SRClipPairDatasetV2"],
  },
  { key: "da", why: "every text has a column of its own", fine: [false] },
];

/**
 * The keys of a configuration that ask for something that is not done, each with the reason: `dist_params (mpirun and srun say how many processes train)`.
 *
 * @param config of any command, parsed
 */
export function unusedKeys(config: unknown): string[] {
  const named = new Map<string, string>();
  for (const { key, why, fine = [] } of UNUSED) {
    for (const [path, value] of valuesAt(config, key.split("."))) {
      if (value !== undefined && value !== null && !fine.includes(value)) named.set(path, why);
    }
  }
  const inside = (path: string): boolean => [...named.keys()].some((other) => path.startsWith(`${other}.`));
  return [...named].filter(([path]) => !inside(path)).map(([path, why]) => `${path} (${why})`);
}

/** What a run says of them, in one line; none where every key is obeyed. */
export function unusedWarnings(config: unknown): string[] {
  const keys = unusedKeys(config);
  return keys.length === 0 ? [] : [`config: not used: ${keys.join(", ")}`];
}

function valuesAt(value: unknown, [head, ...rest]: readonly string[], path = ""): [path: string, value: unknown][] {
  if (head === undefined) return [[path, value]];
  if (!isGroup(value)) return [];
  const begin = head.endsWith("*") ? head.slice(0, -1) : undefined;
  return Object.entries(value).flatMap(([key, inner]) => {
    if (begin === undefined ? key !== head : !key.startsWith(begin)) return [];
    return valuesAt(inner, rest, path === "" ? key : `${path}.${key}`);
  });
}
