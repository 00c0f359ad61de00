import { FileFormatError, quoted } from "@deplsr/tensor";

/**
 * A reader of Python's pickles that executes nothing. A pickle is a program for a stack machine; the instructions that make values
 * are carried out here, and what it wants to call is looked up in a table that the caller gives. Anything else makes an inert
 * placeholder, which is refused where its value matters.
 *
 * @see https://github.com/python/cpython/blob/main/Lib/pickletools.py
 */

/** What a pickle leaves on the stack. Lists, tuples and sets are arrays, bytes are `Uint8Array`, whole numbers beyond 2^53 are bigint. */
export type PickleValue = PickleKey | Uint8Array | PickleValue[] | Map<PickleKey, PickleValue> | PickleObject;

/** What may be a key of a dictionary. */
export type PickleKey = null | boolean | number | bigint | string;

/** What is made by a global or a persistent id. */
export abstract class PickleObject {
  /** What a message calls it. */
  abstract readonly what: string;

  /** Takes the state that the pickle gives the object. @throws FileFormatError unless a kind of object knows what to do with it */
  build(_state: PickleValue): void {
    throw damaged(`sets the state of ${this.what}`);
  }
}

/** A name that a pickle may ask for and call. */
export class Global extends PickleObject {
  readonly what: string;
  readonly call: (args: readonly PickleValue[]) => PickleValue;

  constructor(name: string, call?: Global["call"]) {
    super();
    this.what = name;
    this.call =
      call ??
      (() => {
        throw damaged(`calls ${name}`);
      });
  }
}

/** A name that is not known here: nothing is looked up and nothing runs, whatever the pickle wants of it. */
export class UnknownName extends Global {
  constructor(name: string) {
    super(name, () => {
      throw refused(name);
    });
  }
}

/**
 * What the pickle wants an unknown name to make. Nobody knows what it is: it may lie beside the data, and is refused where data is looked
 * for in it.
 */
export class Placeholder extends PickleObject {
  readonly what: string;
  /** Whether a function would have to run to know its value; else it is an object of a class, and has no value. */
  readonly called: boolean;
  /** What it would be made of: arguments, state, items. */
  readonly contents: PickleValue[];

  constructor(name: string, args: readonly PickleValue[], called: boolean) {
    super();
    this.what = name;
    this.called = called;
    this.contents = [...args];
  }

  override build(state: PickleValue): void {
    this.contents.push(state);
  }
}

/** What the pickle's names mean. */
export interface PickleNames {
  /** @param name module and name, `collections.OrderedDict` */
  readonly global: (name: string) => PickleValue;
  /** @throws FileFormatError for what it does not know */
  readonly persistent: (id: PickleValue) => PickleValue;
}

/** The pickle ends in the middle; more of the file may help. */
export class CutOffPickle extends FileFormatError {}

/** Instructions of one pickle: bounds what a hostile file can make of few bytes. A training state of a large network has 10^5. */
const MAX_INSTRUCTIONS = 2 ** 20;
/** Bytes of a pickle. That network's has less than a megabyte. */
export const MAX_PICKLE_BYTES = 16 * 2 ** 20;

/**
 * Reads one pickle, of protocol 2 to 5 (what `torch.save` writes).
 *
 * @param start where it begins
 * @returns its value, and where it ended
 * @throws FileFormatError naming what is refused or damaged; CutOffPickle when `bytes` ends first
 */
export function unpickle(bytes: Uint8Array, start: number, names: PickleNames): { value: PickleValue; end: number } {
  return new Machine(bytes, start, names).run();
}

/** The error of a pickle that is not as it should be. */
export function damaged(problem: string): FileFormatError {
  return new FileFormatError(`pickle: ${problem}: the file is damaged or not a checkpoint`);
}

/** The stack machine. */
class Machine {
  readonly #bytes: Uint8Array;
  readonly view: DataView;
  readonly names: PickleNames;
  #at: number;
  #left = MAX_INSTRUCTIONS;
  #stack: PickleValue[] = [];
  /** The stacks below each open mark. */
  readonly #marked: PickleValue[][] = [];
  readonly memo = new Map<number, PickleValue>();

  constructor(bytes: Uint8Array, start: number, names: PickleNames) {
    this.#bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
    this.names = names;
  }

  run(): { value: PickleValue; end: number } {
    for (;;) {
      this.#spend(1);
      const code = this.byte();
      if (code === 0x2e) return { value: this.pop(), end: this.#at }; // STOP
      const step = INSTRUCTIONS.get(code);
      if (!step) throw damaged(`has the instruction 0x${code.toString(16).padStart(2, "0")}, which is not read here,`);
      step(this);
    }
  }

  #spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) {
      throw new FileFormatError(`pickle: more than ${MAX_INSTRUCTIONS} instructions: not a checkpoint of a network`);
    }
  }

  protocol(version: number): void {
    if (version < 2 || version > 5) throw damaged(`is of protocol ${version}`);
  }

  /** @param made whether it is the class of a new object, not a function */
  call(made: boolean): void {
    const [callee, args] = this.popMany(2);
    if (!(callee instanceof Global) || !Array.isArray(args)) throw damaged("calls what is no function");
    // A call may go through what it is given, and the same may be given many times.
    this.#spend(args.length);
    for (const arg of args) if (typeof arg === "string" || Array.isArray(arg)) this.#spend(arg.length);
    this.push(callee instanceof UnknownName ? new Placeholder(callee.what, args, !made) : callee.call(args));
  }

  build(): void {
    const state = this.pop();
    const target = this.top();
    // What an OrderedDict may carry beside its items (`_metadata` of a state dict) is not data.
    if (target instanceof Map) return;
    if (!(target instanceof PickleObject)) throw damaged("sets the state of a plain value");
    target.build(state);
  }

  append(items: readonly PickleValue[]): void {
    const list = this.top();
    const into = list instanceof Placeholder ? list.contents : list;
    if (!Array.isArray(into)) throw damaged("appends to what is no list");
    for (const item of items) into.push(item);
  }

  setItems(items: readonly PickleValue[]): void {
    const target = this.top();
    if (target instanceof Placeholder) {
      this.append(items);
      return;
    }
    if (!(target instanceof Map)) throw damaged("sets items of what is no dictionary");
    for (let i = 0; i < items.length; i += 2) target.set(asKey(items[i]!), items[i + 1] ?? null);
  }

  remembered(index: number): PickleValue {
    const value = this.memo.get(index);
    if (value === undefined) throw damaged(`recalls entry ${index}, which was never stored`);
    return value;
  }

  push(value: PickleValue): void {
    this.#stack.push(value);
  }

  pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined) throw damaged("takes more values than there are");
    return value;
  }

  top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined) throw damaged("takes more values than there are");
    return value;
  }

  /** The last `count` values, in the order in which they were pushed. */
  popMany(count: number): PickleValue[] {
    if (this.#stack.length < count) throw damaged("takes more values than there are");
    return this.#stack.splice(this.#stack.length - count);
  }

  mark(): void {
    this.#marked.push(this.#stack);
    this.#stack = [];
  }

  popMark(): PickleValue[] {
    const items = this.#stack;
    const below = this.#marked.pop();
    if (!below) throw damaged("closes a mark that was never set");
    this.#stack = below;
    return items;
  }

  byte(): number {
    return this.#bytes[this.skip(1)]!;
  }

  length(): number {
    return this.view.getUint32(this.skip(4), true);
  }

  take(length: number): Uint8Array {
    const from = this.skip(length);
    return this.#bytes.subarray(from, from + length);
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#cutOff();
    return text(this.take(end + 1 - this.#at).subarray(0, -1));
  }

  /** Moves on by `length` bytes and returns where they begin. */
  skip(length: number): number {
    const from = this.#at;
    if (from + length > this.#bytes.length) throw this.#cutOff();
    this.#at = from + length;
    return from;
  }

  #cutOff(): CutOffPickle {
    return new CutOffPickle(`pickle: ends in the middle of an instruction: the file is cut off or damaged`);
  }
}

/** What each instruction does: names and codes of `pickletools`. */
const INSTRUCTIONS: ReadonlyMap<number, (machine: Machine) => void> = new Map([
  [0x80, (m) => m.protocol(m.byte())], // PROTO
  [0x95, (m) => m.skip(8)], // FRAME
  [0x28, (m) => m.mark()], // MARK
  [0x30, (m) => m.pop()], // POP
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4b, (m) => m.push(m.byte())], // BININT1
  [0x4d, (m) => m.push(m.view.getUint16(m.skip(2), true))], // BININT2
  [0x4a, (m) => m.push(m.view.getInt32(m.skip(4), true))], // BININT
  [0x8a, (m) => m.push(wholeNumber(m.take(m.byte())))], // LONG1
  [0x47, (m) => m.push(m.view.getFloat64(m.skip(8)))], // BINFLOAT
  [0x55, (m) => m.push(text(m.take(m.byte())))], // SHORT_BINSTRING
  [0x54, (m) => m.push(text(m.take(m.length())))], // BINSTRING
  [0x8c, (m) => m.push(text(m.take(m.byte())))], // SHORT_BINUNICODE
  [0x58, (m) => m.push(text(m.take(m.length())))], // BINUNICODE
  [0x43, (m) => m.push(m.take(m.byte()))], // SHORT_BINBYTES
  [0x42, (m) => m.push(m.take(m.length()))], // BINBYTES
  [0x5d, (m) => m.push([])], // EMPTY_LIST
  [0x61, (m) => m.append(m.popMany(1))], // APPEND
  [0x65, (m) => m.append(m.popMark())], // APPENDS
  [0x29, (m) => m.push([])], // EMPTY_TUPLE
  [0x74, (m) => m.push(m.popMark())], // TUPLE
  [0x85, (m) => m.push(m.popMany(1))], // TUPLE1
  [0x86, (m) => m.push(m.popMany(2))], // TUPLE2
  [0x87, (m) => m.push(m.popMany(3))], // TUPLE3
  [0x8f, (m) => m.push([])], // EMPTY_SET
  [0x90, (m) => m.append(m.popMark())], // ADDITEMS
  [0x91, (m) => m.push(m.popMark())], // FROZENSET
  [0x7d, (m) => m.push(new Map())], // EMPTY_DICT
  [0x73, (m) => m.setItems(m.popMany(2))], // SETITEM
  [0x75, (m) => m.setItems(m.popMark())], // SETITEMS
  [0x71, (m) => m.memo.set(m.byte(), m.top())], // BINPUT
  [0x72, (m) => m.memo.set(m.length(), m.top())], // LONG_BINPUT
  [0x94, (m) => m.memo.set(m.memo.size, m.top())], // MEMOIZE
  [0x68, (m) => m.push(m.remembered(m.byte()))], // BINGET
  [0x6a, (m) => m.push(m.remembered(m.length()))], // LONG_BINGET
  [0x63, (m) => m.push(m.names.global(`${m.line()}.${m.line()}`))], // GLOBAL
  [0x93, (m) => m.push(m.names.global(m.popMany(2).map(asText).join(".")))], // STACK_GLOBAL
  [0x51, (m) => m.push(m.names.persistent(m.pop()))], // BINPERSID
  [0x52, (m) => m.call(false)], // REDUCE
  [0x81, (m) => m.call(true)], // NEWOBJ
  [0x62, (m) => m.build()], // BUILD
]);

/** A little-endian number in two's complement, as long as a 64-bit one or a little longer. */
export function wholeNumber(bytes: Uint8Array): number | bigint {
  if (bytes.length > 16) throw damaged(`holds a whole number of ${bytes.length} bytes`);
  let value = 0n;
  for (const byte of [...bytes].reverse()) value = (value << 8n) | BigInt(byte);
  const signed = BigInt.asIntN(8 * bytes.length, value);
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
}

const utf8 = new TextDecoder();

function text(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

function asText(value: PickleValue): string {
  if (typeof value !== "string") throw damaged("names a global by something else than text");
  return value;
}

function asKey(value: PickleValue): PickleKey {
  if (value === null || typeof value !== "object") return value;
  throw damaged("has a dictionary key that is neither text nor number");
}

/** The refusal of a name. */
export function refused(name: string): FileFormatError {
  return new FileFormatError(
    `pickle: asks for ${quoted(name)}, which is refused: only dense tensors, containers and numbers are read; save the state_dict alone`,
  );
}
