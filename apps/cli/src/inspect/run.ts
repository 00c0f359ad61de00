import { selectWeights, type TensorFile, type Weights } from "@deplsr/nn";
import { FileFormatError, isStoredFloat, numel } from "@deplsr/tensor";
import type { Context } from "../commands/command.ts";
import { oneLine, UserError } from "../errors.ts";
import { findClip } from "../networks/clip-reference.ts";
import { type DetectedNetwork, describeNetwork, detectNetwork, parameterCount, untold } from "../networks/detect.ts";
import { describedSr, srConfig } from "../networks/sr.ts";
import { describedSrclip } from "../networks/srclip.ts";
import { findModel, otherWeights, printable, weightsOf, withTensorFile } from "../networks/weights-file.ts";
import { counted, type Output, table } from "../output.ts";
import { type ClipReference, describedIn } from "../train/checkpoint.ts";

/** The flags of `deplsr inspect`. */
export interface InspectFlags {
  readonly file: string;
  readonly key: string | undefined;
}

/** The networks that `deplsr upscale` takes. */
const OF_UPSCALE: ReadonlySet<string> = new Set<DetectedNetwork["model"]>(["DAT", "RealDAT", "SrCLIPV2"]);
/** Plain values that are shown: an epoch, not the settings of each group of an optimizer. */
const SHOWN_VALUES = 8;
/** What TorchScript keeps of every module, and nobody asks for. */
const OF_EVERY_MODULE = /(^|\.)(training|_is_full_backward_hook)$/;

/** Does what `deplsr inspect` asks for. */
export async function runInspect(flags: InspectFlags, { output }: Context): Promise<void> {
  const path = await weightsOf(await findModel(flags.file));
  await withTensorFile(path, async (file) => {
    const weights = weightsIn(file, flags.key, output);
    const told = described(path, file);
    const network = told ?? (weights && detected(path, weights, output));
    const parameters = network ? parameterCount(network) : floatsOf((weights ?? file).tensors);
    output.line(`file        ${path} (${file.format})`);
    if (weights) output.line(`weights     ${whichOf(weights, file)}`);
    output.line(`network     ${network ? describeNetwork(network) : "not known"}`);
    if (network) output.line(`config      ${JSON.stringify(network.config)}`);
    const assumed = network && !told ? untold(network) : null;
    if (network && assumed) {
      const values = Object.entries(assumed).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
      const hint = OF_UPSCALE.has(network.model) ? "; deplsr upscale takes others with --assume" : "";
      output.line(`assumed     ${values.join(", ")}: tensors do not tell${hint}`);
    }
    output.line(`parameters  ${parameters}`);
    const clip = told?.model === "SrCLIPV2" ? (describedIn(path, file, "srclip")?.clip ?? null) : null;
    if (clip) output.line(`clip        by reference: ${await stateOf(clip, path)}`);
    for (const line of remarks(file)) output.line(line);
    output.line();
    const rows = [...file.tensors].map(([name, { shape, dtype, unreadable }]) => [
      printable(name),
      `[${shape.join(", ")}]`,
      unreadable === undefined ? dtype : `${dtype}, cannot be read: ${printable(unreadable)}`,
    ]);
    for (const line of table([counted(rows.length, "tensor"), "shape", "type"], rows)) output.line(line);
    output.result({
      model: network?.model ?? null,
      config: network?.config ?? null,
      assumed,
      parameters,
      ...(clip ? { clip } : {}),
      format: file.format,
      weights: weights?.key ?? null,
      tensors: Array.from(file.tensors, ([name, { shape, dtype, unreadable }]) => ({
        name,
        shape,
        dtype,
        ...(unreadable === undefined ? {} : { unreadable }),
      })),
    });
  });
}

/** Where the CLIP of a checkpoint is, or what is wrong. */
function stateOf(clip: ClipReference, path: string): Promise<string> {
  return findClip(clip, path).then(
    (found) => `${found} (sha256 ${clip.sha256})`,
    (error: unknown) => oneLine(error),
  );
}

/** The weights that `inspect` speaks of; null where a file holds several and none is asked for. */
function weightsIn(file: TensorFile, key: string | undefined, output: Output): Weights | null {
  try {
    return selectWeights(file, key);
  } catch (error) {
    if (key !== undefined || !(error instanceof FileFormatError)) throw error;
    output.warn(`${oneLine(error)}: say which with --key`);
    return null;
  }
}

function whichOf({ key, prefix }: Weights, file: TensorFile): string {
  const others = otherWeights(file, key);
  const cut = prefix === "" ? "" : `, names without ${printable(prefix)}`;
  return `${printable(key) || "the top"}${cut}${others.length > 0 ? ` (also there: ${others.join(", ")})` : ""}`;
}

/** What the header of our own weights says. */
function described(path: string, file: TensorFile): DetectedNetwork | null {
  const sr = describedSr(path, file);
  if (sr) return srConfig(sr.network);
  const config = describedSrclip(path, file);
  return config && { model: "SrCLIPV2", config };
}

/** What the tensors say; null where that is nothing that is known, or nearly known, which is said. */
function detected(path: string, { tensors }: Weights, output: Output): DetectedNetwork | null {
  try {
    const network = detectNetwork(path, tensors);
    const nearly = network ?? detectNetwork(path, tensors, { whole: false });
    if (!network && nearly) {
      output.warn(`${path}: nearly a ${describeNetwork(nearly)}, but there are tensors of other names`);
    }
    return network;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    output.warn(oneLine(error));
    return null;
  }
}

function floatsOf(tensors: TensorFile["tensors"]): number {
  const floats = [...tensors.values()].filter(({ dtype }) => isStoredFloat(dtype));
  return floats.reduce((sum, { shape }) => sum + numel(shape), 0);
}

/** What a file holds beside tensors. */
function remarks({ format, values: all, objects, metadata }: TensorFile): string[] {
  const values = [...all].filter(([name]) => format !== "TorchScript" || !OF_EVERY_MODULE.test(name));
  const shown = values.slice(0, SHOWN_VALUES).map(([name, value]) => `${name} ${String(value)}`);
  const more = values.length > shown.length ? [`and ${values.length - shown.length} more`] : [];
  return [
    ...(shown.length > 0 ? [`values      ${[...shown, ...more].map(brief).join(", ")}`] : []),
    ...Array.from(objects, ([name, type]) => `left out    ${brief(`${name}: an object of ${type}`)}`).slice(
      0,
      SHOWN_VALUES,
    ),
    ...Object.entries(metadata).map(([name, text]) => `metadata    ${brief(`${name}: ${text}`)}`),
  ];
}

function brief(text: string): string {
  const shown = printable(text);
  return shown.length > 100 ? `${shown.slice(0, 100)}...` : shown;
}
