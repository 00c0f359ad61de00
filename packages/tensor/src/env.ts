import { environment } from "#platform";

/** The settings that `DEPLSR_*` environment variables hold; in a browser none is set. */
export interface Environment {
  readonly backend: string;
  readonly adapter: string;
  /** Threads of the CPU backend; 0 for one a core. */
  readonly threads: number;
  /** Bits of the CPU backend's vectors, or `auto` for what the machine has. */
  readonly simd: string;
  /** 0 silent; 1 adapter and memory; 2 one line per launch; 3 with operands; 4 with WGSL. */
  readonly debug: number;
  /** Memory that belongs to nobody is filled with NaN, so that a use of it shows; always where `debug` is 1 or more. */
  readonly poison: boolean;
  /** Whether what repeats is captured by itself (`captureSteady`); off with `0`. */
  readonly capture: boolean;
  /** File name of a timeline for a trace viewer, or undefined. */
  readonly trace: string | undefined;
}

let cached: Environment | undefined;

/** Reads the variables once. */
export function env(): Environment {
  if (cached) return cached;
  const debug = Number(environment("DEPLSR_DEBUG") ?? 0) || 0;
  cached = {
    backend: environment("DEPLSR_BACKEND") ?? "auto",
    adapter: environment("DEPLSR_ADAPTER") ?? "auto",
    threads: Number(environment("DEPLSR_THREADS") ?? 0) || 0,
    simd: environment("DEPLSR_SIMD") ?? "auto",
    debug,
    poison: debug >= 1 || environment("DEPLSR_POISON") === "1",
    capture: environment("DEPLSR_CAPTURE") !== "0",
    trace: environment("DEPLSR_TRACE"),
  };
  return cached;
}
