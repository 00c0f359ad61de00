import { bytes, u32 } from "./build.ts";

/** A writer of pickles of every protocol, with the instructions that Python's own writer takes for each. */

/** What can be written. Arrays are lists. */
export type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value } | Special;

type Special = Name | Call | Made | Instance | Persistent | Tuple;

/** A global by module and name. */
export class Name {
  readonly module: string;
  readonly name: string;

  constructor(path: string) {
    this.module = path.slice(0, path.lastIndexOf("."));
    this.name = path.slice(path.lastIndexOf(".") + 1);
  }
}

export class Tuple {
  readonly items: readonly Value[];

  constructor(...items: readonly Value[]) {
    this.items = items;
  }
}

/** REDUCE: a function and its arguments. */
export class Call {
  readonly callee: Name;
  readonly args: Tuple;

  constructor(path: string, ...args: readonly Value[]) {
    this.callee = new Name(path);
    this.args = new Tuple(...args);
  }
}

/** An object with its attributes: NEWOBJ, before protocol 2 a function that makes it. */
export class Made {
  readonly type: Name;
  readonly state: Value;

  constructor(path: string, state: Value) {
    this.type = new Name(path);
    this.state = state;
  }
}

/** An object of Python 2's old classes: INST in protocol 0, OBJ in 1 and later. */
export class Instance {
  readonly type: Name;
  readonly args: readonly Value[];

  constructor(path: string, ...args: readonly Value[]) {
    this.type = new Name(path);
    this.args = args;
  }
}

/** PERSID in protocol 0, which only has text, else BINPERSID. */
export class Persistent {
  readonly id: Value;

  constructor(id: Value) {
    this.id = id;
  }
}

/** A tensor over a whole storage of f32. */
export function tensorOf(key: string, shape: readonly number[]): Call {
  const size = shape.reduce((product, length) => product * length, 1);
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, length) => product * length, 1));
  const storage = new Persistent(new Tuple("storage", new Name("torch.FloatStorage"), key, "cpu", size));
  const hooks = new Call("collections.OrderedDict");
  const make = "torch._utils._rebuild_tensor_v2";
  return new Call(make, storage, 0, new Tuple(...shape), new Tuple(...strides), false, hooks);
}

export function pickled(value: Value, protocol: number): Uint8Array {
  let entries = 0;
  const remember = (): Uint8Array => {
    const entry = entries++;
    if (protocol === 0) return bytes(`p${entry}\n`);
    return protocol < 4 ? bytes("r", u32(entry)) : bytes("\x94");
  };

  const write = (item: Value): Uint8Array => {
    if (item === null) return bytes("N");
    if (typeof item === "boolean") return bytes(protocol < 2 ? (item ? "I01\n" : "I00\n") : item ? "\x88" : "\x89");
    if (typeof item === "number") return number(item);
    if (typeof item === "string") return bytes(text(item), remember());
    if (item instanceof Name) return named(item);
    if (item instanceof Tuple) return tuple(item.items);
    if (item instanceof Call) return bytes(named(item.callee), tuple(item.args.items), "R", remember());
    if (item instanceof Made) {
      const args = protocol < 2 ? tuple([item.type, new Name("builtins.object"), null]) : bytes(named(item.type), ")");
      const made = protocol < 2 ? bytes(named(new Name("copyreg._reconstructor")), args, "R") : bytes(args, "\x81");
      return bytes(made, remember(), write(item.state), "b");
    }
    if (item instanceof Instance) {
      const { module, name } = item.type;
      const args = item.args.map(write);
      return protocol === 0 ? bytes("(", ...args, `i${module}\n${name}\n`) : bytes("(", named(item.type), ...args, "o");
    }
    if (item instanceof Persistent) return protocol === 0 ? bytes(`P${String(item.id)}\n`) : bytes(write(item.id), "Q");
    if (Array.isArray(item)) return list(item);
    return dictionary(Object.entries(item));
  };

  const number = (value: number): Uint8Array => {
    if (!Number.isInteger(value)) {
      const eight = new Uint8Array(8);
      new DataView(eight.buffer).setFloat64(0, value);
      return protocol === 0 ? bytes(`F${value}\n`) : bytes("G", eight);
    }
    if (Math.abs(value) < 2 ** 31) return protocol === 0 ? bytes(`I${value}\n`) : bytes("J", u32(value));
    const eight = new Uint8Array(BigInt64Array.of(BigInt(value)).buffer);
    return protocol < 2 ? bytes(`L${value}L\n`) : bytes("\x8a\x08", eight);
  };

  const text = (value: string): Uint8Array => {
    const encoded = new TextEncoder().encode(value);
    if (protocol === 0) {
      const spelt = value.replace(/[\n\\\u0100-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
      return bytes(`V${spelt}\n`);
    }
    return protocol < 4
      ? bytes("X", u32(encoded.length), encoded)
      : bytes("\x8c", Uint8Array.of(encoded.length), encoded);
  };

  const named = ({ module, name }: Name): Uint8Array => {
    if (protocol >= 4) return bytes(text(module), text(name), "\x93");
    const old = { builtins: "__builtin__", copyreg: "copy_reg" }[module] ?? module;
    return bytes(`c${protocol < 3 ? old : module}\n${name}\n`);
  };

  const tuple = (items: readonly Value[]): Uint8Array => {
    const codes = [")", "\x85", "\x86", "\x87"];
    const parts = items.map(write);
    if (items.length === 0 && protocol > 0) return bytes(")");
    if (items.length < 4 && protocol >= 2) return bytes(...parts, codes[items.length]!);
    return bytes("(", ...parts, "t");
  };

  const list = (items: readonly Value[]): Uint8Array => {
    if (protocol === 0) return bytes("(l", remember(), ...items.flatMap((item) => [write(item), "a"]));
    return bytes("]", remember(), "(", ...items.map(write), "e");
  };

  const dictionary = (items: readonly (readonly [string, Value])[]): Uint8Array => {
    const pairs = items.map(([key, item]) => bytes(write(key), write(item)));
    if (protocol === 0) return bytes("(d", remember(), ...pairs.flatMap((pair) => [pair, "s"]));
    return bytes("}", remember(), "(", ...pairs, "u");
  };

  const body = bytes(write(value), ".");
  if (protocol < 2) return body;
  const frame = protocol < 4 ? "" : bytes("\x95", new Uint8Array(BigInt64Array.of(BigInt(body.length)).buffer));
  return bytes("\x80", Uint8Array.of(protocol), frame, body);
}
