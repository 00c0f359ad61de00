import type { Device, Source } from "@deplsr/tensor";
import type { Image } from "./image.ts";

/** A file that a metric needs and that its users bring. */
export interface WeightFile {
  /** The name under which it is downloaded, `alexnet-owt-7be5be79.pth`. */
  readonly name: string;
  /** Where it is published. */
  readonly from: string;
}

/** A metric before its files are read: what a command lists and loads. */
export interface MetricKind {
  /** As users write it, `lpips`. */
  readonly name: string;
  readonly lowerBetter: boolean;
  /** Whether an image is scored beside the one it should be. */
  readonly needsReference: boolean;
  /** What it needs besides the images; empty where it needs nothing. */
  readonly weights: readonly WeightFile[];
  /**
   * Makes the metric.
   *
   * @param device computes, where the metric needs one; the caller's
   * @param files the contents of `weights`, by name
   * @throws Error in one line when a file is damaged or of something else
   */
  readonly open: (device: Device, files: ReadonlyMap<string, Source>) => Promise<ImageMetric | SetMetric>;
}

/** A metric that scores one image at a time. */
export interface ImageMetric {
  /** @param reference the image as it should be, of the same size; given where the kind needs one */
  readonly score: (image: Image, reference?: Image) => number | Promise<number>;
  /** Gives back what it holds on the device. */
  readonly dispose?: () => void;
}

/** A metric that compares a set of images with a set of references as wholes. */
export interface SetMetric {
  readonly scoreSets: (images: AsyncIterable<Image>, references: AsyncIterable<Image>) => Promise<number>;
  readonly dispose?: () => void;
}
