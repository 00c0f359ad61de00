/** Process groups over MPI. */
import { hostname } from "node:os";
import { type Environment, launcherOf } from "../launcher.ts";
import {
  type Communicator,
  checkRoot,
  type Numbers,
  type ProcessGroup,
  type Reduction,
  SingleProcess,
} from "../process-group.ts";
import { Connection } from "./connection.ts";
import { startTimeout } from "./start-watch.ts";

/**
 * Joins the job that `mpirun`, `mpiexec` or `srun` started this process in; a process that was started alone is a group of its own, without MPI. To be
 * called once in a process.
 *
 * MPI waits for processes that died while they joined, and its thread cannot be called off: after `DEPLSR_MPI_START_TIMEOUT` seconds (120; 0 for never) this
 * process says so on stderr and ends with code 1.
 *
 * @throws DistributedError where MPI cannot be loaded, does not start, or is another one than the launcher's
 */
export async function openProcessGroup(environment: Environment = process.env): Promise<ProcessGroup> {
  const launcher = launcherOf(environment);
  return launcher === null
    ? new SingleProcess(hostname())
    : new MpiGroup(await Connection.open(launcher, startTimeout(environment)), 0);
}

class MpiCommunicator implements Communicator {
  readonly rank: number;
  readonly size: number;
  protected readonly connection: Connection;
  readonly #lane: number;

  constructor(connection: Connection, lane: number) {
    this.rank = connection.joined.rank;
    this.size = connection.joined.size;
    this.connection = connection;
    this.#lane = lane;
  }

  allReduce<N extends Numbers>(values: N, reduction: Reduction = "sum"): Promise<N> {
    return this.connection.call(this.#lane, { kind: "allReduce", values: copyOf(values), reduction });
  }

  allReduceSync<N extends Numbers>(values: N, reduction: Reduction = "sum"): N {
    return this.connection.callSync(this.#lane, { kind: "allReduce", values: copyOf(values), reduction });
  }

  reduceScatter<N extends Numbers>(values: N, reduction: Reduction = "sum"): Promise<N> {
    return this.connection.call(this.#lane, { kind: "reduceScatter", values: copyOf(values), reduction });
  }

  allGather<N extends Numbers>(values: N): Promise<N[]> {
    return this.connection.call(this.#lane, { kind: "allGather", values: copyOf(values) });
  }

  allGatherSync<N extends Numbers>(values: N): N[] {
    return this.connection.callSync(this.#lane, { kind: "allGather", values: copyOf(values) });
  }

  async broadcast<N extends Numbers>(values: N, root = 0): Promise<N> {
    checkRoot(root, this.size);
    return this.connection.call(this.#lane, { kind: "broadcast", values: copyOf(values), root });
  }

  async barrier(): Promise<void> {
    await this.connection.call(this.#lane, { kind: "barrier" });
  }
}

class MpiGroup extends MpiCommunicator implements ProcessGroup {
  get host(): string {
    return this.connection.joined.host;
  }

  get library(): string {
    return this.connection.joined.library;
  }

  async duplicate(): Promise<Communicator> {
    return new MpiCommunicator(this.connection, await this.connection.openLane());
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  abort(code: number): Promise<never> {
    return this.connection.abort(code);
  }
}

/** Values in memory of their own, which goes to the other thread. */
function copyOf<N extends Numbers>(values: N): N {
  const make = values.constructor as new (buffer: ArrayBuffer) => N;
  const copy = new make(new ArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}
