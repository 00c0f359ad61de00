/** What started this process, by the variables that launchers set. */
import { DistributedError } from "./process-group.ts";

/** A kind of MPI, by its binary interface. */
export type MpiKind = "openmpi" | "mpich";

/** A job of several processes, as its launcher describes it. */
export interface Launcher {
  /** What to load, the first that is there. */
  readonly libraries: readonly MpiLibrary[];
  /** How many processes it says there are; null where it does not. */
  readonly size: number | null;
  /** Which of them this is, by its word; null where it does not tell. */
  readonly rank: number | null;
}

/** A file of an MPI. */
export interface MpiLibrary {
  readonly kind: MpiKind;
  readonly file: string;
}

const OPEN_MPI: readonly MpiLibrary[] = [
  { kind: "openmpi", file: "libmpi.so.40" },
  { kind: "openmpi", file: "libmpi.40.dylib" },
];
/** The interface that MPICH, Intel MPI, MVAPICH and Cray MPICH share; Debian has another name for it. */
const MPICH: readonly MpiLibrary[] = [
  { kind: "mpich", file: "libmpi.so.12" },
  { kind: "mpich", file: "libmpich.so.12" },
  { kind: "mpich", file: "libmpi.12.dylib" },
];

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The launcher of this process; null where it was started alone.
 *
 * @param environment `DEPLSR_MPI` says which library to load where the launcher leaves that open: `openmpi`, `mpich`, or either with a file,
 * `mpich:/opt/mpi/lib/libmpi.so`
 * @throws DistributedError for a value of that which is none of these, and for several tasks of Slurm without MPI between them
 */
export function launcherOf(environment: Environment): Launcher | null {
  const size = count(environment.OMPI_COMM_WORLD_SIZE) ?? count(environment.PMI_SIZE);
  const rank = index(environment.OMPI_COMM_WORLD_RANK) ?? index(environment.PMIX_RANK) ?? index(environment.PMI_RANK);
  const tasks = count(environment.SLURM_STEP_NUM_TASKS);
  const chosen = chosenLibrary(environment.DEPLSR_MPI);
  if (environment.OMPI_COMM_WORLD_SIZE !== undefined) return { libraries: chosen ?? OPEN_MPI, size, rank };
  if (environment.PMIX_RANK !== undefined)
    return { libraries: chosen ?? [...OPEN_MPI, ...MPICH], size: size ?? tasks, rank };
  if (environment.PMI_RANK !== undefined || environment.PMI_FD !== undefined)
    return { libraries: chosen ?? [...MPICH, ...OPEN_MPI], size: size ?? tasks, rank };
  if ((tasks ?? 1) > 1) {
    throw new DistributedError(
      `srun started ${tasks} tasks that know nothing of each other: add --mpi=pmix (Open MPI) or --mpi=pmi2 (MPICH), or -n 1`,
    );
  }
  return null;
}

function chosenLibrary(choice: string | undefined): readonly MpiLibrary[] | null {
  if (!choice) return null;
  const [, kind, file] = /^(openmpi|mpich)(?::(.+))?$/.exec(choice) ?? [];
  if (kind === undefined) {
    throw new DistributedError(
      `DEPLSR_MPI is ${JSON.stringify(choice)}: expected openmpi or mpich, with a file behind a colon where it is in an unusual place`,
    );
  }
  if (file !== undefined) return [{ kind: kind as MpiKind, file }];
  return kind === "openmpi" ? OPEN_MPI : MPICH;
}

function count(text: string | undefined): number | null {
  const value = index(text);
  return value === 0 ? null : value;
}

function index(text: string | undefined): number | null {
  const value = Number(text);
  return text && Number.isInteger(value) && value >= 0 ? value : null;
}
