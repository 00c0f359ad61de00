import { checkOptions, type Device, Rng, wrongArgument } from "@deplsr/tensor";

/** What a constructor needs to make its tensors: where, and the generator that draws them. */
export interface Init {
  readonly device: Device;
  readonly rng: Rng;
  /** Leave at zero what would be drawn: a model that is about to be loaded needs no random weights. */
  readonly blank?: boolean;
}

/** The last arguments of a layer's constructor: options, which may be left out, and what makes its tensors. */
export type OptionsAndInit<Options> = [init: Init] | [options: Options | undefined, init: Init];

/** Both of them, checked. */
export function optionsAndInit<Options extends object>(
  layer: string,
  given: OptionsAndInit<Options>,
  known: readonly (keyof Options & string)[],
): readonly [Partial<Options>, Init] {
  const [options, init] = given.length < 2 ? [undefined, given[0]] : (given as [Options | undefined, Init]);
  if (options !== undefined) checkOptions(layer, options, known);
  checkInit(layer, init);
  return [options ?? {}, init];
}

/** @throws ArgumentError unless it can make tensors */
export function checkInit(op: string, init: unknown): asserts init is Init {
  const { device, rng, blank } = (init ?? {}) as { device?: unknown; rng?: unknown; blank?: unknown };
  const fits = typeof device === "object" && device !== null && "backend" in device && (blank || rng instanceof Rng);
  if (!fits) throw wrongArgument(op, "init", "{ device, rng }", init);
}

/** @throws ArgumentError unless it says whether this is training */
export function checkMode(layer: string, mode: unknown): void {
  const { training } = (mode ?? {}) as { training?: unknown };
  if (typeof training !== "boolean") throw wrongArgument(layer, "mode", "{ training, rng }", mode);
}
