/**
 * Writes ONNX models: as much of the format as the benchmarks need. A message is a list of fields, each a key (number · 8 + wire type)
 * and a value; wire types are 0 varint, 2 length and bytes, 5 four bytes.
 *
 * @see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */

/** One operator of a graph. */
export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Empty for the standard operators. */
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

/** Lists are of integers; numbers are integers unless wrapped in `{ float }`. */
export type OnnxAttribute = number | string | readonly number[] | { readonly float: number };

/** A graph of f32 values, all of known shapes. */
export interface OnnxGraph {
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  readonly nodes: readonly OnnxNode[];
  /** Values that belong to the model. */
  readonly initializers?: Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>>;
}

const FLOAT = 1;
const IR_VERSION = 10;
const OPSETS = { "": 21, "com.microsoft": 1 };

/** The bytes of a model with this graph. */
export function writeOnnx({ inputs, outputs, nodes, initializers = {} }: OnnxGraph): Uint8Array {
  const graph = [
    ...nodes.map((node, index) => message(1, writeNode(node, `${node.op}_${index}`))),
    text(2, "graph"),
    ...Object.entries(initializers).map(([name, { shape, data }]) =>
      message(5, [
        ...shape.map((size) => integer(1, size)),
        integer(2, FLOAT),
        text(8, name),
        bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
      ]),
    ),
    ...Object.entries(inputs).map(([name, shape]) => message(11, valueInfo(name, shape))),
    ...Object.entries(outputs).map(([name, shape]) => message(12, valueInfo(name, shape))),
  ];
  const opsets = Object.entries(OPSETS).map(([domain, version]) => message(8, [text(1, domain), integer(2, version)]));
  return concat([integer(1, IR_VERSION), text(2, "deplsr"), message(7, graph), ...opsets]);
}

function writeNode({ op, inputs, outputs, domain = "", attributes = {} }: OnnxNode, name: string): Uint8Array[] {
  return [
    ...inputs.map((input) => text(1, input)),
    ...outputs.map((output) => text(2, output)),
    text(3, name),
    text(4, op),
    ...Object.entries(attributes).map(([key, value]) => message(5, [text(1, key), ...writeAttribute(value)])),
    text(7, domain),
  ];
}

function writeAttribute(value: OnnxAttribute): Uint8Array[] {
  if (typeof value === "number") return [integer(3, value), integer(20, 2)];
  if (typeof value === "string") return [text(4, value), integer(20, 3)];
  if (isList(value)) return [...value.map((item) => integer(8, item)), integer(20, 7)];
  return [float(2, value.float), integer(20, 1)];
}

function isList(value: readonly number[] | { readonly float: number }): value is readonly number[] {
  return Array.isArray(value);
}

function valueInfo(name: string, shape: readonly number[]): Uint8Array[] {
  const dims = shape.map((size) => message(1, [integer(1, size)]));
  return [text(1, name), message(2, [message(1, [integer(1, FLOAT), message(2, dims)])])];
}

function integer(field: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(field * 8), ...varint(value)]);
}

function float(field: number, value: number): Uint8Array {
  return concat([Uint8Array.from(varint(field * 8 + 5)), new Uint8Array(Float32Array.of(value).buffer)]);
}

function text(field: number, value: string): Uint8Array {
  return bytes(field, new TextEncoder().encode(value));
}

function message(field: number, parts: readonly Uint8Array[]): Uint8Array {
  return bytes(field, concat(parts));
}

function bytes(field: number, value: Uint8Array): Uint8Array {
  return concat([Uint8Array.from([...varint(field * 8 + 2), ...varint(value.length)]), value]);
}

/** Seven bits a byte, lowest first; a negative number is ten bytes of its two's complement. */
function varint(value: number): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  while (rest >= 128n) {
    out.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return [...out, Number(rest)];
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}
