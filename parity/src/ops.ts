/** The group `ops`: single operations of the engine, forward and backward. */
import { add, backward, type Device, mul, requireGrad, sum, type Tensor } from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import { counted } from "./counted.ts";
import { type Case, type Driver, type Fixture, type Outputs, stored, upload, zerosLike } from "./fixture.ts";
import { type Arguments, OPERATIONS } from "./operations.ts";

/** A case per entry of `config`: run its operation, then the gradient of `sum(out · grad_out)` over all outputs. */
export const cases: Driver = (fixture, device) =>
  Object.keys(fixture.config).map((name): Case => ({ name, run: () => runOperation(fixture, device, name) }));

function runOperation(fixture: Fixture, device: Device, name: string): Outputs {
  const attributes = new Attributes(fixture.config[name], name);
  const op = attributes.string("op");
  const operation = Object.hasOwn(OPERATIONS, op) ? OPERATIONS[op] : undefined;
  if (!operation) throw new Error(`the operation "${op}" is not understood`);
  const wanted = attributes.strings("gradients");
  const inputs = new Inputs(fixture, device, name, attributes.object("inputs"), new Set(wanted));
  const results = [operation(inputs, attributes)].flat();
  const outputNames = attributes.strings("outputs");
  inputs.finish();
  attributes.finish();
  if (results.length !== outputNames.length) {
    throw new Error(`${op} gives ${counted(results.length, "result")}, but ${outputNames.length} asked for`);
  }
  const outputs: Record<string, Outputs[string]> = {};
  outputNames.forEach((output, i) => {
    outputs[`${name}.${output}`] = results[i]!;
  });
  if (wanted.length === 0) return outputs;
  // The loss is linear in the results, so it does not matter that its own value is rounded.
  const terms = outputNames.flatMap((output, i) => {
    const gradient = `${name}.${output.replace(/^out/, "grad_out")}`;
    return fixture.tensors.has(gradient) ? [sum(mul(results[i]!, upload(fixture, device, gradient)))] : [];
  });
  if (terms.length === 0) throw new Error(`gradients are asked for, but there is no "${name}.grad_out"`);
  const tensors = wanted.map((input) => inputs.tensor(input));
  const gradients = backward(terms.reduce(add), { wrt: tensors, retainGraph: true });
  wanted.forEach((input, i) => {
    const key = `${name}.grad.${input}`;
    outputs[key] = gradients.get(tensors[i]!) ?? zerosLike(fixture, key);
  });
  return outputs;
}

/** The arguments of one case. An input that two arguments name is one tensor, so its gradient is the sum over both. */
class Inputs implements Arguments {
  readonly device: Device;
  readonly #fixture: Fixture;
  readonly #case: string;
  readonly #names: Attributes;
  readonly #differentiable: ReadonlySet<string>;
  readonly #tensors = new Map<string, Tensor>();

  constructor(fixture: Fixture, device: Device, name: string, names: Attributes, differentiable: ReadonlySet<string>) {
    this.device = device;
    this.#fixture = fixture;
    this.#case = name;
    this.#names = names;
    this.#differentiable = differentiable;
  }

  get(argument: string): Tensor {
    return this.tensor(this.#names.string(argument));
  }

  optional(argument: string): Tensor | undefined {
    return this.#names.has(argument) ? this.get(argument) : undefined;
  }

  all(): Tensor[] {
    return this.#names.names().map((argument) => this.get(argument));
  }

  /** The tensor stored as `<case>.in.<input>`, uploaded once. */
  tensor(input: string): Tensor {
    const known = this.#tensors.get(input);
    if (known) return known;
    const name = `${this.#case}.in.${input}`;
    const { dtype } = stored(this.#fixture, name);
    const tensor = upload(this.#fixture, this.device, name, dtype === "U8" || dtype === "BOOL" ? "bool" : undefined);
    this.#tensors.set(input, this.#differentiable.has(input) ? requireGrad(tensor) : tensor);
    return tensor;
  }

  finish(): void {
    this.#names.finish();
  }
}
