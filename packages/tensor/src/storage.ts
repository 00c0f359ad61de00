/** Device memory, and how it is seen. */
import type { DType } from "./dtype.ts";
import type { Layout } from "./layout.ts";

/** A piece of device memory, shared by the views onto it and given back when the last reference goes. */
export interface Storage {
  readonly bytes: number;
  readonly references: number;
  retain(): void;
  release(): void;
  /** The lot that it is a piece of, and which one; undefined for what stands alone. */
  readonly lot: Lot | undefined;
  readonly piece: number;
}

/**
 * Pieces of memory that lie side by side, each a storage of its own with holders of its own, so that what is done to all of them can be done
 * at once. The memory goes back with the last of them.
 */
export interface Lot {
  readonly pieces: readonly Storage[];
  /** The byte at which each piece begins, and the end of the last one. Between two pieces there may be a gap. */
  readonly offsets: readonly number[];
  /**
   * The pieces from `first` to `last`, which are held, and the gaps behind each, for launches that are recorded now; or, if it `holds` them, until the
   * caller gives it back.
   */
  join(first: number, last: number, holds?: boolean): Storage;
}

/** What a kernel works on: storage seen through a layout. */
export interface View {
  readonly storage: Storage;
  readonly layout: Layout;
  readonly dtype: DType;
}
