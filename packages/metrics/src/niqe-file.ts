import { FileFormatError, readSafetensors } from "@deplsr/tensor";
import { readMatFile } from "./mat-file.ts";
import type { NiqeModel } from "./niqe.ts";
import { NIQE_FEATURES } from "./niqe-features.ts";
import { readNpzFile } from "./npz-file.ts";

/** Names in the published files: of BasicSR and of the original release. */
const MEAN = ["mu_pris_param", "mu_prisparam"];
const COVARIANCE = ["cov_pris_param", "cov_prisparam"];

/**
 * Reads a NIQE model: what `formatNiqeModel` wrote, BasicSR's `.npz` (or the same as `.safetensors` or `.json`), or the original release's
 * `.mat`, which pyiqa uses.
 *
 * @param label of the model: the file's name, for one
 * @throws FileFormatError in one line when the file is of another kind, damaged, or has no such numbers
 */
export async function readNiqeModel(bytes: Uint8Array, label: string): Promise<NiqeModel> {
  const arrays = await readArrays(bytes);
  const array = (names: readonly string[], size: number): ArrayLike<number> => {
    const values = names.map((key) => arrays.get(key)).find((found) => found !== undefined);
    const what = `NIQE parameters: "${names[0]}"`;
    if (!values)
      throw new FileFormatError(`${what} is missing (there are ${[...arrays.keys()].join(", ") || "no arrays"})`);
    if (values.length !== size) throw new FileFormatError(`${what} has ${values.length} numbers instead of ${size}`);
    if (!Array.from(values).every(Number.isFinite)) throw new FileFormatError(`${what} holds what is no number`);
    return values;
  };
  return {
    label,
    mean: array(MEAN, NIQE_FEATURES),
    covariance: array(COVARIANCE, NIQE_FEATURES ** 2),
    ...(arrays.has("gaussian_window") && { window: array(["gaussian_window"], 49) }),
  };
}

/** A model as the text of a JSON file, with `facts` about where it comes from. */
export function formatNiqeModel(
  { mean, covariance }: NiqeModel,
  facts: Readonly<Record<string, unknown>> = {},
): string {
  const rows = Array.from({ length: NIQE_FEATURES }, (_, i) =>
    Array.from(covariance).slice(i * NIQE_FEATURES, (i + 1) * NIQE_FEATURES),
  );
  return `${JSON.stringify({ ...facts, mu_pris_param: [Array.from(mean)], cov_pris_param: rows })}\n`;
}

async function readArrays(bytes: Uint8Array): Promise<ReadonlyMap<string, ArrayLike<number>>> {
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 8));
  if (start.startsWith("MATLAB")) return readMatFile(bytes);
  if (start.startsWith("PK")) return readNpzFile(bytes);
  // The header of a safetensors file begins with its size, whose upper bytes are 0.
  if (/^\s*\{/.test(start) && !start.includes("\0")) return readJson(bytes);
  return new Map([...readSafetensors(bytes).tensors].map(([name, tensor]) => [name, tensor.toFloat64()]));
}

function readJson(bytes: Uint8Array): Map<string, number[]> {
  let fields: object;
  try {
    fields = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new FileFormatError("NIQE parameters: this is not valid JSON: the file is cut off or damaged");
  }
  const arrays = new Map<string, number[]>();
  for (const [name, value] of Object.entries(fields)) {
    const numbers: unknown[] = Array.isArray(value) ? value.flat() : [];
    if (numbers.length > 0 && numbers.every((entry) => typeof entry === "number")) arrays.set(name, numbers);
  }
  return arrays;
}
