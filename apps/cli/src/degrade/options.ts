/** From the fields of configuration files to what the degradation package takes. */
import {
  drawMixture,
  drawSemantic,
  type MixtureOptions,
  SEMANTIC_OPTIONS,
  type SecondOrderOptions,
  type SemanticOptions,
  smallestSide as smallestSecondOrderSide,
} from "@deplsr/degradation";
import { type SecondOrderRunConfig, type SemanticRunConfig, secondOrderRoot } from "../config/degrade.ts";
import type { SrRunConfig } from "../config/sr.ts";
import type { SynthesizedSet } from "../config/sr-data.ts";
import { oneLine, UserError } from "../errors.ts";

/** The options of the semantic-driven pipeline. @throws UserError naming what is out of its range, and the range */
export function semanticOptions({ datasets }: SemanticRunConfig, file: string): SemanticOptions {
  const options = camelKeys(datasets.train);
  checked(file, () => drawSemantic(0, options));
  return options;
}

/**
 * The options of the second-order pipeline for whole images. They are not turned, as the originals on the disk would not be.
 *
 * @throws UserError naming what is out of its range, and the range
 */
export function secondOrderOptions({ datasets, ...run }: SecondOrderRunConfig, file: string): SecondOrderOptions {
  const options = { ...camelKeys(run), ...camelKeys(datasets.train), gtSize: null, useHflip: false, useRot: false };
  checked(file, () => smallestSecondOrderSide(options));
  return options;
}

/**
 * What the pairs of a training are drawn from.
 *
 * @throws UserError naming what is out of its range, and the range
 */
export function mixtureOptions(run: SrRunConfig, set: SynthesizedSet): MixtureOptions {
  const { mixture, light, ...blurs } = set;
  const root = secondOrderRoot(run);
  const options: MixtureOptions = {
    shares: mixture,
    light: { ...SEMANTIC_OPTIONS, ...camelKeys(light) },
    heavy: { ...camelKeys(root), ...camelKeys(blurs), scale: run.scale },
  };
  const file = `${run.name}: datasets.train`;
  checked(`${file}.light`, () => drawSemantic(0, { ...options.light, lqSize: 1 }));
  checked(file, () => drawMixture(0, { count: 1, side: set.crop_pad_size }, options));
  const least = mixture.heavy > 0 ? smallestSecondOrderSide({ ...options.heavy, gtSize: null }) : 0;
  const small = mixture.light > 0 ? run.scale * ((light.blur_kernel_size + 1) / 2) : 0;
  if (set.crop_pad_size < Math.max(least, small)) {
    throw new UserError(
      `config: ${file}.crop_pad_size is ${set.crop_pad_size}: these kernels need at least ${Math.max(least, small)}`,
    );
  }
  return options;
}

/** The smallest side, in pixels, of an image that every kernel fits: they mirror half of themselves at its borders. */
export function smallestSide(options: SemanticOptions | SecondOrderOptions): number {
  return "scale" in options ? smallestSecondOrderSide(options) : (options.blurKernelSize + 1) / 2;
}

/** Complaints about `noiseRange` are about the file's `noise_range`. */
function checked(file: string, check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const [, name = "", rest = ""] = /^\w+: (\w+)(.*)$/.exec(oneLine(error)) ?? [];
    throw new UserError(`config: ${file}: ${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}${rest}`);
  }
}

type Camel<Name> = Name extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : Name;

/** The same values by names in camel case: `blur_sigma2` becomes `blurSigma2`. */
function camelKeys<T extends object>(values: T): { [Name in keyof T as Camel<Name>]: T[Name] } {
  const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  // What `Camel` says of the type, `camel` does to the names.
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [camel(name), value])) as {
    [Name in keyof T as Camel<Name>]: T[Name];
  };
}
