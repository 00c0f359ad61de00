import type { Device, Source } from "@deplsr/tensor";
import type { Image } from "./image.ts";

/** What a metric is, before anything is scored. */
export interface MetricInfo {
  /** As users write it, `lpips`. */
  readonly name: string;
  /** The name with what scores depend on besides the images, `niqe (own pristine model)`, where there is such a thing. */
  readonly label?: string;
  readonly lowerBetter: boolean;
  /** Whether images are compared with what they should be. */
  readonly needsReference: boolean;
}

/** A metric that scores one image at a time. */
export interface ImageMetric extends MetricInfo {
  /**
   * @param reference the image as it should be, of the same size; given where the metric needs one
   * @throws RangeError (or rejects with one) in one line when these images cannot be scored: sizes that differ, an image too small
   */
  readonly score: (image: Image, reference?: Image) => number | Promise<number>;
  /** Gives back what the metric holds on the device. */
  readonly dispose?: () => void;
}

/** A metric that compares a set of images with a set of references, each as a whole. */
export interface SetMetric extends MetricInfo {
  readonly scoreSets: (images: AsyncIterable<Image>, references: AsyncIterable<Image>) => Promise<number>;
  readonly dispose?: () => void;
}

/** A metric that is ready. */
export type Metric = ImageMetric | SetMetric;

/** A file that a metric needs and its users bring. */
export interface WeightFile {
  /** The name under which it is downloaded, `alexnet-owt-7be5be79.pth`. */
  readonly name: string;
  /** Where it is published. */
  readonly from: string;
}

/** A metric that learned what it does: it is made of files and computes on a device. */
export interface LearnedMetric extends MetricInfo {
  readonly weights: readonly WeightFile[];
  /**
   * Makes the metric.
   *
   * @param files all of `weights`, by name
   * @throws Error in one line when a file is damaged or of something else
   */
  readonly open: (device: Device, files: ReadonlyMap<string, Source>) => Promise<Metric>;
}
