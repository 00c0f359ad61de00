import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { DeviceOptions } from "@deplsr/tensor";
import { type ContenderName, peerNames } from "./contender.ts";

/** A command line that is not understood. */
export class UsageError extends Error {}

/** What the command line asks for. */
export interface Options {
  /** Parts of names; a row is measured when its name holds one of them. Empty: all rows. */
  readonly only: readonly string[];
  readonly rounds: number;
  readonly json: boolean;
  readonly cold: boolean;
  /** Undefined: those that compute on what ours computes on. */
  readonly peers: readonly ContenderName[] | undefined;
  /** Folder of a checkout that is measured as `before`. */
  readonly against: string | undefined;
  /** With the threads of everyone who computes on the CPU. */
  readonly device: DeviceOptions & { readonly threads: number };
  readonly help: boolean;
}

export const usage = `npm run bench -- [options]: ours beside the peers, on the same adapter, interleaved, results checked before timing

  --only NAME,NAME    rows whose names contain one of these (case does not matter)
  --rounds N          samples of each cell (default 5)
  --cold              first runs, each in a fresh process with the driver's shader cache off
  --peers NAME,NAME   peers to measure, or none; default those that compute on what ours computes on
                      (${peerNames.join(", ")})
  --against DIR       another checkout of this repository, with its node_modules, measured beside this one as "before"
  --backend NAME      auto, webgpu, cpu (default: DEPLSR_BACKEND, else auto)
  --threads N         threads of everyone who computes on the CPU, or all (default 1)
  --adapter NAME      auto, hardware, system, swiftshader (default: DEPLSR_ADAPTER, else auto)
  --json              print one JSON object instead of the table

examples
  npm run bench -- --only matmul,softmax --rounds 3
  npm run bench -- --cold --only mlp --peers jax-js
  npm run bench -- --peers none --against ../before    what a change did to the speed of ours
  npm run bench -- --backend cpu --threads all   beside the peers on WebAssembly, ONNX Runtime's native build and PyTorch`;

/** Reads the command line. @throws UsageError that names what is wrong. */
export function parseOptions(args: readonly string[]): Options {
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        only: { type: "string" },
        rounds: { type: "string", default: "5" },
        peers: { type: "string" },
        against: { type: "string" },
        backend: { type: "string" },
        threads: { type: "string", default: "1" },
        adapter: { type: "string" },
        json: { type: "boolean", default: false },
        cold: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  return {
    only: list(values.only),
    rounds: wholeNumber("rounds", values.rounds),
    json: values.json === true,
    cold: values.cold === true,
    peers: typeof values.peers === "string" ? parsePeers(list(values.peers)) : undefined,
    against: typeof values.against === "string" ? values.against : undefined,
    device: {
      threads: values.threads === "all" ? availableParallelism() : wholeNumber("threads", values.threads, " or all"),
      ...(typeof values.backend === "string" && { backend: choice("backend", values.backend, BACKENDS) }),
      ...(typeof values.adapter === "string" && { adapter: choice("adapter", values.adapter, ADAPTERS) }),
    },
    help: values.help === true,
  };
}

const BACKENDS = ["auto", "webgpu", "cpu"] as const;
const ADAPTERS = ["auto", "hardware", "system", "swiftshader"] as const;

function wholeNumber(option: string, value: unknown, otherwise = ""): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= 1) return number;
  throw new UsageError(`--${option} takes a whole number from 1 on${otherwise}, got ${value}`);
}

function choice<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (!found) throw new UsageError(`--${option} takes ${allowed.join(", ")}, got ${value}`);
  return found;
}

function parsePeers(names: readonly string[]): ContenderName[] {
  if (names.length === 1 && names[0] === "none") return [];
  return names.map((name) => {
    const peer = peerNames.find((each) => each === name);
    if (!peer) throw new UsageError(`--peers: "${name}" is none of ${peerNames.join(", ")}, none`);
    return peer;
  });
}

function list(value: unknown): string[] {
  if (typeof value !== "string") return [];
  return value
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
}
