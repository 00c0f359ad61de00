/**
 * Functions of tensors that are recorded once and run again. What such a function launches is kept as a list, with the memory that it works in,
 * so that a run costs JavaScript next to nothing. It holds the values that it read from outside, weights mostly; where one of those tensors
 * has another value by now, it is recorded anew.
 */
import { checkFunction, checkTensor } from "./arguments.ts";
import { noGrad } from "./autograd.ts";
import type { Backend, Storage, Tape } from "./backend.ts";
import { DeviceError, DTypeError, describe, refuseAsync, ShapeError } from "./errors.ts";
import { scope } from "./scope.ts";
import { sameShape } from "./shape.ts";
import { type Capturable, type Captured, capturing, type Device, naming, Tensor, valueOf } from "./tensor.ts";
import type { Value } from "./value.ts";

/** Sees what the function makes and reads while it runs, and refuses what a list of launches cannot do again. */
class Watcher {
  /** The tensors that it read from outside, with what they were. */
  readonly outside = new Map<Tensor, Value>();
  readonly #made = new WeakSet<Tensor>();
  readonly #tape: Tape | undefined;

  constructor(tape: Tape | undefined) {
    this.#tape = tape;
  }

  made(tensor: Tensor): void {
    this.#made.add(tensor);
  }

  isOwn(tensor: Tensor): boolean {
    return this.#made.has(tensor);
  }

  read(tensor: Tensor, value: Value): void {
    if (!this.#tape || this.isOwn(tensor) || this.outside.has(tensor)) return;
    this.outside.set(tensor, value.retain());
    // Computed or laid out now: else the list would do it, from what may be gone by the next run.
    this.#tape.aside(() => value.dense());
  }

  write(tensor: Tensor, by: string): void {
    if (this.isOwn(tensor)) return;
    throw new Error(`capture: \`${by}\` writes to ${describe(tensor)}, which was made outside of the function`);
  }

  draw(op: string): void {
    throw new Error(
      `capture: \`${naming.op ?? op}\` draws numbers, which would be the same in every call: draw them before, and pass them`,
    );
  }
}

/** What a function was when it was recorded. */
interface Recording {
  readonly tape: Tape;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly outside: ReadonlyMap<Tensor, Value>;
  readonly reads: readonly Storage[];
  readonly writes: readonly Storage[];
}

/** What `Device.capture` gives. */
export function captured<Work extends Capturable>(device: Device, work: Work): Captured<Work> {
  checkFunction("capture", "work", work);
  const { backend } = device;
  let recording: Recording | undefined;
  let like: readonly Pick<Tensor, "shape" | "dtype">[] | undefined;
  let single = true;
  const run = (inputs: readonly Tensor[], watcher: Watcher): readonly Tensor[] => {
    capturing.watcher = watcher;
    try {
      const result = scope(() => noGrad(() => refuseAsync("capture", work(...inputs)))) as ReturnType<Capturable>;
      single = result instanceof Tensor;
      const results = result instanceof Tensor ? [result] : result;
      for (const [i, tensor] of results.entries()) checkTensor("capture", `result ${i}`, tensor);
      return results;
    } finally {
      capturing.watcher = undefined;
    }
  };
  const dispose = (): void => {
    if (recording) release(recording);
    recording = undefined;
  };
  const call = (...inputs: Tensor[]): Tensor | readonly Tensor[] => {
    checkInputs(device, inputs, like);
    let results: readonly Tensor[];
    // Inside of another one it is a part of that.
    if (capturing.watcher) {
      const result = refuseAsync("capture", work(...inputs)) as ReturnType<Capturable>;
      single = result instanceof Tensor;
      results = [result].flat();
      for (const [i, tensor] of results.entries()) checkTensor("capture", `result ${i}`, tensor);
    } else if (!backend.record) {
      const watcher = new Watcher(undefined);
      results = run(inputs, watcher).map((x) =>
        watcher.isOwn(x) ? x : tensorOf(device, copyOf(device, x.value("capture"))),
      );
    } else {
      if (recording && !stands(recording)) dispose();
      if (recording) replay(backend, recording, inputs);
      else recording = record(device, inputs, run);
      results = recording.outputs.map((value) => tensorOf(device, copyOf(device, value)));
    }
    like ??= inputs.map(({ shape, dtype }) => ({ shape, dtype }));
    return single ? results[0]! : results;
  };
  // The cast: the function's own types, which are not looked at here.
  return Object.assign(call, { dispose }) as unknown as Captured<Work>;
}

function checkInputs(
  device: Device,
  inputs: readonly Tensor[],
  like: readonly Pick<Tensor, "shape" | "dtype">[] | undefined,
): void {
  for (const [i, input] of inputs.entries()) {
    checkTensor("capture", `input ${i}`, input);
    if (input.device !== device) throw new DeviceError(`capture: input ${i} ${describe(input)} is on another device`);
  }
  if (!like) return;
  if (inputs.length !== like.length)
    throw new ShapeError(`capture: ${inputs.length} inputs, where the first call had ${like.length}`);
  for (const [i, { shape, dtype }] of like.entries()) {
    const input = inputs[i]!;
    const what = `capture: input ${i} ${describe(input)} differs from that of the first call, ${describe({ shape, dtype })}`;
    if (!sameShape(input.shape, shape)) throw new ShapeError(what);
    if (input.dtype !== dtype) throw new DTypeError(what);
  }
}

/** Runs the function on copies of its inputs, which each run begins with writing, and keeps what it launches. */
function record(
  device: Device,
  inputs: readonly Tensor[],
  run: (inputs: readonly Tensor[], watcher: Watcher) => readonly Tensor[],
): Recording {
  const own: Value[] = [];
  let tape: Tape | undefined;
  let watcher: Watcher | undefined;
  try {
    for (const x of inputs) own.push(copyOf(device, x.value("capture")));
    tape = device.backend.record!();
    watcher = new Watcher(tape);
    const arguments_ = own.map((value) => tensorOf(device, value.retain()));
    for (const argument of arguments_) watcher.made(argument);
    const results = run(arguments_, watcher);
    const outputs = results.map((tensor) => tensor.value("capture").retain());
    for (const tensor of results) if (watcher.isOwn(tensor) && !tensor.holder.kept) tensor.dispose();
    for (const argument of arguments_) argument.dispose();
    const { outside } = watcher;
    const reads = [...own, ...outside.values()].map((value) => value.view().storage);
    const writes = outputs.map((value) => value.view().storage).filter((storage) => !reads.includes(storage));
    tape.end();
    return { tape, inputs: own, outputs, outside, reads, writes };
  } catch (error) {
    tape?.end();
    for (const value of [...own, ...(watcher?.outside.values() ?? [])]) value.release();
    tape?.release();
    throw error;
  }
}

/** Whether all that it read from outside is as it was, and nothing of it has failed. */
function stands({ outside, tape }: Recording): boolean {
  for (const [tensor, value] of outside) if (tensor.holder.value !== value) return false;
  return !tape.failed;
}

function replay(backend: Backend, { tape, inputs, reads, writes }: Recording, given: readonly Tensor[]): void {
  for (const [i, value] of inputs.entries()) backend.copy({ out: value.view(), input: given[i]!.view("capture") });
  tape.replay(reads, writes);
}

function release({ tape, inputs, outputs, outside }: Recording): void {
  for (const value of [...inputs, ...outputs, ...outside.values()]) value.release();
  tape.release();
}

function copyOf(device: Device, value: Value): Value {
  const input = value.view();
  return valueOf(device, value.shape, value.dtype, "capture", (out) => device.backend.copy({ out, input }));
}

function tensorOf(device: Device, value: Value): Tensor {
  return new Tensor(device, value, "capture");
}
