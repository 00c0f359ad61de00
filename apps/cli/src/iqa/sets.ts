/** The sets of images that a command line names. */
import { UsageError } from "../errors.ts";

/** Images, and what they should be. */
export interface AskedSet {
  /** Null where the images are given by themselves, not as one of several sets. */
  readonly name: string | null;
  readonly images: string;
  /** Undefined where there are no originals: then only metrics without a reference apply. */
  readonly reference: string | undefined;
}

/** What stands on the command line. */
interface SetFlags {
  readonly images: string | undefined;
  readonly ref: string | undefined;
  readonly set: readonly string[];
}

/** The sets of a command line: `images` with `--ref`, or each `--set`. @throws UsageError when there are none, both, or a set that is not understood */
export function askedSets({ images, ref, set }: SetFlags): AskedSet[] {
  if (set.length === 0) {
    if (images === undefined)
      throw new UsageError("iqa: give images, or sets of them with --set NAME=SR,HR (see deplsr iqa --help)");
    return [{ name: null, images, reference: ref }];
  }
  if (images !== undefined)
    throw new UsageError(`iqa: ${images} stands beside --set: give it as a set, --set NAME=${images}`);
  if (ref !== undefined) throw new UsageError("--ref goes with images: a set names its originals, --set NAME=SR,HR");
  const sets = set.map(parseSet);
  const names = sets.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UsageError(`--set: two sets have the name ${twice}: give others`);
  return sets;
}

/** `NAME=SR,HR`, or `NAME=SR` where there are no originals. */
function parseSet(text: string): AskedSet & { readonly name: string } {
  const [, name, images, reference] = /^([^=]+)=([^,]+)(?:,([^,]+))?$/.exec(text) ?? [];
  if (name === undefined || images === undefined) {
    throw new UsageError(
      `--set "${text}" must be NAME=SR,HR: a name, the folder of the images, that of their originals, which may be left out`,
    );
  }
  return { name, images, reference };
}
