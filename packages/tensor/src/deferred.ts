import type { Backend, Epilogue, Lot, Storage, View } from "./backend.ts";
import type { DType } from "./dtype.ts";
import { denseLayout } from "./layout.ts";
import type { Shape } from "./shape.ts";

/** What a launch writes, and how it is recorded. */
export interface Work {
  /** Of the result, which is dense. */
  readonly shape: Shape;
  readonly dtype: DType;
  readonly label: string;
  /** What the launch reads. */
  readonly reads: readonly View[];
  /** Records the launch; with an epilogue, what it computes goes where that says, and `out` says its sizes. */
  record(out: View, epilogue?: Epilogue): void;
}

/** A value as far as it matters to what it reads. */
export interface Holder {
  /** True where its numbers will be read, or may well be. */
  readonly wanted: boolean;
}

let nextId = 1;
/** Who is going to read a storage, once for each time that it holds it. */
const readers = new Map<Storage, Deferred[]>();

/** Records what is going to read a storage where nobody else has it any more, so that its memory goes back. */
export function finishReaders(storage: Storage): void {
  const waiting = readers.get(storage);
  if (waiting && waiting.length >= storage.references) for (const reader of [...waiting]) reader.settled();
}

/**
 * Memory that a launch is going to write once something reads it. Until then the launch can be told to go on computing with its results
 * (an epilogue), in which case they are never stored themselves, nor is there memory for them.
 */
export class Deferred implements Storage {
  readonly bytes: number;
  /** Later ones have higher numbers. */
  readonly id = nextId++;
  /** The values that read it, or are it. */
  readonly holders = new Set<Holder>();
  readonly #backend: Backend;
  readonly #bytesLabel: string;
  #work: Work | undefined;
  #real: Storage | undefined;
  #references = 1;
  #taken = false;

  constructor(backend: Backend, work: Work, bytes: number, label: string) {
    this.#backend = backend;
    this.#work = work;
    this.bytes = bytes;
    this.#bytesLabel = label;
    for (const { storage } of work.reads) {
      storage.retain();
      const known = readers.get(storage);
      if (known) known.push(this);
      else readers.set(storage, [this]);
    }
  }

  get references(): number {
    return this.#references;
  }

  get lot(): Lot | undefined {
    return this.#real?.lot;
  }

  get piece(): number {
    return this.#real?.piece ?? 0;
  }

  /** What the launch is going to read; nothing once it has been recorded. */
  get reads(): readonly View[] {
    return this.#work?.reads ?? [];
  }

  retain(): void {
    this.#references++;
  }

  release(): void {
    if (--this.#references > 0) return;
    this.#forget();
    this.#real?.release();
    this.#real = undefined;
  }

  #forget(): void {
    const work = this.#work;
    this.#work = undefined;
    for (const { storage } of work?.reads ?? []) {
      const known = readers.get(storage)!;
      known.splice(known.indexOf(this), 1);
      if (known.length === 0) readers.delete(storage);
      storage.release();
    }
  }

  /** The memory where it is there already. */
  get real(): Storage | undefined {
    return this.#real;
  }

  /** The memory; the launch is recorded now unless it has been. */
  settled(): Storage {
    if (this.#real) return this.#real;
    const { shape, dtype, record } = this.#work!;
    const storage = this.#backend.allocate(this.bytes, this.#bytesLabel);
    try {
      record({ storage, layout: denseLayout(shape), dtype });
    } catch (error) {
      storage.release();
      throw error;
    }
    this.#real = storage;
    this.#forget();
    return storage;
  }

  /**
   * True where its results need not be stored for anyone but `asker`. They are computed again if that turns out to be wrong, which is not
   * risked twice.
   */
  endsIn(asker: Holder | undefined): boolean {
    if (this.#real || this.#taken) return false;
    for (const holder of this.holders) if (holder !== asker && holder.wanted) return false;
    return true;
  }

  /** Records the launch with this epilogue. */
  take(epilogue: Epilogue): void {
    const { shape, dtype, record } = this.#work!;
    record({ storage: epilogue.out.storage, layout: denseLayout(shape), dtype }, epilogue);
    this.#taken = true;
  }
}

/** A view for a kernel: what is deferred is recorded now. */
export function real(view: View): View {
  return view.storage instanceof Deferred ? { ...view, storage: view.storage.settled() } : view;
}
