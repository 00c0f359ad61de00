import {
  type FileTensor,
  quoted,
  readRange,
  type Source,
  type StoredDType,
  storedBytes,
  storedSize,
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

/** Sizes and strides (in elements) over a storage, checked to stay inside it. */
export class TorchTensor extends PickleObject {
  readonly what = "a tensor";
  readonly storage: TorchStorage;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;

  /** @param values what `torch._utils._rebuild_tensor_v2` is called with @throws FileFormatError when they do not fit each other */
  constructor([storage, offset = null, shape, strides]: readonly PickleValue[]) {
    super();
    if (!(storage instanceof TorchStorage)) throw damaged("makes a tensor of what is no storage");
    if (!isSizes([offset]) || !isSizes(shape) || !isSizes(strides) || shape.length !== strides.length) {
      throw damaged("makes a tensor whose sizes and strides are no whole numbers");
    }
    this.storage = storage;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset as number; // isSizes has seen it
    const last = shape.reduce((at, size, axis) => at + (size - 1) * strides[axis]!, this.offset);
    if (this.size > 0 && !(last < storage.size)) {
      throw damaged(`makes a tensor that reaches element ${last} of a storage of ${storage.size}`);
    }
  }

  get size(): number {
    return storedSize("of the pickle", this.storage.dtype, this.shape);
  }

  /** The tensor under its name in the file. @param contents finds the bytes of its storage */
  inFile(name: string, contents: (storage: TorchStorage) => Promise<Source>): FileTensor {
    const { dtype } = this.storage;
    const width = storedBytes(dtype);
    const base = this.storage.first + this.offset;
    const range = async (from: number, count: number): Promise<Uint8Array> =>
      readRange(await contents(this.storage), from * width, count * width, `tensor ${quoted(name)}`);
    const read = this.#contiguous()
      ? (first: number, count: number) => range(base + first, count)
      : async (first: number, count: number) => {
          const places = this.#places(first, count);
          const [from, to] = bounds(places);
          return picked(await range(base + from, to - from), places, from, width);
        };
    return { name, dtype, shape: this.shape, read };
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

  /** Where elements lie in the storage, from the tensor's first on. */
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

/** The smallest place, and the one after the largest. */
function bounds(places: Float64Array): [from: number, to: number] {
  let [from, to] = [Number.POSITIVE_INFINITY, 0];
  for (const place of places) {
    if (place < from) from = place;
    if (place >= to) to = place + 1;
  }
  return places.length === 0 ? [0, 0] : [from, to];
}

/** Elements of `width` bytes at `places`, of bytes that begin at place `from`. */
function picked(bytes: Uint8Array, places: Float64Array, from: number, width: number): Uint8Array {
  const result = new Uint8Array(places.length * width);
  for (let i = 0; i < places.length; i++) {
    const at = (places[i]! - from) * width;
    for (let byte = 0; byte < width; byte++) result[i * width + byte] = bytes[at + byte]!;
  }
  return result;
}

/** Whether a pickle's value is a list of sizes. */
export function isSizes(value: PickleValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0);
}
