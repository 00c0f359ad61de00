import { FileFormatError, quoted } from "@deplsr/tensor";

/** What Python's pickles hold; `unpickle.ts` reads them. */

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

/** The error of a pickle that is not as it should be. */
export function damaged(problem: string): FileFormatError {
  return new FileFormatError(`pickle: ${problem}: the file is damaged or not a checkpoint`);
}

/** A little-endian number in two's complement, as long as a 64-bit one or a little longer. */
export function wholeNumber(bytes: Uint8Array): number | bigint {
  if (bytes.length > 16) throw damaged(`holds a whole number of ${bytes.length} bytes`);
  let value = 0n;
  for (const byte of [...bytes].reverse()) value = (value << 8n) | BigInt(byte);
  const signed = BigInt.asIntN(8 * bytes.length, value);
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
}

/** A pickle asks for what is not read. */
export class RefusedName extends FileFormatError {}

/** The refusal of a name. */
export function refused(name: string): RefusedName {
  return new RefusedName(
    `pickle: asks for ${quoted(name)}, which is refused: only dense tensors, containers and numbers are read; save the state_dict alone`,
  );
}
