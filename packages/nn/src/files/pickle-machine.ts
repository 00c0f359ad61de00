import { FileFormatError } from "@deplsr/tensor";
import {
  damaged,
  Global,
  type PickleKey,
  type PickleNames,
  PickleObject,
  type PickleValue,
  Placeholder,
  UnknownName,
} from "./pickle.ts";

/** The pickle ends in the middle; more of the file may help. */
export class CutOffPickle extends FileFormatError {}

/** Instructions of one pickle: bounds what a hostile file can make of few bytes. A training state of a large network has 10^5. */
const MAX_INSTRUCTIONS = 2 ** 20;
/** The stack machine that a pickle is a program for. `unpickle.ts` says which instruction does what. */
export class PickleMachine {
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

  /** Where the next instruction begins. */
  get at(): number {
    return this.#at;
  }

  /** @throws FileFormatError when a pickle takes more steps than a checkpoint's would */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) {
      throw new FileFormatError(`pickle: more than ${MAX_INSTRUCTIONS} instructions: not a checkpoint of a network`);
    }
  }

  protocol(version: number): void {
    if (version > 5) throw damaged(`is of protocol ${version}`);
  }

  /** @param made whether it is the class of a new object, not a function */
  call(made: boolean): void {
    const [callee, args] = this.popMany(2);
    this.callWith(callee, args, made);
  }

  /** What follows a mark: a class, and what it is called with. */
  callMarked(): void {
    const [callee, ...args] = this.popMark();
    this.callWith(callee, args, false);
  }

  callWith(callee: PickleValue | undefined, args: PickleValue | undefined, made: boolean): void {
    if (!(callee instanceof Global) || !Array.isArray(args)) throw damaged("calls what is no function");
    // A call may go through what it is given, and the same may be given many times.
    this.spend(args.length);
    for (const arg of args) if (typeof arg === "string" || Array.isArray(arg)) this.spend(arg.length);
    this.push(callee instanceof UnknownName ? new Placeholder(callee.what, args, !made) : callee.call(args));
  }

  /** A class that is named here, called with what follows the mark. */
  instance(): void {
    const callee = this.names.global(`${this.line()}.${this.line()}`);
    this.callWith(callee, this.popMark(), false);
  }

  /** The class of a new object, its arguments, and a dictionary of those with names. */
  callWithNames(): void {
    const named = this.pop();
    this.call(true);
    const made = this.top();
    if (made instanceof Placeholder) made.contents.push(named);
    else if (!(named instanceof Map) || named.size > 0) throw damaged("gives a plain value arguments with names");
  }

  /** Names that a program registers by number, which a file cannot tell. */
  extension(code: number): void {
    this.push(new UnknownName(`copyreg extension ${code}`));
  }

  outside(): never {
    throw damaged("refers to a buffer outside of the file");
  }

  dictionary(): void {
    const items = this.popMark();
    this.push(new Map());
    this.setItems(items);
  }

  /** The number of a memo's entry, in digits. */
  index(): number {
    const digits = this.line();
    if (!/^\d{1,9}$/.test(digits)) throw damaged("numbers an entry of its memo by something else than digits");
    return Number(digits);
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

  /** Drops a value, or the mark where nothing is above it. */
  drop(): void {
    if (this.#stack.length === 0 && this.#marked.length > 0) this.popMark();
    else this.pop();
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

  longLength(): number {
    return Number(this.view.getBigUint64(this.skip(8), true));
  }

  take(length: number): Uint8Array {
    const from = this.skip(length);
    return this.#bytes.subarray(from, from + length);
  }

  line(): string {
    return text(this.bytesOfLine());
  }

  bytesOfLine(): Uint8Array {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#cutOff();
    return this.take(end + 1 - this.#at).subarray(0, -1);
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

const utf8 = new TextDecoder();

/** Text of UTF-8. */
export function text(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

function asKey(value: PickleValue): PickleKey {
  if (value === null || typeof value !== "object") return value;
  throw damaged("has a dictionary key that is neither text nor number");
}
