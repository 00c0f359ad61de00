import { type FieldNames, type LoadReport, Module, type StateDict } from "@deplsr/nn";
import { describe, ShapeError, type Tensor } from "@deplsr/tensor";

/**
 * The network of a metric: evaluated, never trained. Its tensors bear the names of the published files, whose other entries (classifiers,
 * buffers, counters) it does not need.
 */
export abstract class MetricNetwork extends Module {
  /**
   * Loads the tensors of one or several files, with or without the prefix `module.`. No gradient is computed for them afterwards; one for
   * the images is, where it is asked for.
   *
   * @throws StateDictError naming every tensor that is missing or of another shape
   */
  load(...files: readonly StateDict[]): LoadReport {
    const report = this.loadStateDict(new Map(files.flatMap((file) => [...file])), {
      rename: (name) => name.replace(/^module\./, ""),
      allowUnexpected: true,
      allowMissing: (name) => name.endsWith(".num_batches_tracked"),
    });
    this.freeze();
    return report;
  }
}

/** Is called with what a network finds on its way, under the name of the part that found it. Only `keep` lets such a tensor live on. */
export type Watch = (part: string, x: Tensor) => void;

/** Modules under names that are those of a file as they stand. */
export class Named<Part extends Module> extends Module {
  readonly parts: ReadonlyMap<string, Part>;

  constructor(parts: Iterable<readonly [name: string, part: Part]>) {
    super();
    this.parts = new Map(parts);
  }

  override fieldNames(): FieldNames {
    return { parts: "" };
  }
}

/** @throws RangeError unless `image` is `(b, 3, h, w)` with sides of at least `smallest`, and `reference` of the same shape */
export function checkImages(metric: string, smallest: number, image: Tensor, reference: Tensor = image): void {
  const [, channels, height = 0, width = 0] = image.shape;
  if (image.rank !== 4 || channels !== 3) throw new ShapeError(`${metric}: takes (b, 3, h, w), got ${describe(image)}`);
  if (Math.min(height, width) < smallest) {
    throw new RangeError(`${metric}: ${describe(image)} has a side below ${smallest} pixels, which its network needs`);
  }
  if (`${image.shape}` !== `${reference.shape}`) {
    throw new RangeError(`${metric}: the image ${describe(image)} and its reference ${describe(reference)} differ`);
  }
}
