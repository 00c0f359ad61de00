/** Checkpoints of SRCLIP that hold their frozen CLIP by reference: the file is found, is the same, and both are read as one. */
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { selectWeights, type TensorFile } from "@deplsr/nn";
import { underOwnNames } from "@deplsr/srclip";
import type { FileTensor } from "@deplsr/tensor";
import { UserError } from "../errors.ts";
import { exists } from "../files.ts";
import { runFolderOf } from "../run-folder.ts";
import { type ClipReference, describedIn, metadataOf, readDescription } from "../train/checkpoint.ts";
import { sha256Of, WEIGHTS, withTensorFile } from "./weights-file.ts";

/** What a training needs to know of its frozen CLIP. */
export interface RunClip {
  /** The file that its weights are taken from; null where it starts from random ones, and trains. */
  readonly file: string | null;
  /** What its checkpoints say of it; null for those that hold it. */
  readonly reference: ClipReference | null;
  /** Whether the checkpoint to go on from lacks it. */
  readonly lacking: boolean;
}

/**
 * Where a training's frozen CLIP is, and whether its checkpoints hold it. A run goes on as it was: from a checkpoint that holds the CLIP,
 * which may be another than that of the file, come others that do.
 *
 * @param folder the run's
 * @param from the checkpoint to go on from
 * @throws UserError when the CLIP that it was trained on is missing, or is another
 */
export async function clipOfRun(
  { pretrained, self_contained: whole }: { readonly pretrained: string | null; readonly self_contained: boolean },
  folder: string,
  from: string | null,
): Promise<RunClip> {
  const before = from === null ? null : ((await readDescription(from, "srclip")).clip ?? null);
  if (pretrained === null) {
    if (!before) return { file: null, reference: null, lacking: false };
    throw new UserError(
      `train: ${from} was trained on the CLIP of ${before.absolute}: give its file with --pretrained`,
    );
  }
  if (!before && (whole || from !== null)) return { file: pretrained, reference: null, lacking: false };
  const moved = before !== null && !(await exists(pretrained));
  const file = moved ? await findClip(before, join(from!, WEIGHTS)) : pretrained;
  const reference = await referTo(file, folder);
  if (before && before.sha256 !== reference.sha256) {
    throw new UserError(
      `train: ${file} is not the CLIP that ${from} was trained on (${hashes(reference.sha256, before.sha256)}): give its file with --pretrained`,
    );
  }
  return { file, reference: whole ? null : reference, lacking: before !== null };
}

async function referTo(file: string, folder: string): Promise<ClipReference> {
  const path = relative(resolve(folder), resolve(file)).replaceAll(sep, "/");
  return { file: path, absolute: resolve(file), sha256: await sha256Of(file) };
}

/** Those of an SRCLIP's tensors that a CLIP's file has as they are; a positional embedding that was resized is none. */
export async function heldByClip(
  path: string,
  model: ReadonlyMap<string, { readonly shape: readonly number[] }>,
): Promise<Set<string>> {
  return withTensorFile(path, async (file) => {
    const held = [...clipTensors(file)].filter(([name, { shape }]) => `${model.get(name)?.shape}` === `${shape}`);
    return new Set(held.map(([name]) => name));
  });
}

/**
 * As `withTensorFile`; where the file holds its CLIP by reference, or has its text tower in a file beside it, with the tensors of both.
 *
 * @throws UserError also when that other file is missing or has changed
 */
export async function withWholeFile<T>(path: string, work: (file: TensorFile) => Promise<T>): Promise<T> {
  const description = await withTensorFile(path, async (file) => describedIn(path, file, "srclip"));
  if (!description?.clip && description?.texts === undefined) return withTensorFile(path, work);
  const { clip, texts, ...whole } = description;
  const other = clip ? await findClip(clip, path) : join(dirname(path), basename(texts!));
  return withTensorFile(other, (beside) =>
    withTensorFile(path, (file) => {
      const tensors = new Map([...(clip ? clipTensors(beside) : beside.tensors), ...file.tensors]);
      return work({ ...file, tensors, metadata: { ...file.metadata, ...metadataOf(whole) } });
    }),
  );
}

/**
 * Where the CLIP of a checkpoint is: where it was as seen from the run's folder, where it was, or as a copy in the run's folder or beside
 * the weights.
 *
 * @param weights the checkpoint's file
 * @throws UserError when it is missing, or what is there has changed
 */
export async function findClip({ file, absolute, sha256 }: ClipReference, weights: string): Promise<string> {
  const beside = dirname(weights);
  const run = runFolderOf(beside);
  const name = basename(file);
  const others: string[] = [];
  for (const place of new Set([resolve(run, file), absolute, resolve(run, name), resolve(beside, name)])) {
    if (!(await exists(place))) continue;
    const found = await sha256Of(place);
    if (found === sha256) return place;
    others.push(`${place} has changed since (${hashes(found, sha256)})`);
  }
  const what = others[0] ?? `${absolute} (sha256 ${sha256}) is not there`;
  const into = basename(dirname(resolve(beside))) === "checkpoints" ? run : beside;
  throw new UserError(
    `checkpoint: ${weights} holds its CLIP by reference, but ${what}: put that file back, or a copy of it into ${into}`,
  );
}

function clipTensors(file: TensorFile): Map<string, FileTensor> {
  return underOwnNames(new Map([...selectWeights(file).tensors].map(([name, tensor]) => [`clip.${name}`, tensor])));
}

function hashes(found: string, expected: string): string {
  return `sha256 ${found.slice(0, 16)}..., expected ${expected.slice(0, 16)}...`;
}
