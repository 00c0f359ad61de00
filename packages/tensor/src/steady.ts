import { checkFlag, checkFunction, checkOptions, checkWhole } from "./arguments.ts";
import { env } from "./env.ts";
import { describe } from "./errors.ts";
import { Rng } from "./random.ts";
import type { Captured, CaptureInput, CaptureResult, Device } from "./tensor.ts";

/** When `captureSteady` captures. */
export interface SteadyOptions {
  /** Calls of the same shapes that run as they are before one is captured: until everything lies where it stays. Default 2. */
  readonly after?: number;
  /** How many different shapes are captured, each in memory of its own; others run as they are. Default 1. */
  readonly most?: number;
  /** Whether adapters in software capture too, where launches cost little next to what they compute. Default true. */
  readonly software?: boolean;
}

const OPTIONS: readonly string[] = ["after", "most", "software"] satisfies (keyof SteadyOptions)[];

/**
 * A function for who calls it often, mostly with the same shapes: it is captured (`Device.capture`, whose rules it has to keep) once calls of the same
 * shapes come again and again. Others run it as it is, and so do all where the backend records nothing or `DEPLSR_CAPTURE` is 0: the bits are the
 * same. `dispose` gives the memory of what was captured back; the next call of such shapes captures it anew.
 */
export function captureSteady<Inputs extends readonly CaptureInput[], Result extends CaptureResult>(
  device: Device,
  work: (...inputs: Inputs) => Result,
  options: SteadyOptions = {},
): Captured<Inputs, Result> {
  checkFunction("captureSteady", "work", work);
  checkOptions("captureSteady", options, OPTIONS);
  const { after = 2, most = 1, software = true } = options;
  checkWhole("captureSteady", "after", after, 0);
  checkWhole("captureSteady", "most", most, 0);
  checkFlag("captureSteady", "software", software);
  const calls = new Map<string, number>();
  const captures = new Map<string, Captured<Inputs, Result>>();
  const gains = software || !device.info.software;
  const records = env().capture && gains && device.backend.record !== undefined;
  const call = (...inputs: Inputs): Result => {
    if (!records) return work(...inputs);
    const shapes = inputs.map((input) => (input instanceof Rng ? "Rng" : describe(input))).join();
    const known = captures.get(shapes);
    if (known) return known(...inputs);
    const before = calls.get(shapes) ?? 0;
    calls.set(shapes, before + 1);
    if (before < after || captures.size >= most) return work(...inputs);
    const captured = device.capture(work);
    captures.set(shapes, captured);
    return captured(...inputs);
  };
  const dispose = (): void => {
    for (const captured of captures.values()) captured.dispose();
    captures.clear();
  };
  return Object.assign(call, { dispose });
}
