/** From the fields of configuration files to what the degradation package takes. */
import {
  drawSemantic,
  type SecondOrderOptions,
  type SemanticOptions,
  smallestSide as smallestSecondOrderSide,
} from "@deplsr/degradation";
import type { SecondOrderRunConfig, SemanticRunConfig } from "../config/degrade.ts";
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
