/**
 * Functions of tensors that are recorded once and run again. What such a function launches is kept as a list, with the memory that it works in,
 * so that a run costs JavaScript next to nothing. What it reads and writes outside, weights mostly, has to be where it was; where it is not, or
 * has another value by now that the list did not write, the function is recorded anew.
 */
import { checkFunction, checkTensor, wrongArgument } from "./arguments.ts";
import { detach } from "./autograd.ts";
import type { Storage, Tape } from "./backend.ts";
import { capturing } from "./capturing.ts";
import { DeviceError, DTypeError, describe, refuseAsync, ShapeError } from "./errors.ts";
import { Rng } from "./random.ts";
import { scope } from "./scope.ts";
import { sameShape } from "./shape.ts";
import { type Captured, type CaptureInput, type CaptureResult, type Device, Tensor, valueOf } from "./tensor.ts";
import type { Value } from "./value.ts";
import { CaptureWatcher } from "./watcher.ts";

/** A tensor of the first call as far as those of others have to be like it; undefined for a generator. */
type Like = Pick<Tensor, "shape" | "dtype"> | undefined;

/** What `Device.capture` gives. */
export function captured<Inputs extends readonly CaptureInput[], Result extends CaptureResult>(
  device: Device,
  work: (...inputs: Inputs) => Result,
): Captured<Inputs, Result> {
  checkFunction("capture", "work", work);
  let recording: Recording | undefined;
  let like: readonly Like[] | undefined;
  let single = true;
  const run = (inputs: readonly CaptureInput[]): readonly Tensor[] => {
    // The cast: as many as it was given, and like those that it takes.
    const result = refuseAsync("capture", work(...(inputs as Inputs))) as CaptureResult;
    single = result instanceof Tensor;
    const results = result instanceof Tensor ? [result] : result;
    for (const [i, tensor] of results.entries()) checkTensor("capture", `result ${i}`, tensor);
    return results;
  };
  const dispose = (): void => {
    recording?.release();
    recording = undefined;
  };
  const call = (...inputs: CaptureInput[]): Tensor | readonly Tensor[] => {
    checkInputs(device, inputs, like);
    let results: readonly Tensor[];
    // Inside of another one it is a part of that.
    if (capturing.watcher) results = run(inputs);
    else if (!device.backend.record) results = plain(device, inputs, run);
    else {
      if (recording && !recording.stands) dispose();
      if (recording) recording.replay(inputs);
      else recording = new Recording(device, inputs, run);
      results = recording.results();
      if (!recording.repeats) dispose();
    }
    like ??= inputs.map((input) => (input instanceof Rng ? undefined : { shape: input.shape, dtype: input.dtype }));
    return single ? results[0]! : results;
  };
  // The cast: the function's own types, which are not looked at here.
  return Object.assign(call, { dispose }) as unknown as Captured<Inputs, Result>;
}

function checkInputs(device: Device, inputs: readonly CaptureInput[], like: readonly Like[] | undefined): void {
  for (const [i, input] of inputs.entries()) {
    if (input instanceof Rng) {
      const first = inputs.indexOf(input);
      if (first < i) throw new Error(`capture: inputs ${first} and ${i} are one generator: pass it once`);
      continue;
    }
    checkTensor("capture", `input ${i}`, input);
    if (input.device !== device) throw new DeviceError(`capture: input ${i} ${describe(input)} is on another device`);
  }
  if (!like) return;
  if (inputs.length !== like.length)
    throw new ShapeError(`capture: ${inputs.length} inputs, where the first call had ${like.length}`);
  for (const [i, first] of like.entries()) {
    const input = inputs[i]!;
    if (!first || input instanceof Rng) {
      if (!first !== input instanceof Rng)
        throw wrongArgument("capture", `input ${i}`, first ? "a Tensor" : "an Rng", input);
      continue;
    }
    const what = `capture: input ${i} ${describe(input)} differs from that of the first call, ${describe(first)}`;
    if (!sameShape(input.shape, first.shape)) throw new ShapeError(what);
    if (input.dtype !== first.dtype) throw new DTypeError(what);
  }
}

type Run = (inputs: readonly CaptureInput[]) => readonly Tensor[];

/** Runs the function while `watcher` sees what it does. Its results have no graphs. */
function watched(watcher: CaptureWatcher, inputs: readonly CaptureInput[], run: Run): readonly Tensor[] {
  capturing.watcher = watcher;
  try {
    return scope(() => run(inputs).map((tensor) => (tensor.hasGraph ? detach(tensor) : tensor)));
  } finally {
    capturing.watcher = undefined;
  }
}

/** A call where nothing is recorded. */
function plain(device: Device, inputs: readonly CaptureInput[], run: Run): readonly Tensor[] {
  const watcher = new CaptureWatcher(undefined);
  return watched(watcher, inputs, run).map((x) => (watcher.isOwn(x) ? x : copied(device, x.value("capture"))));
}

/** A call of a function, which may be run again. */
class Recording {
  readonly #device: Device;
  readonly #tape: Tape;
  readonly #watcher: CaptureWatcher;
  /** Where its tensors are given to it. */
  readonly #inputs: readonly (Value | undefined)[];
  readonly #outputs: readonly Value[];
  readonly #reads: readonly Storage[];
  readonly #writes: readonly Storage[];
  /** False where another run of what it launched would not do the same. */
  readonly repeats: boolean;

  /** Runs the function on copies of its inputs, which each run begins with writing, and keeps what it launches. */
  constructor(device: Device, inputs: readonly CaptureInput[], run: Run) {
    this.#device = device;
    const held: Value[] = [];
    let tape: Tape | undefined;
    try {
      this.#inputs = inputs.map((input) => {
        if (input instanceof Rng) return undefined;
        const copy = copyOf(device, input.value("capture"));
        held.push(copy);
        return copy;
      });
      tape = device.backend.record!();
      this.#tape = tape;
      this.#watcher = new CaptureWatcher(tape);
      const given = inputs.map((input, i) => {
        if (input instanceof Rng) this.#watcher.takes(input, i);
        else return this.#argument(this.#inputs[i]!);
        return input;
      });
      const results = watched(this.#watcher, given, run);
      const stays = this.#watcher.end();
      const outside = new Set([...this.#watcher.storages]);
      this.#outputs = results.map((tensor) => {
        const value = tensor.value("capture");
        // What others hold, or is written the next time, is no place for a result.
        const output = outside.has(value.view().storage) ? copyOf(device, value) : value.retain();
        held.push(output);
        return output;
      });
      for (const tensor of results) if (this.#watcher.isOwn(tensor) && !tensor.holder.kept) tensor.dispose();
      for (const argument of given) if (argument instanceof Tensor) argument.dispose();
      const own = this.#inputs.flatMap((value) => (value ? [value.view().storage] : []));
      const outputs = this.#outputs.map((value) => value.view().storage);
      this.#reads = [...own, ...outside];
      this.#writes = [...outputs.filter((storage) => !own.includes(storage)), ...this.#watcher.targets];
      this.repeats = tape.end(outputs) && stays;
    } catch (error) {
      tape?.end([]);
      for (const value of held) value.release();
      tape?.release();
      throw error;
    }
  }

  #argument(value: Value): Tensor {
    const argument = new Tensor(this.#device, value.retain(), "capture");
    this.#watcher.made(argument);
    return argument;
  }

  get stands(): boolean {
    return !this.#tape.failed && this.#watcher.stands();
  }

  replay(given: readonly CaptureInput[]): void {
    for (const [i, value] of this.#inputs.entries()) {
      if (value) this.#device.backend.copy({ out: value.view(), input: (given[i] as Tensor).view("capture") });
    }
    this.#watcher.before(given);
    this.#tape.replay(this.#reads, this.#writes);
    this.#watcher.after();
  }

  /** Those of the last run, as tensors of their own. */
  results(): readonly Tensor[] {
    return this.#outputs.map((value) => copied(this.#device, value));
  }

  release(): void {
    for (const value of [...this.#inputs, ...this.#outputs]) value?.release();
    this.#tape.release();
  }
}

function copyOf(device: Device, value: Value): Value {
  const input = value.view();
  return valueOf(device, value.shape, value.dtype, "capture", (out) => device.backend.copy({ out, input }));
}

function copied(device: Device, value: Value): Tensor {
  return new Tensor(device, copyOf(device, value), "capture");
}
