import {
  type FileTensor,
  isStoredFloat,
  quoted,
  readRange,
  type Source,
  type StoredDType,
  storedBytes,
  storedSize,
  unreadableTensor,
} from "@deplsr/tensor";
import { damaged, PickleObject, type PickleValue } from "./pickle.ts";

/** A tensor that a pickle describes: a view of a storage that lies elsewhere in the file. */

/** Elements of one type that lie in a row; several tensors may look at them. */
export class TorchStorage extends PickleObject {
  readonly what = "a storage";
  /** Names the bytes in the file. */
  readonly key: string;
  readonly dtype: StoredDType;
  /** Elements from `first` on that belong to it. */
  readonly size: number;
  /** Where it begins in those bytes, in elements; not 0 for the views of old files. */
  readonly first: number;

  constructor(key: string, dtype: StoredDType, size: number, first = 0) {
    super();
    this.key = key;
    this.dtype = dtype;
    this.size = size;
    this.first = first;
  }
}

/** PyTorch's own limit. */
const MAX_AXES = 64;

/** Sizes and strides (in elements) over a storage, checked to stay inside it. */
export class TorchTensor extends PickleObject {
  readonly what = "a tensor";
  readonly storage: TorchStorage;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  /** Whether the values are the negatives of the stored ones: PyTorch's "neg" bit. */
  readonly negated: boolean;

  /** @param values what `torch._utils._rebuild_tensor` is called with @throws FileFormatError when they do not fit each other */
  constructor([storage, offset = null, shape, strides]: readonly PickleValue[], negated = false) {
    super();
    this.negated = negated;
    if (!(storage instanceof TorchStorage)) throw damaged("makes a tensor of what is no storage");
    const axes = Array.isArray(shape) && Array.isArray(strides) && shape.length === strides.length ? shape.length : -1;
    if (axes < 0 || axes > MAX_AXES || !isSizes([offset]) || !isSizes(shape) || !isSizes(strides)) {
      throw damaged("makes a tensor whose sizes and strides are none");
    }
    this.storage = storage;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset as number; // isSizes has seen it
    if (this.size > 0 && this.offset + this.#span() > storage.size) {
      throw damaged(
        `makes a tensor that reaches element ${this.offset + this.#span() - 1} of a storage of ${storage.size}`,
      );
    }
  }

  get dtype(): StoredDType {
    return this.storage.dtype;
  }

  get size(): number {
    return storedSize("of the pickle", this.storage.dtype, this.shape);
  }

  /** The tensor under its name in the file. @param contents finds the bytes of its storage */
  inFile(name: string, contents: (storage: TorchStorage) => Promise<Source>): FileTensor {
    const { dtype } = this.storage;
    const width = storedBytes(dtype);
    const range = async (first: number, count: number): Promise<Uint8Array> => {
      const from = this.storage.first + this.offset + first;
      const source = await contents(this.storage);
      const bytes = await readRange(source, from * width, count * width, `tensor ${quoted(name)}`);
      return this.negated ? negative(dtype, bytes) : bytes;
    };
    if (this.#contiguous()) return { name, dtype, shape: this.shape, read: range };
    // Who reads a scattered tensor part by part goes through all of it each time: it stays while there is room.
    let kept: WeakRef<Uint8Array> | undefined;
    const read = async (first: number, count: number): Promise<Uint8Array> => {
      const bytes = kept?.deref() ?? (await range(0, this.#span()));
      kept = new WeakRef(bytes);
      return picked(bytes, this.#places(first, count), width);
    };
    return { name, dtype, shape: this.shape, read };
  }

  /** Elements of the storage from the tensor's first to its last. */
  #span(): number {
    return this.shape.reduce((span, size, axis) => span + (size - 1) * this.strides[axis]!, 1);
  }

  /** Whether the elements lie in the storage in row-major order without gaps. */
  #contiguous(): boolean {
    let expected = 1;
    for (let axis = this.shape.length - 1; axis >= 0; axis--) {
      if (this.shape[axis] !== 1 && this.strides[axis] !== expected) return this.size === 0;
      expected *= this.shape[axis]!;
    }
    return true;
  }

  /** Where elements lie in the storage, counted from the tensor's first. */
  #places(first: number, count: number): Float64Array {
    const { shape, strides } = this;
    const index = new Array<number>(shape.length).fill(0);
    let [rest, at] = [first, 0];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
      at += index[axis]! * strides[axis]!;
    }
    const places = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      places[i] = at;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        at += strides[axis]!;
        if (++index[axis]! < shape[axis]!) break;
        at -= index[axis]! * strides[axis]!;
        index[axis] = 0;
      }
    }
    return places;
  }
}

/** A tensor whose values are not read: it is listed, and says why. */
export class UnreadableTensor extends PickleObject {
  readonly what = "a tensor";
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly why: string;

  /** @throws FileFormatError when the shape is none */
  constructor(dtype: StoredDType, shape: PickleValue | undefined, why: string) {
    super();
    if (!isSizes(shape) || shape.length > MAX_AXES) throw damaged("makes a tensor whose sizes are none");
    this.dtype = dtype;
    this.shape = shape;
    this.why = why;
  }

  inFile(name: string): FileTensor {
    const { dtype, shape, why: unreadable } = this;
    return { name, dtype, shape, unreadable, read: () => Promise.reject(unreadableTensor(name, unreadable)) };
  }
}

/** Whether `negative` knows the type. */
export function hasNegative(dtype: StoredDType): boolean {
  return /^(F64|F32|F16|BF16|F8_E4M3|F8_E5M2|[IU]\d+)$/.test(dtype);
}

/** The elements with the other sign: of floats the highest bit, of whole numbers the two's complement, as PyTorch's `neg`. */
function negative(dtype: StoredDType, bytes: Uint8Array): Uint8Array {
  const width = storedBytes(dtype);
  // Not `bytes.slice()`: of a Node Buffer that is a view of a larger pool.
  const result = new Uint8Array(bytes);
  if (isStoredFloat(dtype)) {
    for (let i = width - 1; i < result.length; i += width) result[i]! ^= 0x80;
    return result;
  }
  for (let i = 0; i < result.length; i += width) {
    let carry = 1;
    for (let byte = i; byte < i + width; byte++) {
      carry += ~result[byte]! & 0xff;
      result[byte] = carry;
      carry >>= 8;
    }
  }
  return result;
}

/** Elements of `width` bytes at `places`. */
function picked(bytes: Uint8Array, places: Float64Array, width: number): Uint8Array {
  const result = new Uint8Array(places.length * width);
  for (let i = 0; i < places.length; i++) {
    const at = places[i]! * width;
    for (let byte = 0; byte < width; byte++) result[i * width + byte] = bytes[at + byte]!;
  }
  return result;
}

/** Whether a pickle's value is a list of sizes. */
export function isSizes(value: PickleValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0);
}
