/**
 * What callers get wrong, above all where no compiler looks: refused in one line that names the function and the argument, before anything
 * runs. Each is called at the head of a function; ops on the hot path pay a comparison or two.
 */
import { type Data, DTYPES, type DType } from "./dtype.ts";
import { ArgumentError, DTypeError, ShapeError, shown } from "./errors.ts";
import { Tensor } from "./tensor.ts";

/** The line itself, as an error: `conv2d: groups has to be a whole number, got 1.5`. */
export function wrongArgument(op: string, name: string, expected: string, value: unknown): ArgumentError {
  return new ArgumentError(`${op}: ${name} has to be ${expected}, got ${shown(value)}`);
}

/** @throws ArgumentError unless it is a tensor */
export function checkTensor(op: string, name: string, value: unknown): asserts value is Tensor {
  if (!(value instanceof Tensor)) throw wrongArgument(op, name, "a tensor", value);
}

/** For options that may be absent. @throws ArgumentError unless it is a tensor or undefined */
export function checkOptionalTensor(op: string, name: string, value: unknown): asserts value is Tensor | undefined {
  if (value !== undefined) checkTensor(op, name, value);
}

/** @throws ArgumentError unless it is an array of tensors */
export function checkTensors(op: string, name: string, value: unknown): asserts value is readonly Tensor[] {
  if (!Array.isArray(value)) throw wrongArgument(op, name, "an array of tensors", value);
  for (let i = 0; i < value.length; i++) {
    // The name is only put together where it is needed.
    if (!(value[i] instanceof Tensor)) checkTensor(op, `${name}[${i}]`, value[i]);
  }
}

/** What a pointwise op is given: `count` tensors or numbers, a tensor where there is only one. */
export function checkOperands(
  op: string,
  operands: readonly unknown[],
  count: number,
  names?: readonly string[],
): void {
  for (let i = 0; i < count || i < operands.length; i++) {
    const operand = operands[i];
    if (operand instanceof Tensor || (typeof operand === "number" && count !== 1)) continue;
    const name = (names ?? (count === 1 ? ["x"] : ["a", "b", "c"]))[i] ?? `argument ${i}`;
    throw wrongArgument(op, name, count === 1 ? "a tensor" : "a tensor or a number", operand);
  }
}

/** @throws ArgumentError unless it is an object of known options: a misspelt one would be ignored */
export function checkOptions(op: string, options: unknown, known: readonly string[]): void {
  const fits = typeof options === "object" && options !== null;
  if (!fits || options instanceof Tensor || Array.isArray(options) || ArrayBuffer.isView(options)) {
    throw wrongArgument(op, "options", `an object (of ${known.join(", ")})`, options);
  }
  for (const name in options) {
    if (!known.includes(name)) throw new ArgumentError(`${op}: option ${name} is none of ${known.join(", ")}`);
  }
}

/** @throws ArgumentError unless it is one of the words */
export function checkChoice(op: string, name: string, value: unknown, choices: readonly unknown[]): void {
  if (!choices.includes(value))
    throw new ArgumentError(`${op}: ${name} ${shown(value)} is none of ${choices.join(", ")}`);
}

/** @throws ArgumentError unless it is true, false or absent */
export function checkFlag(op: string, name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "boolean") throw wrongArgument(op, name, "true or false", value);
}

/** @throws ArgumentError unless it is a function */
export function checkFunction(op: string, name: string, value: unknown): void {
  if (typeof value !== "function") throw wrongArgument(op, name, "a function", value);
}

/** @throws DTypeError unless it is a dtype or absent */
export function checkDType(op: string, dtype: unknown): void {
  if (dtype !== undefined && !DTYPES.includes(dtype as DType)) {
    throw new DTypeError(`${op}: dtype ${shown(dtype)} is none of ${DTYPES.join(", ")}`);
  }
}

/** @throws RangeError unless it is a number of at least `least` and at most `most`; NaN is none */
export function checkNumber(
  op: string,
  name: string,
  value: unknown,
  least: number = Number.NEGATIVE_INFINITY,
  most: number = Number.POSITIVE_INFINITY,
): void {
  if (typeof value === "number" && value >= least && value <= most) return;
  const range =
    least === Number.NEGATIVE_INFINITY
      ? ""
      : most === Number.POSITIVE_INFINITY
        ? ` of at least ${least}`
        : ` from ${least} to ${most}`;
  throw new RangeError(`${op}: ${name} has to be a number${range}, got ${shown(value)}`);
}

/** @throws ShapeError unless it is a whole number of at least `least`, and one that can be counted */
export function checkWhole(op: string, name: string, value: unknown, least: number = Number.MIN_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && (value as number) >= least) return;
  const range = least === Number.MIN_SAFE_INTEGER ? "" : ` of at least ${least}`;
  throw new ShapeError(`${op}: ${name} has to be a whole number${range}, got ${shown(value)}`);
}

/** @throws ShapeError unless it is an array of whole numbers of at least `least` */
export function checkWholes(op: string, name: string, value: unknown, least?: number): void {
  if (!Array.isArray(value)) {
    throw new ShapeError(`${op}: ${name} has to be an array of whole numbers, got ${shown(value)}`);
  }
  for (let i = 0; i < value.length; i++) {
    const item: unknown = value[i];
    if (Number.isSafeInteger(item) && (least === undefined || (item as number) >= least)) continue;
    checkWhole(op, `${name}[${i}]`, item, least);
  }
}

/** What a tensor is made from: its numbers in one row, and the shape that they have. */
export interface Numbers {
  readonly values: Data;
  readonly shape: readonly number[];
}

/** A number, an array of numbers or a regular nest of arrays. @throws ShapeError, ArgumentError for what is none of them */
export function numbersOf(op: string, data: unknown): Numbers {
  if (typeof data === "number") return { values: [data], shape: [] };
  if (ArrayBuffer.isView(data) && !(data instanceof DataView)) {
    const values = data as unknown as Data;
    if (typeof (values[0] ?? 0) === "number") return { values, shape: [values.length] };
  }
  if (!Array.isArray(data)) throw wrongArgument(op, "data", "a number, or an array of numbers", data);
  const shape: number[] = [];
  for (let part: unknown = data; Array.isArray(part) || ArrayBuffer.isView(part); part = (part as unknown[])[0]) {
    shape.push((part as unknown[]).length);
  }
  // Truth values become numbers, in an array of their own.
  const values: number[] = shape.length > 1 || data.some((item) => typeof item === "boolean") ? [] : data;
  const visit = (part: ArrayLike<unknown>, axis: number): void => {
    if (part?.length !== shape[axis] || typeof part !== "object") {
      throw new ShapeError(
        `${op}: data is ragged: ${shown(part)} stands where [${shape.join(", ")}] needs ${shape[axis]}`,
      );
    }
    const last = axis === shape.length - 1;
    for (let i = 0; i < part.length; i++) {
      const item = part[i];
      if (!last) visit(item as ArrayLike<unknown>, axis + 1);
      else if (typeof item !== "number" && typeof item !== "boolean") {
        if (Array.isArray(item)) throw new ShapeError(`${op}: data is ragged: ${shown(item)} stands beside numbers`);
        throw wrongArgument(op, "data", "a number, or an array of numbers", item);
      } else if (values !== data) values.push(Number(item));
    }
  };
  visit(data, 0);
  return { values, shape };
}
