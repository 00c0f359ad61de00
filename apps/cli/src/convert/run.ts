import { extname } from "node:path";
import {
  asHalf,
  notFinite,
  type Sink,
  selectWeights,
  type TensorFile,
  watchFinite,
  writeSafetensorsFile,
  writeTorchFile,
  writeTorchGroups,
} from "@deplsr/nn";
import { type FileTensor, numel, storedBytes } from "@deplsr/tensor";
import type { Context } from "../commands/command.ts";
import { UsageError } from "../errors.ts";
import { writeFileAtomic } from "../files.ts";
import { refuseExisting } from "../flags.ts";
import { withWholeFile } from "../networks/clip-reference.ts";
import { detectNetwork, untold } from "../networks/detect.ts";
import { describedSr, type SrDescription, srConfig } from "../networks/sr.ts";
import { findModel, otherWeights, printable, weightsOf } from "../networks/weights-file.ts";
import { counted, type Output } from "../output.ts";
import { duration } from "../progress.ts";
import { withDerived } from "./derived.ts";

/** The flags of `deplsr convert`. */
export interface ConvertFlags {
  readonly in: string;
  readonly out: string;
  readonly key: string | undefined;
  readonly fp16: boolean;
  readonly overwrite: boolean;
}

const MIB = 2 ** 20;

/** Does what `deplsr convert` asks for. */
export async function runConvert(flags: ConvertFlags, { output }: Context): Promise<void> {
  const format = formatOf(flags.out);
  await refuseExisting("convert", flags.out, flags.overwrite);
  const place = await findModel(flags.in);
  const path = await weightsOf(place, flags.key);
  const raw = await weightsOf(place, "params");
  const started = performance.now();
  const convert = async (file: TensorFile, weights: TensorFile | null): Promise<void> => {
    const { key, prefix, tensors } = selectWeights(file, "folder" in place ? undefined : flags.key);
    const others = otherWeights(file, key);
    if (key !== "") output.line(`weights: ${key}${others.length > 0 ? ` (${others.join(", ")} left out)` : ""}`);
    if (prefix !== "") output.line(`names: without ${printable(prefix)}, which all began with`);
    // PyTorch's files have no header to say what the network is.
    const description = format === "PyTorch" ? describedSr(path, file) : null;
    const wrong = new Set<string>();
    const complete = (tensors: Tensors): Tensors => {
      const read = new Map(
        [...tensors].map(([name, tensor]) => [name, watchFinite(tensor, () => wrong.add(name))] as const),
      );
      const whole = description ? withDerived(read, description) : read;
      return flags.fp16 ? inHalf(whole, output) : whole;
    };
    const chosen = complete(tensors);
    const lost = description ? untoldBy(path, chosen, description) : [];
    if (lost.length > 0) {
      const flags = lost.map((assumption) => `--assume ${assumption}`).join(" ");
      output.warn(`a PyTorch file does not tell ${lost.join(", ")}: deplsr upscale takes that with ${flags}`);
    }
    const beside = weights && complete(weights.tensors);
    const bar = output.progress("convert", Math.ceil((bytesOf(chosen) + (beside ? bytesOf(beside) : 0)) / MIB), "MiB");
    let bytes = 0;
    await writeFileAtomic(flags.out, (writePart) => {
      const sink: Sink = {
        write: async (part) => {
          await writePart(part);
          bytes += part.length;
          bar.update(Math.floor(bytes / MIB));
        },
      };
      if (beside)
        return writeTorchGroups(new Map([["params", beside] as const, ["params_ema", chosen] as const]), sink);
      return format === "PyTorch"
        ? writeTorchFile(chosen, sink)
        : // `format` is what other programs look for to know whose layout the tensors have.
          writeSafetensorsFile(chosen, sink, { format: "pt", ...file.metadata });
    });
    bar.finish();
    if (wrong.size > 0)
      output.warn(`${path}: ${notFinite([...wrong]).message}: written as they are, of no use to upscale`);
    const ms = Math.round(performance.now() - started);
    output.line(`${path} -> ${flags.out} (${counted(chosen.size, "tensor")}, ${bytes} bytes, ${duration(ms / 1000)})`);
    output.result({ in: path, out: flags.out, weights: key, tensors: chosen.size, bytes, ms });
  };
  await withWholeFile(path, (file) =>
    // Of a run with averages, PyTorch's file has both, as the original's.
    format === "PyTorch" && flags.key === undefined && raw !== path
      ? withWholeFile(raw, (weights) => convert(file, weights))
      : convert(file, null),
  );
}

type Tensors = ReadonlyMap<string, FileTensor>;

/** What of a network neither a file's tensors tell nor what is assumed of them: `globalResidual=bicubic`. */
function untoldBy(path: string, tensors: Tensors, { network }: SrDescription): string[] {
  const found = detectNetwork(path, tensors, { whole: false });
  const assumed = found ? untold(found) : {};
  return Object.entries(untold(srConfig(network))).flatMap(([name, value]) => {
    const text = (x: unknown): string => (typeof x === "string" ? x : JSON.stringify(x));
    return text(assumed[name]) === text(value) ? [] : [`${name}=${text(value)}`];
  });
}

function formatOf(path: string): "safetensors" | "PyTorch" {
  const extension = extname(path).toLowerCase();
  if (extension === ".safetensors") return "safetensors";
  if ([".pth", ".pt", ".bin"].includes(extension)) return "PyTorch";
  throw new UsageError(
    `${path} must end in .safetensors, .pth, .pt or .bin: its name says in which format it is written`,
  );
}

function inHalf(tensors: Tensors, output: Output): Map<string, FileTensor> {
  const warn = (name: string, count: number): void =>
    output.warn(`${name}: ${counted(count, "value")} beyond the range of half precision, now infinite`);
  return new Map([...tensors].map(([name, tensor]) => [name, asHalf(tensor, warn)]));
}

function bytesOf(tensors: Tensors): number {
  let bytes = 0;
  for (const { dtype, shape } of tensors.values()) bytes += numel(shape) * storedBytes(dtype);
  return bytes;
}
