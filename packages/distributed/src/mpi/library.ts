/** MPI's functions out of a library on this machine. */
import koffi from "koffi";
import type { MpiLibrary } from "../launcher.ts";
import { DistributedError } from "../process-group.ts";

/** The functions that are needed, bound to a communicator of all processes of the job and to bytes. */
export interface MpiCommunicator {
  readonly rank: number;
  readonly size: number;
  /** Begins an exchange, which `isDone` ends. @throws DistributedError */
  allToAll(send: Uint8Array, sendAt: Places, receive: Uint8Array, receiveAt: Places): Exchange;
  allGather(send: Uint8Array, receive: Uint8Array, receiveAt: Places): Exchange;
  broadcast(bytes: Uint8Array, root: number): Exchange;
  barrier(): Exchange;
  /** Begins to make one more of the same processes, which is there once the exchange is done. */
  duplicate(): { readonly exchange: Exchange; readonly made: () => MpiCommunicator };
}

/** That of a job, and the job itself. */
export interface Mpi extends MpiCommunicator {
  readonly host: string;
  /** "Open MPI 4.1.4". */
  readonly version: string;
  finalize(): void;
  abort(code: number): void;
}

/** Where the bytes from or for each rank lie. */
export interface Places {
  readonly counts: Int32Array;
  readonly offsets: Int32Array;
}

/** An exchange under way. The arrays of it must stay where they are. */
export interface Exchange {
  /** Looks once, without waiting. @throws DistributedError */
  isDone(): boolean;
}

/** Handles are numbers in MPICH's interface, pointers in Open MPI's. */
type Handle = number | bigint;

interface Handles {
  readonly type: "int" | "void *";
  readonly world: Handle;
  readonly byte: Handle;
  readonly errorsReturn: Handle;
  /** What stands for "no status". */
  readonly noStatus: bigint;
}

/** @see mpi.h of MPICH 3 and 4, whose binary interface these are part of */
const MPICH: Handles = {
  type: "int",
  world: 0x44000000,
  byte: 0x4c00010d,
  errorsReturn: 0x54000001,
  noStatus: 1n,
};

const SERIALIZED = 2;
const SUCCESS = 0;
const MOST_TEXT = 8192;

/**
 * Loads an MPI and joins the job.
 *
 * @param expected how many processes the launcher says there are
 * @throws DistributedError where no library is there, it does not start, or belongs to another launcher
 */
export function joinJob(libraries: readonly MpiLibrary[], expected: number | null): Mpi {
  const { library, kind, file } = load(libraries);
  const handles = kind === "mpich" ? MPICH : openMpiHandles(library);
  const { type } = handles;
  const define = (name: string, ...parameters: string[]): ((...values: unknown[]) => number) =>
    library.func(`MPI_${name}`, "int", parameters);
  const init = define("Init_thread", "void *", "void *", "int", "void *");
  const provided = new Int32Array(1);
  const status = init(null, null, SERIALIZED, provided);
  if (status !== SUCCESS) throw new DistributedError(`MPI of ${file} does not start (MPI_Init_thread gives ${status})`);
  define("Comm_set_errhandler", type, type)(handles.world, handles.errorsReturn);

  const errorString = define("Error_string", "int", "void *", "void *");
  const whole = new Int32Array(1);
  const text = (read: (buffer: Uint8Array, length: Int32Array) => number): string => {
    const buffer = new Uint8Array(new ArrayBuffer(MOST_TEXT));
    if (read(buffer, whole) !== SUCCESS) return "";
    return new TextDecoder("latin1").decode(buffer.subarray(0, whole[0])).replace(/\0.*/s, "");
  };
  const numberOf = (name: string): number => {
    define(name, type, "void *")(handles.world, whole);
    return whole[0]!;
  };
  const rank = numberOf("Comm_rank");
  const size = numberOf("Comm_size");
  const processorName = define("Get_processor_name", "void *", "void *");
  const libraryVersion = define("Get_library_version", "void *", "void *");
  const host = text((buffer, length) => processorName(buffer, length));
  const version = versionOf(text((buffer, length) => libraryVersion(buffer, length)));
  if (size === 1 && (expected ?? 1) > 1) {
    throw new DistributedError(
      `${version} (${file}) sees one process where the launcher started ${expected}: mpirun belongs to another MPI; start with its own, or set DEPLSR_MPI to openmpi or mpich`,
    );
  }
  const check = (code: number, operation: string): void => {
    if (code === SUCCESS) return;
    const reason = text((buffer, length) => errorString(code, buffer, length)) || `error ${code}`;
    throw new DistributedError(`${operation} failed in rank ${rank} of ${size} on ${host}: ${reason}`);
  };

  const test = define("Test", "void *", "void *", "void *");
  /** Functions that begin an exchange end with a place for its handle. */
  const exchange = (operation: string, name: string, ...parameters: string[]) => {
    const begin = define(name, ...parameters, "void *");
    return (...values: unknown[]): Exchange => {
      const request = new Uint8Array(new ArrayBuffer(8));
      const done = new Int32Array(new ArrayBuffer(4));
      check(begin(...values, request), operation);
      return {
        isDone() {
          check(test(request, done, handles.noStatus), operation);
          // The arrays are named here so that they live until then.
          return done[0] !== 0 && values.length >= 0;
        },
      };
    };
  };
  const places = ["void *", "void *", type] as const;
  const allToAll = exchange("all-to-all", "Ialltoallv", "void *", ...places, "void *", ...places, type);
  const allGather = exchange("all-gather", "Iallgatherv", "void *", "int", type, "void *", ...places, type);
  const broadcast = exchange("broadcast", "Ibcast", "void *", "int", type, "int", type);
  const barrier = exchange("barrier", "Ibarrier", type);
  const duplicate = exchange("duplicate", "Comm_idup", type, "void *");
  const finalize = define("Finalize");
  const abort = define("Abort", type, "int");
  const { world, byte } = handles;
  const communicator = (handle: Handle): MpiCommunicator => ({
    rank,
    size,
    allToAll: (send, sent, receive, received) =>
      allToAll(send, sent.counts, sent.offsets, byte, receive, received.counts, received.offsets, byte, handle),
    allGather: (send, receive, { counts, offsets }) =>
      allGather(send, send.byteLength, byte, receive, counts, offsets, byte, handle),
    broadcast: (bytes, root) => broadcast(bytes, bytes.byteLength, byte, root, handle),
    barrier: () => barrier(handle),
    duplicate() {
      const place = new ArrayBuffer(8);
      const made = type === "int" ? new Int32Array(place) : new BigUint64Array(place);
      return { exchange: duplicate(handle, made), made: () => communicator(made[0]!) };
    },
  });
  return {
    ...communicator(world),
    host,
    version,
    finalize: () => check(finalize(), "finalize"),
    abort: (code) => void abort(world, code),
  };
}

type Library = ReturnType<typeof koffi.load>;

function load(libraries: readonly MpiLibrary[]): MpiLibrary & { readonly library: Library } {
  const reasons: string[] = [];
  for (const { kind, file } of libraries) {
    try {
      hold(file);
      return { kind, file, library: koffi.load(file) };
    } catch (error) {
      reasons.push(error instanceof Error ? error.message.split("\n", 1)[0]! : String(error));
    }
  }
  throw new DistributedError(
    `the launcher is MPI's, but no library of it can be loaded (${reasons.join("; ")}): install it, or say where it is with DEPLSR_MPI=mpich:FILE`,
  );
}

const RTLD_NOW = 2;
const RTLD_GLOBAL = process.platform === "darwin" ? 0x8 : 0x100;
const RTLD_NODELETE = process.platform === "darwin" ? 0x80 : 0x1000;

/**
 * What UCX, which MPI may bring along, is told where nobody has told it otherwise: it patches the code of mmap and its like, and takes the place of malloc, while
 * other threads run, which crashes one in a few starts of a process that is busy; and it takes over the signals of memory faults, which V8 answers itself where
 * WebAssembly meets its bounds.
 */
const UCX = { UCX_MEM_MMAP_HOOK_MODE: "none", UCX_MEM_MALLOC_HOOKS: "n", UCX_ERROR_SIGNALS: "" } as const;

/**
 * Keeps a library loaded for good, and its names known to what it loads in turn: Open MPI's parts look them up, and its threads and exit handlers would
 * outlive the library that koffi unloads at the end.
 */
function hold(file: string): void {
  if (process.platform === "win32") return;
  const system = koffi.load(null);
  // Into the environment of the process: that of this thread is a copy. UCX reads it as it is loaded.
  const setenv = system.func("setenv", "int", ["str", "str", "int"]);
  for (const [name, value] of Object.entries(UCX)) setenv(name, value, 0);
  const dlopen = system.func("dlopen", "void *", ["str", "int"]);
  dlopen(file, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
}

/** @see mpi.h of Open MPI, where constants are addresses of its own variables */
function openMpiHandles(library: Library): Handles {
  const place = (name: string): Handle => library.symbol(name) as Handle;
  return {
    type: "void *",
    world: place("ompi_mpi_comm_world"),
    byte: place("ompi_mpi_byte"),
    errorsReturn: place("ompi_mpi_errors_return"),
    noStatus: 0n,
  };
}

/** The name and number in what a library says of itself. */
function versionOf(text: string): string {
  const [, open] = /^Open MPI v(\d[\w.]*)/.exec(text) ?? [];
  if (open) return `Open MPI ${open}`;
  const [, name, number] =
    /^([\w() -]*?MPICH|MVAPICH|Intel\(R\) MPI Library)\s*(?:Version)?:?\s*(\d[\w.]*)/i.exec(text) ?? [];
  return name ? `${name} ${number}` : text.split("\n", 1)[0]!.trim() || "MPI";
}
