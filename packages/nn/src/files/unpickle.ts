import { damaged, type PickleNames, type PickleValue, wholeNumber } from "./pickle.ts";
import { PickleMachine, text } from "./pickle-machine.ts";
import { escaped, floatOf, longOf, unquoted, wholeOrTruth } from "./pickle-text.ts";

/**
 * A reader of Python's pickles that executes nothing. A pickle is a program for a stack machine; the instructions that make values
 * are carried out here, and what it wants to call is looked up in a table that the caller gives. Anything else makes an inert
 * placeholder, which is refused where its value matters.
 *
 * @see https://github.com/python/cpython/blob/main/Lib/pickletools.py
 */

/** Bytes of a pickle. That of a large network's training has less than a megabyte. */
export const MAX_PICKLE_BYTES = 16 * 2 ** 20;

/**
 * Reads one pickle, of protocol 0 to 5.
 *
 * @param start where it begins
 * @returns its value, and where it ended
 * @throws FileFormatError naming what is refused or damaged; CutOffPickle when `bytes` ends first
 */
export function unpickle(bytes: Uint8Array, start: number, names: PickleNames): { value: PickleValue; end: number } {
  const machine = new PickleMachine(bytes, start, names);
  for (;;) {
    machine.spend(1);
    const code = machine.byte();
    if (code === 0x2e) return { value: machine.pop(), end: machine.at }; // STOP
    const step = INSTRUCTIONS.get(code);
    if (!step) throw damaged(`has the instruction 0x${code.toString(16).padStart(2, "0")}, which is not read here,`);
    step(machine);
  }
}

/** What each instruction does: names and codes of `pickletools`. */
const INSTRUCTIONS: ReadonlyMap<number, (machine: PickleMachine) => void> = new Map([
  [0x80, (m) => m.protocol(m.byte())], // PROTO
  [0x95, (m) => m.skip(8)], // FRAME
  [0x28, (m) => m.mark()], // MARK
  [0x30, (m) => m.drop()], // POP
  [0x31, (m) => m.popMark()], // POP_MARK
  [0x32, (m) => m.push(m.top())], // DUP
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x49, (m) => m.push(wholeOrTruth(m.line()))], // INT
  [0x4b, (m) => m.push(m.byte())], // BININT1
  [0x4d, (m) => m.push(m.view.getUint16(m.skip(2), true))], // BININT2
  [0x4a, (m) => m.push(m.view.getInt32(m.skip(4), true))], // BININT
  [0x4c, (m) => m.push(longOf(m.line()))], // LONG
  [0x8a, (m) => m.push(wholeNumber(m.take(m.byte())))], // LONG1
  [0x8b, (m) => m.push(wholeNumber(m.take(m.length())))], // LONG4
  [0x46, (m) => m.push(floatOf(m.line()))], // FLOAT
  [0x47, (m) => m.push(m.view.getFloat64(m.skip(8)))], // BINFLOAT
  [0x53, (m) => m.push(unquoted(m.bytesOfLine()))], // STRING
  [0x56, (m) => m.push(escaped(m.bytesOfLine()))], // UNICODE
  [0x55, (m) => m.push(text(m.take(m.byte())))], // SHORT_BINSTRING
  [0x54, (m) => m.push(text(m.take(m.length())))], // BINSTRING
  [0x8c, (m) => m.push(text(m.take(m.byte())))], // SHORT_BINUNICODE
  [0x58, (m) => m.push(text(m.take(m.length())))], // BINUNICODE
  [0x8d, (m) => m.push(text(m.take(m.longLength())))], // BINUNICODE8
  [0x43, (m) => m.push(m.take(m.byte()))], // SHORT_BINBYTES
  [0x42, (m) => m.push(m.take(m.length()))], // BINBYTES
  [0x8e, (m) => m.push(m.take(m.longLength()))], // BINBYTES8
  [0x96, (m) => m.push(m.take(m.longLength()))], // BYTEARRAY8
  [0x97, (m) => m.outside()], // NEXT_BUFFER
  [0x98, () => {}], // READONLY_BUFFER
  [0x6c, (m) => m.push(m.popMark())], // LIST
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
  [0x64, (m) => m.dictionary()], // DICT
  [0x73, (m) => m.setItems(m.popMany(2))], // SETITEM
  [0x75, (m) => m.setItems(m.popMark())], // SETITEMS
  [0x70, (m) => m.memo.set(m.index(), m.top())], // PUT
  [0x71, (m) => m.memo.set(m.byte(), m.top())], // BINPUT
  [0x72, (m) => m.memo.set(m.length(), m.top())], // LONG_BINPUT
  [0x94, (m) => m.memo.set(m.memo.size, m.top())], // MEMOIZE
  [0x67, (m) => m.push(m.remembered(m.index()))], // GET
  [0x68, (m) => m.push(m.remembered(m.byte()))], // BINGET
  [0x6a, (m) => m.push(m.remembered(m.length()))], // LONG_BINGET
  [0x63, (m) => m.push(m.names.global(`${m.line()}.${m.line()}`))], // GLOBAL
  [0x93, (m) => m.push(m.names.global(m.popMany(2).map(asText).join(".")))], // STACK_GLOBAL
  [0x82, (m) => m.extension(m.byte())], // EXT1
  [0x83, (m) => m.extension(m.view.getUint16(m.skip(2), true))], // EXT2
  [0x84, (m) => m.extension(m.length())], // EXT4
  [0x50, (m) => m.push(m.names.persistent(m.line()))], // PERSID
  [0x51, (m) => m.push(m.names.persistent(m.pop()))], // BINPERSID
  [0x52, (m) => m.call(false)], // REDUCE
  [0x69, (m) => m.instance()], // INST
  [0x6f, (m) => m.callMarked()], // OBJ
  [0x81, (m) => m.call(true)], // NEWOBJ
  [0x92, (m) => m.callWithNames()], // NEWOBJ_EX
  [0x62, (m) => m.build()], // BUILD
]);

function asText(value: PickleValue): string {
  if (typeof value !== "string") throw damaged("names a global by something else than text");
  return value;
}
